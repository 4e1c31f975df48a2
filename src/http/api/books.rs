//! The ledger over HTTP: accounts, entries, transactions, trial balance.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::amount::Amount;
use crate::donations;
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id::{self, TransactionId};
use crate::ledger::store::{self as ledger, Account, Of};
use crate::ledger::{Entry, Key, Line};
use crate::refusal::Refusal;
use crate::reports::balance;
use crate::store::{Conn, Fault, Page};
use crate::usage;

use super::door::{Answered, App, created};
use super::grants::{moment, own_grant};
use super::scope::Scope;
use super::view::{Money, instant};

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountView {
    object: &'static str,
    /// Its name, made of its owners and what it holds.
    id: String,
    class: &'static str,
    unit: String,
    /// Debit positive.
    balance: Money,
    postings: i64,
}

fn account_view(account: &Account, balance: i64) -> AccountView {
    AccountView {
        object: "account",
        id: account.key.name(),
        class: account.key.bucket.class().word(),
        unit: account.unit.code().into(),
        balance: Amount::new(balance, account.unit).into(),
        postings: account.postings,
    }
}

/// Filters of the list of accounts.
pub const ACCOUNTS: &[Param] =
    &[Param::one("grant", Form::Id("grt")), Param::one("lot", Form::Id("lot")), Param::one("donation", Form::Id("dnt"))];

/// Lists accounts in the order of their making.
pub async fn list_accounts<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let of = Of {
        grant: query.id::<id::Grant>("grant")?.map(|g| g.stamp()),
        lot: query.id::<id::Lot>("lot")?.map(|l| l.stamp()),
        donation: query.id::<id::Donation>("donation")?.map(|d| d.stamp()),
    };
    let look = move |conn: &mut Conn, _: &Scope, page| ledger::accounts(conn, of, page);
    app.list(&who, &request, &query, look, |_, account| Ok((account.no, account_view(&account, account.balance)))).await
}

fn find(conn: &mut Conn, name: &str) -> Result<Account, Fault> {
    ledger::account(conn, &Key::parse(name)?)?.ok_or_else(|| Refusal::not_found().into())
}

/// Shows one account: now, as of a time, or at a journal sequence.
pub async fn get_account<const R: u8>(_who: Permit<R>, name: Path<String>, query: Query, app: Data<App>) -> Answered {
    let moment = moment(&query, &app)?;
    app.show(move |conn| {
        let account = find(conn, &name)?;
        let balance = moment.balance(conn, &account)?.unwrap_or(0);
        Ok(account_view(&account, balance))
    })
    .await
}

/// A line of an account or a grant or a lot.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountEntry)]
pub struct EntryView {
    object: &'static str,
    /// Its transaction; donors are not told.
    transaction: Option<String>,
    kind: &'static str,
    /// The account; donors are told what of their lot it holds, not whose grant.
    account: String,
    amount: Money,
    /// The account's balance after it.
    balance: Money,
    /// The line's number in its account.
    number: i64,
    /// Its place in the journal; donors are not told.
    seq: Option<i64>,
    recorded_at: String,
    effective_at: String,
}

impl EntryView {
    /// What a donor may see of a line: no project's grant, no identifier that carries a time, no time finer than a day.
    fn for_donor(self, key: &Key) -> EntryView {
        let day = |instant: &str| instant.split('T').next().map(|day| format!("{day}T00:00:00.000000Z")).unwrap_or_default();
        let account = if key.grant == 0 { key.name() } else { format!("granted:{}", key.bucket.word()) };
        let (recorded_at, effective_at) = (day(&self.recorded_at), day(&self.effective_at));
        EntryView { transaction: None, seq: None, account, recorded_at, effective_at, ..self }
    }
}

