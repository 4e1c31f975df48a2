//! The log of the books that are played: brought up to date from time to time, signed, and audited; whatever was played, nothing is found.

use almoner::attest::audit::Evidence;
use almoner::attest::integrate::Integrator;
use almoner::attest::keep::Log;
use almoner::attest::signer::Keeper;
use almoner::attest::store;
use almoner::reports::verify::verify_logged;
use almoner::store::{Conn, Database};
use almoner::tlog::{Checkpoint, Note};

/// A log, and what was handed out of it.
pub struct Logged {
    books: Conn,
    log: Log,
    integrator: Integrator,
    evidence: Evidence,
    _keys: tempfile::TempDir,
}

impl Logged {
    /// A new log of books.
    pub fn begin(books: &Database) -> Logged {
        let keys = tempfile::tempdir().expect("a folder");
        let keeper = Keeper::create(keys.path(), None).expect("a key");
        let (log, evidence) = (Log::open(books).expect("a log"), Evidence { keys: vec![keeper.verifier()], ..Evidence::default() });
        let integrator = Integrator::open(books, &log, keeper).expect("an integrator");
        Logged { books: books.connect().expect("books"), log, integrator, evidence, _keys: keys }
    }

    /// Logs what is new, and audits all of it against every checkpoint there was.
    pub fn follow(&mut self) -> Result<(), String> {
        let told = |fault: almoner::store::Fault| fault.to_string();
        while self.integrator.run().map_err(told)?.behind > 0 {}
        let (_, note) = self.log.read(store::last_checkpoint).map_err(told)?.ok_or("nothing was signed")?;
        let signed = Note::parse(&note).and_then(|note| Checkpoint::parse(note.text())).map_err(|why| why.to_string())?;
        self.evidence.signer = Some(signed.clone());
        self.evidence.kept.push((format!("who keeps {} leaves", signed.size), signed));
        let (books, evidence) = (&mut self.books, &self.evidence);
        let (found, _) = self.log.read(|log| books.snapshot(|books| verify_logged(books, log, evidence))).map_err(told)?;
        let broken: Vec<&String> = found.laws.iter().flat_map(|law| &law.findings).collect();
        if found.holds() { Ok(()) } else { Err(format!("the audit of the log: {broken:?}")) }
    }
}
