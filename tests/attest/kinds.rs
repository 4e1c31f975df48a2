//! The kinds of tampering: what is done, where, and a law that is broken then. What is done to `posted` is done to the postings, which stand in
//! the rows of their entries.
//!
//! Whoever may do anything in the database can do the first two lists. Most are found from books and log alone. `Kept` stands where nothing in
//! them shows it and only what was kept elsewhere does: an older copy is a true one, only not the last.

use almoner::tlog::note;
use almoner::tlog::{Checkpoint, Signer};

use crate::ruin::Act::{Bit, Forged, Known, Letter, Older, Sql};
use crate::ruin::At::{self, Books, Log};
use crate::ruin::Law::{self, Checkpoints, Kept, Leaves, Lots, Tree, Unreadable};
use crate::ruin::{Act, Kind};
use crate::support::dice::Dice;

const fn kind(what: &'static str, at: At, rows: &'static str, act: Act, law: Law) -> Kind {
    Kind { what, at, rows, act, law }
}

const ENTRIES: &str = "SELECT seq AS n FROM journal ORDER BY seq";
const LAST: &str = "SELECT seq AS n FROM journal ORDER BY seq DESC LIMIT 40";
const WORDED: &str = "SELECT seq AS n FROM journal WHERE body IS NOT NULL ORDER BY seq";
const ACTED: &str = "SELECT seq AS n FROM journal WHERE actor IS NOT NULL ORDER BY seq";
/// Entries that are no charges: of those the columns say who, and what kind they are.
const OTHERS_ACTED: &str = "SELECT seq AS n FROM entries WHERE actor IS NOT NULL ORDER BY seq";
const ABOUT: &str = "SELECT seq AS n FROM journal WHERE subject IS NOT NULL ORDER BY seq";
const STILL: &str = "SELECT seq AS n FROM journal WHERE kind < 10 ORDER BY seq";
const MOVING: &str = "SELECT seq AS n FROM journal WHERE lines IS NOT NULL ORDER BY seq";
const POSTED: &str = "SELECT id AS n FROM postings ORDER BY id";
const ACCOUNTS: &str = "SELECT no AS n FROM accounts WHERE postings > 0 ORDER BY no";
const SHARES: &str = "SELECT no AS n FROM accounts WHERE award <> 0 AND lot <> 0 AND postings > 0 ORDER BY no";
const RUNS: &str = "SELECT first AS n FROM runs WHERE list = 1 AND length(members) > 0 ORDER BY first";
const TAILS: &str = "SELECT first AS n FROM run_tails WHERE list = 1 ORDER BY first";
const CHARGED: &str = "SELECT id AS n FROM charges WHERE said <> '' ORDER BY id";
const ERASED: &str = "SELECT id AS n FROM charges WHERE said = '' ORDER BY id";
const GONE: &str = "SELECT id AS n FROM quarantine WHERE record = '' ORDER BY id";
const PERSONS: &str = "SELECT id AS n FROM persons WHERE name <> '' ORDER BY id";
/// Charges of two postings, to the accounts that most are to.
const PAIRS: &str = "SELECT c.seq AS n FROM charges c JOIN postings p ON p.id = c.seq * 1024 + 1
    WHERE p.account = (SELECT account FROM postings GROUP BY account ORDER BY count(*) DESC, account LIMIT 1)
    AND c.seq NOT IN (SELECT id / 1024 FROM postings WHERE id % 1024 > 2) AND c.id NOT IN (SELECT charge FROM refunds) ORDER BY c.seq";
const KEYS: &str = "SELECT id AS n FROM key_rows ORDER BY id";
/// Without the last: what is in no block is remembered otherwise, so that one less at the end says nothing wrong.
const BLOCKS: &str = "SELECT block AS n FROM key_blocks WHERE block < (SELECT max(block) FROM key_blocks) ORDER BY block";
const REVERSED: &str = "SELECT seq AS n FROM reversals ORDER BY seq";
const REFUNDED: &str = "SELECT id AS n FROM refunds ORDER BY id";
const COVERED: &str = "SELECT id AS n FROM covers ORDER BY id";
const HELD: &str = "SELECT id AS n FROM holds ORDER BY id";
const OPEN: &str = "SELECT id AS n FROM holds WHERE closed IS NULL ORDER BY id";
const LOST: &str = "SELECT id AS n FROM quarantine WHERE record <> '' ORDER BY id";

