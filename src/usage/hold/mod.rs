//! Holds: credits set aside for a job about to run, taken from named lots.
//!
//! A hold is a transaction within the grant, from what is free of each lot to what is held of it. It draws only on lots and on a grant that
//! last at least as long as it does, so nothing can take it away; the clock ends it, booked or not. This file has the noun with its
//! rules and the verbs; `open` is what the writer remembers, `store` the SQL.

mod open;
pub mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::charge::priced;
use super::price::price_of;
use super::record::{Record, Used};
use super::refund;
use crate::amount::Amount;
use crate::directory::{self, taken, unknown};
use crate::donations::{Lot, draw};
use crate::grants::{self, Funded, Grant};
use crate::id::{ChargeId, GrantId, HoldId, Id, InstitutionId, LotId, PersonId, ResourceId};
use crate::ledger::store::Account;
use crate::ledger::{self, Bucket, Draft, Few, Key, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::{DAY, Time};
pub use store::Of;

/// The longest a hold may last from its creation (µs).
pub const LONGEST: i64 = 90 * DAY;
/// How long after its expiry a hold is still found by its job (µs).
pub const LATE: i64 = 90 * DAY;

/// Where a hold stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Credits are set aside.
    Open,
    /// Ended with what was really used.
    Settled,
    /// Ended with nothing.
    Released,
    /// Ended by the clock; what was used may still be reported.
    Expired,
}

impl State {
    /// All words.
    pub const WORDS: &'static [&'static str] = &["open", "settled", "released", "expired"];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Settled => "settled",
            State::Released => "released",
            State::Expired => "expired",
        }
    }

    /// From the word.
    pub fn of(word: &str) -> Option<State> {
        [State::Open, State::Settled, State::Released, State::Expired].into_iter().find(|state| state.word() == word)
    }
}

/// The job that credits are set aside for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldJob {
    /// The cluster.
    pub cluster: String,
    /// The job's number there.
    pub id: String,
    /// When it was submitted.
    pub submitted_at: Option<Time>,
}

/// A hold as it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewHold {
    /// On which grant.
    pub grant: GrantId,
    /// What the job will run on; may be left out where the grant is for one resource of the provider alone.
    pub resource: Option<ResourceId>,
    /// How much: an amount, or quantities at the rates in force now.
    pub wanted: Used,
    /// Quality of service, as rates may ask.
    pub qos: Option<String>,
    /// For which job.
    pub job: Option<HeldJob>,
    /// Until when.
    pub expires_at: Time,
    /// The provider's name for it.
    pub external_id: Option<String>,
}

/// A hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Its identifier.
    pub id: HoldId,
    /// On which grant.
    pub grant: GrantId,
    /// Whose.
    pub provider: InstitutionId,
    /// For a job on this resource.
    pub resource: ResourceId,
    /// What was set aside at first.
    pub amount: Amount,
    /// Lot by lot, in draw-down order: what is still set aside; of a hold that has ended, what went back.
    pub rest: Vec<(LotId, i64)>,
    /// Until when.
    pub expires_at: Time,
    /// Where it stands.
    pub state: State,
    /// For which job.
    pub job: Option<HeldJob>,
    /// The provider's name for it.
    pub external_id: Option<String>,
    /// Sequence of the entry that ended it.
    pub closed: Option<i64>,
    /// The charge that settled it.
    pub charge: Option<ChargeId>,
    /// Counts its changes, for `ETag`.
    pub version: i32,
}

impl Hold {
    /// Where it stands by the clock, booked or not.
    pub fn state_at(&self, now: Time) -> State {
        if self.state == State::Open && self.expires_at <= now { State::Expired } else { self.state }
    }

    /// What is set aside by the clock.
    pub fn held_at(&self, now: Time) -> Result<Amount, Refusal> {
        let open = self.state_at(now) == State::Open;
        let minor = ledger::journal::total(self.rest.iter().filter(|_| open).map(|(_, part)| *part))?;
        Ok(Amount::new(minor, self.amount.unit))
    }

    /// Refuses what can only be done to an open hold: `hold_not_open`.
    pub fn expect_open(&self) -> Result<(), Refusal> {
        if self.state == State::Open {
            return Ok(());
        }
        let detail = format!("The hold is {}.", self.state.word());
        Err(Refusal::new(Code::HoldNotOpen, detail).with("state", self.state.word()).with("hold", self.id))
    }
}

/// Whether a hold until then may draw on a lot: it is delivered, admits the resource, and outlasts the hold.
pub(super) fn may_hold(lot: &Lot, resource: ResourceId, until: Time, now: Time) -> bool {
    lot.delivered_at <= now && lot.expires_at.is_none_or(|end| end >= until) && lot.terms.admit_resource(resource)
}

