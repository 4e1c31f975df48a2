//! What small books are made of, by the verbs of the program itself: a project, a gift of one lot, a grant.

use almoner::actor::Actor;
use almoner::amount::Amount;
use almoner::directory::{self, NewProject};
use almoner::donations::{self, Lot, NewDonation, NewDonor, NewLot, OnExpiry, Terms};
use almoner::grants::{self, NewGrant, Overdraft, Ruling, Verdict};
use almoner::id::{GrantId, InstitutionId, LotId, PersonId, ProjectId};
use almoner::store::{Fault, Work};
use almoner::time::{Period, Time};

/// An instant written out.
pub fn time(text: &str) -> Time {
    Time::parse(text).expect("a time")
}

/// A period written out.
pub fn period(from: &str, to: &str) -> Period {
    Period::new(time(from), time(to)).expect("a period")
}

/// The two persons that every gift and every grant takes: one begins, the other agrees.
#[derive(Clone, Copy)]
pub struct Pair {
    pub first: PersonId,
    pub second: PersonId,
}

impl Pair {
    /// Two operators, seen here for the first time or again.
    pub fn of(work: &mut Work<'_>) -> Result<Pair, Fault> {
        let mut person = |name| directory::person_for(work, &Actor::operator(name));
        Ok(Pair { first: person("first")?, second: person("second")? })
    }

    /// A project at an institution; its name for others, if it has one.
    pub fn project(self, work: &mut Work<'_>, institution: InstitutionId, external_id: Option<String>) -> Result<ProjectId, Fault> {
        let project = NewProject {
            title: "Example project".into(),
            institution,
            field_of_science: "Physics".into(),
            pi_name: "Example Investigator".into(),
            pi_orcid: None,
            external_id,
        };
        Ok(directory::add_project(work, self.first, &project)?.id)
    }

    /// A gift of a new donor, delivered whole as one lot.
    pub fn give(self, work: &mut Work<'_>, amount: Amount, from: Time, to: Option<Time>, on_expiry: OnExpiry) -> Result<Lot, Fault> {
        let new = NewDonor { name: "Example Donor".into(), kind: "industry".into(), ror: None, external_id: None };
        let donation = NewDonation {
            donor: donations::add_donor(work, self.first, &new)?.id,
            title: "Credits".into(),
            unit: amount.unit,
            pledged: amount,
            terms: Terms::default(),
            draw_priority: 0,
            on_expiry,
            external_id: None,
        };
        let donation = donations::propose(work, self.first, &donation)?.id;
        donations::accept(work, self.second, donation)?;
        donations::deliver(work, self.first, &NewLot { donation, amount, delivered_at: from, expires_at: to })
    }

    /// A grant awarded as it was asked for: from this lot, or in draw-down order.
    pub fn award(
        self,
        work: &mut Work<'_>,
        project: ProjectId,
        amount: Amount,
        period: Period,
        overdraft: Overdraft,
        lot: Option<LotId>,
    ) -> Result<GrantId, Fault> {
        let new = NewGrant {
            project,
            requested: amount,
            period,
            justification: "For the test.".into(),
            purpose: None,
            resources: Vec::new(),
            renews: None,
            external_id: None,
        };
        let asked = grants::request(work, self.first, &new)?;
        let verdict = Verdict::Approve { awarded: None, overdraft: Some(overdraft), lots: lot.map(|lot| vec![(lot, amount)]) };
        Ok(grants::decide(work, self.second, asked.id, &Ruling::new(verdict, asked.version, "Granted."), false)?.grant.id)
    }
}