/// The books' own tables.
pub const OF_BOOKS: &[Kind] = &[
    kind("an entry's words", Books, WORDED, Letter("entries", "body", "seq = {row}"), Leaves),
    kind("an entry's words taken away", Books, WORDED, Sql("UPDATE entries SET body = NULL WHERE seq = {row}"), Leaves),
    kind("who acted", Books, ACTED, Sql("UPDATE journal SET actor = actor + {by} WHERE seq = {row}"), Leaves),
    kind("that somebody acted", Books, OTHERS_ACTED, Sql("UPDATE entries SET actor = NULL WHERE seq = {row}"), Leaves),
    kind("when it happened", Books, ENTRIES, Sql("UPDATE journal SET effective_at = effective_at - {by} WHERE seq = {row}"), Leaves),
    kind("when it was taken", Books, ENTRIES, Sql("UPDATE journal SET recorded_at = recorded_at + {by} WHERE seq = {row}"), Leaves),
    kind("what it is about", Books, ABOUT, Sql("UPDATE journal SET subject = subject + {by} WHERE seq = {row}"), Leaves),
    kind("its kind", Books, OTHERS_ACTED, Sql("UPDATE entries SET kind = CASE kind WHEN 2 THEN 4 ELSE 2 END WHERE seq = {row}"), Leaves),
    kind("an entry taken away", Books, ENTRIES, Sql("DELETE FROM journal WHERE seq = {row}"), Leaves),
    kind("the last entries taken back", Books, LAST, Sql(ROLLED_BACK), Leaves),
    kind("an entry taken away, and the gap closed", Books, ENTRIES, Sql(CLOSED_UP), Leaves),
    kind("an entry put in", Books, STILL, Sql(PUT_IN), Leaves),
    kind("an entry put at the end", Books, STILL, Sql(PUT_LAST), Law::Books(8)),
    kind("two entries swapped", Books, ENTRIES, Sql(SWAPPED), Leaves),
    kind("an amount", Books, POSTED, Sql("UPDATE posted SET amount = amount + {by} WHERE id = {row}"), Leaves),
    kind("an amount, and whatever adds up from it", Books, PAIRS, Sql(ADDED_UP), Leaves),
    kind("a running balance", Books, POSTED, Sql("UPDATE posted SET balance = balance + {by} WHERE id = {row}"), Leaves),
    kind("a line number", Books, POSTED, Sql("UPDATE posted SET nth = nth + {by} WHERE id = {row}"), Leaves),
    kind("whose posting it is", Books, POSTED, Sql(OTHERS), Leaves),
    kind("a posting taken away", Books, POSTED, Sql("DELETE FROM posted WHERE id = {row}"), Leaves),
    kind("a posting more", Books, POSTED, Sql(POSTED_MORE), Leaves),
    kind("two postings swapped", Books, POSTED, Sql(POSTINGS_SWAPPED), Leaves),
    kind("an entry's postings in another order", Books, MOVING, Sql(REORDERED), Law::Books(7)),
    kind("an entry's postings taken away", Books, MOVING, Sql("UPDATE journal SET lines = NULL WHERE seq = {row}"), Leaves),
    kind("an entry's postings cut", Books, MOVING, Sql(CUT), Unreadable),
    kind("an account's balance", Books, ACCOUNTS, Sql("UPDATE accounts SET balance = balance + {by} WHERE no = {row}"), Law::Books(7)),
    kind("an account's postings", Books, ACCOUNTS, Sql("UPDATE accounts SET postings = postings + {by} WHERE no = {row}"), Law::Books(7)),
    kind("an account's grant", Books, SHARES, Sql("UPDATE accounts SET award = award + {by} WHERE no = {row}"), Leaves),
    kind("an account's lot", Books, SHARES, Sql("UPDATE accounts SET lot = lot + {by} WHERE no = {row}"), Leaves),
    kind("an account taken away", Books, ACCOUNTS, Sql("DELETE FROM accounts WHERE no = {row}"), Unreadable),
    kind("an account more", Books, ACCOUNTS, Sql(ACCOUNT_MORE), Law::Books(7)),
    kind("an account's list", Books, RUNS, Bit("runs", "members", "list = 1 AND first = {row}"), Law::Books(7)),
    kind("an account's list taken away", Books, RUNS, Sql("DELETE FROM runs WHERE list = 1 AND first = {row}"), Law::Books(7)),
    kind("what waits to be listed", Books, TAILS, Bit("run_tails", "members", "list = 1 AND first = {row}"), Law::Books(7)),
    kind("where what waits begins", Books, "", Sql("UPDATE run_tails SET first = first + {by} WHERE list = 1"), Law::Books(7)),
    kind("a grant's list", Books, "", Sql("UPDATE runs SET first = first + {by} WHERE list = 2"), Law::Books(6)),
    kind("where the journal ends", Books, "", Sql("UPDATE head SET seq = seq + {by}"), Law::Books(8)),
    kind("when the journal ends", Books, "", Sql("UPDATE head SET stamp = stamp + {by}"), Law::Books(8)),
    kind("a unit's decimals", Books, "", Sql("UPDATE units SET scale = {by} % 6"), Leaves),
    kind(
        "what a reversal reverses",
        Books,
        REVERSED,
        Sql("UPDATE reversals SET reverses = reverses + {by} WHERE seq = {row}"),
        Law::Books(5),
    ),
    kind("a reversal made up", Books, PAIRS, Sql(REVERSAL_MORE), Law::Books(5)),
    kind("who booked what was reversed", Books, REVERSED, Sql(BOOKED_BY), Law::Books(10)),
    kind("who reversed it", Books, REVERSED, Sql(REVERSED_BY), Law::Books(10)),
    kind("a charge's amount", Books, CHARGED, Sql("UPDATE charges SET amount = amount + {by} WHERE id = {row}"), Law::Books(6)),
    kind("a charge's overdraft", Books, CHARGED, Sql("UPDATE charges SET overdraft = overdraft + {by} WHERE id = {row}"), Law::Books(6)),
    kind("what a charge left", Books, CHARGED, Sql("UPDATE charges SET balance_after = balance_after + {by} WHERE id = {row}"), Leaves),
    kind("when a job ended", Books, CHARGED, Sql("UPDATE charges SET ended_at = ended_at + {by} WHERE id = {row}"), Leaves),
    kind("who paid", Books, CHARGED, Sql("UPDATE charges SET award = award + {by} WHERE id = {row}"), Leaves),
    kind("whose usage it is", Books, CHARGED, Sql("UPDATE charges SET provider = provider + {by} WHERE id = {row}"), Leaves),
    kind("what a job ran on", Books, CHARGED, Sql("UPDATE charges SET resource = resource + {by} WHERE id = {row}"), Leaves),
    kind("what a charge was priced by", Books, CHARGED, Sql("UPDATE charges SET rates = '[{by}]' WHERE id = {row}"), Leaves),
    kind("which part it is", Books, CHARGED, Sql("UPDATE charges SET part = part + {by} WHERE id = {row}"), Leaves),
    kind("a charge's place", Books, CHARGED, Sql("UPDATE charges SET seq = seq + 10000 + {by} WHERE id = {row}"), Law::Books(8)),
    kind("a usage record", Books, CHARGED, Letter("charges", "said", "id = {row}"), Leaves),
    kind("a usage record's hash", Books, CHARGED, Bit("charges", "digest", "id = {row}"), Leaves),
    kind("a usage record's key", Books, CHARGED, Bit("charges", "usage_key", "id = {row}"), Leaves),
    kind("a usage record blotted out", Books, CHARGED, Sql("UPDATE charges SET said = '' WHERE id = {row}"), Leaves),
    kind("an erased record's hash", Books, ERASED, Bit("charges", "digest", "id = {row}"), Law::Books(6)),
    kind("an erased record's key", Books, ERASED, Bit("charges", "usage_key", "id = {row}"), Law::Books(6)),
    kind("an erased record put back", Books, ERASED, Sql(PUT_BACK), Law::Books(6)),
    kind("what an erased record metered", Books, ERASED, Sql("UPDATE erased SET metered = '{by}' WHERE id = {row}"), Law::Books(6)),
    kind("that a record was erased", Books, ERASED, Sql("DELETE FROM erased WHERE id = {row}"), Law::Books(6)),
    kind("by what a record was erased", Books, ERASED, Sql("UPDATE erased SET seq = seq - {by} WHERE id = {row}"), Law::Books(6)),
    kind(
        "that another record was erased",
        Books,
        CHARGED,
        Sql("INSERT INTO erased (id, seq, metered) VALUES ({row}, {by}, '')"),
        Law::Books(6),
    ),
    kind("a record in quarantine blotted out", Books, LOST, Sql("UPDATE quarantine SET record = '' WHERE id = {row}"), Law::Books(6)),
    kind("the hash of one that was erased", Books, GONE, Bit("quarantine", "digest", "id = {row}"), Law::Books(6)),
    kind("the key of one that was erased", Books, GONE, Bit("quarantine", "usage_key", "id = {row}"), Law::Books(6)),
    kind("a charge taken away", Books, CHARGED, Sql("DELETE FROM charges WHERE id = {row}"), Leaves),
    kind("a charge more", Books, CHARGED, Sql(CHARGE_MORE), Law::Books(6)),
    kind("keys of usage", Books, KEYS, Bit("key_rows", "entries", "id = {row}"), Law::Books(6)),
    kind("keys of usage taken away", Books, KEYS, Sql("DELETE FROM key_rows WHERE id = {row}"), Law::Books(6)),
    kind("keys of usage in no block", Books, "", Sql(KEYS_MORE), Law::Books(6)),
    kind("how far keys are in a block", Books, BLOCKS, Sql("UPDATE key_blocks SET upto = upto - {by} WHERE block = {row}"), Law::Books(6)),
    kind("a block of keys taken away", Books, BLOCKS, Sql("DELETE FROM key_blocks WHERE block = {row}"), Law::Books(6)),
    kind("a refund's amount", Books, REFUNDED, Sql("UPDATE refunds SET amount = amount + {by} WHERE id = {row}"), Law::Books(5)),
    kind("what a refund is of", Books, REFUNDED, Sql("UPDATE refunds SET charge_seq = charge_seq + {by} WHERE id = {row}"), Law::Books(5)),
    kind("a refund's entry", Books, REFUNDED, Sql("UPDATE refunds SET seq = seq - {by} % 40 - 1 WHERE id = {row}"), Law::Books(5)),
    kind("what is still set aside", Books, OPEN, Sql("UPDATE holds SET rest = '[[{by},3000000]]' WHERE id = {row}"), Law::Books(7)),
    kind("that a hold is open", Books, OPEN, Sql("UPDATE holds SET closed = {by} WHERE id = {row}"), Law::Books(7)),
    kind("a hold taken away", Books, OPEN, Sql("DELETE FROM holds WHERE id = {row}"), Law::Books(7)),
    kind("what a hold is on", Books, OPEN, Sql("UPDATE holds SET award = (SELECT min(id) FROM grants) WHERE id = {row}"), Law::Books(7)),
    kind("a hold's amount", Books, HELD, Sql("UPDATE holds SET amount = amount + {by} WHERE id = {row}"), Law::Books(7)),
    kind("until when a hold is", Books, HELD, Sql("UPDATE holds SET expires_at = expires_at + {by} WHERE id = {row}"), Law::Books(7)),
    kind("whose hold it is", Books, HELD, Sql("UPDATE holds SET provider = provider + {by} WHERE id = {row}"), Law::Books(7)),
    kind("what a hold is for", Books, HELD, Sql("UPDATE holds SET resource = resource + {by} WHERE id = {row}"), Law::Books(7)),
    kind(
        "that a hold was given up",
        Books,
        OPEN,
        Sql("UPDATE holds SET state = 'released', closed = {by} WHERE id = {row}"),
        Law::Books(7),
    ),
    kind("what settled a hold", Books, "", Sql("UPDATE holds SET charge = charge + {by} WHERE charge IS NOT NULL"), Law::Books(7)),
    kind("why a record is in quarantine", Books, LOST, Sql("UPDATE quarantine SET reason = '{word}' WHERE id = {row}"), Law::Books(6)),
    kind("a record in quarantine", Books, LOST, Letter("quarantine", "record", "id = {row}"), Law::Books(6)),
    kind("its hash", Books, LOST, Bit("quarantine", "digest", "id = {row}"), Law::Books(6)),
    kind("its key", Books, LOST, Bit("quarantine", "usage_key", "id = {row}"), Law::Books(6)),
    kind("who reported it", Books, LOST, Sql("UPDATE quarantine SET provider = provider + {by} WHERE id = {row}"), Law::Books(6)),
    kind(
        "that it is open",
        Books,
        LOST,
        Sql("UPDATE quarantine SET state = 'charged', charge = {by}, closed = {by} WHERE id = {row}"),
        Law::Books(6),
    ),
    kind("a record taken out of quarantine", Books, LOST, Sql("DELETE FROM quarantine WHERE id = {row}"), Law::Books(6)),
    kind("a price", Books, "", Sql("UPDATE rates SET price = price + {by}"), Leaves),
    kind("a resource's name", Books, "", Sql("UPDATE resources SET name = '{word}'"), Lots),
];