/// Refuses an end that no hold may have which was created then: `validation_failed`.
pub(super) fn check_end(expires_at: Time, created: Time, now: Time) -> Result<(), Refusal> {
    if expires_at > now && expires_at <= created.plus(LONGEST) {
        return Ok(());
    }
    let detail = format!("A hold ends in the future and at most 90 days after its creation, by {}.", created.plus(LONGEST));
    Err(Refusal::field("/expires_at", FieldCode::NotAllowed, detail))
}

/// Refuses a grant that is not active or that ends before the hold would: `grant_not_active`.
pub(super) fn check_grant(grant: &Grant, resource: ResourceId, until: Time, now: Time) -> Result<(), Refusal> {
    let period = grant.about.period;
    if grant.state != grants::State::Active || !period.contains(now) || until > period.to {
        let detail = format!("The grant is {}, from {} to {}; a hold lies within that.", grant.state.word(), period.from, period.to);
        return Err(Refusal::new(Code::GrantNotActive, detail).with("grant", grant.id));
    }
    if !grant.admits(resource) {
        return Err(Refusal::new(Code::TermsNotMet, "The grant is not for this resource.").with("grant", grant.id));
    }
    Ok(())
}

/// The resource that is named, or the only one of the provider's that the grant is for.
fn resource_of(work: &mut Work<'_>, provider: InstitutionId, new: &NewHold, grant: &Grant) -> Result<ResourceId, Fault> {
    let named: Vec<ResourceId> = new.resource.map_or_else(|| grant.about.resources.clone(), |id| vec![id]);
    let mut own = Vec::new();
    for id in named {
        if priced(work, id)?.provider == provider {
            own.push(id);
        }
    }
    match (own.as_slice(), new.resource) {
        ([one], _) => Ok(*one),
        (_, Some(id)) => Err(directory::unknown("/resource", id).into()),
        _ => Err(Refusal::field("/resource", FieldCode::Required, "Name the resource: the grant is not for one of yours alone.").into()),
    }
}

/// Sets credits aside for a job.
///
/// Errors: `unknown` grant or resource; `grant_not_active`, `terms_not_met`, `rate_missing`, `duplicate_external_id`;
/// `insufficient_credits` with the shortfall, or with the overdraft that comes first. `duplicate_external_id` also where credits are set
/// aside for the same job already.
pub fn create(work: &mut Work<'_>, who: PersonId, provider: InstitutionId, new: &NewHold) -> Result<Hold, Fault> {
    let now = work.now();
    let found = grants::funded(work, new.grant).map_err(|fault| fault.refused_as(|_| unknown("/grant", new.grant)))?;
    let resource = resource_of(work, provider, new, &found.grant)?;
    check_end(new.expires_at, now, now)?;
    check_grant(&found.grant, resource, new.expires_at, now)?;
    let unit = found.grant.awarded.unit;
    let rates = priced(work, resource)?;
    let amount = price_of(&new.wanted, new.qos.as_deref(), resource, now, &rates.rates, unit)?.amount;
    if amount.minor == 0 {
        return Err(Refusal::field("/quantities", FieldCode::AmountNotPositive, "At the rates in force this costs nothing.").into());
    }
    if let Some(name) = &new.external_id {
        let of = Of { providers: Some(vec![provider.stamp()]), external_ids: Some(vec![name.clone()]), ..Of::default() };
        if !store::holds(work.sql()?, &of, Page::ALL)?.is_empty() {
            return Err(taken(name).into());
        }
    }
    if let Some(job) = &new.job
        && let Some(other) = open::own(work, new.grant, unit)?.open_for(provider, job, now)
    {
        let detail = "Credits are set aside for this job; settle or release that hold, or extend it.";
        return Err(Refusal::new(Code::DuplicateExternalId, detail).with("hold", other.id).into());
    }
    book_due(work, &found.grant)?;
    let funded = grants::funded(work, new.grant)?;
    refuse_indebted(ledger::balance(work, Key::overdraft(new.grant, Bucket::OverdraftSpent))?, &funded.grant)?;
    let rest = plan(work, &funded, resource, new.expires_at, amount)?;
    let mut draft = Draft::moving(Kind::Hold, Some(who), now, unit).about(new.grant.stamp());
    draft.body =
        Some(serde_json::json!({"provider": provider, "resource": resource, "expires_at": new.expires_at.to_string()}).to_string());
    rest.iter().for_each(|(lot, part)| draft.shift(key(new.grant, *lot, Bucket::Granted), key(new.grant, *lot, Bucket::Held), *part));
    let birth = ledger::post(work, draft)?;
    let hold = Hold {
        id: Id::from_stamp(birth.stamp),
        grant: new.grant,
        provider,
        resource,
        amount,
        rest,
        expires_at: new.expires_at,
        state: State::Open,
        job: new.job.clone(),
        external_id: new.external_id.clone(),
        closed: None,
        charge: None,
        version: 1,
    };
    open::put(work, &hold)?;
    Ok(hold)
}

