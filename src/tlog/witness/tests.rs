//! A witness that sees a log grow, and logs that lie to it.

use std::collections::HashMap;

use super::super::note::Kind;
use super::super::proof::prove_consistency;
use super::super::tree::Grown;
use super::super::tree::tests::{leaves, naive};
use super::*;

/// A memory that can be made to fail.
#[derive(Default)]
struct Notes {
    kept: HashMap<String, Note>,
    full: bool,
}

impl Memory for Notes {
    type Error = &'static str;

    fn last(&self, origin: &str) -> Result<Option<Note>, &'static str> {
        Ok(self.kept.get(origin).cloned())
    }

    fn keep(&mut self, origin: &str, note: &Note) -> Result<(), &'static str> {
        if self.full {
            return Err("no room");
        }
        self.kept.insert(origin.into(), note.clone());
        Ok(())
    }
}

struct Scene {
    log: Signer,
    witness: Signer,
    memory: Notes,
    leaves: Vec<Hash>,
}

impl Scene {
    fn new() -> Scene {
        let key = |name: &str, kind| Signer::generate(name, kind).expect("a key");
        let (log, witness) = (key("log.example", Kind::Text), key("witness.example", Kind::Cosignature));
        Scene { log, witness, memory: Notes::default(), leaves: leaves(300) }
    }

    fn head(&self, size: usize) -> Note {
        let head = Checkpoint::new("log.example", size as u64, naive(&self.leaves[..size])).expect("a checkpoint");
        head.sign(std::slice::from_ref(&self.log)).expect("signed")
    }

    fn request(&self, old: usize, size: usize) -> Request {
        let mut tree = Grown::new(self.leaves[..size].to_vec());
        let proof = prove_consistency(old as u64, size as u64, &mut tree).unwrap_or_default();
        Request { old: old as u64, proof, checkpoint: self.head(size) }
    }

    fn ask(&mut self, body: &str) -> Result<Signature, Declined> {
        let logs = [self.log.verifier()];
        add_checkpoint(body, &logs, &mut self.memory, &self.witness, 1_700_000_000).expect("memory")
    }

    fn size(&self) -> Option<u64> {
        self.memory.kept.get("log.example").map(|note| Checkpoint::parse(note.text()).expect("a checkpoint").size)
    }
}

#[test]
fn it_cosigns_what_grows_and_remembers_it() {
    let mut scene = Scene::new();
    for (old, size) in [(0, 0), (0, 1), (1, 1), (1, 7), (7, 64), (64, 300), (300, 300)] {
        let request = scene.request(old, size);
        assert_eq!(Request::parse(&request.body()).as_ref(), Ok(&request));
        let signature = scene.ask(&request.body()).expect("cosigned");
        let mut note = request.checkpoint.clone();
        note.add(signature);
        let (log, witness) = (scene.log.verifier(), scene.witness.verifier());
        assert_eq!(note.verify([&log, &witness]), Ok(vec![(&log, None), (&witness, Some(1_700_000_000))]));
        assert_eq!((scene.size(), scene.memory.kept.get("log.example")), (Some(size as u64), Some(&note)));
    }
}

#[test]
fn it_declines_as_the_protocol_says() {
    let mut scene = Scene::new();
    let sent = scene.request(0, 7).body();
    scene.ask(&sent).expect("cosigned");
    let other = Signer::generate("other.example", Kind::Text).expect("a key");
    let good = scene.request(7, 64);
    let foreign = Checkpoint::new("other.example", 64, [1; 32]).expect("a checkpoint").sign(std::slice::from_ref(&other)).expect("signed");
    let pretended = Checkpoint::new("log.example", 64, [1; 32]).expect("a checkpoint").sign(std::slice::from_ref(&other)).expect("signed");
    let mut broken = Note::new(good.checkpoint.text()).expect("a text");
    broken.add(scene.log.sign("another text\n", 0));
    let with = |checkpoint: &Note| Request { checkpoint: checkpoint.clone(), ..good.clone() }.body();
    let fork = {
        let mut other = Scene { log: scene.log.clone(), ..Scene::new() };
        other.leaves[3][0] ^= 1;
        (other.request(7, 64).body(), other.request(7, 7).body())
    };
    let cases = [
        ("old 7".into(), Declined::Malformed),
        (good.body().replace("old 7", "old 07"), Declined::Malformed),
        (good.body().replace("old 7", "old 65"), Declined::Malformed),
        (with(&foreign), Declined::Unknown),
        (with(&pretended), Declined::Signature),
        (with(&broken), Declined::Signature),
        (scene.request(0, 64).body(), Declined::Seen(7)),
        (scene.request(3, 64).body(), Declined::Seen(7)),
        (scene.request(6, 6).body(), Declined::Seen(7)),
        (Request { proof: Vec::new(), ..good.clone() }.body(), Declined::Inconsistent),
        (Request { proof: vec![[0; 32]; 63], ..good.clone() }.body(), Declined::Inconsistent),
        (Request { proof: vec![[0; 32]; 64], ..good.clone() }.body(), Declined::Malformed),
        (Request { proof: vec![[0; 32]], ..scene.request(7, 7) }.body(), Declined::Inconsistent),
        (fork.0, Declined::Inconsistent),
        (fork.1, Declined::Inconsistent),
    ];
    for (body, why) in cases {
        assert_eq!(scene.ask(&body), Err(why), "{body}");
        assert_eq!(scene.size(), Some(7));
    }
    scene.ask(&good.body()).expect("cosigned");
}

#[test]
fn a_first_checkpoint_has_no_proof_and_an_empty_tree_its_own_root() {
    let mut scene = Scene::new();
    let padded = Request { proof: vec![[0; 32]], ..scene.request(0, 7) }.body();
    assert_eq!(scene.ask(&padded), Err(Declined::Inconsistent));
    let head = Checkpoint::new("log.example", 0, [1; 32]).expect("a checkpoint");
    let checkpoint = head.sign(std::slice::from_ref(&scene.log)).expect("signed");
    let rootless = Request { old: 0, proof: Vec::new(), checkpoint }.body();
    assert_eq!((scene.ask(&rootless), scene.size()), (Err(Declined::Inconsistent), None));
}

#[test]
fn it_does_not_sign_what_it_can_not_remember() {
    let mut scene = Scene::new();
    scene.memory.full = true;
    let (body, logs) = (scene.request(0, 7).body(), [scene.log.verifier()]);
    let answer = add_checkpoint(&body, &logs, &mut scene.memory, &scene.witness, 1);
    assert_eq!(answer, Err(Failed::Memory("no room")));
}
