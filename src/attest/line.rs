//! Lines of a lot: what an entry of the journal did to the credits of one lot, as its donor is told.
//!
//! Pure. A lot's balance here is what of it is unspent: free in the lot, and free or set aside in grants. Moves between what is free and
//! what is set aside within a grant are no lines. A line tells no person, no job, no grant, no time finer than a day.

use serde_json::{Map, Value};

use super::canon::{self, Object};
use crate::amount::Unit;
use crate::ledger::{Bucket, Entry};

/// The name of a line's disclosure.
pub const NAME: &str = "line";

/// What an entry did to one lot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touch {
    /// Stamp of the lot.
    pub lot: i64,
    /// How much its unspent credits grew.
    pub change: i64,
    /// What they are.
    pub unit: Unit,
}

/// What an entry did to each lot, in the order of the lots. `None` where it is more than 64 bits.
pub fn touches(entry: &Entry) -> Option<Vec<Touch>> {
    let mut of_lots: Vec<Touch> = Vec::new();
    // By lot and grant: what came into the grant's share, free or set aside.
    let mut of_shares: Vec<((i64, i64), i64)> = Vec::new();
    let mut lines: Vec<i64> = Vec::new();
    for line in entry.lines.iter().filter(|line| line.account.lot != 0) {
        let key = line.account;
        let unspent = if matches!(key.bucket, Bucket::Available | Bucket::Granted | Bucket::Held) { line.amount } else { 0 };
        match of_lots.iter_mut().find(|touch| touch.lot == key.lot) {
            Some(touch) => touch.change = touch.change.checked_add(unspent)?,
            None => of_lots.push(Touch { lot: key.lot, change: unspent, unit: line.unit }),
        }
        match key.bucket {
            Bucket::Granted | Bucket::Held => match of_shares.iter_mut().find(|(share, _)| *share == (key.lot, key.grant)) {
                Some((_, sum)) => *sum = sum.checked_add(line.amount)?,
                None => of_shares.push(((key.lot, key.grant), line.amount)),
            },
            _ => lines.push(key.lot),
        }
    }
    let moved = |lot: i64| of_shares.iter().any(|((of, _), sum)| *of == lot && *sum != 0);
    of_lots.retain(|touch| lines.contains(&touch.lot) || moved(touch.lot));
    of_lots.sort_unstable_by_key(|touch| touch.lot);
    Some(of_lots)
}

/// A line as it is disclosed; the fields in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<'l> {
    /// Signed, in the unit's smallest part.
    pub amount: i128,
    /// What of the lot is unspent after it.
    pub balance: i128,
    /// What happened: `charge`, `award`, …
    pub class: &'l str,
    /// When the books took it.
    pub day: String,
    /// When it happened, where that was another day.
    pub effective: Option<String>,
    /// The line's own name, which only the keeper of the books can trace.
    pub handle: String,
    /// The lot's.
    pub lot: &'l str,
    /// Its number among the lot's lines, from 1.
    pub n: u64,
    /// What priced it.
    pub rate: Option<&'l str>,
    /// What the job ran on.
    pub resource: Option<&'l str>,
    /// What is counted.
    pub unit: &'l Unit,
}

impl Line<'_> {
    /// Writes its canonical text.
    pub fn write(&self, out: &mut String) {
        let scale = self.unit.scale();
        let mut line = Object::begin(out);
        line.decimal("amount", self.amount, scale);
        line.decimal("balance", self.balance, scale);
        line.text("class", self.class);
        line.text("day", &self.day);
        for (name, told) in [("effective", self.effective.as_deref()), ("handle", Some(self.handle.as_str())), ("lot", Some(self.lot))] {
            if let Some(told) = told {
                line.text(name, told);
            }
        }
        line.number("n", self.n);
        for (name, told) in [("rate", self.rate), ("resource", self.resource)] {
            if let Some(told) = told {
                line.text(name, told);
            }
        }
        line.text("unit", self.unit.code());
        line.end();
    }
}

/// A line as a reader has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The lot's handle.
    pub lot: String,
    /// Its number.
    pub n: u64,
    /// What happened.
    pub class: String,
    /// Signed, in the unit's smallest part.
    pub amount: i128,
    /// What was unspent after it.
    pub balance: i128,
    /// Decimals of both.
    pub scale: u8,
    /// What is counted.
    pub unit: String,
    /// The line's own name.
    pub handle: String,
}

/// The fields that a line may have.
const FIELDS: [&str; 11] = ["amount", "balance", "class", "day", "effective", "handle", "lot", "n", "rate", "resource", "unit"];

