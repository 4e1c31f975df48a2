//! The sweep: books what the clock has already decided.
//!
//! Lots past their expiry and the reporting grace lapse or go back to their donor; grants past their end and the grace give what is
//! unused back to their lots. The books are right if it never runs: everything that pays looks at the clock itself.

use std::sync::Arc;

use super::store::{self, Outflow};
use super::{State, grant};
use crate::donations::{self, GRACE, Lot, OnExpiry, Phase, phase};
use crate::id::GrantId;
use crate::ledger::{self, Bucket, Draft, Key, Kind};
use crate::store::{Fault, Page, Work};

/// What a sweep has booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Lots with credits that lapsed or went back to their donor.
    pub lots: usize,
    /// Grants that ended.
    pub grants: usize,
}

/// Books everything that is due. Running it again books nothing more.
pub fn sweep(work: &mut Work<'_>) -> Result<Swept, Fault> {
    let now = work.now();
    let mut swept = Swept { grants: book_ends(work)?, lots: 0 };
    for lot in donations::store::lots(work.sql()?, &donations::Of::default(), Page::ALL)? {
        if phase(lot.expires_at, now) == Phase::Lapsed && expire(work, Arc::new(lot))? {
            swept.lots += 1;
        }
    }
    Ok(swept)
}

/// Books the ends of grants that are due; how many. What is decided about a lot's free credits comes after this: by the clock they
/// include what ended grants have left.
pub fn book_ends(work: &mut Work<'_>) -> Result<usize, Fault> {
    let now = work.now();
    let mut ended = 0;
    for id in store::overdue(work.sql()?, now.plus(-GRACE))? {
        ended += usize::from(end(work, id)?);
    }
    Ok(ended)
}

/// Where what is left of a lot's credits goes, and what that is called.
fn destination(lot: &Lot, expired: bool) -> (Key, &'static str) {
    match (expired, lot.on_expiry) {
        (false, _) => (Key::lot(lot.id, Bucket::Available), "deobligation"),
        (true, OnExpiry::Lapse) => (Key::lot(lot.id, Bucket::Lapsed), "lapse"),
        (true, OnExpiry::Return) => (Key::lot(lot.id, Bucket::Returned), "return"),
    }
}

/// Books a grant's end: credits that had not expired by then go back to their lots, expired ones where the donation says. What expires
/// after the grant's end is the lot's to lose: whenever the end is booked, it reads the same. `false` where something is still held: no
/// hold outlasts its grant, so its expiry is to be booked first.
fn end(work: &mut Work<'_>, id: GrantId) -> Result<bool, Fault> {
    let funded = super::funded(work, id)?;
    for lot in &funded.lots {
        if ledger::balance(work, Key::grant(id, lot.id, Bucket::Held))? > 0 {
            return Ok(false);
        }
    }
    let ended_at = funded.grant.about.period.to;
    let mut draft = Draft::moving(Kind::End, None, ended_at, funded.grant.awarded.unit).about(id.stamp());
    let mut outflows = Vec::new();
    for lot in &funded.lots {
        let share = Key::grant(id, lot.id, Bucket::Granted);
        let free = ledger::balance(work, share)?;
        let (to, kind) = destination(lot, !funded.grant.gives_back(lot));
        draft.shift(share, to, free);
        outflows.push((lot.id, kind, free));
    }
    let birth = ledger::post(work, draft)?;
    for (lot, kind, amount) in outflows.into_iter().filter(|(_, _, amount)| *amount > 0) {
        store::insert_outflow(work.sql_mut()?, &Outflow { seq: birth.seq, grant: id, lot, kind: kind.into(), amount })?;
    }
    let mut ended = grant(work.sql()?, id)?;
    (ended.state, ended.version) = (State::Ended, ended.version + 1);
    store::update_grant(work.sql_mut()?, &ended)?;
    Ok(true)
}

/// Books a lot's expiry, its shares in grants included; whether there was anything left.
fn expire(work: &mut Work<'_>, lot: Arc<Lot>) -> Result<bool, Fault> {
    let (to, word) = destination(&lot, true);
    let kind = if lot.on_expiry == OnExpiry::Return { Kind::Return } else { Kind::Lapse };
    let of = ledger::store::Of { lot: Some(lot.id.stamp()), ..ledger::store::Of::default() };
    let accounts = ledger::store::accounts(work.sql()?, of, Page::ALL)?;
    let left: Vec<_> = accounts.iter().filter(|a| matches!(a.key.bucket, Bucket::Available | Bucket::Granted) && a.balance > 0).collect();
    // One transaction may touch 1,023 accounts: a lot shared by more grants than that is booked in several.
    for some in left.chunks(1000) {
        let mut draft = Draft::moving(kind, None, lot.expires_at.unwrap_or(work.now()), lot.amount.unit).about(lot.id.stamp());
        for account in some {
            draft.shift(account.key, to, account.balance);
        }
        let birth = ledger::post(work, draft)?;
        for account in some {
            if let Some(grant) = account.key.grant_id() {
                let outflow = Outflow { seq: birth.seq, grant, lot: lot.id, kind: word.into(), amount: account.balance };
                store::insert_outflow(work.sql_mut()?, &outflow)?;
            }
        }
    }
    Ok(!left.is_empty())
}
