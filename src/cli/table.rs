//! Tables for people: columns as wide as they need to be, numbers to the right.

/// The rows as lines, the first row being the heads. Columns whose place is in `right` are set to the right.
pub fn lines(rows: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            match right.contains(&column) {
                true => text.push_str(&format!("{gap}{cell:>width$}")),
                false => text.push_str(&format!("{gap}{cell:<width$}")),
            }
        }
        text.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A count with its thousands set apart: `11,767`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "n".into()], vec!["long".into(), "12".into()], vec!["b".into(), "7".into(), "x".into()]];
        assert_eq!(lines(&rows, &[1]), ["a      n", "long  12", "b      7  x"]);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
