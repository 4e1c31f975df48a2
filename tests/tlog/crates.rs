//! The crates `signed_note`, `tlog_tiles` and `doubleentry` accept what we sign and prove, we accept what they do, and both refuse the same.

use std::collections::HashMap;

use almoner::tlog::note::{Kind, Signer};
use almoner::tlog::proof::{prove_consistency, prove_inclusion};
use almoner::tlog::receipt::Receipt;
use almoner::tlog::tile::{Edge, Tile, encode};
use almoner::tlog::tree::{Grown, root_of};
use almoner::tlog::witness::{Declined, Memory, Request, add_checkpoint};
use almoner::tlog::{Checkpoint, Hash, Note, Policy, Verifier};
use doubleentry::TreeHead;
use doubleentry::log::{ConsistencyProof, Hash as Theirs, InclusionProof};
use doubleentry::transparency::{AddCheckpoint, KeyName, LogKey, Next, ProofBundle, SignedCheckpoint, Vkey, WitnessSession};

use crate::folder::ORIGIN;
use crate::leaves;

fn key(name: &str, kind: Kind) -> Signer {
    Signer::generate(name, kind).expect("a key")
}

fn head(size: u64) -> Checkpoint {
    let root = root_of(size, &mut Grown::new(leaves(size))).expect("a root");
    Checkpoint::new(ORIGIN, size, root).expect("a checkpoint")
}

/// Texts that are one character off, of which some can't be read and the others don't verify.
fn mutated(text: &str) -> Vec<String> {
    let at: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let flip = |at: usize| {
        let (before, rest) = text.split_at(at);
        let mut rest = rest.chars();
        let other = if rest.next() == Some('A') { 'B' } else { 'A' };
        format!("{before}{other}{}", rest.as_str())
    };
    at.iter().map(|at| flip(*at)).chain([text[..text.len() - 1].into(), format!("{text}\n"), format!("{text}{text}")]).collect()
}

mod by_signed_note {
    use signed_note::{Note as TheirNote, StandardSigner, StandardVerifier, VerifierList};

    use super::*;

    fn accepts(vkey: &str, note: &str) -> bool {
        let Ok(note) = TheirNote::from_bytes(note.as_bytes()) else { return false };
        let verifier = StandardVerifier::new(vkey).expect("their key");
        note.verify(&VerifierList::new(vec![Box::new(verifier)])).is_ok()
    }

    fn accepted(key: &Verifier, note: &str) -> bool {
        Note::parse(note).is_ok_and(|note| note.verify([key]).is_ok_and(|found| !found.is_empty()))
    }

    #[test]
    fn notes_and_keys_are_the_same_in_both() {
        let ours = key(ORIGIN, Kind::Text);
        let note = head(7).sign(std::slice::from_ref(&ours)).expect("signed").signed();
        let theirs = StandardSigner::new(&ours.secret()).expect("our key");
        let mut again = TheirNote::new(head(7).text().as_bytes(), &[]).expect("a note");
        again.add_sigs(&[&theirs]).expect("signed");
        assert_eq!(String::from_utf8(again.to_bytes()), Ok(note.clone()), "a signature has one form");
        let (vkey, verifier) = (ours.verifier().text(), ours.verifier());
        assert!(accepts(&vkey, &note) && accepted(&verifier, &note));
        let mut refused = 0;
        for wrong in mutated(&note) {
            assert!(!accepted(&verifier, &wrong), "{wrong}");
            assert!(!accepts(&vkey, &wrong), "{wrong}");
            refused += 1;
        }
        assert!(refused > 150, "{refused}");
    }
}

mod by_tlog_tiles {
    use tlog_tiles::{Checkpoint as TheirCheckpoint, Hash as Theirs, Tile as TheirTile, TileHashReader, TileReader};
    use tlog_tiles::{check_record, check_tree, prove_record, prove_tree, tree_hash};

    use super::*;

    /// Our tiles by their paths.
    struct Served(HashMap<String, Vec<u8>>);

    impl Served {
        fn of(size: u64) -> Served {
            let (mut edge, mut files) = (Edge::new(), HashMap::new());
            for leaf in leaves(size) {
                edge.push(leaf, |tile: Tile, hashes| drop(files.insert(tile.path(), encode(&hashes))));
            }
            files.extend(edge.parts().map(|(tile, hashes)| (tile.path(), encode(hashes))));
            Served(files)
        }
    }

    impl TileReader for Served {
        fn height(&self) -> u8 {
            8
        }

        fn read_tiles(&self, tiles: &[TheirTile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            // Their paths may name the height, which C2SP's don't.
            let path = |tile: &TheirTile| tile.path().replacen("tile/8/", "tile/", 1);
            let read = |tile| self.0.get(&path(tile)).cloned().ok_or_else(|| tlog_tiles::Error::InvalidInput(path(tile)));
            tiles.iter().map(read).collect()
        }

        fn save_tiles(&self, _: &[TheirTile], _: &[Vec<u8>]) {}
    }

