//! Rates: the price of a meter on a resource from a moment on. Versioned, never edited.
//!
//! Pure. A rate is set for a base meter such as `gpu-hour`; quantities in `gpu-second` or `gpu-minute` are priced by it exactly.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::amount::Amount;
use crate::id::{PersonId, RateId, ResourceId};
use crate::time::Time;

/// A price as it is set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRate {
    /// On which resource.
    pub resource: ResourceId,
    /// Of which meter.
    pub meter: String,
    /// For one of the meter's unit; may be zero.
    pub price: Amount,
    /// For jobs that ended at or after this.
    pub from: Time,
    /// Factors by quality of service: `{"high": 2}`.
    pub qos: BTreeMap<String, Decimal>,
}

/// A price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Its identifier.
    pub id: RateId,
    /// What it says.
    pub about: NewRate,
    /// Who set or proposed it.
    pub proposed_by: PersonId,
    /// Who confirmed it, where that was needed.
    pub confirmed_by: Option<PersonId>,
    /// Since when it stands; `None` while it is only proposed.
    pub confirmed_at: Option<Time>,
}

impl Rate {
    /// `in_force` or `proposed`.
    pub fn state(&self) -> &'static str {
        if self.confirmed_at.is_some() { "in_force" } else { "proposed" }
    }
}

/// Seconds in the time word a meter ends with, and the meter without it.
fn time_base(meter: &str) -> Option<(&str, i64)> {
    let (stem, word) = meter.rsplit_once('-')?;
    let seconds = match word {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    Some((stem, seconds))
}

/// How many of the rate's meter one of the quantity's meter is, as a fraction; `None` if they measure different things.
pub fn ratio(quantity: &str, rate: &str) -> Option<(i64, i64)> {
    if quantity == rate {
        return Some((1, 1));
    }
    let ((q, per), (r, of)) = (time_base(quantity)?, time_base(rate)?);
    (q == r).then_some((per, of))
}

/// The rate in force for a meter when a job ended: of those confirmed, in the unit, that began by then, the one that began last.
pub fn in_force<'r>(rates: &'r [Rate], meter: &str, unit: crate::amount::Unit, ended_at: Time) -> Option<&'r Rate> {
    let fits = |rate: &&Rate| {
        rate.confirmed_at.is_some()
            && rate.about.price.unit == unit
            && rate.about.from <= ended_at
            && ratio(meter, &rate.about.meter).is_some()
    };
    rates.iter().filter(fits).max_by_key(|rate| (rate.about.from, rate.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_priced_by_the_hour() {
        assert_eq!(ratio("gpu-second", "gpu-hour"), Some((1, 3600)));
        assert_eq!(ratio("gpu-hour", "gpu-hour"), Some((1, 1)));
        assert_eq!(ratio("gpu-day", "gpu-hour"), Some((86_400, 3600)));
        assert_eq!(ratio("cpu-second", "gpu-hour"), None);
        assert_eq!(ratio("job", "jobs"), None);
    }
}