fn key(grant: GrantId, lot: LotId, bucket: Bucket) -> Key {
    Key::grant(grant, lot, bucket)
}

/// New holds wait until what was used beyond the grant is covered: `insufficient_credits` with the overdraft.
pub(super) fn refuse_indebted(overdraft: i64, grant: &Grant) -> Result<(), Refusal> {
    if overdraft == 0 {
        return Ok(());
    }
    let owed = Amount::new(overdraft, grant.awarded.unit);
    let detail = format!("The grant owes {owed} {} beyond its credits; until that is covered nothing is set aside.", owed.unit.code());
    Err(Refusal::new(Code::InsufficientCredits, detail).with("overdraft", owed).with("grant", grant.id))
}

/// The lots in draw-down order that together have so much free until then: `insufficient_credits` with `free` and `shortfall`.
fn plan(work: &mut Work<'_>, funded: &Funded, resource: ResourceId, until: Time, wanted: Amount) -> Result<Vec<(LotId, i64)>, Fault> {
    let now = work.now();
    let fitting: Vec<&Arc<Lot>> = funded.lots.iter().filter(|lot| may_hold(lot, resource, until, now)).collect();
    let free = ledger::balances(work, fitting.iter().map(|lot| key(funded.grant.id, lot.id, Bucket::Granted)))?;
    let (plan, missing) = draw(fitting.iter().zip(free).map(|(lot, free)| (lot.id, free)), wanted.minor)?;
    if missing > 0 {
        return Err(short(funded.grant.id, wanted, missing).into());
    }
    Ok(plan.into_vec())
}

fn short(grant: GrantId, wanted: Amount, missing: i64) -> Refusal {
    let (free, shortfall) = (Amount::new(wanted.minor - missing, wanted.unit), Amount::new(missing, wanted.unit));
    let detail = format!("The lots that last as long have {free} {} free; {shortfall} are missing.", wanted.unit.code());
    Refusal::new(Code::InsufficientCredits, detail).with("free", free).with("shortfall", shortfall).with("grant", grant)
}

/// A hold of this provider as the books have it. Errors: `not_found`.
fn own_hold(work: &mut Work<'_>, provider: InstitutionId, id: HoldId) -> Result<Hold, Fault> {
    let known = match open::remembered(work, id)? {
        Some(known) => known,
        None => hold(work.sql()?, id)?,
    };
    if known.provider == provider { Ok(known) } else { Err(Refusal::not_found().into()) }
}

/// An open hold of this provider, after everything due on its grant was booked. One that has expired is refused before that, so that
/// the refusal spoils no commit. Errors: `not_found`, `hold_not_open`.
fn find_open(work: &mut Work<'_>, provider: InstitutionId, id: HoldId) -> Result<Hold, Fault> {
    let known = own_hold(work, provider, id)?;
    let state = known.state_at(work.now());
    Hold { state, ..known }.expect_open()?;
    find(work, provider, id)
}

/// A hold of this provider as the books have it after everything due on its grant was booked. Errors: `not_found`.
pub fn find(work: &mut Work<'_>, provider: InstitutionId, id: HoldId) -> Result<Hold, Fault> {
    let known = own_hold(work, provider, id)?;
    let funded = grants::funded(work, known.grant)?;
    if matches!(known.state, State::Open | State::Expired) && book_due(work, &funded.grant)? > 0 {
        return Ok(open::remembered(work, id)?.unwrap_or(known));
    }
    Ok(known)
}

