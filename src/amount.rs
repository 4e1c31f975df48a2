//! Units and amounts: what is counted, and how much of it.
//!
//! An amount is an `i64` of its unit's smallest part (`USD` at scale 6: micro-dollars) with the unit beside it. It may not know
//! where it is stored or how it is shown beyond its plain decimal text. There is no `+`: every sum is checked, for overflow
//! and for the unit, and no float comes near. Bounds: 13 digits before the point, scale 0–9, so |minor| < 10^18 on input
//! at scale 5; larger scales are bounded by `i64` and refused as `amount_range`.

use std::fmt;

use crate::refusal::{Code, FieldCode, Refusal};

/// The longest unit code beancount accepts as a commodity.
const CODE_MAX: usize = 24;
/// Commodities of the right form that beancount reads as values.
const READ_AS_VALUES: [&str; 3] = ["TRUE", "FALSE", "NULL"];

/// What is counted: a code such as `GPU-HOUR` and the number of decimals its amounts carry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit {
    code: [u8; CODE_MAX],
    scale: u8,
}

impl Unit {
    /// A unit from its code (`^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$`, beancount's commodity rule, without the words that it reads as
    /// values) and its scale (0–9). `None` if either is out of form.
    pub fn new(code: &str, scale: u8) -> Option<Unit> {
        let bytes = code.as_bytes();
        let upper = |b: &u8| b.is_ascii_uppercase();
        let ends = |b: &u8| upper(b) || b.is_ascii_digit();
        let inner = |b: &u8| ends(b) || b"'._-".contains(b);
        let form = (2..=CODE_MAX).contains(&bytes.len()) && upper(&bytes[0]) && bytes.last().is_some_and(ends) && bytes.iter().all(inner);
        if !form || scale > 9 || READ_AS_VALUES.contains(&code) {
            return None;
        }
        let mut held = [0; CODE_MAX];
        held[..bytes.len()].copy_from_slice(bytes);
        Some(Unit { code: held, scale })
    }

    /// The unit's code, `USD`.
    pub fn code(&self) -> &str {
        let end = self.code.iter().position(|b| *b == 0).unwrap_or(CODE_MAX);
        // The constructor admits ASCII only.
        std::str::from_utf8(&self.code[..end]).unwrap_or_default()
    }

    /// Decimals of an amount in this unit.
    pub fn scale(&self) -> u8 {
        self.scale
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.code(), self.scale)
    }
}

/// So much of a unit, in the unit's smallest part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Amount {
    /// Number of smallest parts: micro-dollars for `USD` at scale 6. Negative on the credit side.
    pub minor: i64,
    /// What is counted.
    pub unit: Unit,
}

impl Amount {
    /// `minor` smallest parts of `unit`.
    pub fn new(minor: i64, unit: Unit) -> Amount {
        Amount { minor, unit }
    }

    /// Nothing, of this unit.
    pub fn zero(unit: Unit) -> Amount {
        Amount { minor: 0, unit }
    }

    /// Reads `^(0|[1-9][0-9]{0,12})(\.[0-9]{1,9})?$` as a positive amount of `unit`; never rounds.
    ///
    /// Errors: `malformed` (not that grammar), `amount_scale` (more decimals than the unit has), `amount_range` (beyond `i64`),
    /// `amount_not_positive` (zero).
    pub fn parse(text: &str, unit: Unit) -> Result<Amount, FieldCode> {
        let minor = parse_scaled(text, unit.scale)?;
        if minor == 0 {
            return Err(FieldCode::AmountNotPositive);
        }
        Ok(Amount { minor, unit })
    }

    /// The sum, if both count the same unit and it fits.
    pub fn plus(self, other: Amount) -> Result<Amount, Refusal> {
        self.same_unit(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or_else(out_of_range)?;
        Ok(Amount { minor, ..self })
    }

    /// The difference, if both count the same unit and it fits.
    pub fn minus(self, other: Amount) -> Result<Amount, Refusal> {
        self.same_unit(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or_else(out_of_range)?;
        Ok(Amount { minor, ..self })
    }

    /// Refuses amounts that count different things: `unit_mismatch`.
    pub fn same_unit(self, other: Amount) -> Result<(), Refusal> {
        if self.unit == other.unit {
            return Ok(());
        }
        Err(unit_mismatch(self.unit, other.unit))
    }
}

/// The refusal for an amount of the wrong unit.
pub fn unit_mismatch(wanted: Unit, got: Unit) -> Refusal {
    let detail = format!("This counts {}, the amount is in {}. Units are never converted.", wanted.code(), got.code());
    Refusal::field("", FieldCode::UnitMismatch, detail)
}

/// The refusal for a sum that leaves the 64-bit range.
pub fn out_of_range() -> Refusal {
    Refusal::new(Code::ValidationFailed, "The amounts add up to more than the ledger can hold (64 bits of the unit's smallest part).")
}

/// Reads the strict decimal grammar of the wire into an integer at `scale` decimals.
pub fn parse_scaled(text: &str, scale: u8) -> Result<i64, FieldCode> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || !digits(fraction) || leading_zero || whole.len() > 13 || fraction.len() > 9 {
        return Err(FieldCode::Malformed);
    }
    let scale = usize::from(scale);
    let carried = if text.contains('.') { fraction } else { "" };
    if carried.len() > scale {
        return Err(FieldCode::AmountScale);
    }
    let padded = format!("{whole}{carried:0<scale$}");
    padded.parse().map_err(|_| FieldCode::AmountRange)
}

impl fmt::Display for Amount {
    /// The value alone, always with exactly the unit's decimals: `1250.500000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.minor.into(), self.unit.scale)
    }
}

