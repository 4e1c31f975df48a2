//! Separation of duties, recomputed from the journal: who decided is never who asked, nobody approved twice, and the tables say the same.
//!
//! The journal refuses to be changed, so this finds also what was written past the program: an entry by the wrong person, and a row that
//! names another person than its entry does, or that has none. Bounds: the persons of every request, donation, rate, policy and amendment
//! and every decision are held in memory.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::Deserialize;

use crate::donations;
use crate::grants::{self, amend, policy};
use crate::id::{AmendmentId, DecisionId, GrantId, PersonId};
use crate::ledger::{Entry, Kind};
use crate::store::{Conn, Fault, Page};
use crate::usage;

/// Who asked for what, and who has approved it so far.
#[derive(Default)]
pub(super) struct Duties {
    asked: FxHashMap<i64, Vec<PersonId>>,
    approved: FxHashMap<(i64, i64), Vec<PersonId>>,
    /// Decisions on grants and amendments by their entries: stamp, who, on what.
    decided: BTreeMap<i64, (i64, PersonId, i64)>,
}

/// What of an entry's body says on what it decides.
#[derive(Deserialize, Default)]
struct Body {
    amendment: Option<String>,
    to: Option<String>,
    round: Option<i64>,
}

impl Duties {
    /// Takes the entries in their order. `None` where an entry decides nothing; else whether it holds, in words where it does not.
    pub fn pass(&mut self, entry: &Entry) -> Option<Result<(), String>> {
        use Kind::*;
        let actor = entry.actor?;
        let (own, subject) = (entry.recorded_at.micros(), entry.subject.unwrap_or_default());
        match entry.kind {
            Donation | Rate | Policy | Binding | Amendment | Request => self.asked.entry(own).or_default().push(actor),
            Revision | Submission => self.asked.entry(subject).or_default().push(actor),
            Pledge | RateConfirmation | PolicyConfirmation | BindingConfirmation => {
                return Some(self.decides(entry, actor, (subject, 0), &[]));
            }
            Approval | Award | Rejection | Questions | Supplement | Extension | Reduction | Transfer | Closing => {
                let body = body(entry);
                let amendment = body.amendment.and_then(|text| AmendmentId::parse(&text).ok());
                if entry.kind == Closing && amendment.is_none() {
                    // By those whose grant it is.
                    return None;
                }
                let on = amendment.map_or(subject, AmendmentId::stamp);
                self.decided.insert(entry.seq, (own, actor, on));
                let to = body.to.and_then(|text| GrantId::parse(&text).ok()).map_or(subject, GrantId::stamp);
                let concerned: &[i64] = if amendment.is_some() { &[subject, to] } else { &[] };
                return Some(self.decides(entry, actor, (on, body.round.unwrap_or(1)), concerned));
            }
            _ => {}
        }
        None
    }

    /// `about`: what is decided, and in which round; `concerned`: the grants of an amendment, whose authors do not decide it either.
    fn decides(&mut self, entry: &Entry, actor: PersonId, about: (i64, i64), concerned: &[i64]) -> Result<(), String> {
        let word = entry.kind.word();
        let asked = self.asked.get(&about.0).ok_or_else(|| format!("entry {}: a {word} of what nobody asked for", entry.seq))?;
        if asked.contains(&actor) {
            return Err(format!("entry {}: a {word} by {actor}, who asked for it", entry.seq));
        }
        if concerned.iter().any(|grant| self.asked.get(grant).is_some_and(|asked| asked.contains(&actor))) {
            return Err(format!("entry {}: a {word} by {actor}, who asked for the grant", entry.seq));
        }
        let approved = self.approved.entry(about).or_default();
        if approved.contains(&actor) {
            return Err(format!("entry {}: a {word} by {actor}, who had approved it before", entry.seq));
        }
        approved.push(actor);
        Ok(())
    }

    /// Whether each row that names who asked or who decided says what the journal says, once all of it has passed.
    pub fn rows(&mut self, conn: &mut Conn) -> Result<Vec<Result<(), String>>, Fault> {
        let mut found = Vec::new();
        for row in grants::store::signed(conn, None)? {
            found.push(self.signed(&row));
        }
        let lost = std::mem::take(&mut self.decided);
        found.extend(lost.into_keys().map(|seq| Err(format!("entry {seq}: the decision is not in its table"))));
        for grant in grants::store::grants(conn, &grants::Of::default(), Page::ALL)? {
            found.push(self.asked_by(&grant.id.to_string(), grant.id.stamp(), grant.requester));
        }
        for amendment in amend::store::amendments(conn, &amend::store::Of::default(), Page::ALL)? {
            found.push(self.asked_by(&amendment.id.to_string(), amendment.id.stamp(), amendment.requester));
        }
        let mut two = |name: String, stamp: i64, by: PersonId, confirmed: Option<PersonId>| {
            found.push(self.asked_by(&name, stamp, by));
            let told = self.approved.get(&(stamp, 0)).and_then(|persons| persons.first().copied());
            found.push(match told == confirmed {
                true => Ok(()),
                false => Err(format!("{name} is confirmed by {} in its row, by {} in the journal", named(confirmed), named(told))),
            });
        };
        for donation in donations::store::donations(conn, &donations::Of::default(), Page::ALL)? {
            two(donation.id.to_string(), donation.id.stamp(), donation.proposed_by, donation.accepted_by);
        }
        for policy in policy::store::policies(conn, None, Page::ALL)? {
            two(policy.id.to_string(), policy.id.stamp(), policy.proposed_by, policy.confirmed_by);
        }
        for rate in usage::store::rates(conn, &usage::Of::default(), Page::ALL)? {
            two(rate.id.to_string(), rate.id.stamp(), rate.proposed_by, rate.confirmed_by);
        }
        Ok(found)
    }

