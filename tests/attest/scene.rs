//! Small books with something of everything that moves a lot's credits, logged in several stretches.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use almoner::amount::{Amount, Unit};
use almoner::attest::audit::Evidence;
use almoner::attest::bundle::{self, Bundle};
use almoner::attest::check::Trust;
use almoner::attest::integrate::{self, Integrator};
use almoner::attest::keep::Log;
use almoner::attest::signer::Keeper;
use almoner::attest::store;
use almoner::directory::erasure::Ground;
use almoner::directory::{self, NewInstitution, NewResource};
use almoner::donations::{self, OnExpiry};
use almoner::grants::Overdraft;
use almoner::id::{DonorId, GrantId, InstitutionId, LotId, ResourceId};
use almoner::ledger;
use almoner::reports::verify::{Verification, verify_logged};
use almoner::store::{Database, Fault, Store, Work};
use almoner::time::{Clock, Time};
use almoner::tlog::{Checkpoint, Note, Policy, Signer};
use almoner::usage::erase::{self, OfUser};
use almoner::usage::{self, Incoming, NewRate, Outcome, Record, hold};
use serde_json::json;

use crate::support::books::{Pair, period, time};
use crate::support::database::TestDatabase;

/// What must not be found in anything that a donor is handed.
pub const PERSON: &str = "Example Investigator";
pub const JOB: &str = "lab:4711:";
pub const USER: &str = "user-of-the-job";

/// Books with their log.
pub struct Scene {
    pub database: TestDatabase,
    pub keys: PathBuf,
    pub donors: Vec<DonorId>,
    pub lots: Vec<LotId>,
    pub log: Log,
    /// Sizes that were signed.
    pub signed: Vec<u64>,
    books: Database,
}

/// The key that a log is signed with now: the first of its file.
pub fn signer(keys: &Path) -> Signer {
    let keys = std::fs::read_to_string(keys.join("log.key")).expect("keys");
    Signer::parse(keys.lines().next().expect("the newest")).expect("a key")
}

#[derive(Clone, Copy)]
struct Desk {
    pair: Pair,
    usd: Unit,
    centre: InstitutionId,
    cluster: ResourceId,
}

impl Desk {
    fn usd(&self, whole: i64) -> Amount {
        Amount::new(whole * 1_000_000, self.usd)
    }

    /// Charges a job of so many GPU-hours at 2.50 USD; its stamp.
    fn charge(&self, work: &mut Work<'_>, grant: GrantId, name: u32, hours: &str) -> Result<i64, Fault> {
        match self.report(work, json!({"grant": grant}), name, hours)? {
            Outcome::Charged(charge) => Ok(charge.row.id),
            other => panic!("{other:?}"),
        }
    }

    /// Reports a job; `payer` says who is to pay.
    fn report(&self, work: &mut Work<'_>, payer: serde_json::Value, name: u32, hours: &str) -> Result<Outcome, Fault> {
        let mut value = json!({
            "external_id": format!("{JOB}{name}"), "resource": self.cluster, "quantities": {"gpu-hour": hours},
            "ended_at": "2026-01-15T12:34:56Z", "user": USER, "job": {"cluster": "lab", "id": format!("{name}")},
        });
        payer.as_object().into_iter().flatten().for_each(|(name, payer)| value[name] = payer.clone());
        let usd = self.usd;
        let record = Record::read(&almoner::json::parse(value.to_string().as_bytes())?, &|code: &str| (code == "USD").then_some(usd))?;
        let outcome = usage::charge(work, self.pair.first, self.centre, &[Incoming::new(self.centre, record)])?.pop();
        Ok(outcome.expect("an outcome"))
    }

    /// Credits set aside for a job on the cluster.
    fn hold(&self, grant: GrantId, name: &str, whole: i64, expires_at: Time) -> hold::NewHold {
        let wanted = usage::Used::Priced(self.usd(whole));
        let (resource, external_id) = (Some(self.cluster), Some(name.into()));
        hold::NewHold { grant, resource, wanted, qos: None, job: None, expires_at, external_id }
    }
}