/// Shows lines, each after its entry's sequence, with what the entries say: these are read together.
fn line_views(conn: &mut Conn, lines: impl Iterator<Item = (i64, Line)>) -> Result<Vec<EntryView>, Fault> {
    let lines: Vec<(i64, Line)> = lines.collect();
    let mut seqs: Vec<i64> = lines.iter().map(|(seq, _)| *seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let entries: HashMap<i64, Entry> = ledger::entries_of(conn, &seqs)?.into_iter().map(|entry| (entry.seq, entry)).collect();
    let view = |(seq, line): (i64, Line)| {
        let entry = entries.get(&seq).ok_or_else(|| Fault::Internal(format!("entry {seq} is missing")))?;
        Ok(EntryView {
            object: "account_entry",
            transaction: Some(entry.id().to_string()),
            kind: entry.kind.word(),
            account: line.account.name(),
            amount: Amount::new(line.amount, line.unit).into(),
            balance: Amount::new(line.balance, line.unit).into(),
            number: line.nth,
            seq: Some(seq),
            recorded_at: instant(entry.recorded_at),
            effective_at: instant(entry.effective_at),
        })
    };
    lines.into_iter().map(view).collect()
}

/// Lists the lines of an account with running balances.
pub async fn list_account_entries<const R: u8>(
    who: Permit<R>,
    name: Path<String>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let key = Key::parse(&name)?;
    let look = move |conn: &mut Conn, _: &Scope, page: Page| {
        let account = ledger::account(conn, &key)?.ok_or_else(Refusal::not_found)?;
        ledger::lines(conn, &[account], page)
    };
    app.list_together(&who, &request, &query, look, keyed_views).await
}

/// Lines as they are shown, each with the posting's number, by which the list goes on.
fn keyed_views(conn: &mut Conn, lines: Vec<(i64, Line)>) -> Result<Vec<(i64, EntryView)>, Fault> {
    let views = line_views(conn, lines.iter().map(|(key, line)| (ledger::seq_of_posting(*key), *line)))?;
    Ok(lines.iter().map(|(key, _)| *key).zip(views).collect())
}

/// Lists the lines of all of a grant's accounts, in journal order.
pub async fn list_grant_entries<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let actor = Actor::clone(&who);
    let look = move |conn: &mut Conn, _: &Scope, page: Page| {
        own_grant(conn, &actor, Roles(R), id)?;
        let accounts = ledger::accounts(conn, Of { grant: Some(id.stamp()), ..Of::default() }, Page::ALL)?;
        ledger::lines(conn, &accounts, page)
    };
    app.list_together(&who, &request, &query, look, keyed_views).await
}

/// Lists the lines of all of a lot's accounts, in journal order: its own and its shares in grants.
pub async fn list_lot_entries<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Lot>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let look = move |conn: &mut Conn, scope: &Scope, page: Page| {
        scope.lot(&donations::lot(conn, id)?)?;
        let accounts = ledger::accounts(conn, Of { lot: Some(id.stamp()), ..Of::default() }, Page::ALL)?;
        let lines = ledger::lines(conn, &accounts, page)?;
        Ok(lines.into_iter().map(|(key, line)| (key, line, scope.all())).collect())
    };
    let show = |conn: &mut Conn, lines: Vec<(i64, Line, bool)>| {
        let views = line_views(conn, lines.iter().map(|(key, line, _)| (ledger::seq_of_posting(*key), *line)))?;
        let told =
            |((key, line, all), view): (&(i64, Line, bool), EntryView)| (*key, if *all { view } else { view.for_donor(&line.account) });
        Ok(lines.iter().zip(views).map(told).collect())
    };
    app.list_together(&who, &request, &query, look, show).await
}

/// A transaction.
#[derive(Serialize, ToSchema)]
#[schema(as = Transaction)]
pub struct TransactionView {
    object: &'static str,
    id: String,
    created_at: String,
    seq: i64,
    kind: &'static str,
    effective_at: String,
    postings: Vec<PostingView>,
    /// The sequence of the reversal, if it was reversed.
    reversed_by: Option<i64>,
}

/// One posting.
#[derive(Serialize, ToSchema)]
#[schema(as = Posting)]
pub struct PostingView {
    account: String,
    amount: Money,
    balance: Money,
    number: i64,
}

