//! JSON objects as rows of CSV (RFC 4180).
//!
//! The columns are those of the first row, nested objects dotted (`amount.value`), since a stream can't look ahead; the objects of one list
//! all have the same fields. Lists are written as JSON. A cell that a spreadsheet would run as a formula gets an apostrophe before it.

use serde_json::Value;

/// A table being written.
#[derive(Default)]
pub struct Csv {
    columns: Vec<String>,
}

impl Csv {
    /// Appends a row to `out`, before the first one the header.
    pub fn write(&mut self, out: &mut Vec<u8>, row: &Value) {
        if self.columns.is_empty() {
            name_columns("", row, &mut self.columns);
            record(out, self.columns.iter().map(String::clone));
        }
        record(out, self.columns.iter().map(|column| cell(find(row, column))));
    }
}

/// Appends a row of texts to `out`.
pub fn texts(out: &mut Vec<u8>, cells: &[String]) {
    record(out, cells.iter().map(|text| guarded(text)));
}

fn record(out: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    // Writing to memory does not fail, and every row has the header's number of cells.
    let _ = writer.write_record(cells.map(String::into_bytes)).and_then(|()| Ok(writer.flush()?));
}

fn name_columns(prefix: &str, value: &Value, columns: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let dot = if prefix.is_empty() { "" } else { "." };
            map.iter().for_each(|(key, inner)| name_columns(&format!("{prefix}{dot}{key}"), inner, columns));
        }
        _ => columns.push(prefix.to_string()),
    }
}

/// The value under a dotted name. Keys may hold dots themselves, so every split is tried.
fn find<'v>(value: &'v Value, column: &str) -> Option<&'v Value> {
    value.get(column).or_else(|| {
        let splits = column.match_indices('.').map(|(at, _)| at);
        splits.filter_map(|at| find(value.get(column.get(..at)?)?, column.get(at + 1..)?)).next()
    })
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => guarded(text),
        Some(other) => other.to_string(),
    }
}

fn guarded(text: &str) -> String {
    let risky = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let negative =
        text.strip_prefix('-').is_some_and(|rest| rest.split_once('.').map_or(digits(rest), |(whole, part)| digits(whole) && digits(part)));
    if risky && !negative { format!("'{text}") } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(rows: &[Value]) -> String {
        let (mut csv, mut out) = (Csv::default(), Vec::new());
        rows.iter().for_each(|row| csv.write(&mut out, row));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn nested_objects_are_dotted_and_lists_are_json() {
        let first = json!({"id": "a", "amount": {"unit": "USD", "value": "1.5"}, "lots": [1, "x"], "none": null, "q": {"gpu.hour": true}});
        let second = json!({"id": "b", "amount": null, "lots": [], "none": {"x": 1}, "q": {}});
        let expected =
            "amount.unit,amount.value,id,lots,none,q.gpu.hour\r\nUSD,1.5,a,\"[1,\"\"x\"\"]\",,true\r\n,,b,[],\"{\"\"x\"\":1}\",\r\n";
        assert_eq!(table(&[first, second]), expected);
    }

    #[test]
    fn formulas_are_disarmed_and_numbers_left_alone() {
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1.50", "-1.50"),
            ("-1-1", "'-1-1"),
            ("-", "'-"),
            ("@a", "'@a"),
            ("\tx", "'\tx"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(guarded(text), shown);
        }
        assert_eq!(table(&[json!({"a": "x,\"y\"\n"})]), "a\r\n\"x,\"\"y\"\"\n\"\r\n");
    }
}