impl Scene {
    /// Plays the books, and logs them five times on the way.
    pub fn play(database: TestDatabase) -> Scene {
        Scene::play_watched(database, &mut |_| ())
    }

    /// As `play`, with a look at the books wherever an older copy of them could have been taken.
    pub fn play_watched(database: TestDatabase, watch: &mut dyn FnMut(&Scene)) -> Scene {
        let books = Database::parse(&database.url).expect("a URL");
        let clock = Clock::held(time("2026-01-20T00:00:00Z"));
        let store = Store::open(&books, clock).expect("books");
        let keys = database.folder().join("keys");
        std::fs::create_dir(&keys).expect("a folder");
        let log = Log::open(&books).expect("a log");
        let (donors, lots, signed) = (Vec::new(), Vec::new(), Vec::new());
        let mut scene = Scene { database, keys, donors, lots, log, signed, books };
        scene.log_it();
        let desk = store.write(open).expect("opened");
        let gifts = store.write(move |work| give(work, desk)).expect("given");
        (scene.donors, scene.lots) = gifts.into_iter().unzip();
        watch(&scene);
        let [first, second, third] = store.write(move |work| award(work, desk)).expect("awarded");
        scene.log_it();
        watch(&scene);
        let charges = store.write(move |work| (0..300).map(|n| desk.charge(work, first, n, "1.4")).collect::<Result<Vec<_>, _>>());
        let charges = charges.expect("charged");
        store.write(move |work| set_aside(work, desk, second)).expect("held and settled");
        scene.log_it();
        scene.keeper().rotate().expect("a new key");
        watch(&scene);
        store.write(move |work| undo(work, desk, &charges, first)).expect("undone");
        watch(&scene);
        scene.log_it();
        let lots = scene.lots.clone();
        store.write(move |work| donations::return_lot(work, desk.pair.first, lots[2], Some(desk.usd(7)))).expect("returned");
        store.write(move |work| wait(work, desk, third)).expect("set aside and in quarantine");
        watch(&scene);
        store.clock().set(time("2026-03-20T00:00:00Z"));
        let swept = store.write(|work| usage::sweep_some(work, 100)).expect("swept");
        assert!(swept.grants > 0 && swept.lots > 0, "{swept:?}");
        scene.log_it();
        scene
    }

    /// The books, open for writing at some moment.
    pub fn store(&self, at: &str) -> Store {
        Store::open(&self.books, Clock::held(time(at))).expect("books")
    }

