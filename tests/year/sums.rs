//! Sums of money and of GPU-hours, plans of which lot pays what, and quantities of use: read from the script's own words, printed for the
//! transcript. Whole numbers only; nothing here is taken from the program.

use std::fmt;

use serde_json::{Value, json};

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Unit {
    Usd,
    Gpu,
}

impl Unit {
    pub const ALL: [Unit; 2] = [Unit::Usd, Unit::Gpu];

    pub const fn code(self) -> &'static str {
        match self {
            Unit::Usd => "USD",
            Unit::Gpu => "GPU-HOUR",
        }
    }

    pub const fn scale(self) -> u32 {
        match self {
            Unit::Usd => 6,
            Unit::Gpu => 3,
        }
    }

    fn of(code: &str) -> Unit {
        Unit::ALL.into_iter().find(|unit| unit.code() == code).unwrap_or_else(|| panic!("{code} is no unit"))
    }
}

/// So much of a unit, in its smallest part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    pub minor: i64,
    pub unit: Unit,
}

/// A decimal number with blanks between thousands, as a whole number of 10^-scale.
fn decimal(text: &str, scale: u32) -> i64 {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (whole, rest) = digits.split_once('.').unwrap_or((&digits, ""));
    let places = scale as usize;
    assert!(rest.len() <= places, "{text} has more than {scale} decimals");
    format!("{whole}{rest:0<places$}").parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

impl Sum {
    /// From words such as `40 000 USD`.
    pub fn read(text: &str) -> Sum {
        let (number, code) = text.trim().rsplit_once(' ').unwrap_or_else(|| panic!("{text} names no unit"));
        let unit = Unit::of(code);
        Sum { minor: decimal(number, unit.scale()), unit }
    }

    /// The plain decimal number, as the wire has it.
    pub fn value(self) -> String {
        let (sign, minor, places) = (if self.minor < 0 { "-" } else { "" }, self.minor.abs(), self.unit.scale() as usize);
        let digits = format!("{minor:0>width$}", width = places + 1);
        let (whole, rest) = digits.split_at(digits.len() - places);
        format!("{sign}{whole}.{rest}")
    }

    pub fn json(self) -> Value {
        json!({"value": self.value(), "unit": self.unit.code()})
    }

    /// The number for people, with a blank between thousands.
    pub fn number(self) -> String {
        let value = self.value();
        let (whole, rest) = value.split_once('.').unwrap_or((&value, ""));
        let mut grouped = String::new();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place) % 3 == 0 && !grouped.ends_with('-') {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        format!("{grouped}.{rest}")
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.unit.code())
    }
}

/// Which lot pays what: `7 000 USD of Foundation 1 + 2 000 USD of Foundation 2`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub unit: Unit,
    pub parts: Vec<(String, i64)>,
}

impl Plan {
    pub fn read(text: &str) -> Plan {
        let part = |words: &str| {
            let (sum, lot) = words.split_once(" of ").unwrap_or_else(|| panic!("{words} names no lot"));
            (lot.trim().to_owned(), Sum::read(sum))
        };
        let parts: Vec<(String, Sum)> = text.split(" + ").map(part).collect();
        let unit = parts.first().map(|(_, sum)| sum.unit).expect("a part");
        assert!(parts.iter().all(|(_, sum)| sum.unit == unit), "{text} mixes units");
        Plan { unit, parts: parts.into_iter().map(|(lot, sum)| (lot, sum.minor)).collect() }
    }

    pub fn sum(&self) -> Sum {
        Sum { minor: self.parts.iter().map(|(_, part)| part).sum(), unit: self.unit }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        let words: Vec<String> = self.parts.iter().map(|(lot, part)| format!("{} of {lot}", Sum { minor: *part, unit })).collect();
        f.write_str(&words.join(" + "))
    }
}

/// What a job used of GPUs: so many thousandths of an hour or of a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    thousandths: i64,
    seconds: bool,
}

impl Use {
    /// Several jobs: `1 200.5 h + 70 000 s`.
    pub fn read_all(text: &str) -> Vec<Use> {
        let one = |words: &str| {
            let (number, meter) = words.trim().rsplit_once(' ').unwrap_or_else(|| panic!("{words} names no meter"));
            assert!(matches!(meter, "h" | "s"), "{words}: hours or seconds");
            Use { thousandths: decimal(number, 3), seconds: meter == "s" }
        };
        text.split(" + ").map(one).collect()
    }

    /// As the wire has it.
    pub fn quantities(self) -> Value {
        let meter = if self.seconds { "gpu-second" } else { "gpu-hour" };
        let (whole, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        json!({meter: format!("{whole}.{rest:03}")})
    }

    /// At so much an hour, rounded to the smallest part, a tie to the even one.
    pub fn price(self, an_hour: i64) -> i64 {
        let over = i128::from(self.thousandths) * i128::from(an_hour);
        let under: i128 = if self.seconds { 3_600_000 } else { 1000 };
        let (whole, twice) = (over / under, over % under * 2);
        let up = twice > under || (twice == under && whole % 2 == 1);
        i64::try_from(whole + i128::from(up)).expect("a price")
    }
}

#[test]
fn the_scripts_own_arithmetic_is_right() {
    let sum = Sum::read("40 000.5 USD");
    assert_eq!((sum.minor, sum.value().as_str(), sum.to_string().as_str()), (40_000_500_000, "40000.500000", "40 000.500000 USD"));
    assert_eq!(Sum { minor: -1, unit: Unit::Gpu }.to_string(), "-0.001 GPU-HOUR");
    let plan = Plan::read("7 000 USD of Foundation 1 + 2 USD of Cloud 2");
    assert_eq!((plan.sum().minor, plan.parts[1].0.as_str()), (7_002_000_000, "Cloud 2"));
    let prices: Vec<i64> = Use::read_all("12.5 h + 70 s + 100 000 s").into_iter().map(|used| used.price(2_500_000)).collect();
    assert_eq!(prices, [31_250_000, 48_611, 69_444_444]);
    let ties: Vec<i64> = Use::read_all("0.5 h + 1.5 h").into_iter().map(|used| used.price(1)).collect();
    assert_eq!(ties, [0, 2]);
}