const DONATIONS: &str = "SELECT id AS n FROM donations ORDER BY id";
const DELIVERED: &str = "SELECT id AS n FROM lots ORDER BY id";
const GRANTS: &str = "SELECT id AS n FROM grants ORDER BY id";
const DECIDED: &str = "SELECT id AS n FROM decisions ORDER BY id";

/// What is found by comparing each row beside the journal with what the journal says, which is law 11 of the books: neither sums nor the log
/// speak of these rows. Names of persons, institutions, projects and donors may have to be erased or put right, and are bound by nothing.
pub const BY_ROWS: &[Kind] = &[
    kind("what was pledged", Books, DONATIONS, Sql("UPDATE donations SET pledged = pledged + {by} WHERE id = {row}"), Law::Books(11)),
    kind("a donation's terms", Books, DONATIONS, Sql(OTHER_TERMS), Law::Books(11)),
    kind("which lot is first", Books, DONATIONS, Sql("UPDATE donations SET draw_priority = {by} WHERE id = {row}"), Law::Books(11)),
    kind("what a lot was", Books, DELIVERED, Sql("UPDATE lots SET amount = amount + {by} WHERE id = {row}"), Law::Books(11)),
    kind("when a lot came", Books, DELIVERED, Sql("UPDATE lots SET delivered_at = delivered_at - {by} WHERE id = {row}"), Law::Books(11)),
    kind("until when a lot is", Books, DELIVERED, Sql("UPDATE lots SET expires_at = delivered_at + {by} WHERE id = {row}"), Law::Books(11)),
    kind("since when a price is", Books, "", Sql("UPDATE rates SET from_at = from_at - {by}"), Law::Books(11)),
    kind("what was awarded", Books, GRANTS, Sql("UPDATE grants SET awarded = awarded + {by} WHERE id = {row}"), Law::Books(11)),
    kind("what was asked for", Books, GRANTS, Sql("UPDATE grants SET requested = requested + {by} WHERE id = {row}"), Law::Books(11)),
    kind("until when a grant is", Books, GRANTS, Sql("UPDATE grants SET ends_at = ends_at + {by} WHERE id = {row}"), Law::Books(11)),
    kind("what a grant is for", Books, GRANTS, Sql("UPDATE grants SET justification = '{word}' WHERE id = {row}"), Law::Books(11)),
    kind("what was decided", Books, DECIDED, Sql("UPDATE decisions SET awarded = awarded + {by} WHERE id = {row}"), Law::Books(11)),
    kind("why it was decided", Books, DECIDED, Sql("UPDATE decisions SET reason = '{word}' WHERE id = {row}"), Law::Books(11)),
    kind("what was approved", Books, DECIDED, Sql("UPDATE decisions SET bound = '{word}' WHERE id = {row}"), Law::Books(11)),
    kind("what was refunded", Books, REFUNDED, Sql("UPDATE refunds SET charge = charge + {by} WHERE id = {row}"), Law::Books(11)),
    kind("which charge was covered", Books, COVERED, Sql("UPDATE covers SET charge = charge + {by} WHERE id = {row}"), Law::Books(11)),
    kind("what was covered", Books, COVERED, Sql("UPDATE covers SET amount = amount + {by} WHERE id = {row}"), Law::Books(11)),
    kind("who erased", Books, "", Sql("UPDATE erasures SET erased_by = erased_by + {by}"), Law::Books(11)),
    kind("on what ground", Books, "", Sql("UPDATE erasures SET ground = 'mistake' WHERE seq > {by} % 9"), Law::Books(11)),
    kind("how much was erased", Books, "", Sql("UPDATE erasures SET charges = charges + {by}"), Law::Books(11)),
    kind("an erasure made up", Books, "", Sql(ERASURE_MORE), Law::Books(11)),
    kind(
        "a person blotted out",
        Books,
        PERSONS,
        Sql("UPDATE persons SET name = '', version = {by} WHERE id = {row}; DELETE FROM identities WHERE person = {row}"),
        Law::Books(11),
    ),
    kind("what left a grant", Books, "", Sql("UPDATE outflows SET amount = amount + {by}"), Law::Books(11)),
];

