//! `almoner witness` as a process: others send it checkpoints, it cosigns what grows, and after a kill it knows what it saw.

use almoner::tlog::note::{Kind, Signature, Signer};
use almoner::tlog::proof::prove_consistency;
use almoner::tlog::tree::{Grown, root_of};
use almoner::tlog::witness::Request;
use almoner::tlog::{Checkpoint, Note};

use crate::folder::ORIGIN;
use crate::leaves;
use crate::support::server::{client, send};
use crate::support::witness::Running;
use crate::support::{Run, program};

fn request(log: &Signer, old: u64, size: u64) -> Request {
    let mut tree = Grown::new(leaves(size));
    let head = Checkpoint::new(ORIGIN, size, root_of(size, &mut tree).expect("a root")).expect("a checkpoint");
    let proof = prove_consistency(old, size, &mut tree).unwrap_or_default();
    Request { old, proof, checkpoint: head.sign(std::slice::from_ref(log)).expect("signed") }
}

#[test]
fn it_cosigns_over_http_and_remembers_through_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Signer::generate(ORIGIN, Kind::Text).expect("a key");
    let witness = Running::start(folder.path(), &log.verifier().text(), Some("witness.example/ours"));
    assert_eq!((witness.key.name(), witness.last(ORIGIN).status), ("witness.example/ours", 404));
    let first = request(&log, 0, 300);
    let answer = witness.send(&first).expect(200);
    let mut cosigned = first.checkpoint.clone();
    cosigned.add(Signature::parse(answer.text.trim_end()).expect("a signature"));
    let keys = [log.verifier(), witness.key.clone()];
    assert_eq!(cosigned.verify(&keys).map(|found| found.len()), Ok(2));
    assert_eq!(Note::parse(&witness.last(ORIGIN).expect(200).text), Ok(cosigned));
    let key = witness.key.clone();
    drop(witness);

    let witness = Running::start(folder.path(), &log.verifier().text(), None);
    assert_eq!(witness.key, key);
    let conflict = witness.send(&request(&log, 0, 400));
    assert_eq!((conflict.status, conflict.text.as_str(), conflict.header("content-type")), (409, "300\n", "text/x.tlog.size"));
    let other = Signer::generate(ORIGIN, Kind::Text).expect("a key");
    let unknown = Signer::generate("other.example", Kind::Text).expect("a key");
    let mut foreign = request(&unknown, 0, 7);
    let text = foreign.checkpoint.text().replace(ORIGIN, "other.example");
    foreign.checkpoint = Note::new(&text).expect("a text");
    foreign.checkpoint.add(unknown.sign(&text, 0));
    let cases = [
        (request(&other, 300, 400), 403),
        (foreign, 404),
        (Request { proof: Vec::new(), ..request(&log, 300, 400) }, 422),
        (Request { old: 401, ..request(&log, 300, 400) }, 400),
    ];
    for (wrong, status) in cases {
        assert_eq!(witness.send(&wrong).status, status, "{}", wrong.body());
    }
    let noise = send(&client(), &witness.address, ("POST", "/add-checkpoint"), None, &[], Some("noise")).expect("an answer");
    assert_eq!(noise.status, 400);
    witness.send(&request(&log, 300, 400)).expect(200);
}

#[test]
fn one_process_at_a_time_is_a_witness() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Signer::generate(ORIGIN, Kind::Text).expect("a key");
    let nameless =
        Run::from(program().args(["witness", "--vkey", &log.verifier().text(), "--data"]).arg(folder.path()).output().expect("it runs"));
    assert!(nameless.code == Some(5) && nameless.stderr.contains("--name"), "{nameless:?}");
    let _running = Running::start(folder.path(), &log.verifier().text(), Some("witness.example/ours"));
    let second =
        Run::from(program().args(["witness", "--vkey", &log.verifier().text(), "--data"]).arg(folder.path()).output().expect("it runs"));
    assert!(second.code == Some(5) && second.stderr.contains("another process"), "{second:?}");
}
