//! Decisions: an officer's verdict, and the funding that an approval names.
//!
//! Pure. An approval is bound to what was approved by the SHA-256 of it, so that nothing can be put in its place afterwards.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::amount::Amount;
use crate::donations::{Lot, draw};
use crate::id::{AmendmentId, DecisionId, GrantId, Id, LotId, PersonId};
use crate::refusal::{Code, FieldCode, Refusal};

use super::grant::{Grant, Overdraft};

/// What an officer says of a request or an amendment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is granted.
    Approve {
        /// How much; all that was asked for if absent.
        awarded: Option<Amount>,
        /// What happens to usage beyond it; of an award only. As approved first, else recorded, if absent.
        overdraft: Option<Overdraft>,
        /// From which lots; in draw-down order if absent.
        lots: Option<Vec<(LotId, Amount)>>,
    },
    /// It is refused.
    Reject,
    /// It goes back with questions.
    Return,
}

impl Verdict {
    /// The words on the wire.
    pub const WORDS: &'static [&'static str] = &["approve", "reject", "return"];

    /// An approval of all that was asked for, in draw-down order.
    pub const APPROVE: Verdict = Verdict::Approve { awarded: None, overdraft: None, lots: None };

    /// The word.
    pub const fn word(&self) -> &'static str {
        match self {
            Verdict::Approve { .. } => "approve",
            Verdict::Reject => "reject",
            Verdict::Return => "return",
        }
    }
}

/// A verdict as an officer gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruling {
    /// What is said.
    pub verdict: Verdict,
    /// The version that was read.
    pub version: i32,
    /// Why.
    pub reason: String,
    /// Whether the officer declares to have no part in what is decided.
    pub no_conflict: bool,
}

impl Ruling {
    /// A verdict on the version that was read, by an officer who declares to have no part in it.
    pub fn new(verdict: Verdict, version: i32, reason: &str) -> Ruling {
        Ruling { verdict, version, reason: reason.into(), no_conflict: true }
    }
}

/// A decision as it was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Its identifier; of the last approval that an award needs, also the award's transaction.
    pub id: DecisionId,
    /// On which grant.
    pub grant: GrantId,
    /// On which amendment of it; `None` for the request itself.
    pub amendment: Option<AmendmentId>,
    /// In which round of the request.
    pub round: i32,
    /// `approve`, `reject` or `return`.
    pub verdict: String,
    /// What happens to usage beyond the grant.
    pub overdraft: Overdraft,
    /// What is awarded, moved or taken back.
    pub awarded: Amount,
    /// Whether it took effect: an approval that waits for another has none yet.
    pub effective: bool,
    /// Who decided.
    pub officer: PersonId,
    /// Why.
    pub reason: String,
    /// From which lots.
    pub lots: Vec<(LotId, Amount)>,
    /// SHA-256 of what was decided, in hexadecimal digits.
    pub bound: String,
}

/// How many of the approvals that are needed there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Approvals {
    /// Given, this one included.
    pub given: usize,
    /// Needed.
    pub needed: usize,
}

impl Approvals {
    /// Whether nobody else need approve.
    pub const fn complete(self) -> bool {
        self.given >= self.needed
    }
}

/// What is awarded: all that was asked for, or the part named. Errors: `unit_mismatch`, `amount_range` beyond the request.
pub fn awarded(requested: Amount, named: Option<Amount>) -> Result<Amount, Refusal> {
    let amount = named.unwrap_or(requested);
    if amount.unit != requested.unit {
        let detail = crate::amount::unit_mismatch(requested.unit, amount.unit).detail;
        return Err(Refusal::field("/awarded/unit", FieldCode::UnitMismatch, detail));
    }
    if amount.minor > requested.minor {
        let detail = format!("{requested} was asked for; more needs another request.");
        return Err(Refusal::field("/awarded", FieldCode::AmountRange, detail));
    }
    Ok(amount)
}

/// Refuses an approval on other terms than those that were approved first: `not_allowed` at the field that differs.
pub fn same_as_first(
    first: &Decision,
    awarded: Option<Amount>,
    overdraft: Option<Overdraft>,
    lots: Option<&[(LotId, Amount)]>,
) -> Result<(), Refusal> {
    let differs = [
        ("/awarded", awarded.is_some_and(|a| a != first.awarded)),
        ("/overdraft", overdraft.is_some_and(|o| o != first.overdraft)),
        ("/lots", lots.is_some_and(|l| l != first.lots)),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((field, _)) => {
            let detail = "It was approved on other terms first; return it, or take it up for review again, to begin anew.";
            Err(Refusal::field(field, FieldCode::NotAllowed, detail))
        }
    }
}

/// The machine's proposal: the lots in draw-down order, each with what it has free, until the amount is reached.
///
/// Errors: `insufficient_credits` with `free` and `shortfall`.
pub fn propose(mut lots: Vec<(&Lot, i64)>, amount: Amount) -> Result<Vec<(LotId, Amount)>, Refusal> {
    lots.sort_by(|(a, _), (b, _)| a.draw_order(b));
    in_order(lots, amount, "The lots whose terms match have")
}

/// The same the other way round: what would pay last goes first.
pub fn propose_back(mut lots: Vec<(&Lot, i64)>, amount: Amount) -> Result<Vec<(LotId, Amount)>, Refusal> {
    lots.sort_by(|(a, _), (b, _)| b.draw_order(a));
    in_order(lots, amount, "The grant has")
}

fn in_order(lots: Vec<(&Lot, i64)>, amount: Amount, who: &str) -> Result<Vec<(LotId, Amount)>, Refusal> {
    let (plan, missing) = draw(lots.iter().map(|(lot, free)| (lot.id, *free)), amount.minor)?;
    if missing > 0 {
        let (free, shortfall) = (Amount::new(amount.minor - missing, amount.unit), Amount::new(missing, amount.unit));
        let detail = format!("{who} {free} {} free; {shortfall} are missing.", amount.unit.code());
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

/// The SHA-256 of a request and of the terms on which it is approved: what an approval binds.
pub fn bound(grant: &Grant, awarded: Amount, overdraft: Overdraft, lots: &[(LotId, Amount)]) -> String {
    let about = &grant.about;
    let text = json!({
        "grant": grant.id, "project": about.project, "requested": about.requested.to_string(), "unit": about.requested.unit.code(),
        "from": about.period.from.to_string(), "to": about.period.to.to_string(), "justification": about.justification,
        "purpose": about.purpose, "resources": about.resources, "renews": about.renews, "awarded": awarded.to_string(),
        "overdraft": overdraft.word(), "lots": named(lots),
    });
    hash(&text)
}

/// The SHA-256 of a JSON text, in hexadecimal digits.
pub fn hash(text: &serde_json::Value) -> String {
    Sha256::digest(text.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lots and amounts as text.
pub fn named(lots: &[(LotId, Amount)]) -> Vec<(LotId, String)> {
    lots.iter().map(|(lot, amount)| (*lot, amount.to_string())).collect()
}

/// The decision that would be born with a stamp.
pub(super) fn taken(stamp: i64, on: &Grant, ruling: &Ruling, officer: PersonId) -> Decision {
    Decision {
        id: Id::from_stamp(stamp),
        grant: on.id,
        amendment: None,
        round: on.round,
        verdict: ruling.verdict.word().into(),
        overdraft: on.overdraft,
        awarded: Amount::zero(on.awarded.unit),
        effective: true,
        officer,
        reason: ruling.reason.clone(),
        lots: Vec::new(),
        bound: String::new(),
    }
}
