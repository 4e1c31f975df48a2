//! Separation of duties, recomputed from the journal alone: who decided is never who asked, and nobody approved twice.
//!
//! The journal refuses to be changed, so this finds also what was written past the program. Bounds: the persons of every request, donation,
//! rate, policy and amendment are held in memory.

use rustc_hash::FxHashMap;
use serde::Deserialize;

use crate::id::{AmendmentId, PersonId};
use crate::ledger::{Entry, Kind};

/// Who asked for what, and who has approved it so far.
#[derive(Default)]
pub(super) struct Duties {
    asked: FxHashMap<i64, Vec<PersonId>>,
    approved: FxHashMap<(i64, i64), Vec<PersonId>>,
}

/// What of an entry's body says on what it decides.
#[derive(Deserialize, Default)]
struct Body {
    amendment: Option<String>,
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
            Pledge | RateConfirmation | PolicyConfirmation | BindingConfirmation => return Some(self.decides(entry, actor, (subject, 0))),
            Approval | Award | Rejection | Questions | Supplement | Extension | Reduction | Transfer => {
                let body = body(entry);
                let amendment = body.amendment.and_then(|text| AmendmentId::parse(&text).ok());
                let about = (amendment.map_or(subject, AmendmentId::stamp), body.round.unwrap_or(1));
                return Some(self.decides(entry, actor, about));
            }
            // A project closes its own grant alone; an officer needs another.
            Closing => {
                let amendment = body(entry).amendment.and_then(|text| AmendmentId::parse(&text).ok())?;
                return Some(self.decides(entry, actor, (amendment.stamp(), 1)));
            }
            _ => {}
        }
        None
    }

    fn decides(&mut self, entry: &Entry, actor: PersonId, about: (i64, i64)) -> Result<(), String> {
        let word = entry.kind.word();
        let asked = self.asked.get(&about.0).ok_or_else(|| format!("entry {}: a {word} of what nobody asked for", entry.seq))?;
        if asked.contains(&actor) {
            return Err(format!("entry {}: a {word} by {actor}, who asked for it", entry.seq));
        }
        let approved = self.approved.entry(about).or_default();
        if approved.contains(&actor) {
            return Err(format!("entry {}: a {word} by {actor}, who had approved it before", entry.seq));
        }
        approved.push(actor);
        Ok(())
    }
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
        assert_eq!(duties.pass(&entry(4, Kind::Reduction, 9, 1, &amendment)).map(|held| held.is_ok()), Some(true));
    }
}
