//! The price of a record: the sum of exact products, rounded once, half to even, at the unit's scale.
//!
//! Pure. Products and their sum are whole numbers over one denominator, so nothing is lost before the one rounding.

use rust_decimal::Decimal;

use super::rate::{self, Rate};
use super::record::{Record, Used};
use crate::amount::{Amount, Unit, out_of_range};
use crate::id::{RateId, ResourceId};
use crate::ledger::Few;
use crate::refusal::{Code, Refusal};
use crate::time::Time;

/// Job states whose usage is metered and not charged: the machine's fault, not the user's.
pub const FREE_STATES: &[&str] = &["NODE_FAIL", "BOOT_FAIL"];

/// A price and the rates that made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Price {
    /// What is charged.
    pub amount: Amount,
    /// By which rates.
    pub rates: Few<RateId>,
}

/// Prices a record in a grant's unit. Errors: `rate_missing` for a meter without a rate in force; `unit_mismatch` for an amount in
/// another unit; `validation_failed` beyond 64 bits.
pub fn price(record: &Record, rates: &[Rate], unit: Unit) -> Result<Price, Refusal> {
    let mut price = price_of(&record.used, record.qos.as_deref(), record.resource, record.ended_at, rates, unit)?;
    let free = record.job.state.as_deref().is_some_and(|state| FREE_STATES.contains(&state));
    if free && matches!(record.used, Used::Metered(_)) {
        price.amount = Amount::zero(unit);
    }
    Ok(price)
}

/// Prices what is used on a resource by the rates in force at a moment, in a grant's unit. Errors: as of a record.
pub fn price_of(used: &Used, qos: Option<&str>, resource: ResourceId, at: Time, rates: &[Rate], unit: Unit) -> Result<Price, Refusal> {
    let meters = match used {
        Used::Priced(amount) => {
            amount.same_unit(Amount::zero(unit))?;
            return Ok(Price { amount: *amount, rates: Few::new() });
        }
        Used::Metered(meters) => meters,
    };
    let mut sum = Fraction::ZERO;
    let mut rated = Few::new();
    for (meter, quantity) in meters {
        let rate = rate::in_force(rates, meter, unit, at).ok_or_else(|| missing(meter, unit, resource, at))?;
        let (times, per) = rate::ratio(meter, &rate.about.meter).unwrap_or((1, 1));
        let factor = qos.and_then(|qos| rate.about.qos.get(qos)).copied().unwrap_or(Decimal::ONE);
        let product = Fraction::product(&[*quantity, factor], rate.about.price.minor, times, per);
        sum = product.and_then(|p| sum.plus(p)).ok_or_else(out_of_range)?;
        rated.push(rate.id);
    }
    let minor = sum.half_even().ok_or_else(out_of_range)?;
    Ok(Price { amount: Amount::new(minor, unit), rates: rated })
}

fn missing(meter: &str, unit: Unit, resource: ResourceId, at: Time) -> Refusal {
    let detail = format!("{resource} has no rate for {meter} in {} at {at}.", unit.code());
    Refusal::new(Code::RateMissing, detail).with("meter", meter)
}

/// A number that is not rounded: `over / under`, under positive. It is reduced only where it would not fit otherwise: a greatest common
/// divisor costs more than all the rest of a price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fraction {
    over: i128,
    under: i128,
}

impl Fraction {
    const ZERO: Fraction = Fraction { over: 0, under: 1 };

    /// The product of decimals, a price in smallest parts and a ratio; `None` beyond 128 bits.
    fn product(decimals: &[Decimal], minor: i64, times: i64, per: i64) -> Option<Fraction> {
        let mut made = Fraction { over: i128::from(minor).checked_mul(i128::from(times))?, under: i128::from(per) };
        for decimal in decimals {
            let decimal = decimal.normalize();
            made.over = made.over.checked_mul(decimal.mantissa())?;
            made.under = made.under.checked_mul(10i128.checked_pow(decimal.scale())?)?;
        }
        Some(made)
    }

    fn plus(self, other: Fraction) -> Option<Fraction> {
        if self.over == 0 {
            return Some(other);
        }
        self.crossed(other).or_else(|| self.reduced().crossed(other.reduced()))
    }

    fn crossed(self, other: Fraction) -> Option<Fraction> {
        let left = self.over.checked_mul(other.under)?;
        let right = other.over.checked_mul(self.under)?;
        Some(Fraction { over: left.checked_add(right)?, under: self.under.checked_mul(other.under)? })
    }