/// One hold. Errors: `not_found`.
pub fn hold(conn: &mut Conn, id: HoldId) -> Result<Hold, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::holds(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Gives a hold a later end. Credits of lots that end before it are replaced by those of others.
///
/// Errors: `not_found`, `hold_not_open`, `grant_not_active`; `insufficient_credits` with the shortfall.
pub fn extend(work: &mut Work<'_>, who: PersonId, provider: InstitutionId, id: HoldId, expires_at: Time) -> Result<Hold, Fault> {
    let now = work.now();
    let mut hold = find_open(work, provider, id)?;
    if expires_at <= hold.expires_at {
        let detail = format!("The hold lasts until {}; name a later end.", hold.expires_at);
        return Err(Refusal::field("/expires_at", FieldCode::NotAllowed, detail).into());
    }
    check_end(expires_at, hold.id.created_at(), now)?;
    let funded = grants::funded(work, hold.grant)?;
    check_grant(&funded.grant, hold.resource, expires_at, now)?;
    let fits = |id: &LotId| funded.lots.iter().any(|lot| lot.id == *id && may_hold(lot, hold.resource, expires_at, now));
    let (kept, left): (Vec<_>, Vec<_>) = hold.rest.iter().copied().partition(|(lot, _)| fits(lot));
    let moved = ledger::journal::total(left.iter().map(|(_, part)| *part))?;
    let added = plan(work, &funded, hold.resource, expires_at, Amount::new(moved, hold.amount.unit))?;
    let mut draft = Draft::moving(Kind::HoldExtension, Some(who), now, hold.amount.unit).about(hold.id.stamp());
    draft.body = Some(serde_json::json!({"expires_at": expires_at.to_string()}).to_string());
    left.iter().for_each(|(lot, part)| draft.shift(key(hold.grant, *lot, Bucket::Held), key(hold.grant, *lot, Bucket::Granted), *part));
    added.iter().for_each(|(lot, part)| draft.shift(key(hold.grant, *lot, Bucket::Granted), key(hold.grant, *lot, Bucket::Held), *part));
    ledger::post(work, draft)?;
    hold.rest = merged(&funded, kept.into_iter().chain(added))?.into_vec();
    (hold.expires_at, hold.version) = (expires_at, hold.version + 1);
    open::put(work, &hold)?;
    refund::cover(work, hold.grant, now)?;
    Ok(hold)
}

/// Parts of a grant's lots as one part a lot, in draw-down order.
pub(super) fn merged(funded: &Funded, parts: impl Iterator<Item = (LotId, i64)>) -> Result<Few<(LotId, i64)>, Refusal> {
    let mut by_lot: BTreeMap<LotId, Vec<i64>> = BTreeMap::new();
    parts.for_each(|(lot, part)| by_lot.entry(lot).or_default().push(part));
    let present = funded.lots.iter().filter_map(|lot| by_lot.remove(&lot.id).map(|parts| (lot.id, parts)));
    present.map(|(lot, parts)| Ok((lot, ledger::journal::total(parts)?))).collect()
}

/// Ends a hold with nothing: its credits go back to the lots they came from. Errors: `not_found`, `hold_not_open`.
pub fn release(work: &mut Work<'_>, who: PersonId, provider: InstitutionId, id: HoldId) -> Result<Hold, Fault> {
    let hold = find_open(work, provider, id)?;
    let now = work.now();
    let grant = hold.grant;
    let released = close(work, hold, Some(who), Kind::Release, now, State::Released)?;
    refund::cover(work, grant, now)?;
    Ok(released)
}

/// Books a hold's end without use: all that is set aside goes back to the lots it came from.
fn close(work: &mut Work<'_>, hold: Hold, who: Option<PersonId>, kind: Kind, at: Time, state: State) -> Result<Hold, Fault> {
    let mut draft = Draft::moving(kind, who, at, hold.amount.unit).about(hold.id.stamp());
    hold.rest
        .iter()
        .for_each(|(lot, part)| draft.shift(key(hold.grant, *lot, Bucket::Held), key(hold.grant, *lot, Bucket::Granted), *part));
    let birth = ledger::post(work, draft)?;
    let closed = Hold { state, closed: Some(birth.seq), version: hold.version + 1, ..hold };
    open::put(work, &closed)?;
    Ok(closed)
}

/// Books what the clock has ended of a grant's holds; how many. Whatever draws on a grant comes after this.
pub fn book_due(work: &mut Work<'_>, grant: &Grant) -> Result<usize, Fault> {
    book_some_due(work, grant, usize::MAX)
}

fn book_some_due(work: &mut Work<'_>, grant: &Grant, most: usize) -> Result<usize, Fault> {
    let (id, unit, now) = (grant.id, grant.awarded.unit, work.now());
    let mut booked = 0;
    while booked < most
        && let Some(hold) = open::own(work, id, unit)?.next_due(now)
    {
        // What is free from a moment on covers by the rules of that moment, whenever it is booked.
        let expired_at = hold.expires_at;
        close(work, hold, None, Kind::HoldExpiry, expired_at, State::Expired)?;
        refund::cover(work, id, expired_at)?;
        booked += 1;
    }
    Ok(booked)
}

/// Whether the clock has ended a hold that is not booked as expired.
pub(super) fn is_due(conn: &mut Conn, now: Time) -> Result<bool, Fault> {
    Ok(!store::grants_due(conn, now)?.is_empty())
}

/// Books every hold that the clock has ended; how many.
pub fn book_expired(work: &mut Work<'_>) -> Result<usize, Fault> {
    book_some_expired(work, usize::MAX)
}

/// Books so many holds at most that the clock has ended, grant by grant; how many.
pub(super) fn book_some_expired(work: &mut Work<'_>, most: usize) -> Result<usize, Fault> {
    let now = work.now();
    let mut booked = 0;
    for id in store::grants_due(work.sql()?, now)? {
        let grant = grants::grant(work.sql()?, id)?;
        booked += book_some_due(work, &grant, most - booked)?;
    }
    Ok(booked)
}

/// Whether a grant has any hold that may yet be settled: all that a charge has to ask where there is none.
pub(super) fn any(work: &mut Work<'_>, grant: &Grant) -> Result<bool, Fault> {
    Ok(!open::own(work, grant.id, grant.awarded.unit)?.is_empty())
}

/// The hold that a record of this job settles, if there is one on the grant.
pub(super) fn of_job(work: &mut Work<'_>, grant: &Grant, provider: InstitutionId, record: &Record) -> Result<Option<Hold>, Fault> {
    let now = work.now();
    let own = open::own(work, grant.id, grant.awarded.unit)?;
    let (Some(cluster), Some(job)) = (&record.job.cluster, &record.job.id) else { return Ok(None) };
    let of = open::OfJob { provider, cluster, job, resource: record.resource, ended_at: record.ended_at };
    Ok(own.for_job(&of, now))
}

/// The grants on which a provider holds credits for a job: for records that do not lead to one grant themselves.
pub(super) fn grants_of_job(work: &mut Work<'_>, provider: InstitutionId, job: &super::record::Job) -> Result<Vec<GrantId>, Fault> {
    match (&job.cluster, &job.id) {
        (Some(cluster), Some(id)) => store::grants_of_job(work.sql()?, provider, cluster, id),
        _ => Ok(Vec::new()),
    }
}

/// Records what a charge has made of a hold, and the charge and its sequence if that settled it.
pub(super) fn charged(work: &mut Work<'_>, mut hold: Hold, settled: Option<(ChargeId, i64)>) -> Result<(), Fault> {
    if let Some((charge, seq)) = settled {
        // One that had expired was closed then.
        (hold.state, hold.charge, hold.closed) = (State::Settled, Some(charge), hold.closed.or(Some(seq)));
    }
    hold.version += 1;
    open::put(work, &hold)
}

/// What the clock has done to a grant's holds and nobody has booked yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unbooked {
    /// By lot: held in the books, and free by the clock.
    pub freed: BTreeMap<LotId, i64>,
    /// By lot: what of that has covered overdrafts.
    pub covered: BTreeMap<LotId, i64>,
}