fn transaction_view(entry: &Entry, reversed_by: Option<i64>) -> TransactionView {
    let posting = |line: &Line| PostingView {
        account: line.account.name(),
        amount: Amount::new(line.amount, line.unit).into(),
        balance: Amount::new(line.balance, line.unit).into(),
        number: line.nth,
    };
    TransactionView {
        object: "transaction",
        id: entry.id().to_string(),
        created_at: instant(entry.recorded_at),
        seq: entry.seq,
        kind: entry.kind.word(),
        effective_at: instant(entry.effective_at),
        postings: entry.lines.iter().map(posting).collect(),
        reversed_by,
    }
}

/// Lists transactions in journal order.
pub async fn list_transactions<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let look = |conn: &mut Conn, _: &Scope, page: Page| ledger::transactions(conn, page);
    let show = |conn: &mut Conn, entries: Vec<Entry>| {
        let seqs: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
        let reversals = ledger::reversals_of(conn, &seqs)?;
        Ok(entries.iter().map(|entry| (entry.seq, transaction_view(entry, reversals.get(&entry.seq).copied()))).collect())
    };
    app.list_together(&who, &request, &query, look, show).await
}

/// Shows one transaction.
pub async fn get_transaction<const R: u8>(_who: Permit<R>, PathId(id): PathId<id::Transaction>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let entry = usage::transaction(conn, id)?;
        Ok(transaction_view(&entry, ledger::reversal_of(conn, entry.seq)?))
    })
    .await
}

/// Why a transaction is reversed.
#[derive(ToSchema)]
#[schema(as = NewReversal)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ReversalBody {
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Posts the exact mirror of a transaction, once.
pub async fn reverse_transaction<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Transaction>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let reason = f.text("reason", 1000).map(String::from);
    let reason = f.make(|| reason)?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let entry = usage::reverse(work, person, id, &reason)?;
        let id: TransactionId = entry.id();
        created("transactions", id, &transaction_view(&entry, None))
    })
    .await
}

/// The sum of every class of account, by unit.
#[derive(Serialize, ToSchema)]
pub struct TrialBalance {
    object: &'static str,
    units: Vec<TrialUnit>,
    balanced: bool,
}

/// One unit of the trial balance: debit positive, so the classes add up to zero.
#[derive(Serialize, ToSchema)]
pub struct TrialUnit {
    unit: String,
    classes: BTreeMap<String, Money>,
}

/// Sums up every class of account by unit: now, as of a time, or at a journal sequence.
pub async fn trial_balance<const R: u8>(_who: Permit<R>, query: Query, app: Data<App>) -> Answered {
    let moment = moment(&query, &app)?;
    app.show(move |conn| {
        let sums = balance::trial_balance(conn, moment)?;
        let balanced = sums.values().all(|classes| classes.values().map(|sum| i128::from(*sum)).sum::<i128>() == 0);
        let units = sums.into_iter().map(|(unit, classes)| TrialUnit {
            unit: unit.code().into(),
            classes: classes.into_iter().map(|(class, sum)| (class.to_owned(), Amount::new(sum, unit).into())).collect(),
        });
        Ok(TrialBalance { object: "trial_balance", units: units.collect(), balanced })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Unit;
    use crate::id::{GrantId, LotId};
    use crate::ledger::Bucket;

    #[test]
    fn a_donor_is_told_what_became_of_a_credit_and_not_of_whom() {
        let key = Key::grant(GrantId::from_stamp(7_000), LotId::from_stamp(5_000), Bucket::Spent);
        let money = || Money::from(Amount::zero(Unit::new("USD", 6).expect("a unit")));
        let line = EntryView {
            object: "account_entry",
            transaction: Some("txn_x".into()),
            kind: "charge",
            account: key.name(),
            amount: money(),
            balance: money(),
            number: 1,
            seq: Some(9),
            recorded_at: "2026-03-02T10:11:12.000000Z".into(),
            effective_at: "2026-03-01T23:59:59.000000Z".into(),
        };
        let shown = serde_json::to_value(line.for_donor(&key)).expect("JSON");
        assert_eq!((&shown["account"], &shown["recorded_at"]), (&"granted:spent".into(), &"2026-03-02T00:00:00.000000Z".into()));
        let text = shown.to_string();
        for hidden in ["txn_", "grt_", "10:11", "23:59"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        assert!(shown["seq"].is_null());
    }
}
