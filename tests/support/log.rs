//! The verifiable log of a service, seen from behind.

use std::time::{Duration, Instant};

use almoner::attest::keep::Log;
use almoner::attest::store::extent;
use almoner::ledger::store::head;
use almoner::store::Database;

use super::database::TestDatabase;

/// How long the service may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the log has every entry that the books have now; its size then.
pub fn logged(database: &TestDatabase) -> u64 {
    let books = Database::parse(&database.url).expect("a URL");
    let (begun, head) = (Instant::now(), books.connect().and_then(|mut conn| head(&mut conn)).expect("the journal"));
    loop {
        let log = Log::find(&books).expect("the log");
        let (size, followed) = log.map_or((0, 0), |log| log.read(extent).expect("an extent"));
        if followed >= head {
            return size;
        }
        assert!(begun.elapsed() < PATIENCE, "the log has {followed} entries of {head}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
