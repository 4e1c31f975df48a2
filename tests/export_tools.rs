//! The books in other people's tools: random journals that keep the laws are accepted by beancount, hledger and ledger, which agree with
//! us on every balance; with one digit changed, each of them refuses.

mod tools;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use almoner::amount::{Amount, Unit};
use almoner::id::{DonationId, GrantId, LotId, TransactionId};
use almoner::reports::export::{Account, Class, Entry, Format, Line, Summary, write};
use almoner::time::{DAY, SECOND, Time};
use tools::{Balances, Tool, verify};

/// A small generator (SplitMix64), so that a seed is a journal for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// 1 ..= most, of any size with like chance.
    fn part_of(&mut self, most: i64) -> i64 {
        let magnitude = most >> self.below(20).min(most.ilog2() as usize);
        1 + (self.next() % magnitude as u64) as i64
    }
}

/// A lot with the grant drawn from it.
struct Way {
    unit: Unit,
    donation: String,
    lot: String,
    grant: String,
}

/// Books that move by the postings of the design, and never below zero.
struct Books {
    dice: Dice,
    step: i64,
    now: i64,
    ways: Vec<Way>,
    balances: HashMap<String, Amount>,
    entries: Vec<Entry>,
}

type Move = (Class, String, i64);

impl Books {
    /// So many transactions, on average `step` microseconds apart.
    fn random(seed: u64, transactions: usize, step: i64) -> Books {
        let start = Time::parse("2026-01-30T22:00:00Z").expect("a time").micros();
        let mut books = Books { dice: Dice(seed), step, now: start, ways: Vec::new(), balances: HashMap::new(), entries: Vec::new() };
        for (code, scale) in [("USD", 6), ("GPU-HOUR", 4), ("ACCESS-CREDIT", 0), ("A'B.C_9", 9)] {
            for _ in 0..2 + transactions / 1000 {
                books.open(Unit::new(code, scale).expect("a unit"));
            }
        }
        while books.entries.len() < transactions {
            books.event();
        }
        books
    }

    fn open(&mut self, unit: Unit) {
        let mut stamp = || {
            self.now += 1;
            self.now
        };
        let (donation, lot, grant) = (DonationId::from_stamp(stamp()), LotId::from_stamp(stamp()), GrantId::from_stamp(stamp()));
        let way = Way { unit, donation: format!("donation:{donation}"), lot: format!("lot:{lot}"), grant: format!("grant:{grant}:{lot}") };
        self.ways.push(way);
    }

    fn free(&self, name: &str) -> i64 {
        self.balances.get(name).map_or(0, |b| b.minor)
    }

    fn event(&mut self) {
        use Class::{Asset, Equity, Expense, Income, Liability};
        let place = self.dice.below(self.ways.len());
        let Way { unit, donation, lot, grant } = &self.ways[place];
        let (unit, overdraft) = (*unit, format!("{}:overdraft", &grant[..grant.len() - 31]));
        let name = |owner: &str, bucket: &str| format!("{owner}:{bucket}");
        let (receivable, given) = (name(donation, "receivable"), name(donation, "given"));
        let (in_lot, lapsed, returned) = (name(lot, "available"), name(lot, "lapsed"), name(lot, "returned"));
        let (in_grant, held, spent) = (name(grant, "available"), name(grant, "held"), name(grant, "spent"));
        let (over, owed) = (name(&overdraft, "spent"), name(&overdraft, "owed"));
        let pick = self.dice.below(40);
        let source = match pick {
            0 => "",
            1 => &receivable,
            2..=4 | 37 | 38 => &in_lot,
            30..=33 => &held,
            35 => &spent,
            36 => &over,
            _ => &in_grant,
        };
        let most = if source.is_empty() { 9_000_000_000_000_000 } else { self.free(source) };
        if most < 1 || (pick == 0 && self.free(&given) != 0) || (pick == 36 && self.free(&in_grant) < most) {
            return;
        }
        let n = if pick == 30 { most } else { self.dice.part_of(most) };
        let used = self.dice.next() as i64 & i64::MAX;
        let used = used % (n + 1);
        let moves: (&str, Vec<Move>) = match pick {
            0 => ("pledge", vec![(Asset, receivable, n), (Income, given, -n)]),
            1 => ("delivery", vec![(Asset, in_lot, n + 7), (Asset, receivable, -n), (Income, given, -7)]),
            2..=4 => ("award", vec![(Asset, in_grant, n), (Asset, in_lot, -n)]),
            5..=9 => ("hold", vec![(Asset, held, n), (Asset, in_grant, -n)]),
            30..=33 => ("settle", vec![(Expense, spent, used), (Asset, in_grant, n - used), (Asset, held, -n)]),
            34 => {
                let beyond = n / 3 + 1;
                ("charge", vec![(Expense, spent, n), (Asset, in_grant, -n), (Expense, over, beyond), (Liability, owed, -beyond)])
            }
            35 => ("refund", vec![(Expense, spent, -n), (Asset, in_grant, n)]),
            36 => ("cover", vec![(Expense, spent, n), (Asset, in_grant, -n), (Liability, owed, n), (Expense, over, -n)]),
            37 => ("lapse", vec![(Expense, lapsed, n / 50), (Asset, in_lot, -(n / 50))]),
            38 => ("return", vec![(Equity, returned, n / 50), (Asset, in_lot, -(n / 50))]),
            39 => ("deobligation", vec![(Asset, in_lot, n / 9), (Asset, in_grant, -(n / 9))]),
            // Each account twice in one transaction: a balance holds after each posting, not after each transaction.
            29 => {
                let (a, b) = (n / 2, n - n / 2);
                ("charge", vec![(Expense, spent.clone(), a), (Asset, in_grant.clone(), -a), (Expense, spent, b), (Asset, in_grant, -b)])
            }
            _ => ("charge", vec![(Expense, spent, n), (Asset, in_grant, -n)]),
        };
        self.post(moves.0, unit, moves.1);
    }

