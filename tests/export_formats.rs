//! What each export looks like, to the letter, and what is refused.

use almoner::amount::Unit;
use almoner::id::{DonationId, LotId};
use almoner::ledger::{Bucket, Entry, Key, Kind, Line};
use almoner::reports::export::{Failure, Format, write};
use almoner::time::Time;

const DONATION: DonationId = DonationId::from_stamp(1_767_225_600_000_001);
const LOT: LotId = LotId::from_stamp(1_772_409_600_000_000);

fn line(account: Key, amount: i64, nth: i64, balance: i64, unit: Unit) -> Line {
    Line { account, unit, amount, nth, balance }
}

/// A pledge in January and its delivery in March.
fn entries(code: &str, scale: u8) -> Vec<Entry> {
    let unit = Unit::new(code, scale).expect("a unit");
    let time = |text| Time::parse(text).expect("a time");
    let (receivable, given) = (Key::donation(DONATION, Bucket::Receivable), Key::donation(DONATION, Bucket::Given));
    let available = Key::lot(LOT, Bucket::Available);
    let pledge = Entry {
        seq: 4,
        recorded_at: time("2026-01-31T23:59:59.999999Z"),
        effective_at: time("2026-01-31T09:00:00Z"),
        kind: Kind::Pledge,
        actor: None,
        subject: None,
        body: None,
        lines: vec![line(receivable, 1050, 1, 1050, unit), line(given, -1050, 1, -1050, unit)],
    };
    let delivery = Entry {
        seq: 7,
        recorded_at: time("2026-03-02T00:00:00Z"),
        effective_at: time("2026-03-01T12:00:00Z"),
        kind: Kind::Delivery,
        lines: vec![line(available, 1001, 1, 1001, unit), line(receivable, -1001, 2, 49, unit)],
        ..pledge.clone()
    };
    let nothing_moved = Entry { seq: 5, kind: Kind::Request, lines: Vec::new(), ..pledge.clone() };
    vec![pledge, nothing_moved, delivery]
}

/// The wanted text with the identifiers put in: `{D}` and `{L}` for donation and lot, `{P}` and `{T}` for the two transactions.
fn wanted(template: &str) -> String {
    let entries = entries("USD", 2);
    let coded = |id: String| id[4..].to_owned();
    let ids = [
        ("{D}", coded(DONATION.to_string())),
        ("{L}", coded(LOT.to_string())),
        ("{P}", entries[0].id().to_string()),
        ("{T}", entries[2].id().to_string()),
    ];
    ids.iter().fold(template.to_owned(), |text, (mark, id)| text.replace(mark, id))
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
    let text_wanted = wanted(
        r#"; The journal in the order it was recorded; debit is positive. Check it with: bean-check FILE
option "title" "Almoner"
option "tolerance_multiplier" "0"

2026-01-31 commodity USD
  decimals: 2
2026-01-31 open Assets:Donation:{D}:Receivable USD
2026-01-31 open Income:Donation:{D}:Given USD

2026-01-31 * "pledge" ^{P}
  seq: 4
  effective: "2026-01-31T09:00:00.000000Z"
  Assets:Donation:{D}:Receivable  10.50 USD
  Income:Donation:{D}:Given  -10.50 USD

2026-02-01 balance Assets:Donation:{D}:Receivable  10.50 ~ 0 USD
2026-02-01 balance Income:Donation:{D}:Given  -10.50 ~ 0 USD

2026-03-02 open Assets:Lot:{L}:Available USD

2026-03-02 * "delivery" ^{T}
  seq: 7
  effective: "2026-03-01T12:00:00.000000Z"
  Assets:Lot:{L}:Available  10.01 USD
  Assets:Donation:{D}:Receivable  -10.01 USD

2026-03-03 balance Assets:Donation:{D}:Receivable  0.49 ~ 0 USD
2026-03-03 balance Assets:Lot:{L}:Available  10.01 ~ 0 USD
2026-03-03 balance Income:Donation:{D}:Given  -10.50 ~ 0 USD

; Complete: 2 transactions, 4 postings, journal sequence 4 to 7.
"#,
    );
    assert_eq!(text(Format::Beancount, entries("USD", 2)).expect("an export"), text_wanted);
}

