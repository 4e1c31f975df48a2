//! Balances: what a grant has left, until when, and where every credit of a lot or donor is.
//!
//! Reads only. The clock decides what is available, lapsing or lapsed, whether or not a sweep has booked it.

use std::collections::{BTreeMap, HashMap};

use crate::amount::{Amount, Unit};
use crate::donations::{self, Donation, Lot, OnExpiry, Phase, phase};
use crate::grants::{self, Grant};
use crate::id::{DonorId, GrantId, LotId};
use crate::ledger::store::{Account, Of};
use crate::ledger::{self, Bucket, Key, Kind, Line};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page};
use crate::time::Time;
use crate::usage::{self, hold::Unbooked};

/// Which books are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// As they stand, judged by the clock.
    Now(Time),
    /// What was effective by then, as known now; it may differ tomorrow.
    AsOf(Time),
    /// After this journal sequence; repeatable for ever.
    At(i64),
}

impl Moment {
    /// The instant by which expiry is judged.
    fn clock(self, conn: &mut Conn) -> Result<Time, Fault> {
        match self {
            Moment::Now(time) | Moment::AsOf(time) => Ok(time),
            Moment::At(seq) => {
                let entry = ledger::store::entries(conn, seq, seq)?.pop().ok_or_else(Refusal::not_found)?;
                Ok(entry.recorded_at)
            }
        }
    }

    /// An account's balance at that moment; `None` where it was not there yet at a sequence, so that what is told of one never changes.
    pub fn balance(self, conn: &mut Conn, account: &Account) -> Result<Option<i64>, Fault> {
        match self {
            Moment::Now(_) => Ok(Some(account.balance)),
            Moment::AsOf(time) => ledger::store::balance_as_of(conn, account, time).map(Some),
            Moment::At(seq) => ledger::store::balance_at(conn, account, seq),
        }
    }

    /// Whether what was recorded at this sequence, effective at this time, counts.
    fn counts(self, seq: i64, effective: Time) -> bool {
        match self {
            Moment::Now(_) => true,
            Moment::AsOf(time) => effective <= time,
            Moment::At(last) => seq <= last,
        }
    }
}

/// A grant's part of one lot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// The lot.
    pub lot: Lot,
    /// Free to be used now.
    pub available: i64,
    /// Past its end; only for usage until then, reported within the grace.
    pub lapsing: i64,
    /// Set aside for jobs.
    pub held: i64,
    /// Used by jobs, net of refunds.
    pub spent: i64,
}

impl Share {
    fn none(lot: &Lot) -> Share {
        Share { lot: lot.clone(), available: 0, lapsing: 0, held: 0, spent: 0 }
    }
}

/// What a grant has left. Amounts in the grant's unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantBalance {
    /// The grant.
    pub grant: Grant,
    /// What had come in by then: all that is there, was used, lapsed, went back or was passed on.
    pub awarded: Amount,
    /// Free to be used now.
    pub available: Amount,
    /// Set aside for jobs.
    pub held: Amount,
    /// Used by jobs, net of refunds, overdraft apart.
    pub spent: Amount,
    /// Given back by refunds.
    pub refunded: Amount,
    /// Past its end, within the reporting grace.
    pub lapsing: Amount,
    /// Expired unused, or returned to the donor on expiry.
    pub lapsed: Amount,
    /// Given back to its lots.
    pub deobligated: Amount,
    /// Passed on to other grants.
    pub transferred: Amount,
    /// Used beyond the grant and not yet covered.
    pub overdraft: Amount,
    /// Lot by lot, in draw-down order.
    pub lots: Vec<Share>,
    /// By which clock.
    pub as_of: Time,
}