const OTHER_TERMS: &str = r#"UPDATE donations SET terms = '{"purpose":"{word}"}' WHERE id = {row}"#;
const PUT_BACK: &str = r#"UPDATE charges SET said = '{"external_id":"{word}"}' WHERE id = {row}"#;
const ERASURE_MORE: &str = "INSERT INTO erasures (id, seq, erased_by, ground, charges, records)
    SELECT id + {by}, seq, erased_by, ground, charges, records FROM erasures";
const ROLLED_BACK: &str = "DELETE FROM journal WHERE seq >= {row}";
const CLOSED_UP: &str = "DELETE FROM journal WHERE seq = {row};
    UPDATE journal SET seq = -seq WHERE seq > {row}; UPDATE journal SET seq = -seq - 1 WHERE seq < 0;
    UPDATE head SET seq = seq - 1";
const BOOKED_BY: &str = "UPDATE reversals SET booked_by = booked_by - 1000 - {by} WHERE seq = {row}";
const REVERSED_BY: &str = "UPDATE reversals SET reversed_by = reversed_by - 1000 - {by} WHERE seq = {row}";
const PUT_IN: &str = "UPDATE journal SET seq = -seq WHERE seq > {row}; UPDATE journal SET seq = -seq + 1 WHERE seq < 0;
    UPDATE head SET seq = seq + 1;
    INSERT INTO entries (seq, recorded_at, effective_at, kind, actor, subject, body)
    SELECT seq + 1, recorded_at, effective_at, kind, actor, subject, body FROM journal WHERE seq = {row};
    UPDATE journal SET recorded_at = recorded_at - 1 WHERE seq = {row}";