/// Writes a signed decimal with exactly so many places. Every posting of the journal is written so to be hashed: where 64 bits are enough
/// its digits are made in place.
pub fn write_decimal(out: &mut impl fmt::Write, minor: i128, scale: u8) -> fmt::Result {
    let places = usize::from(scale);
    if minor < 0 {
        out.write_char('-')?;
    }
    let Some(mut rest) = u64::try_from(minor.unsigned_abs()).ok().filter(|_| places < SHORT) else {
        let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        return if places == 0 { out.write_str(whole) } else { write!(out, "{whole}.{fraction}") };
    };
    let mut text = [0; SHORT + 4];
    let (mut at, mut written) = (text.len(), 0);
    while rest > 0 || written <= places {
        if written == places && places > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
    }
    out.write_str(std::str::from_utf8(&text[at..]).map_err(|_| fmt::Error)?)
}

/// Digits that 64 bits have at most.
const SHORT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Unit {
        Unit::new("USD", 6).expect("a unit")
    }

    #[test]
    fn the_grammar_is_strict() {
        let good = [("1", 1_000_000), ("0.000001", 1), ("1250.5", 1_250_500_000), ("1.500000", 1_500_000)];
        for (text, minor) in good {
            assert_eq!(Amount::parse(text, usd()), Ok(Amount::new(minor, usd())), "{text}");
        }
        for bad in ["", "01", "1.", ".5", "+1", "-1", "1e5", "1_000", " 1", "1,5", "12345678901234", "1.0000000001", "٣"] {
            assert_eq!(Amount::parse(bad, usd()), Err(FieldCode::Malformed), "{bad}");
        }
        assert_eq!(Amount::parse("0.0000001", usd()), Err(FieldCode::AmountScale));
        assert_eq!(Amount::parse("0", usd()), Err(FieldCode::AmountNotPositive));
        let nano = Unit::new("TOKEN", 9).expect("a unit");
        assert_eq!(Amount::parse("9999999999999", nano), Err(FieldCode::AmountRange));
    }

    #[test]
    fn text_carries_exactly_the_scale() {
        let shown = |minor, scale| Amount::new(minor, Unit::new("XX", scale).expect("a unit")).to_string();
        assert_eq!(shown(-1, 6), "-0.000001");
        assert_eq!(shown(1_250_500_000, 6), "1250.500000");
        assert_eq!(shown(42, 0), "42");
        assert_eq!(shown(i64::MIN, 2), "-92233720368547758.08");
        let written = |minor, scale| {
            let mut text = String::new();
            write_decimal(&mut text, minor, scale).map(|()| text)
        };
        assert_eq!(written(-5, 19).as_deref(), Ok("-0.0000000000000000005"));
        assert_eq!(written(5, 20).as_deref(), Ok("0.00000000000000000005"));
        assert_eq!(written(u64::MAX.into(), 19).as_deref(), Ok("1.8446744073709551615"));
        assert_eq!(written(i128::from(u64::MAX) + 1, 0).as_deref(), Ok("18446744073709551616"));
    }

    #[test]
    fn codes_follow_the_commodity_rule() {
        for good in ["USD", "GPU-HOUR", "ACCESS-CREDIT", "A1"] {
            assert!(Unit::new(good, 6).is_some(), "{good}");
        }
        for bad in ["", "A", "usd", "1A", "A-", "GPU HOUR", "ABCDEFGHIJKLMNOPQRSTUVWXY", "TRUE", "FALSE", "NULL"] {
            assert!(Unit::new(bad, 6).is_none(), "{bad}");
        }
        assert!(Unit::new("USD", 10).is_none());
    }
}
