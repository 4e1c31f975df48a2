//! Whether charging stays as fast as the books grow: windows of equal length at 10^4, 10^6 and 10^7 postings, three at each size, with the same
//! rows beside them and balances read meanwhile, once with job ids in rising order and once with random ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::inside::{Inside, LANES};
use super::same::Same;
use super::support::database::TestDatabase;
use super::{Sample, timed};

/// Records of a commit, and of a window: so many for each lane. All windows of a size end before the next size begins.
const BATCH: usize = 5000;
const WINDOW: usize = 4 * LANES * BATCH;
/// Postings that a record makes here.
const POSTINGS: usize = 2;
/// Sizes at which it is measured.
const SIZES: [usize; 3] = [10_000, 1_000_000, 10_000_000];

/// Windows at each size: one alone may fall together with what else the machine does.
const WINDOWS: usize = 3;

/// What the windows at one size gave.
pub struct Size {
    pub postings: usize,
    pub random: bool,
    pub charged: Vec<Sample>,
    pub same: Vec<Sample>,
    pub balance: Vec<Duration>,
    /// A question to the database that asks nothing, beside each balance: what the machine makes anyone wait.
    pub nothing: Vec<Duration>,
}

impl Size {
    /// Which ids its jobs had.
    pub fn ids(&self) -> &'static str {
        if self.random { "random ids" } else { "rising ids" }
    }
}

/// Measures on one kind of database up to a size.
pub fn measure(make: fn() -> Option<TestDatabase>, upto: usize, mut tell: impl FnMut(Size)) {
    for random in [false, true] {
        let (Some(books), Some(copy)) = (make(), make()) else { return };
        let inside = Inside::open(&books).with_random_ids(random);
        let mut same = Same::open(&copy, &books);
        let mut records = 0;
        for size in SIZES.into_iter().filter(|size| *size <= upto) {
            // In pieces, since records are made before they are charged.
            while records < size / POSTINGS {
                let piece = (size / POSTINGS - records).clamp(LANES * BATCH, WINDOW);
                records += inside.charge(piece, BATCH).records;
                same.write(BATCH);
            }
            let mut found =
                Size { postings: size, random, charged: Vec::new(), same: Vec::new(), balance: Vec::new(), nothing: Vec::new() };
            for _ in 0..WINDOWS {
                let (charged, balance, nothing) = while_reading(&inside);
                records += charged.records;
                found.charged.push(charged);
                found.same.push(same.write(BATCH));
                found.balance.extend(balance);
                found.nothing.extend(nothing);
            }
            tell(found);
        }
    }
}

/// Charges a window while another thread reads balances, and asks nothing of the database.
fn while_reading(inside: &Inside) -> (Sample, Vec<Duration>, Vec<Duration>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut waits, mut nothing) = (Vec::new(), Vec::new());
            let mut bare = inside.connect();
            while !over.load(Ordering::Relaxed) {
                waits.push(timed(|| inside.read_balance(waits.len())).0);
                nothing.push(timed(|| bare.batch("SELECT 1").expect("an answer")).0);
                // A read every few milliseconds: enough to see a wait, not so many that they are the load.
                std::thread::sleep(Duration::from_millis(5));
            }
            (waits, nothing)
        });
        let charged = inside.charge(WINDOW, BATCH);
        over.store(true, Ordering::Relaxed);
        let (waits, nothing) = reader.join().expect("a reader that ends well");
        (charged, waits, nothing)
    })
}