    /// Erases so many usage records in the middle, and those of the quarantine that are closed; how many these are.
    pub fn erase_some(&self, at: &str, charges: usize) -> usize {
        let erase = move |work: &mut Work<'_>| {
            let pair = Pair::of(work)?;
            let of = of_user(work)?;
            let mut wanted = erase::find(work.sql()?, &of)?;
            assert!(wanted.charges.len() > 250 && !wanted.more, "{wanted:?}");
            wanted.charges = wanted.charges.split_off(100).into_iter().take(charges).collect();
            erase::erase(work, pair.first, Ground::Asked, &wanted, false)
        };
        let done = self.store(at).write(erase).expect("erased");
        assert_eq!((done.charges.len(), done.made.is_some()), (charges, true));
        done.records.len()
    }

    /// Integrates what is new, and signs; as another process would.
    pub fn log_beside(&self) {
        let mut integrator = Integrator::open(&self.books, &self.log, self.keeper()).expect("an integrator");
        while integrator.run().expect("integrated").behind > 0 {}
    }

    /// Integrates what is new, and signs.
    pub fn log_it(&mut self) {
        self.log_beside();
        self.signed.push(self.log.read(store::extent).expect("a log").0);
    }

    /// The log's key.
    pub fn keeper(&self) -> Keeper {
        integrate::keeper(&self.log, &self.keys, Some("ledger.example/log")).expect("readable").expect("there")
    }

    /// What was signed, as whoever asked for it then has kept it.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        let kept = self.log.read(store::checkpoints).expect("checkpoints");
        kept.iter().map(|(_, note)| Checkpoint::parse(Note::parse(note).expect("a note").text()).expect("a checkpoint")).collect()
    }

    /// What a donor trusts.
    pub fn trust(&self) -> Trust {
        Trust { policy: Policy::none(), keys: self.keeper().verifiers() }
    }

    /// A donor's bundle, since a size that was signed.
    pub fn bundle(&self, donor: DonorId, since: Option<u64>) -> Bundle {
        let mut books = self.books.connect().expect("books");
        let asked = books.snapshot(|conn| bundle::asked(conn, donor, since)).expect("a donor");
        self.log.read(|conn| bundle::make(conn, &asked)).expect("a bundle")
    }

    /// A bundle about any lots, since a size that was signed.
    pub fn bundle_of(&self, lots: &[LotId], since: Option<u64>) -> Bundle {
        let donor = bundle::Donor { id: self.donors[0].to_string(), name: "Example Donor".into() };
        let asked = bundle::Asked { donor, lots: lots.to_vec(), period: None, since };
        self.log.read(|conn| bundle::make(conn, &asked)).expect("a bundle")
    }

    /// What the program finds, with what was kept besides the signer's state.
    pub fn verify(&self, kept: Vec<(String, Checkpoint)>) -> Verification {
        let keeper = self.keeper();
        let evidence = Evidence { keys: keeper.verifiers(), signer: Some(keeper.signed().expect("a state")), kept };
        verify_with(&self.books, &evidence)
    }
}

/// Every law of books and log.
pub fn verify_with(books: &Database, evidence: &Evidence) -> Verification {
    let mut conn = books.connect().expect("books");
    let mut log = Log::find(books).expect("readable").expect("a log").connect().expect("a log");
    log.snapshot(|log| {
        store::extent(log)?;
        conn.snapshot(|conn| {
            let (found, _) = verify_logged(conn, log, evidence)?;
            Ok(found)
        })
    })
    .expect("a verification")
}

/// The user of all jobs, as their provider names them.
pub fn of_user(work: &mut Work<'_>) -> Result<OfUser, Fault> {
    let found = directory::store::institutions(work.sql()?, &directory::Of::default(), almoner::store::Page::ALL)?;
    let provider = found.first().expect("a provider").id;
    Ok(OfUser { provider, user: USER.into(), ended_before: time("2026-04-01T00:00:00Z") })
}

fn open(work: &mut Work<'_>) -> Result<Desk, Fault> {
    let pair = Pair::of(work)?;
    let usd = Unit::new("USD", 6).expect("a unit");
    ledger::add_unit(work, pair.first, usd, "US dollar of cloud credit")?;
    let centre = directory::add_institution(work, pair.first, &NewInstitution { name: "Example Centre".into(), ..Default::default() })?.id;
    let new = NewResource { name: "Example cluster".into(), kind: None, provider: centre, external_id: None };
    let cluster = directory::add_resource(work, pair.first, &new)?.id;
    let price = Amount::new(2_500_000, usd);
    let from = time("2025-01-01T00:00:00Z");
    usage::add_rate(work, pair.first, &NewRate { resource: cluster, meter: "gpu-hour".into(), price, from, qos: BTreeMap::new() })?;
    Ok(Desk { pair, usd, centre, cluster })
}

/// Five gifts of five donors: one whose rest goes back, one whose rest lapses, three that stay.
fn give(work: &mut Work<'_>, desk: Desk) -> Result<Vec<(DonorId, LotId)>, Fault> {
    let from = time("2025-06-01T00:00:00Z");
    let ends: [(Option<Time>, OnExpiry); 5] = [
        (Some(time("2026-03-01T00:00:00Z")), OnExpiry::Return),
        (Some(time("2026-03-02T00:00:00Z")), OnExpiry::Lapse),
        (None, OnExpiry::Lapse),
        (None, OnExpiry::Lapse),
        (None, OnExpiry::Lapse),
    ];
    let mut given = Vec::new();
    for (to, on_expiry) in ends {
        let lot = desk.pair.give(work, desk.usd(1_000), from, to, on_expiry)?;
        given.push((lot.donor, lot.id));
    }
    Ok(given)
}

