//! The ledger's SQL: units, journal with its postings, accounts, reversals.

use std::collections::HashMap;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::account::{Bucket, Key};
use super::books::{Change, LINES, State};
use super::journal::{Entry, Kind, Line};
use crate::amount::Unit;
use crate::id::{LotId, PersonId};
use crate::store::runs::{self, Growing, List, Trails};
use crate::store::{Conn, Fault, Page, Pages, bulk, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        units (code) { code -> Text, scale -> Integer, name -> Text, id -> BigInt, }
    }
    // All entries, those too whose rows other rooms write.
    diesel::table! {
        journal (seq) {
            seq -> BigInt, recorded_at -> BigInt, effective_at -> BigInt, kind -> Integer,
            actor -> Nullable<BigInt>, subject -> Nullable<BigInt>, body -> Nullable<Text>, lines -> Nullable<Text>,
        }
    }
    diesel::table! {
        entries (seq) {
            seq -> BigInt, recorded_at -> BigInt, effective_at -> BigInt, kind -> Integer,
            actor -> Nullable<BigInt>, subject -> Nullable<BigInt>, body -> Nullable<Text>, lines -> Nullable<Text>,
        }
    }
    diesel::table! {
        accounts (no) {
            no -> BigInt, bucket -> Integer, donation -> BigInt, award -> BigInt, lot -> BigInt,
            unit -> Text, balance -> BigInt, postings -> BigInt,
        }
    }
    diesel::joinable!(accounts -> units (unit));
    diesel::allow_tables_to_appear_in_same_query!(accounts, units);
    diesel::table! {
        reversals (seq) { seq -> BigInt, reverses -> BigInt, booked_by -> BigInt, reversed_by -> BigInt, reason -> Text, }
    }
}
pub(crate) use tables::units;
use tables::{accounts, entries, journal};

mod digits;
mod places;
mod reading;
mod reversals;

pub use places::{first_at, seq_of, seqs_of};
pub use reading::Journal;
pub(super) use reversals::insert_reversal;
pub use reversals::{Reversal, reversal_of, reversals, reversals_of};

#[derive(Queryable, Clone)]
pub(super) struct JournalRow {
    pub seq: i64,
    pub recorded_at: i64,
    pub effective_at: i64,
    pub kind: i32,
    pub actor: Option<i64>,
    pub subject: Option<i64>,
    pub body: Option<String>,
    pub lines: Option<String>,
}

bulk! { JournalRow => entries { seq, recorded_at, effective_at, kind, actor, subject, body, lines } }

/// A posting as its entry's row has it: the account's number, the amount, its number in the account, the balance after it.
#[derive(Deserialize, Clone, Copy)]
pub(super) struct Posted(pub i64, pub i64, pub i64, pub i64);

impl Posted {
    /// The text of an entry's postings; none for none.
    pub fn text(postings: &[Posted]) -> Option<String> {
        (!postings.is_empty()).then(|| digits::text(postings))
    }

    fn read(seq: i64, text: Option<&str>) -> Result<Vec<Posted>, Fault> {
        let Some(text) = text else { return Ok(Vec::new()) };
        let broken = |_| Fault::Internal(format!("the postings of entry {seq} can't be read"));
        digits::postings(text).map_or_else(|| serde_json::from_str(text).map_err(broken), Ok)
    }
}

/// The runs that say which postings an account has.
const POSTINGS: List = List(1);

/// Entries to be written together, and the lists of postings of all, whoever writes their rows.
pub(super) struct Entries {
    rows: Vec<JournalRow>,
    of_accounts: Growing,
}

impl Default for Entries {
    fn default() -> Entries {
        Entries { rows: Vec::new(), of_accounts: Growing::new(POSTINGS) }
    }
}

impl Entries {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.of_accounts.is_empty()
    }

    pub fn enter(&mut self, row: JournalRow) {
        self.rows.push(row);
    }

    /// Lists a posting under its account.
    pub fn post(&mut self, account: i64, posting: i64) {
        self.of_accounts.add(account, posting);
    }

    /// Hands out what writes them. As many are expected the next time.
    pub fn take(&mut self) -> impl FnOnce(&mut Conn) -> Result<(), Fault> + Send + use<> {
        let next = Vec::with_capacity(self.rows.len());
        let (rows, listed) = (std::mem::replace(&mut self.rows, next), self.of_accounts.take());
        move |conn| {
            bulk::insert(conn, &rows)?;
            listed.write(conn)
        }
    }
}