    fn signed(&mut self, row: &grants::store::Signed) -> Result<(), String> {
        let id = DecisionId::from_stamp(row.id);
        let on = if row.amendment == 0 { row.grant } else { row.amendment };
        match self.decided.remove(&row.seq) {
            None => Err(format!("entry {}: {id} is no decision in the journal", row.seq)),
            Some(told) if told != (row.id, row.officer, on) => {
                Err(format!("entry {}: {id} is by {} in its row, by {} in the journal", row.seq, row.officer, told.1))
            }
            Some(_) => self.asked_by(&format!("entry {}: what {id} decides", row.seq), on, row.requester),
        }
    }

    fn asked_by(&self, name: &str, stamp: i64, by: PersonId) -> Result<(), String> {
        let told = self.asked.get(&stamp).and_then(|persons| persons.first().copied());
        match told == Some(by) {
            true => Ok(()),
            false => Err(format!("{name} was asked for by {by} in its row, by {} in the journal", named(told))),
        }
    }
}

fn named(person: Option<PersonId>) -> String {
    person.map_or_else(|| "nobody".into(), |person| person.to_string())
}

fn body(entry: &Entry) -> Body {
    entry.body.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn entry(seq: i64, kind: Kind, actor: i64, subject: i64, body: &str) -> Entry {
        Entry {
            seq,
            recorded_at: Time::from_micros(seq),
            effective_at: Time::from_micros(seq),
            kind,
            actor: Some(PersonId::from_stamp(actor)),
            subject: Some(subject),
            body: Some(body.into()),
            lines: Vec::new(),
        }
    }

    #[test]
    fn other_persons_decide_and_each_once() {
        let mut duties = Duties::default();
        let mut pass =
            |seq, kind, actor, subject, body: &str| duties.pass(&entry(seq, kind, actor, subject, body)).map(|held| held.is_ok());
        assert_eq!(pass(1, Kind::Request, 7, 0, "{}"), None);
        assert_eq!(pass(2, Kind::Revision, 8, 1, "{}"), None);
        assert_eq!(pass(3, Kind::Award, 7, 1, "{}"), Some(false), "by who asked");
        assert_eq!(pass(4, Kind::Approval, 8, 1, "{}"), Some(false), "by who changed it");
        assert_eq!(pass(5, Kind::Approval, 9, 1, r#"{"round":2}"#), Some(true));
        assert_eq!(pass(6, Kind::Award, 9, 1, r#"{"round":2}"#), Some(false), "twice in a round");
        assert_eq!(pass(7, Kind::Award, 9, 1, r#"{"round":3}"#), Some(true));
        assert_eq!(pass(8, Kind::Award, 9, 77, "{}"), Some(false), "of what nobody asked for");
    }

    #[test]
    fn amendments_are_asked_for_and_decided_apart() {
        let mut duties = Duties::default();
        let amendment = format!(r#"{{"amendment":"{}"}}"#, AmendmentId::from_stamp(2));
        duties.pass(&entry(1, Kind::Request, 7, 0, "{}"));
        duties.pass(&entry(2, Kind::Amendment, 8, 1, "{}"));
        assert_eq!(duties.pass(&entry(3, Kind::Reduction, 8, 1, &amendment)).map(|held| held.is_ok()), Some(false));
        assert_eq!(duties.pass(&entry(4, Kind::Reduction, 7, 1, &amendment)).map(|held| held.is_ok()), Some(false), "the grant's own");
        assert_eq!(duties.pass(&entry(5, Kind::Reduction, 9, 1, &amendment)).map(|held| held.is_ok()), Some(true));
        assert_eq!(duties.pass(&entry(6, Kind::Closing, 8, 1, &amendment)).map(|held| held.is_ok()), Some(false));
        assert_eq!(duties.pass(&entry(7, Kind::Closing, 8, 1, "{}")), None, "closed by those whose it is");
    }
}