const PUT_LAST: &str = "INSERT INTO entries (seq, recorded_at, effective_at, kind, actor, subject, body)
    SELECT (SELECT max(seq) + 1 FROM journal), (SELECT max(recorded_at) + {by} FROM journal), effective_at, kind, actor, subject, body
    FROM journal WHERE seq = {row}";
const SWAPPED: &str = "UPDATE journal SET seq = -seq WHERE seq = {row}; UPDATE journal SET seq = {row} WHERE seq = {other};
    UPDATE journal SET seq = {other} WHERE seq = -{row}";
/// More is spent by one job and less by another, from the same lot: no sum, balance or row tells.
const ADDED_UP: &str = "UPDATE posted SET amount = CASE WHEN amount > 0 THEN amount + {by} ELSE amount - {by} END WHERE id / 1024 = {row};
    UPDATE posted SET amount = CASE WHEN amount > 0 THEN amount - {by} ELSE amount + {by} END WHERE id / 1024 = {other};
    UPDATE posted SET balance = (SELECT sum(p.amount) FROM posted p WHERE p.account = posted.account AND p.id <= posted.id);
    UPDATE charges SET amount = amount + {by} WHERE seq = {row}; UPDATE charges SET amount = amount - {by} WHERE seq = {other}";
const OTHERS: &str = "UPDATE posted SET account = (SELECT min(no) FROM accounts WHERE no <> account) WHERE id = {row}";
const POSTED_MORE: &str = "INSERT INTO posted (id, account, amount, nth, balance)
    SELECT (SELECT max(id) + 1 FROM posted), account, amount, nth, balance FROM posted WHERE id = {row}";
const POSTINGS_SWAPPED: &str = "UPDATE posted SET id = -id WHERE id = {row}; UPDATE posted SET id = {row} WHERE id = {other};
    UPDATE posted SET id = {other} WHERE id = -{row}";