impl Unbooked {
    /// How much more, or less, a grant's account of a lot has by the clock than in the books.
    pub fn moves(&self, bucket: Bucket, lot: LotId) -> i64 {
        let of = |parts: &BTreeMap<LotId, i64>| parts.get(&lot).copied().unwrap_or(0);
        match bucket {
            Bucket::Held => -of(&self.freed),
            Bucket::Granted => of(&self.freed) - of(&self.covered),
            Bucket::Spent => of(&self.covered),
            _ => 0,
        }
    }
}

/// What the clock has freed of a grant's holds by a moment, without booking it; with `seq`, of what was not booked at that entry of the
/// journal. What that covers is worked out for the present books only.
pub fn unbooked(conn: &mut Conn, grant: GrantId, accounts: &[Account], by: Time, seq: Option<i64>) -> Result<Unbooked, Fault> {
    let mut found = Unbooked::default();
    let due = store::due(conn, &[grant.stamp()], by, seq)?;
    let owing = accounts.iter().any(|account| account.key.bucket == Bucket::OverdraftSpent && account.balance > 0);
    let mut debts = match owing && seq.is_none() && !due.is_empty() {
        true => refund::Debts::of(conn, grant, accounts)?,
        false => refund::Debts::default(),
    };
    for hold in &due {
        for (lot, part) in &hold.rest {
            *found.freed.entry(*lot).or_default() += part;
            debts.free(*lot, *part);
        }
        for (_, lot, part) in debts.cover(hold.expires_at)? {
            *found.covered.entry(lot).or_default() += part;
        }
    }
    Ok(found)
}