/// A grant's balance. Errors: `not_found` where there is no such moment.
pub fn grant_balance(conn: &mut Conn, mut grant: Grant, moment: Moment) -> Result<GrantBalance, Fault> {
    let id = grant.id;
    if let Moment::At(seq) = moment {
        // Repeatable for ever: a later extension or closing moves no end that stood then.
        grant.about.period.to = grants::life::end_at(conn, &grant, seq)?;
    }
    let now = moment.clock(conn)?;
    let unit = grant.awarded.unit;
    let (mut overdraft, mut unbooked_lapse, mut unbooked_end) = (0i64, 0i64, 0i64);
    let accounts = ledger::store::accounts(conn, Of { grant: Some(id.stamp()), ..Of::default() }, Page::ALL)?;
    let unbooked = unbooked(conn, id, &accounts, moment, now)?;
    let lots = donations::lots_of(conn, &accounts)?;
    let mut shares: BTreeMap<LotId, Share> = BTreeMap::new();
    for account in accounts {
        let Some(balance) = moment.balance(conn, &account)? else { continue };
        let Some(lot) = account.key.lot_id() else {
            overdraft += if account.key.bucket == Bucket::OverdraftSpent { balance } else { 0 };
            continue;
        };
        let balance = balance + unbooked.moves(account.key.bucket, lot);
        let lot = lots.get(&lot).ok_or_else(|| Fault::Internal(format!("{lot} has an account and does not exist")))?;
        let share = shares.entry(lot.id).or_insert_with(|| Share::none(lot));
        match account.key.bucket {
            Bucket::Held => share.held = balance,
            Bucket::Spent => share.spent = balance,
            _ if grant.is_over(now) && grant.gives_back(&share.lot) => unbooked_end += balance,
            _ => match worst(phase(share.lot.expires_at, now), phase(Some(grant.about.period.to), now)) {
                Phase::Usable => share.available = balance,
                Phase::Lapsing => share.lapsing = balance,
                Phase::Lapsed => unbooked_lapse += balance,
            },
        }
    }
    let mut lots: Vec<Share> = shares.into_values().collect();
    lots.sort_by(|a, b| a.lot.draw_order(&b.lot));
    let sum = |part: fn(&Share) -> i64| total(lots.iter().map(part), unit);
    let [lapsed, deobligated, transferred] = outflows(conn, id, moment)?;
    let [available, held, spent, lapsing] = [sum(|s| s.available)?, sum(|s| s.held)?, sum(|s| s.spent)?, sum(|s| s.lapsing)?];
    let (lapsed, deobligated) = (total([lapsed, unbooked_lapse], unit)?, total([deobligated, unbooked_end], unit)?);
    // What came in by then is where it went: supplements and transfers that came later are not in it.
    let parts = [available, held, spent, lapsing, lapsed, deobligated].map(|part| part.minor);
    Ok(GrantBalance {
        awarded: total(parts.into_iter().chain([transferred]), unit)?,
        available,
        held,
        spent,
        lapsing,
        refunded: Amount::new(refunded(conn, id, moment)?, unit),
        lapsed,
        deobligated,
        transferred: Amount::new(transferred, unit),
        overdraft: Amount::new(overdraft - ledger::journal::total(unbooked.covered.values().copied())?, unit),
        grant,
        lots,
        as_of: now,
    })
}

/// What the clock has done to a grant's holds and the books do not say yet.
fn unbooked(conn: &mut Conn, id: GrantId, accounts: &[Account], moment: Moment, now: Time) -> Result<Unbooked, Fault> {
    if !accounts.iter().any(|account| account.key.bucket == Bucket::Held) {
        return Ok(Unbooked::default());
    }
    let seq = if let Moment::At(seq) = moment { Some(seq) } else { None };
    usage::hold::unbooked(conn, id, accounts, now, seq)
}

fn worst(a: Phase, b: Phase) -> Phase {
    match (a, b) {
        (Phase::Lapsed, _) | (_, Phase::Lapsed) => Phase::Lapsed,
        (Phase::Lapsing, _) | (_, Phase::Lapsing) => Phase::Lapsing,
        _ => Phase::Usable,
    }
}

fn total(parts: impl IntoIterator<Item = i64>, unit: Unit) -> Result<Amount, Fault> {
    Ok(Amount::new(ledger::journal::total(parts)?, unit))
}

fn refunded(conn: &mut Conn, id: GrantId, moment: Moment) -> Result<i64, Fault> {
    let refunds = usage::store::refunds_of_grant(conn, id)?;
    let counted = refunds.iter().filter(|r| moment.counts(r.seq, r.id().created_at())).map(|r| r.amount);
    Ok(ledger::journal::total(counted)?)
}