const REORDERED: &str = "UPDATE posted SET id = id / 1024 * 1024 + 1024 - id % 1024 WHERE id / 1024 = {row}";
const CUT: &str = "UPDATE journal SET lines = substr(lines, 1, length(lines) - 1 - {by} % 9) WHERE seq = {row}";
const ACCOUNT_MORE: &str = "INSERT INTO accounts (no, bucket, donation, award, lot, unit, balance, postings)
    SELECT no + 1000, bucket, donation, award, lot + {by}, unit, balance, postings FROM accounts WHERE no = {row}";
const REVERSAL_MORE: &str = "INSERT INTO reversals (seq, reverses, booked_by, reversed_by, reason)
    SELECT {row}, max(seq), 1, 2, '{word}' FROM charges WHERE seq <> {row} AND seq NOT IN (SELECT reverses FROM reversals)";
const CHARGE_MORE: &str = "INSERT INTO charges (seq, id, ended_at, actor, award, lines, usage_key, part, digest, provider, resource, amount,
    overdraft, balance_after, rates, said) SELECT (SELECT max(seq) FROM journal) + 1, (SELECT max(recorded_at) FROM journal) + {by}, ended_at,
    actor, award, lines, usage_key, part + {by}, digest, provider, resource, amount, overdraft, balance_after, rates, said
    FROM charges WHERE id = {row}";

const OF_ENTRIES: &str = "SELECT idx AS n FROM log_leaves WHERE seq IS NOT NULL ORDER BY idx";
const LATEST: &str = "SELECT idx AS n FROM log_leaves ORDER BY idx DESC LIMIT 40";
const JOBS: &str = "SELECT idx AS n FROM log_jobs ORDER BY idx";
const NO_JOBS: &str =
    "SELECT idx AS n FROM log_leaves WHERE idx NOT IN (SELECT idx FROM log_jobs) AND leaf NOT LIKE '%\"charge\"%' ORDER BY idx";
const UNTOLD: &str =
    "SELECT idx AS n FROM log_leaves WHERE idx NOT IN (SELECT idx FROM log_jobs) AND leaf LIKE '%\"charge\"%' ORDER BY idx";
const LINES: &str = "SELECT idx AS n FROM log_lines ORDER BY idx, lot";
/// A number that no two have: lots are not a second apart.
const HEADS: &str = "SELECT lot % 1000000 * 100000 + seal AS n FROM log_heads ORDER BY 1";
const LOTS: &str = "SELECT lot AS n FROM log_lots ORDER BY lot";
/// Of seals that say the same, one.
const SEALS: &str = "SELECT min(idx) AS n FROM log_leaves WHERE leaf LIKE '%\"seal\"%' GROUP BY leaf ORDER BY n";
const TILES: &str = "SELECT idx AS n FROM log_tiles ORDER BY idx";
const WIDE: &str = "SELECT CAST(level AS BIGINT) AS n FROM log_edge WHERE length(hashes) > 1000";
const SIGNED: &str = "SELECT size AS n FROM log_checkpoints ORDER BY size";
/// By one key alone: where one follows another both sign, and either is enough.
const SIGNED_ONCE: &str = "SELECT size AS n FROM log_checkpoints WHERE length(note) - length(replace(note, '— ', '')) = 2 ORDER BY size";

