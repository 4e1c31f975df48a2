//! Logs that grow, and logs whose keeper lies, watched.

use super::super::leaf::Leaf;
use super::super::served::tests::Fake;
use super::*;

struct Scene {
    folder: tempfile::TempDir,
    log: Fake,
}

impl Scene {
    /// A log of so many leaves that was looked at once.
    fn seen(size: u64) -> Scene {
        let mut scene = Scene { folder: tempfile::tempdir().expect("a folder"), log: Fake::new() };
        scene.log.grow(size);
        let keys = vec![scene.log.key.verifier()];
        let mut watch = Watch::open(scene.folder.path(), Policy::none(), keys).expect("a watch");
        assert_eq!(watch.look(&scene.log, &[]).map(|seen| (seen.new, seen.checkpoint.size)), Ok((size, size)));
        scene
    }

    /// What another process sees, that trusts the keys that were trusted before.
    fn look(&self, log: &Fake) -> Result<u64, Ended> {
        self.look_with(log, &[])
    }

    fn look_with(&self, log: &Fake, further: &[Note]) -> Result<u64, Ended> {
        let mut watch = Watch::open(self.folder.path(), Policy::none(), Vec::new()).expect("a watch");
        watch.look(log, further).map(|seen| seen.new)
    }

    #[track_caller]
    fn broken(&self, log: &Fake, reason: Reason) {
        let found = self.look(log);
        assert!(matches!(&found, Err(Ended::Broken(refused)) if refused.reason == reason), "{reason:?}: {found:?}");
    }