#[test]
fn hledger_and_ledger_read_one_text_with_a_balance_at_every_posting() {
    let text_wanted = wanted(
        r#"; The journal in the order it was recorded; debit is positive. The second date is the day it happened.
; Check it with: hledger -f FILE check --strict, or: ledger -f FILE --pedantic balance
tag seq
tag effective

commodity "GPU-HOUR"
account Assets:Donation:{D}:Receivable
account Income:Donation:{D}:Given

2026-01-31 * ({P}) pledge
    ; seq: 4
    ; effective: 2026-01-31T09:00:00.000000Z
    Assets:Donation:{D}:Receivable  10.50 "GPU-HOUR" = 10.50 "GPU-HOUR"
    Income:Donation:{D}:Given  -10.50 "GPU-HOUR" = -10.50 "GPU-HOUR"

account Assets:Lot:{L}:Available

2026-03-02=2026-03-01 * ({T}) delivery
    ; seq: 7
    ; effective: 2026-03-01T12:00:00.000000Z
    Assets:Lot:{L}:Available  10.01 "GPU-HOUR" = 10.01 "GPU-HOUR"
    Assets:Donation:{D}:Receivable  -10.01 "GPU-HOUR" = 0.49 "GPU-HOUR"

; Complete: 2 transactions, 4 postings, journal sequence 4 to 7.
"#,
    );
    assert_eq!(text(Format::Hledger, entries("GPU-HOUR", 2)).expect("an export"), text_wanted);
    assert_eq!(text(Format::Ledger, entries("GPU-HOUR", 2)).expect("an export"), text_wanted);
}

#[test]
fn rows_carry_every_identifier_and_exact_amounts() {
    let csv = text(Format::Csv, entries("USD", 2)).expect("an export");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], "seq,transaction,kind,recorded_at,effective_at,line,account,class,unit,amount,balance");
    let last = wanted(
        "7,{T},delivery,2026-03-02T00:00:00.000000Z,2026-03-01T12:00:00.000000Z,2,donation:dnt_{D}:receivable,asset,USD,-10.01,0.49",
    );
    assert_eq!(lines[4], last);

    let ndjson = text(Format::Ndjson, entries("USD", 2)).expect("an export");
    let last = wanted(
        r#"{"seq":7,"transaction":"{T}","kind":"delivery","recorded_at":"2026-03-02T00:00:00.000000Z","effective_at":"2026-03-01T12:00:00.000000Z","line":2,"account":"donation:dnt_{D}:receivable","class":"asset","amount":{"value":"-10.01","unit":"USD"},"balance":{"value":"0.49","unit":"USD"}}"#,
    );
    assert_eq!(ndjson.lines().count(), 4);
    assert_eq!(ndjson.lines().last(), Some(last.as_str()));
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
    for format in Format::ALL {
        assert!(refusal(format, reversed.clone()).contains("does not follow"), "{format:?}");
        assert!(refusal(format, earlier.clone()).contains("does not follow"), "{format:?}");
    }
    let other_scale = changed(&|e| e[2].lines[0].unit = Unit::new("USD", 3).expect("a unit"));
    let other_unit = changed(&|e| e[2].lines[1].unit = Unit::new("EUR", 2).expect("a unit"));
    for format in [Format::Beancount, Format::Hledger, Format::Ledger] {
        assert!(refusal(format, other_scale.clone()).contains("changes its number of decimals"), "{format:?}");
        assert!(refusal(format, other_unit.clone()).contains("changes its unit"), "{format:?}");
    }
}

#[test]
fn a_journal_that_breaks_off_is_told_from_a_full_disk() {
    let broken = write(Format::Csv, [Err("gone".to_string())].into_iter(), Vec::new());
    assert!(matches!(broken, Err(Failure::Source(why)) if why == "gone"));
    let full = write(Format::Ledger, entries("USD", 2).into_iter().map(Ok::<_, String>), &mut [0u8; 100][..]);
    assert!(matches!(full, Err(Failure::Output(_))));
}
