//! Shapes that many answers share.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::amount::{Amount, Unit};
use crate::http::grain;
use crate::id::LotId;
use crate::time::{Period, Time};

/// So much of a unit.
#[derive(Serialize, ToSchema, Clone, Debug)]
pub struct Money {
    /// A decimal with exactly the unit's number of decimals.
    #[schema(value_type = String, pattern = r"^-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,9})?$", example = "1250.500000")]
    #[serde(serialize_with = "value_alone")]
    value: Amount,
    /// The unit's code.
    #[schema(value_type = String, example = "USD")]
    #[serde(serialize_with = "code")]
    unit: Unit,
}

impl From<Amount> for Money {
    fn from(amount: Amount) -> Money {
        Money { value: amount, unit: amount.unit }
    }
}

fn value_alone<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

fn code<S: Serializer>(unit: &Unit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(unit.code())
}

/// An amount in a request.
#[derive(ToSchema)]
#[schema(as = NewAmount)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct MoneyIn {
    /// A decimal string, with at most the unit's number of decimals.
    #[schema(pattern = r"^(0|[1-9][0-9]{0,12})(\.[0-9]{1,9})?$", example = "1250.5")]
    value: String,
    /// The unit's code.
    #[schema(pattern = r"^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$", example = "USD")]
    unit: String,
}

/// A half-open span of time.
#[derive(Serialize, ToSchema, Clone, Debug)]
pub struct Span {
    /// First instant within.
    #[schema(format = DateTime)]
    from: String,
    /// First instant after.
    #[schema(format = DateTime)]
    to: String,
}

impl From<Period> for Span {
    fn from(period: Period) -> Span {
        Span { from: period.from.to_string(), to: period.to.to_string() }
    }
}

/// So much of one lot.
#[derive(Serialize, ToSchema, Clone, Debug)]
pub struct LotPart {
    /// The lot.
    #[schema(value_type = String)]
    lot: LotId,
    /// How much.
    amount: Money,
}

/// Parts of lots on the wire.
pub fn lot_parts(parts: &[(LotId, Amount)]) -> Vec<LotPart> {
    parts.iter().map(|(lot, amount)| LotPart { lot: *lot, amount: (*amount).into() }).collect()
}

/// An instant on the wire, as finely as it may be told to who asks.
pub fn instant(time: Time) -> String {
    grain::told(time).to_string()
}