/// Writes new accounts and the new balances of the others, each in one statement.
pub(super) fn write_accounts(conn: &mut Conn, fresh: &[(Key, State)], moved: &[(Key, State)]) -> Result<(), Fault> {
    for (key, state) in fresh {
        let row = (
            accounts::no.eq(state.no),
            accounts::bucket.eq(key.bucket as i32),
            accounts::donation.eq(key.donation),
            accounts::award.eq(key.grant),
            accounts::lot.eq(key.lot),
            accounts::unit.eq(state.unit.code()),
            accounts::balance.eq(state.balance),
            accounts::postings.eq(state.postings),
        );
        on!(conn, c => diesel::insert_into(accounts::table).values(row).execute(c))?;
    }
    if moved.is_empty() {
        return Ok(());
    }
    let rows: Vec<(i64, i64, i64)> = moved.iter().map(|(_, s)| (s.no, s.balance, s.postings)).collect();
    let rows = serde_json::json!(rows).to_string();
    on!(conn, c => MoveAccounts(rows).execute(c))?;
    Ok(())
}

/// Gives accounts new balances: a JSON list of [number, balance, postings]. Every commit runs it, so it is kept ready by the connection, as
/// statements in words are not.
#[derive(QueryId)]
struct MoveAccounts(String);

impl QueryFragment<Sqlite> for MoveAccounts {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE accounts SET balance = v.value ->> 1, postings = v.value ->> 2 FROM json_each(");
        out.push_bind_param::<Text, _>(&self.0)?;
        out.push_sql(") AS v WHERE no = v.value ->> 0");
        Ok(())
    }
}

impl QueryFragment<Pg> for MoveAccounts {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("UPDATE accounts SET balance = (v ->> 1)::bigint, postings = (v ->> 2)::bigint FROM json_array_elements(");
        out.push_bind_param::<Text, _>(&self.0)?;
        out.push_sql("::json) AS v WHERE no = (v ->> 0)::bigint");
        Ok(())
    }
}

impl<C> RunQueryDsl<C> for MoveAccounts {}

/// Every unit by its code.
pub fn units(conn: &mut Conn) -> Result<HashMap<String, Unit>, Fault> {
    let rows: Vec<(String, i32)> = on!(conn, c => units::table.select((units::code, units::scale)).load(c))?;
    rows.into_iter().map(|(code, scale)| Ok((code.clone(), unit_of(&code, Some(scale))?))).collect()
}

/// Every unit with its name and the stamp of its definition, by code.
pub fn named_units(conn: &mut Conn) -> Result<Vec<(Unit, String, Time)>, Fault> {
    let rows: Vec<(String, i32, String, i64)> = on!(conn, c => units::table.order(units::code).load(c))?;
    rows.into_iter().map(|(code, scale, name, id)| Ok((unit_of(&code, Some(scale))?, name, Time::from_micros(id)))).collect()
}

/// The unit of a row that has its code, by the scale that was found beside it.
pub fn unit_of(code: &str, scale: Option<i32>) -> Result<Unit, Fault> {
    let unit = scale.and_then(|scale| Unit::new(code, u8::try_from(scale).ok()?));
    unit.ok_or_else(|| Fault::Internal(format!("unit {code:?} in the database is unknown or out of form")))
}