    fn as_theirs(proof: &[Hash]) -> Vec<Theirs> {
        proof.iter().map(|hash| Theirs(*hash)).collect()
    }

    #[test]
    fn proofs_tiles_and_checkpoints_are_the_same_in_both() {
        for size in [1, 2, 3, 255, 256, 257, 511, 66_000] {
            let (root, all) = (Theirs(head(size).root), leaves(size));
            let mut tree = Grown::new(all.clone());
            let served = Served::of(size);
            let reader = TileHashReader::new(size, root, &served);
            assert_eq!(tree_hash(size, &reader).expect("their root"), root);
            for at in [0, 1, size / 3, size / 2, size - 1].into_iter().filter(|at| *at < size) {
                let ours = as_theirs(&prove_inclusion(at, size, &mut tree).expect("a proof"));
                check_record(&ours, size, root, at, Theirs(all[at as usize])).expect("they accept it");
                assert!(check_record(&ours, size, root, at, Theirs([7; 32])).is_err());
                assert_eq!(prove_record(size, at, &reader).expect("theirs"), ours, "{at} of {size}");
                let from = at + 1;
                let old = Theirs(root_of(from, &mut tree).expect("a root"));
                let ours = as_theirs(&prove_consistency(from, size, &mut tree).expect("a proof"));
                check_tree(&ours, size, root, from, old).expect("they accept it");
                assert!(check_tree(&ours, size, root, from, Theirs([7; 32])).is_err());
                assert_eq!(prove_tree(size, from, &reader).expect("theirs"), ours, "{from} to {size}");
            }
            let read = TheirCheckpoint::from_bytes(head(size).text().as_bytes()).expect("they read it");
            assert_eq!((read.origin(), read.size(), *read.hash()), (ORIGIN, size, root));
            assert_eq!(String::from_utf8(read.to_bytes()), Ok(head(size).text()));
        }
    }
}

/// One log's last checkpoint, in memory.
#[derive(Default)]
struct Last(Option<Note>);

impl Memory for Last {
    type Error = ();

    fn last(&self, _: &str) -> Result<Option<Note>, ()> {
        Ok(self.0.clone())
    }

    fn keep(&mut self, _: &str, note: &Note) -> Result<(), ()> {
        self.0 = Some(note.clone());
        Ok(())
    }
}

fn vkey(key: &Signer) -> Vkey {
    key.verifier().text().parse().expect("they read our key")
}

#[test]
fn doubleentry_reads_our_checkpoints_and_we_its() {
    let log = key(ORIGIN, Kind::Text);
    let signed = head(300).sign(std::slice::from_ref(&log)).expect("signed").signed();
    let read = SignedCheckpoint::parse(signed.as_bytes()).expect("they read it");
    let found = read.verify(&[vkey(&log)]).expect("it verifies");
    assert_eq!((found.len(), found[0].name().as_str()), (1, ORIGIN));
    assert_eq!((read.checkpoint().head().size, *read.checkpoint().head().root.as_bytes()), (300, head(300).root));
    for wrong in mutated(&signed) {
        let theirs = SignedCheckpoint::parse(wrong.as_bytes()).is_ok_and(|read| read.verify(&[vkey(&log)]).is_ok());
        let ours = Note::parse(&wrong).is_ok_and(|note| Checkpoint::open(&note, &[log.verifier()]).is_ok());
        assert_eq!((theirs, ours), (false, false), "{wrong}");
    }
    let ledger = doubleentry::LedgerId::new(ORIGIN).expect("a name");
    let theirs = LogKey::from_seed(&ledger, [7; 32]);
    let root = Theirs::from_bytes(head(300).root);
    let checkpoint = doubleentry::transparency::Checkpoint::new(KeyName::from(&ledger), TreeHead { size: 300, root });
    let signed = String::from_utf8(theirs.sign(&checkpoint).expect("signed").to_bytes()).expect("UTF-8");
    let key = Verifier::parse(&theirs.vkey().to_string()).expect("we read their key");
    let note = Note::parse(&signed).expect("we read it");
    assert_eq!(Checkpoint::open(&note, &[key]), Ok(head(300)));
}

#[test]
fn doubleentry_accepts_our_proofs() {
    for size in [1u64, 2, 7, 256, 300] {
        let mut tree = Grown::new(leaves(size));
        let at = |size: u64| TreeHead { size, root: Theirs::from_bytes(head(size).root) };
        let theirs = |proof: Vec<Hash>| proof.into_iter().map(Theirs::from_bytes).collect();
        for index in 0..size {
            let path = theirs(prove_inclusion(index, size, &mut tree).expect("a proof"));
            let leaf = Theirs::from_bytes(leaves(size)[index as usize]);
            let proof = InclusionProof { index, size, path };
            assert_eq!(proof.verify(&leaf, &at(size)), Ok(()), "{index} of {size}");
            let path = theirs(prove_consistency(index + 1, size, &mut tree).expect("a proof"));
            let proof = ConsistencyProof { old_size: index + 1, new_size: size, path };
            assert_eq!(proof.verify(&at(index + 1), &at(size)), Ok(()), "{} to {size}", index + 1);
        }
    }
}

#[test]
fn doubleentry_judges_a_quorum_as_we_do() {
    let log = key(ORIGIN, Kind::Text);
    let witnesses: Vec<Signer> = (0..4).map(|n| key(&format!("witness.example/w{n}"), Kind::Cosignature)).collect();
    let lines: String = witnesses.iter().enumerate().map(|(at, key)| format!("witness W{at} {}\n", key.verifier().text())).collect();
    let text = format!("log {}\n{lines}group G 2 W0 W1 W2\ngroup H all G W3\nquorum H\n", log.verifier().text());
    let (ours, theirs) = (Policy::parse(text.as_bytes()).expect("ours"), doubleentry::transparency::Policy::parse(&text).expect("theirs"));
    for set in 0..16u32 {
        let mut note = head(9).sign(std::slice::from_ref(&log)).expect("signed");
        for (_, witness) in witnesses.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1) {
            note.add(witness.sign(&head(9).text(), 1_700_000_000));
        }
        let judged = ours.judge(&note, &[]).expect("signed by the log");
        let read = SignedCheckpoint::parse(note.signed().as_bytes()).expect("they read it");
        let verdict = theirs.verify(&read);
        assert_eq!(judged.quorum, verdict.is_ok(), "{set:b}: {verdict:?}");
        assert_eq!(judged.quorum, set & 8 != 0 && (set & 7).count_ones() >= 2, "{set:b}");
        assert!(verdict.is_err() || verdict.is_ok_and(|found| found.witnesses.len() == judged.witnesses.len()));
    }
}