/// The log's tables.
pub const OF_LOG: &[Kind] = &[
    kind("a leaf", Log, OF_ENTRIES, Letter("log_leaves", "leaf", "idx = {row}"), Leaves),
    kind("a leaf taken away", Log, OF_ENTRIES, Sql("DELETE FROM log_leaves WHERE idx = {row}"), Leaves),
    kind("the last leaves taken away", Log, LATEST, Sql("DELETE FROM log_leaves WHERE idx >= {row}"), Checkpoints),
    kind("a leaf more", Log, "", Sql("INSERT INTO log_leaves (idx, leaf) SELECT max(idx) + 1, '{word}' FROM log_leaves"), Lots),
    kind("a leaf of another entry", Log, OF_ENTRIES, Sql(OTHER_LEAF), Leaves),
    kind("two leaves swapped", Log, OF_ENTRIES, Sql(LEAVES_SWAPPED), Leaves),
    kind("which entry a leaf is of", Log, OF_ENTRIES, Sql("UPDATE log_leaves SET seq = seq + 9000 + {by} WHERE idx = {row}"), Leaves),
    kind("that a leaf is of an entry", Log, OF_ENTRIES, Sql("UPDATE log_leaves SET seq = NULL WHERE idx = {row}"), Leaves),
    kind("an entry's salt", Log, OF_ENTRIES, Bit("log_leaves", "salt", "idx = {row}"), Leaves),
    kind("an entry's salt taken away", Log, OF_ENTRIES, Sql("UPDATE log_leaves SET salt = NULL WHERE idx = {row}"), Leaves),
    kind("a job's salt", Log, JOBS, Bit("log_jobs", "salt", "idx = {row}"), Leaves),
    kind("a job's salt taken away", Log, JOBS, Sql("DELETE FROM log_jobs WHERE idx = {row}"), Leaves),
    kind("an erased job's salt put back", Log, UNTOLD, Sql(SALT_MORE), Leaves),
    kind("a job's salt where there is no job", Log, NO_JOBS, Sql(SALT_MORE), Lots),
    kind(
        "a job's salt beyond the log",
        Log,
        JOBS,
        Sql("INSERT INTO log_jobs (idx, salt) SELECT idx + 9000, salt FROM log_jobs WHERE idx = {row}"),
        Lots,
    ),
    kind("a line", Log, LINES, Letter("log_lines", "disclosure", "idx = {row}"), Lots),
    kind("a line of another entry", Log, LINES, Sql(OTHER_LINE), Lots),
    kind("a line taken away", Log, LINES, Sql("DELETE FROM log_lines WHERE idx = {row}"), Lots),
    kind("an orphan line", Log, LINES, Sql(LINE_MORE), Lots),
    kind("a line's leaf", Log, LINES, Sql("UPDATE log_lines SET idx = idx + {by} WHERE idx = {row}"), Lots),
    kind("a line's number", Log, LINES, Sql("UPDATE log_lines SET n = n + 9000 WHERE idx = {row}"), Lots),
    kind("whose line it is", Log, LINES, Sql("UPDATE log_lines SET lot = lot + {by} WHERE idx = {row}"), Lots),
    kind("two lines swapped", Log, LINES, Sql(LINES_SWAPPED), Lots),
    kind("a head", Log, HEADS, Letter("log_heads", "head", "lot % 1000000 * 100000 + seal = {row}"), Lots),
    kind("a head's edge", Log, HEADS, Bit("log_heads", "edge", "lot % 1000000 * 100000 + seal = {row}"), Lots),
    kind("a head taken away", Log, HEADS, Sql("DELETE FROM log_heads WHERE lot % 1000000 * 100000 + seal = {row}"), Lots),
    kind(
        "a head that comes late",
        Log,
        HEADS,
        Sql("UPDATE log_heads SET seal = seal + {by} WHERE lot % 1000000 * 100000 + seal = {row}"),
        Lots,
    ),
    kind("a head of another", Log, HEADS, Sql(OTHER_HEAD), Lots),
    kind("a head more", Log, HEADS, Sql(HEAD_MORE), Lots),
    kind("a lot's handle", Log, LOTS, Letter("log_lots", "handle", "lot = {row}"), Lots),
    kind("a lot's handle taken away", Log, LOTS, Sql("DELETE FROM log_lots WHERE lot = {row}"), Lots),
    kind("a lot's handle more", Log, "", Sql("INSERT INTO log_lots (lot, handle) VALUES ({by}, '{word}')"), Lots),
    kind("what handles are keyed with", Books, "", Bit("secrets", "secret", "name = 'handle'"), Lots),
    kind("a provider's secret", Log, "", Bit("log_providers", "secret", "idx > 0"), Leaves),
    kind("where a provider's secret is", Log, "", Sql("UPDATE log_providers SET idx = idx + {by}"), Leaves),
    kind("a provider's secret more", Log, "", Sql(SECRET_MORE), Leaves),
    kind("a seal", Log, SEALS, Letter("log_leaves", "leaf", "idx = {row}"), Lots),
    kind("another seal", Log, SEALS, Sql(OTHER_LEAF), Lots),
    kind("a tile", Log, TILES, Bit("log_tiles", "hashes", "idx = {row}"), Tree),
    kind("a tile cut", Log, TILES, Sql("UPDATE log_tiles SET hashes = substr(hashes, 1, {by}) WHERE idx = {row}"), Tree),
    kind("a tile's place", Log, TILES, Sql("UPDATE log_tiles SET idx = idx + {by} WHERE idx = {row}"), Tree),
    kind("a tile more", Log, TILES, Sql(TILE_MORE), Tree),
    kind("a partial tile", Log, WIDE, Bit("log_edge", "hashes", "level = {row}"), Tree),
    kind("a partial tile cut", Log, WIDE, Sql("UPDATE log_edge SET hashes = substr(hashes, 1, {by}) WHERE level = {row}"), Tree),
    kind(
        "a partial tile more",
        Log,
        WIDE,
        Sql("INSERT INTO log_edge (level, hashes) SELECT level + {by}, hashes FROM log_edge WHERE level = {row}"),
        Tree,
    ),
    kind("a checkpoint", Log, SIGNED_ONCE, Letter("log_checkpoints", "note", "size = {row}"), Checkpoints),
    kind("a checkpoint's size", Log, SIGNED, Sql("UPDATE log_checkpoints SET size = size + {by} WHERE size = {row}"), Checkpoints),
    kind("a checkpoint of another size", Log, SIGNED, Sql(OTHER_NOTE), Checkpoints),
    kind("a checkpoint more", Log, SIGNED, Sql(NOTE_MORE), Checkpoints),
    kind("a checkpoint of another tree by the log's key", Log, SIGNED, Forged { own: true }, Checkpoints),
    kind("a checkpoint by another key", Log, SIGNED, Forged { own: false }, Checkpoints),
    kind("a checkpoint taken away, and not who saw it", Log, SIGNED, Sql("DELETE FROM log_checkpoints WHERE size = {row}"), Checkpoints),
    kind("a cosignature", Log, SIGNED, Letter("log_cosignatures", "line", "size = {row}"), Checkpoints),
    kind("whose cosignature it is", Log, SIGNED, Letter("log_cosignatures", "witness", "size = {row}"), Checkpoints),
    kind("what a cosignature is of", Log, SIGNED, Sql("UPDATE log_cosignatures SET size = size + {by} WHERE size = {row}"), Checkpoints),
    kind("a cosignature of another checkpoint", Log, SIGNED, Sql(OTHER_SEEN), Checkpoints),
    kind("older books", Books, "", Older { books: true, log: false, state: false }, Leaves),
    // These are whole: only who remembers more can tell.
    kind("a checkpoint taken away", Log, SIGNED, Sql(NOTE_LESS), Kept),
    kind("an older log", Log, "", Older { books: false, log: true, state: false }, Kept),
    kind("an older log and signer", Log, "", Older { books: false, log: true, state: true }, Kept),
    kind("older books and log", Log, "", Older { books: true, log: true, state: false }, Kept),
    kind("older books, log and signer", Log, "", Older { books: true, log: true, state: true }, Kept),
    kind("a signer that signed another tree", Log, "", Known(|e, dice| flip(e.signer.iter_mut(), dice)), Kept),
    kind(
        "a signer that signed a larger tree",
        Log,
        "",
        Known(|e, dice| e.signer.iter_mut().for_each(|signed| signed.size += 1 + dice.next() % 997)),
        Kept,
    ),
    kind("a donor who keeps another tree", Log, "", Known(|e, dice| flip(e.kept.iter_mut().map(|(_, kept)| kept).take(1), dice)), Kept),
    kind("the key of another log", Log, "", Known(|e, _| e.keys = vec![another(e.keys[0].name()).verifier()]), Checkpoints),
];

