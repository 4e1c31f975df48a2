//! Alerts: thresholds that the books or the clock have passed, each told once.
//!
//! - *used*: 75, 90 and 100 % of a grant or a lot. If several were passed since the last look only the highest is told, and none below
//!   it later. They are armed again when use falls below 70 %, by a supplement or a refund: what is left then is news again. Between 70 and
//!   75 % they are not, so that refunds about the threshold make no noise.
//! - *expiring*: 90, 30 and 7 days before a lot's expiry or the soonest end of anything a grant has free, while something is unused;
//!   again only the most urgent. A threshold that lay before the credits were there is no news. A later end arms them again.
//! - *overdrawn*: once, and again after the overdraft was covered.
//! - *waiting*: a request or an amendment 5 days without a decision, an approval 2 days without the second, counted from the last step.
//!
//! Reckoned from stored balances: what a clock has decided and the sweep has not booked yet is told after the sweep. Bounds: every account is
//! read once for a look.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::amount::Amount;
use crate::donations::{self, Lot};
use crate::grants::{self, Amendment, Grant, State, amend};
use crate::id::{GrantId, LotId};
use crate::ledger::store::{Account, Of};
use crate::ledger::{self, Bucket};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::{DAY, Time};

use super::follow::of_known_lot;
use super::{Concerns, NewEvent, figure, store, tell};

/// Percent of use that are told.
pub const USED: [i64; 3] = [75, 90, 100];
/// Percent below which the thresholds of use are armed again.
pub const ARMED_BELOW: i64 = 70;
/// Days before an end that are told.
pub const EXPIRING: [i64; 3] = [90, 30, 7];
/// Days that a state may last before it is told, and what is waited for.
const WAITING: [(&str, i64, &str); 3] =
    [("requested", 5, "decision"), ("in_review", 5, "decision"), ("awaiting_second_approval", 2, "second_approval")];

/// What is looked for: alerts that are due and not told.
struct Look {
    now: Time,
    told: HashSet<String>,
    due: Vec<NewEvent>,
}

/// Something that alerts are about.
struct Subject {
    /// `grant` or `lot`.
    noun: &'static str,
    id: String,
    concerns: Concerns,
    body: Value,
}

impl Subject {
    fn of_grant(grant: &Grant) -> Subject {
        let concerns = Concerns { project: Some(grant.about.project.stamp()), ..Concerns::default() };
        Subject { noun: "grant", id: grant.id.to_string(), concerns, body: json!({"grant": grant.id, "project": grant.about.project}) }
    }

    fn of_lot(lot: &Lot) -> Subject {
        let (id, concerns, body) = of_known_lot(lot);
        Subject { noun: "lot", id, concerns, body }
    }
}

impl Look {
    fn is_told(&self, subject: &Subject, what: &str) -> bool {
        self.told.contains(&format!("{}:{what}", subject.id))
    }

    fn add(&mut self, subject: &Subject, kind: &str, what: &str, figures: &[(&str, Value)]) {
        let mut body = subject.body.clone();
        for (name, figure) in figures {
            body[*name] = figure.clone();
        }
        self.due.push(NewEvent {
            kind: format!("{}.{kind}", subject.noun),
            subject: subject.id.clone(),
            mark: format!("{}:{what}", subject.id),
            seq: None,
            concerns: subject.concerns,
            at: self.now,
            body,
        });
    }

    /// How often an alarm was called off: the number of the round that it is in.
    fn round(&self, subject: &Subject, all_clear: &str) -> usize {
        (0..).take_while(|round| self.is_told(subject, &format!("{all_clear}:{round}"))).count()
    }

    fn used(&mut self, subject: &Subject, used: Amount, of: Amount) {
        if of.minor <= 0 {
            return;
        }
        // Through 128 bits: a hundred times a balance may not fit in 64.
        let percent = i64::try_from(i128::from(used.minor) * 100 / i128::from(of.minor)).unwrap_or(i64::MAX);
        let round = self.round(subject, "fell");
        let told = |look: &Look, threshold: &i64| look.is_told(subject, &format!("used:{threshold}:{round}"));
        let figures = [("used", figure(used)), ("of", figure(of)), ("percent", percent.into())];
        match USED.iter().rfind(|threshold| percent >= **threshold) {
            Some(passed) if !USED.iter().any(|threshold| threshold >= passed && told(self, threshold)) => {
                let threshold = [("threshold", Value::from(*passed))];
                self.add(subject, "used", &format!("used:{passed}:{round}"), &[&figures[..], &threshold].concat());
            }
            None if percent < ARMED_BELOW && USED.iter().any(|threshold| told(self, threshold)) => {
                self.add(subject, "use_fell", &format!("fell:{round}"), &figures);
            }
            _ => {}
        }
    }

