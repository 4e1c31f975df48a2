//! What each export looks like, to the letter, and what is refused.

use almoner::amount::{Amount, Unit};
use almoner::reports::export::{Account, Class, Entry, Failure, Format, Line, write};
use almoner::time::Time;

const DONATION: &str = "donation:dnt_01jhy7k0xqe7wb3v5r1m2n4p6s";
const LOT: &str = "lot:lot_01jhy7k0xqe7wb3v5r1m2n4p6t";

fn line(class: Class, name: String, minor: i64, balance: i64, unit: Unit) -> Line {
    Line { account: Account { name, class, unit }, amount: Amount::new(minor, unit), balance: Amount::new(balance, unit) }
}

/// A pledge in January and its delivery in March.
fn entries(code: &str, scale: u8) -> Vec<Entry> {
    let unit = Unit::new(code, scale).expect("a unit");
    let time = |text| Time::parse(text).expect("a time");
    let (receivable, given, available) = (format!("{DONATION}:receivable"), format!("{DONATION}:given"), format!("{LOT}:available"));
    let pledge = Entry {
        seq: 4,
        recorded_at: time("2026-01-31T23:59:59.999999Z"),
        effective_at: time("2026-01-31T09:00:00Z"),
        kind: "pledge",
        id: "txn_01jhy7k0xqe7wb3v5r1m2n4p6v".into(),
        lines: vec![line(Class::Asset, receivable.clone(), 1050, 1050, unit), line(Class::Income, given, -1050, -1050, unit)],
    };
    let delivery = Entry {
        seq: 7,
        recorded_at: time("2026-03-02T00:00:00Z"),
        effective_at: time("2026-03-01T12:00:00Z"),
        kind: "delivery",
        id: "txn_01jhy7k0xqe7wb3v5r1m2n4p6w".into(),
        lines: vec![line(Class::Asset, available, 1001, 1001, unit), line(Class::Asset, receivable, -1001, 49, unit)],
    };
    let nothing_moved = Entry { seq: 5, kind: "terms", lines: Vec::new(), ..pledge.clone() };
    vec![pledge, nothing_moved, delivery]
}

fn text(format: Format, entries: Vec<Entry>) -> Result<String, Failure<String>> {
    let mut out = Vec::new();
    write(format, entries.into_iter().map(Ok), &mut out)?;
    Ok(String::from_utf8(out).expect("text"))
}

fn refusal(format: Format, entries: Vec<Entry>) -> String {
    text(format, entries).expect_err("a refusal").to_string()
}

#[test]
fn beancount_asserts_at_the_month_end_and_after_the_last_day() {
    let wanted = r#"; The journal in the order it was recorded; debit is positive. Check it with: bean-check FILE
option "title" "Almoner"
option "tolerance_multiplier" "0"

2026-01-31 commodity USD
  decimals: 2
2026-01-31 open Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable USD
2026-01-31 open Income:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Given USD

2026-01-31 * "pledge" ^txn_01jhy7k0xqe7wb3v5r1m2n4p6v
  seq: 4
  effective: "2026-01-31T09:00:00.000000Z"
  Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable  10.50 USD
  Income:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Given  -10.50 USD

2026-02-01 balance Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable  10.50 ~ 0 USD
2026-02-01 balance Income:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Given  -10.50 ~ 0 USD

2026-03-02 open Assets:Lot:01jhy7k0xqe7wb3v5r1m2n4p6t:Available USD

2026-03-02 * "delivery" ^txn_01jhy7k0xqe7wb3v5r1m2n4p6w
  seq: 7
  effective: "2026-03-01T12:00:00.000000Z"
  Assets:Lot:01jhy7k0xqe7wb3v5r1m2n4p6t:Available  10.01 USD
  Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable  -10.01 USD

2026-03-03 balance Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable  0.49 ~ 0 USD
2026-03-03 balance Assets:Lot:01jhy7k0xqe7wb3v5r1m2n4p6t:Available  10.01 ~ 0 USD
2026-03-03 balance Income:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Given  -10.50 ~ 0 USD

; Complete: 2 transactions, 4 postings, journal sequence 4 to 7.
"#;
    assert_eq!(text(Format::Beancount, entries("USD", 2)).expect("an export"), wanted);
}

