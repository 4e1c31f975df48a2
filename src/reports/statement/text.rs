//! The text of a statement: what is hashed, and what every form is made of.
//!
//! It holds identifiers, never a person's or a job's name: what may have to be erased must not be needed to make it again. It holds no words of
//! ours either, since these change and the text must not: whatever changes in it is another version, beside this one. Figures stand under the unit of their section, so that a line of ten thousand does not repeat it for each.

use serde::Serialize;
use serde::ser::Serializer;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::amount::{Amount, Unit};
use crate::id::ChargeId;
use crate::store::Fault;

use super::figures::Figures;

/// Something with a name.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Whole days, UTC.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct Days {
    /// The first day.
    #[schema(format = Date)]
    pub from: String,
    /// The first day after.
    #[schema(format = Date)]
    pub to: String,
}

/// What became of credits in a period: for each section and in total, opening + change = closing.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
#[schema(as = StatementText)]
pub struct Text {
    /// `statement_text`.
    pub object: &'static str,
    /// Which form of text this is.
    pub version: u8,
    /// `donor`, `project` or `provider`.
    pub kind: &'static str,
    /// Of whom.
    pub whom: Named,
    /// Lines are those recorded on these days.
    pub period: Days,
    /// The last entry of the journal before the period.
    pub opening_seq: i64,
    /// The last entry of the journal within it: the statement is frozen here.
    pub seq: i64,
    /// All sections together, unit by unit.
    pub totals: Vec<Total>,
    /// Lot by lot, grant by grant, resource by resource.
    pub sections: Vec<Section>,
    /// Of a donor: what jobs used, by what they have in common.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<UsedBy>,
    /// Of a project: who paid for what was used, net, in the period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thanks: Vec<Thanked>,
    /// Of a project: what was decided in the period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decided>,
    /// Of a provider: what was metered, whatever it cost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metered: Vec<Metered>,
    /// Of a provider: records that could not be charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

/// What one unit comes to.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
#[schema(as = StatementTotal)]
pub struct Total {
    /// What is counted.
    #[serde(serialize_with = "code")]
    #[schema(value_type = String)]
    pub unit: Unit,
    /// At the begin of the period.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub opening: Figures,
    /// What the period brought.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub change: Figures,
    /// At its end.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub closing: Figures,
}

/// One thing whose figures are followed through the period.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
#[schema(as = StatementSection)]
pub struct Section {
    /// The donation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donation: Option<Named>,
    /// The lot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<LotNamed>,
    /// The grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Named>,
    /// What is counted.
    #[serde(serialize_with = "code")]
    #[schema(value_type = String)]
    pub unit: Unit,
    /// Where the entries behind its figures are.
    pub entries: String,
    /// At the begin of the period.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub opening: Figures,
    /// What was set aside for jobs in the period less what was released: these entries move nothing else and are no lines.
    #[serde(skip_serializing_if = "Figures::is_nothing")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub set_aside: Figures,
    /// What was recorded in the period, in the journal's order.
    pub lines: Vec<Line>,
    /// At its end.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub closing: Figures,
}

/// A lot and until when it lasts.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
#[schema(as = StatementLot)]
pub struct LotNamed {
    /// Its identifier.
    pub id: String,
    /// Its name in proofs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Since when it can be used.
    pub delivered_on: String,
    /// When it expires; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
}

/// One entry of the journal, as far as it touched the section.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
#[schema(as = StatementLine)]
pub struct Line {
    /// Of a donor's lines: the name under which it stands in every statement and proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// What happened.
    pub kind: &'static str,
    /// On which day the ledger took it.
    pub recorded_on: String,
    /// On which day it happened.
    pub effective_on: String,
    /// Whether that was before the period.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub late: bool,
    /// The charge that it posts, covers or gives back; its job is told there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub charge: Option<ChargeId>,
    /// The place of that charge in the journal, by which its record is found.
    #[serde(skip)]
    pub charge_seq: Option<i64>,
    /// Where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What it moved.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub figures: Figures,
}

/// What jobs used, by one thing that they have in common.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct UsedBy {
    /// `month`, `field_of_science`, `institution` or `resource`.
    pub by: &'static str,
    /// What is counted.
    #[serde(serialize_with = "code")]
    #[schema(value_type = String)]
    pub unit: Unit,
    /// What is shared by enough projects to be told.
    pub cells: Vec<UsedCell>,
    /// All the rest together.
    #[serde(serialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub other: Option<Amount>,
}

/// What jobs with one thing in common used, net of refunds.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct UsedCell {
    /// What they have in common.
    pub name: String,
    /// Its identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How much.
    #[serde(serialize_with = "value")]
    #[schema(value_type = String)]
    pub spent: Amount,
}

/// A donor, and what they paid in one unit.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct Thanked {
    /// Their identifier.
    pub donor: String,
    /// Their name.
    pub name: String,
    /// Where they are registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ror: Option<String>,
    /// What is counted.
    #[serde(serialize_with = "code")]
    #[schema(value_type = String)]
    pub unit: Unit,
    /// How much.
    #[serde(serialize_with = "value")]
    #[schema(value_type = String)]
    pub amount: Amount,
    /// Of all that was used in the unit.
    pub percent: String,
}

/// A decision on one of the project's grants.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// Its identifier.
    pub decision: String,
    /// On which day.
    pub decided_on: String,
    /// On which grant.
    pub grant: String,
    /// On which amendment of it, if not on the request itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amendment: Option<String>,
    /// `approve`, `reject` or `return`.
    pub verdict: String,
    /// Whether it took effect, or waited for another approval.
    pub effective: bool,
    /// What is counted.
    #[serde(serialize_with = "code")]
    #[schema(value_type = String)]
    pub unit: Unit,
    /// What was awarded, moved or taken back.
    #[serde(serialize_with = "value")]
    #[schema(value_type = String)]
    pub amount: Amount,
    /// Where it can be read.
    pub link: String,
}

/// A quantity that a provider metered.
#[derive(Serialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct Metered {
    /// On which resource.
    pub resource: Named,
    /// What was metered.
    pub meter: String,
    /// Until the period.
    pub opening: String,
    /// In it.
    pub change: String,
    /// Until its end.
    pub closing: String,
}

/// Records that could not be charged when they came.
#[derive(Serialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[schema(as = StatementQuarantine)]
pub struct Quarantine {
    /// Open at the begin of the period.
    pub opening: u64,
    /// Set aside in it.
    pub set_aside: u64,
    /// Charged in it after all.
    pub charged: u64,
    /// Dismissed in it.
    pub dismissed: u64,
    /// Open at its end.
    pub closing: u64,
}

fn code<S: Serializer>(unit: &Unit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(unit.code())
}

fn value<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

fn some<S: Serializer>(amount: &Option<Amount>, serializer: S) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => serializer.collect_str(amount),
        None => serializer.serialize_none(),
    }
}

impl Text {
    /// Its bytes by RFC 8785: the only ones there are for it.
    pub fn canonical(&self) -> Result<Vec<u8>, Fault> {
        serde_json_canonicalizer::to_vec(self).map_err(|e| Fault::Internal(format!("a statement's text: {e}")))
    }

    /// All lines there are.
    pub fn lines(&self) -> usize {
        self.sections.iter().map(|section| section.lines.len()).sum()
    }
}

/// The SHA-256 of a text, in hexadecimal digits.
pub fn sha256(canonical: &[u8]) -> String {
    Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
}