/// What lapsed or went back to donors, what went back to lots, and what was passed on.
fn outflows(conn: &mut Conn, id: GrantId, moment: Moment) -> Result<[i64; 3], Fault> {
    let outflows = grants::store::outflows(conn, Some(id))?;
    let seqs: Vec<i64> = outflows.iter().map(|o| o.seq).collect();
    let effective: BTreeMap<i64, Time> = ledger::store::entries_of(conn, &seqs)?.iter().map(|e| (e.seq, e.effective_at)).collect();
    let (mut lapsed, mut deobligated, mut transferred) = (Vec::new(), Vec::new(), Vec::new());
    for outflow in &outflows {
        if effective.get(&outflow.seq).is_some_and(|time| moment.counts(outflow.seq, *time)) {
            let side = match outflow.kind.as_str() {
                "deobligation" => &mut deobligated,
                "transfer" => &mut transferred,
                _ => &mut lapsed,
            };
            side.push(outflow.amount);
        }
    }
    let total = |parts| ledger::journal::total(parts);
    Ok([total(lapsed)?, total(deobligated)?, total(transferred)?])
}

/// Where the credits of a lot, a donation or a donor are. Amounts in one unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whereabouts {
    /// What is counted.
    pub unit: Unit,
    /// Promised, net of what was cancelled.
    pub pledged: Amount,
    /// Received.
    pub delivered: Amount,
    /// Received and not granted; past its expiry it counts as lapsed or returned.
    pub available: Amount,
    /// Granted and free there.
    pub granted: Amount,
    /// Set aside for jobs.
    pub held: Amount,
    /// Used by jobs, net of refunds.
    pub spent: Amount,
    /// Expired unused.
    pub lapsed: Amount,
    /// Given back to the donor.
    pub returned: Amount,
}

impl Whereabouts {
    fn none(unit: Unit) -> Whereabouts {
        let zero = Amount::zero(unit);
        Whereabouts {
            unit,
            pledged: zero,
            delivered: zero,
            available: zero,
            granted: zero,
            held: zero,
            spent: zero,
            lapsed: zero,
            returned: zero,
        }
    }

    /// Adds what one account of a lot has. What the clock has taken is where the sweep will book it.
    fn add(&mut self, bucket: Bucket, amount: Amount, lot: &Lot, over: bool, now: Time) -> Result<(), Fault> {
        let gone = phase(lot.expires_at, now) == Phase::Lapsed;
        let side = match (bucket, gone, lot.on_expiry) {
            (Bucket::Granted, false, _) if over => &mut self.available,
            (Bucket::Available | Bucket::Granted, true, OnExpiry::Lapse) | (Bucket::Lapsed, ..) => &mut self.lapsed,
            (Bucket::Available | Bucket::Granted, true, OnExpiry::Return) | (Bucket::Returned, ..) => &mut self.returned,
            (Bucket::Available, ..) => &mut self.available,
            (Bucket::Granted, ..) => &mut self.granted,
            (Bucket::Held, ..) => &mut self.held,
            (Bucket::Spent, ..) => &mut self.spent,
            _ => return Ok(()),
        };
        *side = side.plus(amount)?;
        self.delivered = self.delivered.plus(amount)?;
        Ok(())
    }
}

/// Where the credits of one lot are.
pub fn lot_whereabouts(conn: &mut Conn, lot: &Lot, now: Time) -> Result<Whereabouts, Fault> {
    let mut found = Whereabouts::none(lot.amount.unit);
    let accounts = ledger::store::accounts(conn, Of { lot: Some(lot.id.stamp()), ..Of::default() }, Page::ALL)?;
    let mut moved: HashMap<GrantId, Unbooked> = HashMap::new();
    for grant in accounts.iter().filter(|a| a.key.bucket == Bucket::Held && a.balance > 0).filter_map(|a| a.key.grant_id()) {
        let own = ledger::store::accounts(conn, Of { grant: Some(grant.stamp()), ..Of::default() }, Page::ALL)?;
        moved.insert(grant, usage::hold::unbooked(conn, grant, &own, now, None)?);
    }
    let granted = accounts.iter().filter(|account| account.key.bucket == Bucket::Granted);
    let ids: Vec<i64> = granted.map(|account| account.key.grant).collect();
    let awarded = grants::store::grants(conn, &grants::Of { ids: Some(ids), ..grants::Of::default() }, Page::ALL)?;
    let over: Vec<GrantId> = awarded.iter().filter(|grant| grant.is_over(now)).map(|grant| grant.id).collect();
    for account in &accounts {
        let grant = account.key.grant_id();
        let unbooked = grant.and_then(|id| moved.get(&id)).map_or(0, |unbooked| unbooked.moves(account.key.bucket, lot.id));
        let amount = Amount::new(account.balance + unbooked, account.unit);
        found.add(account.key.bucket, amount, lot, grant.is_some_and(|id| over.contains(&id)), now)?;
    }
    Ok(found)
}