#[test]
fn hledger_and_ledger_read_one_text_with_a_balance_at_every_posting() {
    let wanted = r#"; The journal in the order it was recorded; debit is positive. The second date is the day it happened.
; Check it with: hledger -f FILE check --strict, or: ledger -f FILE --pedantic balance
tag seq
tag effective

commodity "GPU-HOUR"
account Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable
account Income:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Given

2026-01-31 * (txn_01jhy7k0xqe7wb3v5r1m2n4p6v) pledge
    ; seq: 4
    ; effective: 2026-01-31T09:00:00.000000Z
    Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable  10.50 "GPU-HOUR" = 10.50 "GPU-HOUR"
    Income:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Given  -10.50 "GPU-HOUR" = -10.50 "GPU-HOUR"

account Assets:Lot:01jhy7k0xqe7wb3v5r1m2n4p6t:Available

2026-03-02=2026-03-01 * (txn_01jhy7k0xqe7wb3v5r1m2n4p6w) delivery
    ; seq: 7
    ; effective: 2026-03-01T12:00:00.000000Z
    Assets:Lot:01jhy7k0xqe7wb3v5r1m2n4p6t:Available  10.01 "GPU-HOUR" = 10.01 "GPU-HOUR"
    Assets:Donation:01jhy7k0xqe7wb3v5r1m2n4p6s:Receivable  -10.01 "GPU-HOUR" = 0.49 "GPU-HOUR"

; Complete: 2 transactions, 4 postings, journal sequence 4 to 7.
"#;
    assert_eq!(text(Format::Hledger, entries("GPU-HOUR", 2)).expect("an export"), wanted);
    assert_eq!(text(Format::Ledger, entries("GPU-HOUR", 2)).expect("an export"), wanted);
}

#[test]
fn rows_carry_every_identifier_and_exact_amounts() {
    let csv = text(Format::Csv, entries("USD", 2)).expect("an export");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], "seq,transaction,kind,recorded_at,effective_at,line,account,class,unit,amount,balance");
    let last = "7,txn_01jhy7k0xqe7wb3v5r1m2n4p6w,delivery,2026-03-02T00:00:00.000000Z,2026-03-01T12:00:00.000000Z,2,\
                donation:dnt_01jhy7k0xqe7wb3v5r1m2n4p6s:receivable,asset,USD,-10.01,0.49";
    assert_eq!(lines[4], last);

    let ndjson = text(Format::Ndjson, entries("USD", 2)).expect("an export");
    let last = r#"{"seq":7,"transaction":"txn_01jhy7k0xqe7wb3v5r1m2n4p6w","kind":"delivery","recorded_at":"2026-03-02T00:00:00.000000Z","effective_at":"2026-03-01T12:00:00.000000Z","line":2,"account":"donation:dnt_01jhy7k0xqe7wb3v5r1m2n4p6s:receivable","class":"asset","amount":{"value":"-10.01","unit":"USD"},"balance":{"value":"0.49","unit":"USD"}}"#;
    assert_eq!(ndjson.lines().count(), 4);
    assert_eq!(ndjson.lines().last(), Some(last));
}

#[test]
fn an_empty_journal_is_a_file_all_the_same() {
    assert_eq!(text(Format::Csv, Vec::new()).expect("an export").lines().count(), 1);
    assert_eq!(text(Format::Ndjson, Vec::new()).expect("an export"), "");
    assert!(
        text(Format::Beancount, Vec::new())
            .expect("an export")
            .ends_with("; Complete: 0 transactions, 0 postings, journal sequence 0 to 0.\n")
    );
}

#[test]
fn what_a_format_cannot_carry_ends_the_export() {
    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = entries("USD", 2);
        change(&mut entries);
        entries
    };
    let reversed = changed(&|e| e.reverse());
    let earlier = changed(&|e| e[2].recorded_at = e[0].recorded_at.plus(-1));
    let quoted = changed(&|e| e[0].kind = "a \"kind\"");
    let other_unit = changed(&|e| e[0].lines[0].amount.unit = Unit::new("USD", 3).expect("a unit"));
    for format in Format::ALL {
        assert!(refusal(format, reversed.clone()).contains("does not follow"), "{format:?}");
        assert!(refusal(format, earlier.clone()).contains("does not follow"), "{format:?}");
        assert!(refusal(format, quoted.clone()).contains("lower-case"), "{format:?}");
        assert!(refusal(format, other_unit.clone()).contains("another unit"), "{format:?}");
    }
    let foreign = changed(&|e| e[0].lines[0].account.name = "Assets: Cash".into());
    let reclassed = changed(&|e| e[2].lines[1].account.class = Class::Equity);
    for format in [Format::Beancount, Format::Hledger, Format::Ledger] {
        assert!(refusal(format, foreign.clone()).contains("not an account name"), "{format:?}");
        assert!(refusal(format, reclassed.clone()).contains("changes its class"), "{format:?}");
    }
    assert!(refusal(Format::Beancount, entries("TRUE", 2)).contains("can't count TRUE"));
    assert!(text(Format::Ledger, entries("TRUE", 2)).is_ok());
}

#[test]
fn a_journal_that_breaks_off_is_told_from_a_full_disk() {
    let broken = write(Format::Csv, [Err("gone".to_string())].into_iter(), Vec::new());
    assert!(matches!(broken, Err(Failure::Source(why)) if why == "gone"));
    let full = write(Format::Ledger, entries("USD", 2).into_iter().map(Ok::<_, String>), &mut [0u8; 100][..]);
    assert!(matches!(full, Err(Failure::Output(_))));
}