/// Three grants: one over two lots whose use is recorded beyond it, two of the third lot, the last for long.
fn award(work: &mut Work<'_>, desk: Desk) -> Result<[GrantId; 3], Fault> {
    let project = desk.pair.project(work, desk.centre, None)?;
    let period = period("2026-01-01T00:00:00Z", "2026-03-05T00:00:00Z");
    let first = desk.pair.award(work, project, desk.usd(1_050), period, Overdraft::Record, None)?;
    let of = Some(lots(work)?[2]);
    let second = desk.pair.award(work, project, desk.usd(300), period, Overdraft::Record, of)?;
    let long = self::period("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let third = desk.pair.award(work, project, desk.usd(100), long, Overdraft::Record, of)?;
    Ok([first, second, third])
}

fn lots(work: &mut Work<'_>) -> Result<Vec<LotId>, Fault> {
    let found = donations::store::lots(work.sql()?, &donations::Of::default(), almoner::store::Page::ALL)?;
    Ok(found.into_iter().map(|lot| lot.id).collect())
}

/// A hold that a job settles, one that is given up.
fn set_aside(work: &mut Work<'_>, desk: Desk, grant: GrantId) -> Result<(), Fault> {
    let until = time("2026-02-01T00:00:00Z");
    let settled = hold::create(work, desk.pair.first, desk.centre, &desk.hold(grant, "settled", 100, until))?.id;
    let given_up = hold::create(work, desk.pair.first, desk.centre, &desk.hold(grant, "given up", 100, until))?.id;
    let paid = desk.report(work, json!({"hold": settled}), 1_000, "60")?;
    assert!(matches!(paid, Outcome::Charged(_)), "{paid:?}");
    hold::release(work, desk.pair.first, desk.centre, given_up)?;
    Ok(())
}

/// Holds that are still open at the end, one with a later end than it had, and records that nobody pays for, two of them dismissed.
fn wait(work: &mut Work<'_>, desk: Desk, grant: GrantId) -> Result<(), Fault> {
    for n in 0..6 {
        let held =
            hold::create(work, desk.pair.first, desk.centre, &desk.hold(grant, &format!("open {n}"), 3, time("2026-03-30T00:00:00Z")))?;
        if n == 0 {
            hold::extend(work, desk.pair.first, desk.centre, held.id, time("2026-04-01T00:00:00Z"))?;
        }
    }
    for n in 0..8 {
        let lost = match desk.report(work, json!({"account": "nobody"}), 5_000 + n, "1")? {
            Outcome::Quarantined(lost, _) => lost,
            other => panic!("{other:?}"),
        };
        if n < 2 {
            usage::resolve(work, desk.pair.second, lost, &usage::Resolution::Dismiss("Nobody's.".into()))?;
        }
    }
    Ok(())
}

/// Refunds in part and whole, which also cover what was used beyond the grant; a charge reversed.
fn undo(work: &mut Work<'_>, desk: Desk, charges: &[i64], grant: GrantId) -> Result<(), Fault> {
    let refund = |work: &mut Work<'_>, stamp: i64, amount: Option<Amount>| {
        usage::refund(work, desk.pair.first, almoner::id::Id::from_stamp(stamp), amount, "The node failed.")
    };
    for n in 0..6 {
        desk.charge(work, grant, 2_000 + n, "2")?;
    }
    for (n, stamp) in (0..).zip(&charges[..6]) {
        refund(work, *stamp, (n % 2 == 0).then(|| desk.usd(3)))?;
    }
    for stamp in &charges[10..16] {
        usage::reverse(work, desk.pair.second, almoner::id::Id::from_stamp(*stamp), "Charged by mistake.")?;
    }
    Ok(())
}