/// What was promised with a donation, net of what was cancelled: of a cancelled one, what had been delivered of the pledge by then.
fn pledged(conn: &mut Conn, donation: &Donation) -> Result<Amount, Fault> {
    if donation.state == "accepted" {
        return Ok(donation.about.pledged);
    }
    let unit = donation.about.unit;
    let Some(receivable) = ledger::store::account(conn, &Key::donation(donation.id, Bucket::Receivable))? else {
        return Ok(Amount::zero(unit));
    };
    let lines = ledger::store::lines(conn, &[receivable], Page::ALL)?;
    let lines: Vec<(i64, Line)> = lines.into_iter().map(|(posting, line)| (ledger::store::seq_of_posting(posting), line)).collect();
    let seqs: Vec<i64> = lines.iter().map(|(seq, _)| *seq).collect();
    let kinds: BTreeMap<i64, Kind> = ledger::store::entries_of(conn, &seqs)?.iter().map(|entry| (entry.seq, entry.kind)).collect();
    let promises = lines.iter().filter(|(seq, _)| matches!(kinds.get(seq), Some(Kind::Pledge | Kind::Cancellation)));
    total(promises.map(|(_, line)| line.amount), unit)
}

/// Where the credits of all of a donor's accepted donations are, by unit.
pub fn donor_whereabouts(conn: &mut Conn, donor: DonorId, now: Time) -> Result<Vec<Whereabouts>, Fault> {
    let of = donations::Of { donors: Some(vec![donor.stamp()]), ..donations::Of::default() };
    let mut by_unit: BTreeMap<Unit, Whereabouts> = BTreeMap::new();
    for donation in donations::store::donations(conn, &of, Page::ALL)? {
        let unit = donation.about.unit;
        let found = by_unit.entry(unit).or_insert_with(|| Whereabouts::none(unit));
        found.pledged = found.pledged.plus(pledged(conn, &donation)?)?;
    }
    for lot in donations::store::lots(conn, &of, Page::ALL)? {
        let unit = lot.amount.unit;
        let found = by_unit.entry(unit).or_insert_with(|| Whereabouts::none(unit));
        let one = lot_whereabouts(conn, &lot, now)?;
        let sides = [
            (&mut found.delivered, one.delivered),
            (&mut found.available, one.available),
            (&mut found.granted, one.granted),
            (&mut found.held, one.held),
            (&mut found.spent, one.spent),
            (&mut found.lapsed, one.lapsed),
            (&mut found.returned, one.returned),
        ];
        for (sum, part) in sides {
            *sum = sum.plus(part)?;
        }
    }
    Ok(by_unit.into_values().collect())
}

/// The trial balance: the sum of every class of account, by unit. Debits equal credits.
pub fn trial_balance(conn: &mut Conn, moment: Moment) -> Result<BTreeMap<Unit, BTreeMap<&'static str, i64>>, Fault> {
    let mut sums: BTreeMap<Unit, BTreeMap<&'static str, i64>> = BTreeMap::new();
    for account in ledger::store::accounts(conn, Of::default(), Page::ALL)? {
        let Some(balance) = moment.balance(conn, &account)? else { continue };
        let sum = sums.entry(account.unit).or_default().entry(account.key.bucket.class().word()).or_default();
        *sum = sum.checked_add(balance).ok_or_else(crate::amount::out_of_range)?;
    }
    Ok(sums)
}