    fn post(&mut self, kind: &'static str, unit: Unit, moves: Vec<Move>) {
        assert_eq!(moves.iter().map(|m| m.2).sum::<i64>(), 0, "the generator keeps the first law");
        self.now += 1 + self.dice.below(2 * self.step as usize) as i64;
        let late = [0, 3 * SECOND, DAY, 9 * DAY][self.dice.below(4)];
        let mut lines = Vec::new();
        for (class, name, minor) in moves {
            let held = self.balances.entry(name.clone()).or_insert(Amount::zero(unit));
            *held = held.plus(Amount::new(minor, unit)).expect("within range");
            assert!(class != Class::Asset || held.minor >= 0, "the generator keeps the fourth law");
            lines.push(Line { account: Account { name, class, unit }, amount: Amount::new(minor, unit), balance: *held });
        }
        self.entries.push(Entry {
            seq: 3 + 2 * self.entries.len() as i64,
            recorded_at: Time::from_micros(self.now),
            effective_at: Time::from_micros(self.now - late),
            kind,
            id: TransactionId::from_stamp(self.now).to_string(),
            lines,
        });
    }

    fn balances(&self) -> Balances {
        self.balances.iter().map(|(name, balance)| (name.clone(), *balance)).collect()
    }

    fn export(&self, format: Format, dir: &Path) -> (PathBuf, Summary) {
        let path = dir.join(format!("journal.{}", format.word()));
        let file = fs::File::create(&path).expect("a file");
        let summary = write(format, self.entries.iter().cloned().map(Ok::<_, String>), file).expect("an export");
        (path, summary)
    }
}

#[test]
fn each_tool_accepts_the_books_and_agrees_on_every_balance() {
    let dir = tempfile::tempdir().expect("a directory");
    for (seed, transactions, step) in [(1, 0, DAY), (2, 1, DAY), (3, 700, DAY / 4), (4, 1500, DAY / 100), (5, 200, 20 * DAY)] {
        let books = Books::random(seed, transactions, step);
        for tool in Tool::ALL {
            let (file, summary) = books.export(tool.format(), dir.path());
            assert_eq!(summary.transactions, transactions as u64);
            verify(tool, &file, &books.balances());
        }
    }
}

#[test]
fn each_tool_refuses_the_books_with_one_digit_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let books = Books::random(6, 150, DAY / 2);
    let mut dice = Dice(7);
    for program in Tool::ALL.into_iter().filter_map(Tool::find) {
        let (file, _) = books.export(program.tool.format(), dir.path());
        let text = fs::read_to_string(&file).expect("the export");
        let places = digits_of_amounts(&text);
        assert!(places.len() > 1000, "{:?}: {} digits", program.tool, places.len());
        let ends: Vec<usize> = places.iter().copied().filter(|place| text[place + 1..].starts_with([' ', '\n'])).collect();
        for round in 0..40 {
            // Every other time the last digit, where a tolerance would let it pass.
            let among = if round % 2 == 0 { &places } else { &ends };
            let place = among[dice.below(among.len())];
            let mut changed = text.clone().into_bytes();
            changed[place] = b'0' + (changed[place] - b'0' + 1 + dice.below(9) as u8) % 10;
            let bad = dir.path().join("changed");
            fs::write(&bad, &changed).expect("a file");
            let line = text[..place].lines().count();
            assert!(program.accepts(&bad).is_err(), "{:?} accepts another digit in line {line}", program.tool);
        }
    }
}

/// Where the digits of amounts and of asserted balances stand: after the two spaces that end an account, before any comment.
fn digits_of_amounts(text: &str) -> Vec<usize> {
    let mut places = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some((account, amounts)) = line.trim_start().split_once("  ").filter(|(a, _)| a.contains(':') && !a.starts_with(';')) {
            let begin = start + (line.len() - line.trim_start().len()) + account.len() + 2;
            let mut quoted = false;
            let mut numeral = true;
            for (place, c) in amounts.bytes().enumerate() {
                quoted ^= c == b'"';
                numeral = if amounts.as_bytes()[place.saturating_sub(1)] == b' ' { c == b'-' || c.is_ascii_digit() } else { numeral };
                let tolerance = amounts[..place].ends_with("~ ");
                if c.is_ascii_digit() && !quoted && numeral && !tolerance {
                    places.push(begin + place);
                }
            }
        }
        start += line.len();
    }
    places
}

#[test]
#[ignore = "measures the tools on 50,000 transactions"]
fn speed_of_the_tools() {
    let dir = tempfile::tempdir().expect("a directory");
    let books = Books::random(8, 50_000, 600 * SECOND);
    for format in Format::ALL {
        let begun = Instant::now();
        let (file, summary) = books.export(format, dir.path());
        let bytes = fs::metadata(&file).expect("the export").len();
        eprintln!("{}: {summary}, {} accounts, {bytes} bytes in {:.2?}", format.word(), books.balances.len(), begun.elapsed());
    }
    for program in Tool::ALL.into_iter().filter_map(Tool::find) {
        let file = dir.path().join(format!("journal.{}", program.tool.format().word()));
        let begun = Instant::now();
        assert_eq!(program.accepts(&file), Ok(()));
        eprintln!("{:?} accepts it in {:.2?}", program.tool, begun.elapsed());
        assert_eq!(program.agrees(&file, &books.balances()), Ok(()));
    }
}