    fn expiring(&mut self, subject: &Subject, unused: Amount, begun: Time, end: Time) {
        if unused.minor <= 0 || self.now >= end {
            return;
        }
        let news = |days: &&i64| end.plus(-**days * DAY) >= begun && self.now >= end.plus(-**days * DAY);
        let Some(passed) = EXPIRING.iter().rfind(news) else { return };
        let what = |days: &i64| format!("ends:{days}:{}", end.micros());
        if !EXPIRING.iter().any(|days| days <= passed && self.is_told(subject, &what(days))) {
            let figures = [("unused", figure(unused)), ("days", Value::from(*passed)), ("ends_on", end.day().into())];
            self.add(subject, "expiring", &what(passed), &figures);
        }
    }

    /// `which` tells what waits apart from others of the same grant.
    fn waits(&mut self, subject: &Subject, state: &str, since: Time, which: &str) {
        let Some((_, days, what)) = WAITING.iter().find(|(waiting, _, _)| *waiting == state) else { return };
        let mark = format!("waiting:{days}:{}{which}", since.micros());
        if self.now >= since.plus(days * DAY) && !self.is_told(subject, &mark) {
            let figures = [("days", Value::from(*days)), ("for", (*what).into()), ("since_on", since.day().into())];
            self.add(subject, "waiting", &mark, &figures);
        }
    }

    fn overdrawn(&mut self, subject: &Subject, overdraft: Amount) {
        let round = self.round(subject, "covered");
        let told = self.is_told(subject, &format!("overdrawn:{round}"));
        match (overdraft.minor > 0, told) {
            (true, false) => self.add(subject, "overdrawn", &format!("overdrawn:{round}"), &[("overdraft", figure(overdraft))]),
            (false, true) => self.add(subject, "overdraft_covered", &format!("covered:{round}"), &[]),
            _ => {}
        }
    }
}

/// What is stored of a grant or a lot.
#[derive(Default)]
struct Stored {
    available: HashMap<LotId, i64>,
    held: i64,
    spent: i64,
    overdraft: i64,
    free: i64,
}

impl Stored {
    fn add(&mut self, account: &Account) {
        match (account.key.bucket, account.key.lot_id()) {
            (Bucket::Granted, Some(lot)) => *self.available.entry(lot).or_default() += account.balance,
            (Bucket::Held, _) => self.held += account.balance,
            (Bucket::Spent, _) => self.spent += account.balance,
            (Bucket::OverdraftSpent, _) => self.overdraft += account.balance,
            (Bucket::Available, _) => self.free += account.balance,
            _ => {}
        }
    }

    fn granted(&self) -> i64 {
        self.available.values().sum()
    }
}

/// The alerts that are due and not told yet.
pub fn due(conn: &mut Conn, now: Time) -> Result<Vec<NewEvent>, Fault> {
    let mut look = Look { now, told: store::alerts(conn)?, due: Vec::new() };
    let (mut by_grant, mut by_lot): (HashMap<GrantId, Stored>, HashMap<LotId, Stored>) = Default::default();
    for account in ledger::store::accounts(conn, Of::default(), Page::ALL)? {
        if let Some(grant) = account.key.grant_id() {
            by_grant.entry(grant).or_default().add(&account);
        }
        if let Some(lot) = account.key.lot_id() {
            by_lot.entry(lot).or_default().add(&account);
        }
    }
    let lots = donations::store::lots(conn, &donations::Of::default(), Page::ALL)?;
    let by_id: HashMap<LotId, &Lot> = lots.iter().map(|lot| (lot.id, lot)).collect();
    for lot in &lots {
        of_lot(&mut look, lot, by_lot.get(&lot.id));
    }
    let states = ["active", "suspended"].map(String::from).to_vec();
    let of = grants::Of { states: Some(states), ..grants::Of::default() };
    for grant in grants::store::grants(conn, &of, Page::ALL)?.iter().filter(|grant| !grant.is_over(now)) {
        if let Some(stored) = by_grant.get(&grant.id) {
            of_grant(conn, &mut look, grant, stored, &by_id)?;
        }
    }
    waiting(conn, &mut look)?;
    Ok(look.due)
}