#[test]
fn doubleentry_has_its_checkpoints_cosigned_by_our_witness() {
    let (log, witness, mut memory) = (key(ORIGIN, Kind::Text), key("witness.example", Kind::Cosignature), Last::default());
    let mut tree = Grown::new(leaves(300));
    // The second asker knows nothing of the first, and is told.
    for (size, rounds) in [(7, 1), (300, 2)] {
        let signed = head(size).sign(std::slice::from_ref(&log)).expect("signed").signed();
        let signed = SignedCheckpoint::parse(signed.as_bytes()).expect("they read it");
        let mut session = WitnessSession::new(signed, vkey(&witness), 0).expect("a session");
        let mut round = 0;
        let cosigned = loop {
            round += 1;
            let proof = session.needed_proof().map(|(old_size, new_size)| {
                let path = prove_consistency(old_size, new_size, &mut tree).expect("a proof");
                ConsistencyProof { old_size, new_size, path: path.into_iter().map(Theirs::from_bytes).collect() }
            });
            let body = String::from_utf8(session.request(proof.as_ref()).expect("a request")).expect("UTF-8");
            let ours = Request::parse(&body).expect("we read it");
            assert_eq!(AddCheckpoint::parse(ours.body().as_bytes()).map(|read| read.to_bytes()), Ok(body.clone().into_bytes()));
            let answer = add_checkpoint(&body, &[log.verifier()], &mut memory, &witness, 1_700_000_000).expect("memory");
            let next = match answer {
                Ok(signature) => session.receive(200, None, signature.line().as_bytes()),
                Err(Declined::Seen(size)) => session.receive(409, Some("text/x.tlog.size"), format!("{size}\n").as_bytes()),
                Err(other) => panic!("{other:?}"),
            };
            if let Next::Cosigned { cosignature, .. } = next.expect("they accept it") {
                break cosignature;
            }
        };
        assert_eq!((round, cosigned.timestamp()), (rounds, 1_700_000_000));
    }
}

#[test]
fn doubleentry_reads_our_receipts() {
    let log = key(ORIGIN, Kind::Text);
    let path = prove_inclusion(41, 300, &mut Grown::new(leaves(300))).expect("a proof");
    for extra in [None, Some(b"what it is".to_vec())] {
        let checkpoint = head(300).sign(std::slice::from_ref(&log)).expect("signed");
        let receipt = Receipt { extra, index: 41, path: path.clone(), checkpoint };
        let text = receipt.text();
        // Whether the leaf is of its ledger they ask only later; the form and the path are the specification's.
        let read = ProofBundle::parse(text.as_bytes()).expect("they read it");
        assert_eq!((read.index(), read.to_bytes()), (41, text.clone().into_bytes()));
        let mut read_by_both = 0;
        for wrong in mutated(&text) {
            let (ours, theirs) = (Receipt::parse(&wrong), ProofBundle::parse(wrong.as_bytes()));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?} {wrong}");
            read_by_both += u32::from(ours.is_ok());
            let proves = ours.is_ok_and(|read| {
                let opened = Checkpoint::open(&read.checkpoint, &[log.verifier()]);
                opened.is_ok_and(|head| read.proves(&leaves(42)[41], &head))
            });
            // What nothing vouches for may be changed.
            assert!(!proves || wrong.contains("extra "), "{wrong}");
        }
        assert!(read_by_both > 100, "{read_by_both}");
    }
}
