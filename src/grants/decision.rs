//! Decisions: an officer's verdict on a request, and the funding that an approval names.
//!
//! Pure.

use crate::amount::Amount;
use crate::donations::{Lot, draw};
use crate::id::{DecisionId, GrantId, LotId, PersonId};
use crate::refusal::{Code, FieldCode, Refusal};

use super::grant::{Grant, Overdraft};

/// What an officer says of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Credits are awarded.
    Approve {
        /// How much; all that was asked for if absent.
        awarded: Option<Amount>,
        /// What happens to usage beyond it.
        overdraft: Overdraft,
        /// From which lots; in draw-down order if absent.
        lots: Option<Vec<(LotId, Amount)>>,
    },
    /// Nothing is awarded.
    Reject,
}

/// A decision as it was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Its identifier; as a transaction, the award.
    pub id: DecisionId,
    /// On which grant.
    pub grant: GrantId,
    /// `approve` or `reject`.
    pub verdict: String,
    /// What was awarded.
    pub awarded: Amount,
    /// Who decided.
    pub officer: PersonId,
    /// Why.
    pub reason: String,
    /// From which lots.
    pub lots: Vec<(LotId, Amount)>,
}

/// What is awarded: all that was asked for, or the part named. Errors: `unit_mismatch`, `amount_range` beyond the request.
pub fn awarded(grant: &Grant, named: Option<Amount>) -> Result<Amount, Refusal> {
    let amount = named.unwrap_or(grant.about.requested);
    if amount.unit != grant.about.requested.unit {
        let detail = crate::amount::unit_mismatch(grant.about.requested.unit, amount.unit).detail;
        return Err(Refusal::field("/awarded/unit", FieldCode::UnitMismatch, detail));
    }
    if amount.minor > grant.about.requested.minor {
        let detail = format!("{} was asked for; more needs another request.", grant.about.requested);
        return Err(Refusal::field("/awarded", FieldCode::AmountRange, detail));
    }
    Ok(amount)
}

/// The machine's proposal: the lots in draw-down order, each with what it has free, until the amount is reached.
///
/// Errors: `insufficient_credits` with `free` and `shortfall`.
pub fn propose(mut lots: Vec<(&Lot, i64)>, amount: Amount) -> Result<Vec<(LotId, Amount)>, Refusal> {
    lots.sort_by(|(a, _), (b, _)| a.draw_order(b));
    let (plan, missing) = draw(lots.iter().map(|(lot, free)| (lot.id, *free)), amount.minor)?;
    if missing > 0 {
        let (free, shortfall) = (Amount::new(amount.minor - missing, amount.unit), Amount::new(missing, amount.unit));
        let detail = format!("The lots whose terms match have {free} {} free; {shortfall} are missing.", amount.unit.code());
        return Err(Refusal::new(Code::InsufficientCredits, detail).with("free", free).with("shortfall", shortfall));
    }
    Ok(plan.into_iter().map(|(lot, part)| (lot, Amount::new(part, amount.unit))).collect())
}

/// Checks the lots an officer names: each once, in the grant's unit, together exactly the award.
pub fn check_named(lots: &[(LotId, Amount)], amount: Amount) -> Result<(), Refusal> {
    let mut sum = Amount::zero(amount.unit);
    for (place, (lot, part)) in lots.iter().enumerate() {
        if lots.iter().take(place).any(|(earlier, _)| earlier == lot) {
            return Err(Refusal::field(format!("/lots/{place}/lot"), FieldCode::NotAllowed, "The lot is named twice."));
        }
        sum = sum.plus(*part)?;
    }
    if sum != amount {
        let detail = format!("The lots add up to {sum}, the award is {amount}.");
        return Err(Refusal::field("/lots", FieldCode::NotAllowed, detail));
    }
    Ok(())
}
