//! Which entries of the journal are events, and under what name: one table, to be read and extended.

use crate::ledger::{Bucket, Kind};

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The donation that the entry names, or that was born in it.
    Donation,
    /// The lot that the entry names.
    Lot,
    /// The lot that was born in it.
    NewLot,
    /// The grant that the entry names, that was born in it, or whose credits it moves.
    Grant,
    /// The charge that the entry names.
    Charge,
}

/// How an entry of the journal becomes an event.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The kind's word in the journal, or with `_` at its end how it begins.
    pub word: &'static str,
    /// The event's kind; of a word that is only begun here, what stands before the whole word.
    pub event: &'static str,
    pub(super) about: About,
    /// The bucket whose change is the event's amount.
    pub(super) measure: Option<Bucket>,
}

const fn rule(word: &'static str, event: &'static str, about: About, measure: Option<Bucket>) -> Rule {
    Rule { word, event, about, measure }
}

/// The first that fits is taken; what none fits is no event.
pub const RULES: &[Rule] = &[
    rule("donation", "donation.proposed", About::Donation, None),
    rule("pledge", "donation.accepted", About::Donation, Some(Bucket::Receivable)),
    rule("cancellation", "donation.cancelled", About::Donation, Some(Bucket::Receivable)),
    rule("delivery", "lot.delivered", About::NewLot, Some(Bucket::Available)),
    rule("return", "lot.returned", About::Lot, Some(Bucket::Returned)),
    rule("lapse", "lot.lapsed", About::Lot, Some(Bucket::Lapsed)),
    rule("request", "grant.requested", About::Grant, None),
    rule("award", "grant.awarded", About::Grant, Some(Bucket::Granted)),
    rule("rejection", "grant.rejected", About::Grant, None),
    rule("end", "grant.ended", About::Grant, Some(Bucket::Granted)),
    rule("refund", "charge.refunded", About::Charge, Some(Bucket::Spent)),
    // Steps of a request's and a grant's life under their own words.
    rule("submission_", "grant.", About::Grant, None),
    rule("revision_", "grant.", About::Grant, None),
    rule("review_", "grant.", About::Grant, None),
    rule("questions_", "grant.", About::Grant, None),
    rule("approval_", "grant.", About::Grant, None),
    rule("withdrawal_", "grant.", About::Grant, None),
    rule("suspension_", "grant.", About::Grant, None),
    rule("resumption_", "grant.", About::Grant, None),
    rule("closing_", "grant.", About::Grant, Some(Bucket::Granted)),
    rule("amendment_", "grant.", About::Grant, Some(Bucket::Granted)),
    rule("supplement_", "grant.", About::Grant, Some(Bucket::Granted)),
    rule("extension_", "grant.", About::Grant, None),
    rule("reduction_", "grant.", About::Grant, Some(Bucket::Granted)),
    rule("transfer_", "grant.", About::Grant, Some(Bucket::Granted)),
    rule("recusal_", "grant.", About::Grant, None),
];

/// Every kind of event whose name is fixed; others begin with `grant.`.
pub const KINDS: &[&str] = &[
    "donation.proposed",
    "donation.accepted",
    "donation.cancelled",
    "lot.delivered",
    "lot.returned",
    "lot.lapsed",
    "lot.used",
    "lot.use_fell",
    "lot.expiring",
    "grant.requested",
    "grant.awarded",
    "grant.rejected",
    "grant.ended",
    "grant.lapsed",
    "grant.used",
    "grant.use_fell",
    "grant.expiring",
    "grant.overdrawn",
    "grant.overdraft_covered",
    "grant.waiting",
    "charge.refunded",
    "webhook.test",
    "webhook.switched_off",
];

impl Rule {
    /// The rule of a kind in the journal, if its entries are events.
    pub fn of(kind: Kind) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.fits(kind.word()))
    }

    fn fits(&self, word: &str) -> bool {
        match self.word.strip_suffix('_') {
            Some(begin) => word.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')),
            None => word == self.word,
        }
    }

    /// The event's kind for a word that fits.
    pub fn kind(&self, word: &str) -> String {
        if self.word.ends_with('_') { format!("{}{word}", self.event) } else { self.event.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_and_holds_are_no_events_and_each_rule_has_its_name() {
        let silent = ["charge", "cover", "hold", "hold_extension", "release", "hold_expiry", "quarantine", "reversal", "person", "webhook"];
        for kind in Kind::ALL.iter().filter(|kind| silent.contains(&kind.word())) {
            assert!(Rule::of(*kind).is_none(), "{kind:?}");
        }
        for rule in RULES.iter().filter(|rule| !rule.word.ends_with('_')) {
            assert!(KINDS.contains(&rule.event), "{}", rule.event);
            assert!(Kind::ALL.iter().any(|kind| kind.word() == rule.word), "{}", rule.word);
        }
    }

    #[test]
    fn a_word_that_is_begun_keeps_its_rest() {
        let amendment = RULES.iter().find(|rule| rule.fits("amendment_decision")).expect("a rule");
        assert_eq!(amendment.kind("amendment_decision"), "grant.amendment_decision");
        assert!(!RULES.iter().any(|rule| rule.fits("holding") || rule.fits("requests")));
    }
}