    fn evidence(&self) -> Vec<u64> {
        let names = fs::read_dir(self.folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        let found = names.filter(|path| path.extension().is_some_and(|end| end == "checkpoint"));
        let read = |path: PathBuf| Note::parse(&fs::read_to_string(path).expect("text")).expect("a note");
        let mut sizes: Vec<u64> =
            found.map(|path| Checkpoint::open(&read(path), &[self.log.key.verifier()]).expect("signed").size).collect();
        sizes.sort_unstable();
        sizes
    }
}

#[test]
fn what_grows_is_seen_leaf_by_leaf() {
    let mut scene = Scene::seen(3);
    for (size, new) in [(3, 0), (256, 253), (257, 1), (1000, 743), (1000, 0)] {
        scene.log.grow(size);
        assert_eq!(scene.look(&scene.log), Ok(new), "{size}");
    }
    assert_eq!(scene.evidence(), Vec::<u64>::new());
    let mut watch = Watch::open(scene.folder.path(), Policy::none(), Vec::new()).expect("a watch");
    let seen = watch.look(&scene.log, &[]).expect("seen");
    let seals = scene.log.leaves.iter().filter(|leaf| leaf::read_seal(leaf).is_some()).count() as u64;
    assert_eq!(seen.charges, 1000 - seals);
}

#[test]
fn a_fork_and_a_rollback_leave_both_checkpoints_as_evidence() {
    let scene = Scene::seen(300);
    let mut shorter = scene.log.clone();
    shorter.cut(200);
    scene.broken(&shorter, Reason::Rollback);
    assert_eq!(scene.evidence(), [200, 300]);
    let scene = Scene::seen(300);
    let mut other = scene.log.clone();
    other.leaves[7] = other.leaves[7].replace("nul7", "nul8");
    scene.broken(&other, Reason::Fork);
    assert_eq!(scene.evidence(), [300, 300]);
    let scene = Scene::seen(300);
    let mut other = scene.log.clone();
    other.leaves[7] = other.leaves[7].replace("nul7", "other");
    other.grow(500);
    scene.broken(&other, Reason::Fork);
    assert_eq!(scene.evidence(), [300, 500]);
    let mut later = scene.log.clone();
    later.grow(500);
    assert_eq!(scene.look(&later), Ok(200), "what was refused left nothing");
}

#[test]
fn leaves_that_are_not_the_trees_are_told_from_a_fork() {
    let scene = Scene::seen(300);
    let mut later = scene.log.clone();
    later.grow(520);
    let tile = Tile { level: 0, index: 1, width: FULL };
    let mut bundle = later.get(&tile.bundle_path()).expect("served").expect("there");
    let last = bundle.iter().rposition(|byte| *byte == b'5').expect("a digit");
    bundle[last] = b'6';
    later.instead = vec![(tile.bundle_path(), Some(bundle))];
    scene.broken(&later, Reason::Inclusion);
    later.instead = vec![(tile.bundle_path(), Some(vec![0; 7]))];
    scene.broken(&later, Reason::Inclusion);
    later.instead = vec![(tile.bundle_path(), None)];
    assert!(matches!(scene.look(&later), Err(Ended::Failed(_))), "what is not served says nothing of the log");
    assert_eq!(scene.evidence(), Vec::<u64>::new());
}

#[test]
fn usage_that_is_charged_twice_is_seen_even_years_later() {
    let scene = Scene::seen(300);
    let again = Leaf::new("charge", vec!["z".into()], Vec::new(), Some("nul9".into())).text();
    let mut later = scene.log.clone();
    later.leaves.push(again.clone());
    later.grow(302);
    scene.broken(&later, Reason::DuplicateUsage);
    // Twice among what is new, too.
    let mut both = scene.log.clone();
    let new = again.replace("nul9", "new");
    both.leaves.extend([new.clone(), new]);
    both.grow(303);
    scene.broken(&both, Reason::DuplicateUsage);
}

#[test]
fn leaves_have_a_form_and_the_last_is_a_seal() {
    let scene = Scene::seen(300);
    let mut loose = scene.log.clone();
    loose.leaves.push("{}".into());
    loose.grow(302);
    scene.broken(&loose, Reason::NonCanonical);
    let mut open = scene.log.clone();
    open.leaves.push(Leaf::new("award", vec!["z".into()], Vec::new(), None).text());
    scene.broken(&open, Reason::Inclusion);
}

#[test]
fn whose_word_it_is_is_asked() {
    let scene = Scene::seen(300);
    let foreign = Fake { key: Fake::new().key, ..scene.log.clone() };
    scene.broken(&foreign, Reason::Signature);
    let empty = tempfile::tempdir().expect("a folder");
    assert!(Watch::open(empty.path(), Policy::none(), Vec::new()).is_err_and(|why| why.contains("--vkey")));
    let witness = crate::tlog::Signer::generate("witness.example", crate::tlog::note::Kind::Cosignature).expect("a key");
    let text = format!("log {}\nwitness w {}\nquorum w\n", scene.log.key.verifier().text(), witness.verifier().text());
    let policy = Policy::parse(text.as_bytes()).expect("a policy");
    let found = Watch::open(empty.path(), policy, Vec::new()).expect("a watch").look(&scene.log, &[]);
    assert!(matches!(&found, Err(Ended::Broken(refused)) if refused.reason == Reason::Quorum), "{found:?}");
}

#[test]
fn a_new_key_is_trusted_by_the_word_of_the_old_and_its_own() {
    let scene = Scene::seen(300);
    let new = Fake::new().key;
    let change = |log: &Fake, by: &crate::tlog::Signer| {
        let (old, next) = (log.key.verifier().text(), new.verifier().text());
        let text = leaf::succession(&old, &next);
        leaf::key(&old, &next, &[by.sign(&text, 0).bytes, new.sign(&text, 0).bytes])
    };
    // By the word of the new key alone it is none.
    let mut stolen = scene.log.clone();
    stolen.leaves.push(change(&stolen, &new));
    stolen.grow(302);
    (stolen.before, stolen.key) = (Some(stolen.key.clone()), new.clone());
    assert_eq!(scene.look(&stolen), Ok(2));
    stolen.before = None;
    stolen.grow(310);
    scene.broken(&stolen, Reason::Signature);

    let scene = Scene::seen(300);
    let mut log = scene.log.clone();
    log.leaves.push(change(&log, &log.key));
    log.grow(302);
    (log.before, log.key) = (Some(log.key.clone()), new.clone());
    assert_eq!(scene.look(&log), Ok(2));
    log.before = None;
    log.grow(310);
    assert_eq!(scene.look(&log), Ok(8));
}

#[test]
fn a_checkpoint_that_came_another_way_must_be_of_the_same_log() {
    let scene = Scene::seen(300);
    let mut later = scene.log.clone();
    later.grow(900);
    assert_eq!(scene.look_with(&later, &[scene.log.note(), later.note()]), Ok(600));
    let mut other = scene.log.clone();
    other.leaves[3] = other.leaves[3].replace("nul3", "other");
    let found = scene.look_with(&later, &[other.note()]);
    assert!(matches!(&found, Err(Ended::Broken(refused)) if refused.reason == Reason::Fork), "{found:?}");
    assert_eq!(scene.evidence(), [300, 900]);
    let mut beyond = later.clone();
    beyond.grow(950);
    let found = scene.look_with(&later, &[beyond.note()]);
    assert!(matches!(&found, Err(Ended::Broken(refused)) if refused.reason == Reason::Rollback), "{found:?}");
}

#[test]
fn who_keeps_nothing_reads_tiles_too_and_holds_the_log_to_what_it_is_told() {
    let scene = Scene::seen(700);
    let anew = |log: &Fake, marks: &[Note]| {
        let mut watch = Watch::anew(Policy::none(), vec![scene.log.key.verifier()]);
        marks.iter().for_each(|mark| watch.hold_to(Checkpoint::parse(mark.text()).expect("a checkpoint")));
        let seen = watch.look(log, &[]).map(|seen| seen.new);
        (watch, seen)
    };
    let reason = |seen: &Result<u64, Ended>| match seen {
        Err(Ended::Broken(refused)) => Some(refused.reason),
        _ => None,
    };
    let mut later = scene.log.clone();
    later.grow(1000);
    let (mut watch, seen) = anew(&scene.log, &[]);
    assert_eq!(seen, Ok(700));
    watch.hold_to(Checkpoint::parse(later.note().text()).expect("a checkpoint"));
    assert_eq!(watch.look(&later, &[]).map(|seen| seen.new), Ok(300), "it goes on from what it saw");
    watch.hold_to(Checkpoint::parse(scene.log.note().text()).expect("a checkpoint"));
    assert_eq!(reason(&watch.look(&later, &[]).map(|seen| seen.new)), Some(Reason::Rollback), "an older one was handed out later");

    for tile in [Tile { level: 0, index: 1, width: FULL }, Tile { level: 0, index: 3, width: 232 }, Tile { level: 1, index: 0, width: 3 }] {
        let mut other = later.clone();
        let bytes = other.get(&tile.path()).expect("served").expect("there");
        other.instead = vec![(tile.path(), Some(bytes.iter().map(|byte| byte ^ 1).collect()))];
        assert_eq!(reason(&anew(&other, &[]).1), Some(Reason::Inclusion), "{}", tile.path());
    }
    let mut other = scene.log.clone();
    other.leaves[3] = other.leaves[3].replace("nul3", "other");
    let mut shorter = scene.log.clone();
    shorter.cut(400);
    assert_eq!(anew(&later, &[scene.log.note(), later.note()]).1, Ok(1000));
    assert_eq!(reason(&anew(&later, &[other.note()]).1), Some(Reason::Fork));
    assert_eq!(reason(&anew(&scene.log, &[later.note()]).1), Some(Reason::Rollback));
    assert_eq!(reason(&anew(&scene.log, &[shorter.note()]).1), Some(Reason::Fork), "its last leaf was a seal");
    assert_eq!(scene.evidence(), Vec::<u64>::new());
}

#[test]
fn what_a_crash_left_is_taken_away() {
    let scene = Scene::seen(300);
    let path = scene.folder.path().join(NULLIFIERS);
    let good = fs::read(&path).expect("read");
    // Written of leaves that the state does not know yet, the last record torn.
    let key = half("nul310");
    let torn = [good.as_slice(), &key, &310u64.to_be_bytes(), &key[..5]].concat();
    fs::write(&path, torn).expect("written");
    let mut later = scene.log.clone();
    later.grow(400);
    assert_eq!(scene.look(&later), Ok(100));
    later.grow(500);
    assert_eq!(scene.look(&later), Ok(100));
    assert_eq!(fs::read(&path).expect("read").len() % RECORD, 0);
}