    fn reduced(self) -> Fraction {
        let (mut a, mut b) = (self.over.abs().max(1), self.under);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        if self.over == 0 { Fraction::ZERO } else { Fraction { over: self.over / a, under: self.under / a } }
    }

    /// The nearest whole number, a tie to the even one. Only for what is not negative.
    fn half_even(self) -> Option<i64> {
        let Fraction { over, under } = if self.under > i128::MAX / 2 { self.reduced() } else { self };
        let (whole, rest) = (over / under, over % under);
        let twice = rest.checked_mul(2)?;
        let up = twice > under || (twice == under && whole % 2 != 0);
        i64::try_from(if up { whole + 1 } else { whole }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate::NewRate;
    use super::super::record::Job;
    use super::*;
    use crate::id::Id;

    fn usd() -> Unit {
        Unit::new("USD", 6).expect("a unit")
    }

    fn rates(meter: &str, minor: i64, from: i64, id: i64) -> Rate {
        let about = NewRate {
            resource: Id::from_stamp(1),
            meter: meter.into(),
            price: Amount::new(minor, usd()),
            from: Time::from_micros(from),
            qos: [("high".to_owned(), Decimal::TWO)].into(),
        };
        Rate { id: Id::from_stamp(id), about, proposed_by: Id::from_stamp(1), confirmed_by: None, confirmed_at: Some(Time::from_micros(0)) }
    }

    fn record(meters: &[(&str, &str)], qos: Option<&str>, state: &str) -> Record {
        let used = meters.iter().map(|(m, q)| ((*m).to_owned(), q.parse().expect("a decimal"))).collect();
        Record {
            external_id: "x".into(),
            grant: None,
            account: None,
            resource: Id::from_stamp(1),
            used: Used::Metered(used),
            qos: qos.map(String::from),
            started_at: None,
            ended_at: Time::from_micros(1000),
            user: None,
            hold: None,
            part: None,
            job: Job { state: Some(state.into()), ..Job::default() },
        }
    }

    #[test]
    fn products_are_summed_exactly_and_rounded_once() {
        let table = [rates("gpu-hour", 1_000_000, 0, 1), rates("cpu-hour", 1, 0, 2)];
        let minor = |meters: &[(&str, &str)], qos| price(&record(meters, qos, "COMPLETED"), &table, usd()).map(|p| p.amount.minor);
        assert_eq!(minor(&[("gpu-hour", "12.5")], None), Ok(12_500_000));
        assert_eq!(minor(&[("gpu-second", "70")], None), Ok(19_444), "70/3600 h at 1 USD is 0.019444…");
        assert_eq!(minor(&[("cpu-hour", "0.5")], None), Ok(0), "a tie goes to the even 0");
        assert_eq!(minor(&[("cpu-hour", "1.5")], None), Ok(2), "a tie goes to the even 2");
        assert_eq!(minor(&[("cpu-hour", "0.25"), ("cpu-second", "900")], None), Ok(0), "two quarters make a half before rounding");
        assert_eq!(minor(&[("cpu-hour", "0.25"), ("cpu-second", "901")], None), Ok(1));
        assert_eq!(minor(&[("gpu-hour", "1")], Some("high")), Ok(2_000_000));
        assert_eq!(minor(&[("gpu-hour", "0")], None), Ok(0));
        assert_eq!(minor(&[("gpu-hour", "9999999999999.999999999")], Some("high")).map_err(|r| r.code), Err(Code::ValidationFailed));
    }

    #[test]
    fn the_rate_in_force_when_the_job_ended_counts() {
        let table = [rates("gpu-hour", 5, 0, 1), rates("gpu-hour", 7, 1000, 2), rates("gpu-hour", 9, 1001, 3)];
        let priced = price(&record(&[("gpu-hour", "1")], None, "COMPLETED"), &table, usd()).expect("priced");
        assert_eq!((priced.amount.minor, priced.rates), (7, smallvec::smallvec![Id::from_stamp(2)]));
        let missing = price(&record(&[("tpu-hour", "1")], None, "COMPLETED"), &table, usd());
        assert_eq!(missing.map_err(|r| r.code), Err(Code::RateMissing));
    }

    #[test]
    fn the_machines_fault_is_metered_and_not_charged() {
        let table = [rates("gpu-hour", 5, 0, 1)];
        assert_eq!(price(&record(&[("gpu-hour", "1")], None, "NODE_FAIL"), &table, usd()).map(|p| p.amount.minor), Ok(0));
    }
}
