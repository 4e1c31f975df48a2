//! The sweep: books what the clock has already decided.
//!
//! Lots past their expiry and the reporting grace lapse or go back to their donor; grants past their end and the grace give what is
//! unused back to their lots. The books are right if it never runs: everything that pays looks at the clock itself. Any number of
//! processes may sweep: whoever has the writer's turn books what is due, and the next one finds nothing left.

use std::sync::Arc;

use super::store::{self, Outflow};
use super::{Grant, State, grant};
use crate::donations::{self, GRACE, Lot, OnExpiry};
use crate::id::{GrantId, LotId};
use crate::ledger::{self, Bucket, Draft, Key, Kind};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::Time;

/// What a sweep has booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Lots with credits that lapsed or went back to their donor.
    pub lots: usize,
    /// Grants that ended.
    pub grants: usize,
}

/// Whether anything is due: a look that takes no turn, so that sweeping idle books costs nothing.
pub fn is_due(conn: &mut Conn, now: Time) -> Result<bool, Fault> {
    Ok(!store::overdue(conn, now.plus(-GRACE))?.is_empty() || !lapsed(conn, now)?.is_empty())
}

/// Books everything that is due. Running it again books nothing more.
pub fn sweep(work: &mut Work<'_>) -> Result<Swept, Fault> {
    sweep_some(work, usize::MAX)
}

/// Books so many things that are due at most, so that no commit is long.
pub fn sweep_some(work: &mut Work<'_>, most: usize) -> Result<Swept, Fault> {
    let now = work.now();
    let grants = book_some_ends(work, most)?;
    // Ends come first: a lot lapses with what its grants had left.
    let lots = lapsed(work.sql()?, now)?.into_iter().take(most - grants);
    Ok(Swept { grants, lots: lots.map(|lot| expire(work, lot)).collect::<Result<Vec<()>, Fault>>()?.len() })
}

/// The lots past their expiry and the grace that still hold credits, their shares in grants included.
fn lapsed(conn: &mut Conn, now: Time) -> Result<Vec<LotId>, Fault> {
    let expired = donations::store::expired(conn, now.plus(-GRACE))?;
    ledger::store::lots_with_credits(conn, &expired)
}

/// Books the ends of grants that are due. What is decided about a lot's free credits comes after this: by the clock they include
/// what ended grants have left.
pub fn book_ends(work: &mut Work<'_>) -> Result<usize, Fault> {
    book_some_ends(work, usize::MAX)
}

fn book_some_ends(work: &mut Work<'_>, most: usize) -> Result<usize, Fault> {
    let now = work.now();
    let mut ended = 0;
    for id in store::overdue(work.sql()?, now.plus(-GRACE))?.into_iter().take(most) {
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
    let mut last = None;
    // One transaction may touch 1,023 accounts: a grant of more lots than that takes several.
    for some in funded.lots.chunks(500) {
        last = Some(give_up(work, &funded.grant, some)?);
    }
    let Some(last) = last else { return Ok(false) };
    let mut ended = grant(work.sql()?, id)?;
    if ended.state != State::Closed {
        (ended.state, ended.suspended_at) = (State::Ended, None);
    }
    (ended.booked, ended.version) = (Some(last), ended.version + 1);
    store::update_grant(work.sql_mut()?, &ended)?;
    Ok(true)
}

/// Posts what a grant that has ended gives up of some of its lots; the entry.
fn give_up(work: &mut Work<'_>, grant: &Grant, lots: &[Arc<Lot>]) -> Result<i64, Fault> {
    let mut draft = Draft::moving(Kind::End, None, grant.about.period.to, grant.awarded.unit).about(grant.id.stamp());
    let mut outflows = Vec::new();
    for lot in lots {
        let share = Key::grant(grant.id, lot.id, Bucket::Granted);
        let free = ledger::balance(work, share)?;
        let (to, kind) = destination(lot, !grant.gives_back(lot));
        draft.shift(share, to, free);
        outflows.push((lot.id, kind, free));
    }
    let birth = ledger::post(work, draft)?;
    for (lot, kind, amount) in outflows.into_iter().filter(|(_, _, amount)| *amount > 0) {
        store::insert_outflow(work.sql_mut()?, &Outflow { seq: birth.seq, grant: grant.id, lot, kind: kind.into(), amount })?;
    }
    Ok(birth.seq)
}

/// Books the expiry of a lot that still holds credits, its shares in grants included.
fn expire(work: &mut Work<'_>, lot: LotId) -> Result<(), Fault> {
    let lot = donations::known_lot(work, lot)?;
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
    Ok(())
}