fn flip<'c>(checkpoints: impl Iterator<Item = &'c mut Checkpoint>, dice: &mut Dice) {
    checkpoints.for_each(|one| one.root[dice.below(32)] ^= 1 << dice.below(8));
}

/// A new key under a name.
pub fn another(name: &str) -> Signer {
    Signer::generate(name, note::Kind::Text).expect("a key")
}

const OTHER_LEAF: &str = "UPDATE log_leaves SET leaf = (SELECT o.leaf FROM log_leaves o WHERE o.idx = {other}) WHERE idx = {row}";
const LEAVES_SWAPPED: &str = "UPDATE log_leaves SET idx = -idx WHERE idx = {row}; UPDATE log_leaves SET idx = {row} WHERE idx = {other};
    UPDATE log_leaves SET idx = {other} WHERE idx = -{row}";
const SALT_MORE: &str = "INSERT INTO log_jobs (idx, salt) SELECT {row}, salt FROM log_jobs ORDER BY idx LIMIT 1";
const OTHER_LINE: &str =
    "UPDATE log_lines SET disclosure = (SELECT max(o.disclosure) FROM log_lines o WHERE o.idx = {other}) WHERE idx = {row}";
const LINE_MORE: &str =
    "INSERT INTO log_lines (lot, n, idx, disclosure) SELECT lot, n + 9000 + {by}, idx, disclosure FROM log_lines WHERE idx = {row}";
const LINES_SWAPPED: &str = "UPDATE log_lines SET idx = CASE idx WHEN {row} THEN {other} ELSE {row} END WHERE idx IN ({row}, {other})";
const OTHER_HEAD: &str = "UPDATE log_heads SET head = (SELECT o.head FROM log_heads o WHERE o.lot % 1000000 * 100000 + o.seal = {other}) WHERE lot % 1000000 * 100000 + seal = {row}";
const HEAD_MORE: &str = "INSERT INTO log_heads (lot, seal, head, edge) SELECT lot, seal + {by}, head, edge FROM log_heads WHERE lot % 1000000 * 100000 + seal = {row}";
const KEYS_MORE: &str = "INSERT INTO key_rows (id, entries) SELECT id + 1000000 + {by}, entries FROM key_rows ORDER BY id LIMIT 1";
const SECRET_MORE: &str = "INSERT INTO log_providers (provider, idx, secret) SELECT provider + {by}, idx + 9000, secret FROM log_providers";
const TILE_MORE: &str = "INSERT INTO log_tiles (level, idx, hashes) SELECT level, idx + {by}, hashes FROM log_tiles WHERE idx = {row}";
const OTHER_NOTE: &str =
    "UPDATE log_checkpoints SET note = (SELECT o.note FROM log_checkpoints o WHERE o.size = {other}) WHERE size = {row}";
const NOTE_LESS: &str = "DELETE FROM log_cosignatures WHERE size = {row}; DELETE FROM log_checkpoints WHERE size = {row}";
const OTHER_SEEN: &str =
    "UPDATE log_cosignatures SET line = (SELECT o.line FROM log_cosignatures o WHERE o.size = {other}) WHERE size = {row}";
const NOTE_MORE: &str = "INSERT INTO log_checkpoints (size, note) SELECT size + {by}, note FROM log_checkpoints WHERE size = {row}";