/// Reads a disclosed line. `None` where a field is missing, of no use, or not one of a line.
pub fn read(value: &Value) -> Option<Read> {
    let fields = value.as_object()?;
    let known = fields.iter().all(|(name, value)| FIELDS.contains(&name.as_str()) && value.is_string());
    let (amount, scale) = canon::read_decimal(text(fields, "amount")?)?;
    let (balance, of_balance) = canon::read_decimal(text(fields, "balance")?)?;
    text(fields, "day").filter(|day| is_day(day))?;
    let late = fields.get("effective").is_none_or(|day| day.as_str().is_some_and(is_day));
    (known && late && scale == of_balance).then_some(Read {
        lot: text(fields, "lot")?.into(),
        n: canon::read_whole(text(fields, "n")?)?,
        class: text(fields, "class")?.into(),
        amount,
        balance,
        scale,
        unit: text(fields, "unit")?.into(),
        handle: text(fields, "handle")?.into(),
    })
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    fields.get(name)?.as_str()
}

/// `2026-03-02`: ten characters, so that no hour hides behind it.
fn is_day(text: &str) -> bool {
    let digit = |place: usize, byte: u8| if place == 4 || place == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(|(place, byte)| digit(place, byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GrantId, LotId};
    use crate::ledger::{Key, Kind, Line as Posting};
    use crate::time::Time;

    fn entry(kind: Kind, lines: &[(Key, i64)]) -> Entry {
        let unit = Unit::new("USD", 6).expect("a unit");
        let posting = |(account, amount): &(Key, i64)| Posting { account: *account, unit, amount: *amount, nth: 1, balance: 0 };
        let at = Time::from_micros(1);
        let lines = lines.iter().map(posting).collect();
        Entry { seq: 1, recorded_at: at, effective_at: at, kind, actor: None, subject: None, body: None, lines }
    }

    #[test]
    fn what_changes_hands_is_a_line_and_what_is_set_aside_is_none() {
        let (g, h, l, m) = (GrantId::from_stamp(1), GrantId::from_stamp(2), LotId::from_stamp(3), LotId::from_stamp(4));
        let free = |grant, lot| Key::grant(grant, lot, Bucket::Granted);
        let of = |kind, lines: &[(Key, i64)]| {
            let found = touches(&entry(kind, lines)).expect("in range");
            found.iter().map(|touch| (touch.lot, touch.change)).collect::<Vec<_>>()
        };
        let held = Key::grant(g, l, Bucket::Held);
        assert_eq!(of(Kind::Hold, &[(held, 5), (free(g, l), -5)]), []);
        assert_eq!(of(Kind::Award, &[(free(g, l), 5), (Key::lot(l, Bucket::Available), -5)]), [(3, 0)]);
        assert_eq!(of(Kind::Transfer, &[(free(g, l), -5), (free(h, l), 5)]), [(3, 0)]);
        let spent = |lot| Key::grant(g, lot, Bucket::Spent);
        // A job that used less than was held: of the other lot only the hold ended.
        let settled = [(spent(l), 3), (free(g, l), 2), (held, -5), (Key::grant(g, m, Bucket::Held), -4), (free(g, m), 4)];
        assert_eq!(of(Kind::Charge, &settled), [(3, -3)]);
        assert_eq!(
            of(Kind::Refund, &[(spent(m), -2), (Key::lot(m, Bucket::Lapsed), 2), (spent(l), -1), (free(g, l), 1)]),
            [(3, 1), (4, 0)]
        );
        assert_eq!(of(Kind::Lapse, &[(Key::lot(l, Bucket::Lapsed), 9), (free(g, l), -4), (Key::lot(l, Bucket::Available), -5)]), [(3, -9)]);
    }

    #[test]
    fn a_line_is_canonical_and_reads_back() {
        let line = Line {
            amount: -31_250_000,
            balance: 968_750_000,
            class: "charge",
            day: "2026-03-02".into(),
            effective: Some("2026-03-01".into()),
            handle: "h\u{e9}\n\u{7f}\u{1f}".into(),
            lot: "L",
            n: 17,
            rate: Some("gpu-hour 2.500000"),
            resource: Some("Cluster \"A\""),
            unit: &Unit::new("USD", 6).expect("a unit"),
        };
        let mut text = String::new();
        line.write(&mut text);
        let value = canon::read(&text).expect("the one form");
        let read = read(&value).expect("a line");
        assert_eq!((read.n, read.amount, read.balance, read.scale, read.lot.as_str()), (17, -31_250_000, 968_750_000, 6, "L"));
        for (field, bad) in [("n", "017"), ("amount", "-31.25"), ("day", "2026-03-02T10"), ("balance", "+1.000000"), ("job", "4711")] {
            let mut other = value.clone();
            other[field] = bad.into();
            assert_eq!(super::read(&other), None, "{field}");
        }
    }
}