pub(super) fn insert_unit(conn: &mut Conn, unit: Unit, name: &str, id: i64) -> Result<(), Fault> {
    let row = (units::code.eq(unit.code()), units::scale.eq(i32::from(unit.scale())), units::name.eq(name), units::id.eq(id));
    on!(conn, c => diesel::insert_into(units::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn last_account(conn: &mut Conn) -> Result<i64, Fault> {
    let last: Option<i64> = on!(conn, c => accounts::table.select(diesel::dsl::max(accounts::no)).first(c))?;
    Ok(last.unwrap_or(0))
}

type AccountRow = ((i64, i32, i64, i64, i64, String, i64, i64), Option<i32>);

fn account_of(row: AccountRow) -> Result<(Key, State), Fault> {
    let ((no, bucket, donation, grant, lot, unit, balance, postings), scale) = row;
    let bucket = Bucket::of(bucket).ok_or_else(|| Fault::Internal(format!("bucket {bucket}")))?;
    let unit = unit_of(&unit, scale)?;
    Ok((Key { bucket, donation, grant, lot }, State { no, unit, balance, postings, change: Change::None }))
}

/// Accounts with what their units are.
#[diesel::dsl::auto_type]
fn with_units() -> _ {
    let columns: <accounts::table as Table>::AllColumns = accounts::all_columns;
    accounts::table.left_join(units::table).select((columns, units::scale.nullable()))
}

pub(super) fn state(conn: &mut Conn, key: &Key) -> Result<Option<State>, Fault> {
    let one = with_units().filter(
        accounts::bucket
            .eq(key.bucket as i32)
            .and(accounts::donation.eq(key.donation))
            .and(accounts::award.eq(key.grant))
            .and(accounts::lot.eq(key.lot)),
    );
    let row: Option<AccountRow> = on!(conn, c => one.first(c).optional())?;
    row.map(|row| account_of(row).map(|(_, state)| state)).transpose()
}

pub(super) fn states_of_grant(conn: &mut Conn, grant: i64) -> Result<Vec<(Key, State)>, Fault> {
    let rows: Vec<AccountRow> = on!(conn, c => with_units().filter(accounts::award.eq(grant)).order(accounts::no).load(c))?;
    rows.into_iter().map(account_of).collect()
}

/// An account as it stands now.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Its number in the database, which orders lists.
    pub no: i64,
    /// Which it is.
    pub key: Key,
    /// What it counts.
    pub unit: Unit,
    /// Signed, debit positive.
    pub balance: i64,
    /// How many postings it has.
    pub postings: i64,
}

impl From<(Key, State)> for Account {
    fn from((key, s): (Key, State)) -> Account {
        Account { no: s.no, key, unit: s.unit, balance: s.balance, postings: s.postings }
    }
}

/// Which accounts to read.
#[derive(Clone, Copy, Default, Debug)]
pub struct Of {
    /// Only this grant's.
    pub grant: Option<i64>,
    /// Only this lot's, its shares in grants included.
    pub lot: Option<i64>,
    /// Only this donation's own.
    pub donation: Option<i64>,
}

/// Accounts in the order of their making, a page.
pub fn accounts(conn: &mut Conn, of: Of, page: Page) -> Result<Vec<Account>, Fault> {
    let rows: Vec<AccountRow> = on!(conn, c => {
        let mut query = with_units().into_boxed();
        if let Some(grant) = of.grant { query = query.filter(accounts::award.eq(grant)); }
        if let Some(lot) = of.lot { query = query.filter(accounts::lot.eq(lot)); }
        if let Some(donation) = of.donation { query = query.filter(accounts::donation.eq(donation)); }
        paged!(query, accounts::no, page, c)
    })?;
    rows.into_iter().map(|row| account_of(row).map(Account::from)).collect()
}

/// Which of these lots hold credits, free or in grants; asked in parts, since a statement takes only so many of them.
pub fn lots_with_credits(conn: &mut Conn, lots: &[LotId]) -> Result<Vec<LotId>, Fault> {
    let buckets = [Bucket::Available as i32, Bucket::Granted as i32];
    let mut found = Vec::new();
    for some in lots.chunks(1000) {
        let stamps: Vec<i64> = some.iter().map(|lot| lot.stamp()).collect();
        let holding =
            accounts::table.filter(accounts::lot.eq_any(stamps).and(accounts::bucket.eq_any(buckets)).and(accounts::balance.gt(0)));
        let some: Vec<i64> = on!(conn, c => holding.select(accounts::lot).distinct().order(accounts::lot).load(c))?;
        found.extend(some.into_iter().map(LotId::from_stamp));
    }
    Ok(found)
}

/// One account, if it exists.
pub fn account(conn: &mut Conn, key: &Key) -> Result<Option<Account>, Fault> {
    Ok(state(conn, key)?.map(|state| Account::from((*key, state))))
}

fn accounts_by_no(conn: &mut Conn, numbers: &[i64]) -> Result<FxHashMap<i64, Account>, Fault> {
    let rows: Vec<AccountRow> = on!(conn, c => with_units().filter(accounts::no.eq_any(numbers)).load(c))?;
    rows.into_iter().map(|row| account_of(row).map(|found| (found.1.no, Account::from(found)))).collect()
}

/// The head as the writer keeps it: last sequence and stamp.
pub fn recorded_head(conn: &mut Conn) -> Result<(i64, i64), Fault> {
    #[derive(QueryableByName)]
    struct Head {
        #[diesel(sql_type = BigInt)]
        seq: i64,
        #[diesel(sql_type = BigInt)]
        stamp: i64,
    }
    let head: Head = on!(conn, c => sql_query("SELECT seq, stamp FROM head").get_result(c))?;
    Ok((head.seq, head.stamp))
}

/// The last sequence of the journal; 0 while it is empty. Asked so that both databases look at the end of each of its tables alone.
pub fn head(conn: &mut Conn) -> Result<i64, Fault> {
    let last: Option<i64> = on!(conn, c => journal::table.select(journal::seq).order(journal::seq.desc()).first(c).optional())?;
    Ok(last.unwrap_or(0))
}

/// Entries from one sequence to another, both included, with their lines.
pub fn entries(conn: &mut Conn, from: i64, to: i64) -> Result<Vec<Entry>, Fault> {
    let rows: Vec<JournalRow> = on!(conn, c => journal::table.filter(journal::seq.between(from, to)).order(journal::seq).load(c))?;
    with_lines(conn, rows)
}

/// Entries of these sequences, without order.
pub fn entries_of(conn: &mut Conn, seqs: &[i64]) -> Result<Vec<Entry>, Fault> {
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<JournalRow> = on!(conn, c => journal::table.filter(journal::seq.eq_any(seqs)).load(c))?;
    rows.into_iter().map(|row| entry_of(row, Vec::new())).collect()
}

/// The same with their lines.
pub fn entries_with_lines(conn: &mut Conn, seqs: &[i64]) -> Result<Vec<Entry>, Fault> {
    let rows: Vec<JournalRow> = on!(conn, c => journal::table.filter(journal::seq.eq_any(seqs)).load(c))?;
    with_lines(conn, rows)
}

/// Transactions (entries of kinds that move credits), a page by sequence.
pub fn transactions(conn: &mut Conn, page: Page) -> Result<Vec<Entry>, Fault> {
    let kinds: Vec<i32> = Kind::ALL.iter().filter(|kind| kind.moves()).map(|kind| *kind as i32).collect();
    let moving = journal::table.filter(journal::kind.eq_any(kinds));
    let rows: Vec<JournalRow> = on!(conn, c => paged!(moving, journal::seq, page, c))?;
    with_lines(conn, rows)
}

/// The lines of entries whose rows were read elsewhere, by sequence: from their texts.
pub fn lines_of_texts(conn: &mut Conn, texts: &[(i64, Option<&str>)]) -> Result<HashMap<i64, Vec<Line>>, Fault> {
    let read = |(seq, text): &(i64, Option<&str>)| Ok((*seq, Posted::read(*seq, *text)?));
    let rows: Vec<(i64, Vec<Posted>)> = texts.iter().map(read).collect::<Result<_, Fault>>()?;
    let accounts = accounts_in(conn, rows.iter().flat_map(|(_, posted)| posted))?;
    rows.into_iter().map(|(seq, posted)| Ok((seq, lines_of(seq, &posted, &accounts)?))).collect()
}

/// Rows that are looked up by one statement.
const LOOKUP: usize = 1000;

/// The postings of these entries by sequence.
fn postings(conn: &mut Conn, seqs: &[i64]) -> Result<HashMap<i64, Vec<Posted>>, Fault> {
    let mut found = HashMap::with_capacity(seqs.len());
    for some in seqs.chunks(LOOKUP) {
        let asked = journal::table.filter(journal::seq.eq_any(some)).select((journal::seq, journal::lines));
        let rows: Vec<(i64, Option<String>)> = on!(conn, c => asked.load(c))?;
        for (seq, text) in rows {
            found.insert(seq, Posted::read(seq, text.as_deref())?);
        }
    }
    Ok(found)
}

/// The accounts that postings name, by number.
fn accounts_in<'p>(conn: &mut Conn, posted: impl Iterator<Item = &'p Posted>) -> Result<FxHashMap<i64, Account>, Fault> {
    let mut numbers: Vec<i64> = posted.map(|posted| posted.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    accounts_by_no(conn, &numbers)
}

fn with_lines(conn: &mut Conn, rows: Vec<JournalRow>) -> Result<Vec<Entry>, Fault> {
    let posted: Vec<Vec<Posted>> = rows.iter().map(|row| Posted::read(row.seq, row.lines.as_deref())).collect::<Result<_, _>>()?;
    let accounts = accounts_in(conn, posted.iter().flatten())?;
    let one = |(row, posted): (JournalRow, Vec<Posted>)| lines_of(row.seq, &posted, &accounts).and_then(|lines| entry_of(row, lines));
    rows.into_iter().zip(posted).map(one).collect()
}

fn lines_of(seq: i64, posted: &[Posted], accounts: &FxHashMap<i64, Account>) -> Result<Vec<Line>, Fault> {
    posted.iter().map(|posted| line_of(seq, posted, accounts.get(&posted.0))).collect()
}

fn line_of(seq: i64, posted: &Posted, account: Option<&Account>) -> Result<Line, Fault> {
    let account = account.ok_or_else(|| Fault::Internal(format!("a posting of entry {seq} names no account")))?;
    let Posted(_, amount, nth, balance) = *posted;
    Ok(Line { account: account.key, unit: account.unit, amount, nth, balance })
}

fn entry_of(row: JournalRow, lines: Vec<Line>) -> Result<Entry, Fault> {
    Ok(Entry {
        seq: row.seq,
        recorded_at: Time::from_micros(row.recorded_at),
        effective_at: Time::from_micros(row.effective_at),
        kind: Kind::of(row.kind)?,
        actor: row.actor.map(PersonId::from_stamp),
        subject: row.subject,
        body: row.body,
        lines,
    })
}

/// The lines of accounts in journal order, a page by posting number, which goes with each.
pub fn lines(conn: &mut Conn, accounts: &[Account], page: Page) -> Result<Vec<(i64, Line)>, Fault> {
    let numbers: Vec<i64> = accounts.iter().filter(|account| account.postings > 0).map(|account| account.no).collect();
    let by_no: HashMap<i64, &Account> = accounts.iter().map(|account| (account.no, account)).collect();
    let ids = runs::members_of(conn, POSTINGS, &numbers, page)?;
    let mut seqs: Vec<i64> = ids.iter().map(|id| seq_of_posting(*id)).collect();
    seqs.dedup();
    let posted = postings(conn, &seqs)?;
    let one = |id: i64| {
        let posted = place_of(&posted, id)?;
        Ok((id, line_of(seq_of_posting(id), &posted, by_no.get(&posted.0).copied())?))
    };
    ids.into_iter().map(one).collect()
}

/// The posting of a number among those of entries.
fn place_of(posted: &HashMap<i64, Vec<Posted>>, id: i64) -> Result<Posted, Fault> {
    let place = usize::try_from(id % LINES).ok().and_then(|place| place.checked_sub(1));
    let own = place.and_then(|place| posted.get(&seq_of_posting(id))?.get(place));
    own.copied().ok_or_else(|| Fault::Internal("the runs name postings that do not exist".into()))
}

/// The postings that each account is said to have, by the account's number.
pub fn trails(conn: &mut Conn) -> Result<Trails, Fault> {
    runs::trails(conn, POSTINGS)
}

/// The number of the posting at this place (from 1) of an entry.
pub const fn posting(seq: i64, place: i64) -> i64 {
    seq * LINES + place
}

/// The sequence of the entry that a posting belongs to.
pub const fn seq_of_posting(number: i64) -> i64 {
    number / LINES
}

/// An account's balance after the journal's entry `seq`, repeatable for ever; `None` where nothing had been posted to it by then.
pub fn balance_at(conn: &mut Conn, account: &Account, seq: i64) -> Result<Option<i64>, Fault> {
    let end = seq.saturating_add(1).saturating_mul(LINES);
    let Some(last) = runs::last_below(conn, POSTINGS, account.no, end)? else { return Ok(None) };
    let posted = postings(conn, &[seq_of_posting(last)])?;
    Ok(Some(place_of(&posted, last)?.3))
}

/// An account's balance from what is effective at or before a moment, as known now. Reads all its postings.
pub fn balance_as_of(conn: &mut Conn, account: &Account, at: Time) -> Result<i64, Fault> {
    let mut sum = 0i64;
    let mut pages = Pages::of(LOOKUP as i64);
    while let Some(lines) = pages.next(|page| lines(conn, std::slice::from_ref(account), page), |(posting, _)| *posting)? {
        let seqs: Vec<i64> = lines.iter().map(|(id, _)| seq_of_posting(*id)).collect();
        let effective = journal::table.filter(journal::seq.eq_any(&seqs).and(journal::effective_at.le(at.micros()))).select(journal::seq);
        let effective: Vec<i64> = on!(conn, c => effective.order(journal::seq).load(c))?;
        let counts = lines.iter().filter(|(id, _)| effective.binary_search(&seq_of_posting(*id)).is_ok());
        sum = counts.map(|(_, line)| line.amount).try_fold(sum, i64::checked_add).ok_or_else(crate::amount::out_of_range)?;
    }
    Ok(sum)
}