/// Tells alerts that were due; how many of them were still new.
pub fn raise(work: &mut Work<'_>, alerts: &[NewEvent]) -> Result<usize, Fault> {
    tell(work, alerts)
}

fn of_lot(look: &mut Look, lot: &Lot, stored: Option<&Stored>) {
    let Some(stored) = stored else { return };
    let (subject, unit) = (Subject::of_lot(lot), lot.amount.unit);
    look.used(&subject, Amount::new(stored.spent, unit), lot.amount);
    if let Some(end) = lot.expires_at {
        look.expiring(&subject, Amount::new(stored.free + stored.granted(), unit), lot.delivered_at, end);
    }
}

fn of_grant(conn: &mut Conn, look: &mut Look, grant: &Grant, stored: &Stored, lots: &HashMap<LotId, &Lot>) -> Result<(), Fault> {
    let (subject, unit) = (Subject::of_grant(grant), grant.about.requested.unit);
    let used = stored.spent.saturating_add(stored.overdraft);
    let mut of = stored.granted() + stored.held + stored.spent;
    // What lapsed was not used, though nothing of it is left.
    if of > 0 && i128::from(used) * 100 >= i128::from(of) * i128::from(ARMED_BELOW) {
        let gone = grants::store::outflows(conn, Some(grant.id))?;
        of += gone.iter().filter(|outflow| outflow.kind != "deobligation").map(|outflow| outflow.amount).sum::<i64>();
    }
    look.used(&subject, Amount::new(used, unit), Amount::new(of, unit));
    look.overdrawn(&subject, Amount::new(stored.overdraft, unit));
    let end = grant.about.period.to;
    let ends = |lot: &LotId| lots.get(lot).and_then(|lot| lot.expires_at).map_or(end, |expiry| expiry.min(end));
    let soonest = stored.available.iter().filter(|(_, free)| **free > 0).map(|(lot, _)| ends(lot)).filter(|end| *end > look.now).min();
    if let Some(soonest) = soonest {
        let unused = stored.available.iter().filter(|(lot, _)| ends(lot) == soonest).map(|(_, free)| free).sum();
        look.expiring(&subject, Amount::new(unused, unit), grant.about.period.from, soonest);
    }
    Ok(())
}

fn waiting(conn: &mut Conn, look: &mut Look) -> Result<(), Fault> {
    let states = WAITING.map(|(state, _, _)| state.to_owned()).to_vec();
    let of = grants::Of { states: Some(states), ..grants::Of::default() };
    let waiting = grants::store::grants(conn, &of, Page::ALL)?;
    let ids: Vec<String> = waiting.iter().map(|grant| grant.id.to_string()).collect();
    let steps = store::last_told(conn, &ids)?;
    for grant in &waiting {
        let subject = Subject::of_grant(grant);
        let since = steps.get(&subject.id).copied().unwrap_or(grant.id.created_at());
        look.waits(&subject, grant.state.word(), since, "");
    }
    for amendment in open_amendments(conn)? {
        let grant = grants::grant(conn, amendment.grant)?;
        if grant.must_run(State::RUNNING, look.now).is_ok() {
            let approved = grants::store::decisions_of(conn, grant.id, Some(amendment.id))?;
            let since = approved.last().map_or(amendment.id.created_at(), |last| last.id.created_at());
            let mut subject = Subject::of_grant(&grant);
            subject.body["amendment"] = json!(amendment.id);
            look.waits(&subject, &amendment.state, since, &format!(":{}", amendment.id));
        }
    }
    Ok(())
}

fn open_amendments(conn: &mut Conn) -> Result<Vec<Amendment>, Fault> {
    let states = amend::OPEN.iter().map(|state| (*state).to_owned()).collect();
    amend::store::amendments(conn, &amend::store::Of { states: Some(states), ..amend::store::Of::default() }, Page::ALL)
}
