//! The example of C2SP tlog-policy with real keys, and files that are none.

use super::super::note::Signer;
use super::*;

fn key(name: &str, kind: Kind) -> Signer {
    Signer::generate(name, kind).expect("a key")
}

/// The specification's own example: two of three and any of three.
fn example() -> (Signer, Vec<Signer>, String) {
    let log = key("log.example", Kind::Text);
    let witnesses: Vec<Signer> = (0..6).map(|n| key(&format!("witness.example/w{n}"), Kind::Cosignature)).collect();
    let names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"];
    let lines: String =
        names.iter().zip(&witnesses).map(|(name, witness)| format!("witness {name} {}\n", witness.verifier().text())).collect();
    let text = format!(
        "# who is trusted\nlog {} https://log.example/\n\n \t# witnesses\n{lines}\tgroup  X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 \
         Y3 \ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log.verifier().text()
    );
    (log, witnesses, text)
}

#[test]
fn the_quorum_is_what_the_example_says() {
    let (log, witnesses, text) = example();
    let policy = Policy::parse(text.as_bytes()).expect("a policy");
    assert_eq!((policy.logs.len(), policy.witnesses.len()), (1, 6));
    assert_eq!(policy.logs[0].url.as_deref(), Some("https://log.example/"));
    let head = Checkpoint::new("log.example", 9, [3; 32]).expect("a checkpoint");
    for set in 0..64u32 {
        let mut note = head.sign(std::slice::from_ref(&log)).expect("signed");
        let by: Vec<&Signer> = witnesses.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, witness)| witness).collect();
        by.iter().for_each(|witness| note.add(witness.sign(&head.text(), 77)));
        let judged = policy.judge(&note, &[]).expect("signed by the log");
        let enough = (set & 7).count_ones() >= 2 && set >> 3 != 0;
        assert_eq!((judged.quorum, judged.witnesses.len(), &judged.checkpoint), (enough, by.len(), &head), "{set:b}");
        assert!(judged.witnesses.iter().all(|(_, time)| *time == 77));
    }
}

#[test]
fn a_wrong_cosignature_refuses_and_an_unknown_one_counts_for_nothing() {
    let (log, witnesses, text) = example();
    let policy = Policy::parse(text.as_bytes()).expect("a policy");
    let head = Checkpoint::new("log.example", 9, [3; 32]).expect("a checkpoint");
    let mut note = head.sign(std::slice::from_ref(&log)).expect("signed");
    note.add(key("witness.example/w0", Kind::Cosignature).sign(&head.text(), 1));
    assert_eq!(policy.judge(&note, &[]).map(|judged| (judged.quorum, judged.witnesses.len())), Ok((false, 0)));
    note.add(witnesses[0].sign("another text\n", 1));
    assert_eq!(policy.judge(&note, &[]), Err(NoteError::Signature));
    // A log is known by the policy or by whoever asks; a witness's word is no log's.
    let mut unsigned = Note::new(&head.text()).expect("a text");
    witnesses.iter().for_each(|witness| unsigned.add(witness.sign(&head.text(), 1)));
    assert_eq!(policy.judge(&unsigned, &[]), Err(NoteError::Unsigned));
    let signed = head.sign(std::slice::from_ref(&log)).expect("signed");
    assert_eq!(Policy::none().judge(&signed, &[]), Err(NoteError::Unsigned));
    assert!(Policy::none().judge(&signed, &[log.verifier()]).is_ok_and(|judged| judged.quorum));
}

#[test]
fn what_is_no_policy_is_refused_with_its_line() {
    let log = key("log.example", Kind::Text).verifier().text();
    let [one, two] = ["w1", "w2"].map(|name| key(name, Kind::Cosignature).verifier());
    // The same key under another name is the same key.
    let same = key("a", Kind::Cosignature);
    let renamed = Signer::parse(&rename(&same, "b")).expect("a key").verifier().text();
    let same = format!("witness A {}\nwitness B {renamed}\nquorum A\n", same.verifier().text());
    let (w1, w2) = (format!("witness W1 {}\n", one.text()), format!("witness W2 {}\n", two.text()));
    let wrong = [
        (String::new(), 0),
        (same, 2),
        (w1.clone(), 0),
        ("quorum W1\n".into(), 1),
        (format!("{w1}quorum W1\nquorum W1\n"), 3),
        ("quorum none\nquorum none\n".into(), 2),
        ("quorum\n".into(), 1),
        (format!("{w1}quorum W1 W1\n"), 2),
        (format!("{w1}{w1}quorum W1\n"), 2),
        (format!("{w1}witness W1 {}\nquorum W1\n", two.text()), 2),
        (format!("{w1}witness W2 {}\nquorum W1\n", one.text()), 2),
        (format!("witness none {}\nquorum none\n", one.text()), 1),
        (format!("witness W1 {log}\nquorum W1\n"), 1),
        (format!("log {}\nquorum none\n", one.text()), 1),
        (format!("log {log}\nlog {log}\nquorum none\n"), 2),
        (format!("log {log} url more\nquorum none\n"), 1),
        (format!("{w1}{w2}group G 0 W1 W2\nquorum G\n"), 3),
        (format!("{w1}{w2}group G 3 W1 W2\nquorum G\n"), 3),
        (format!("{w1}{w2}group G 01 W1 W2\nquorum G\n"), 3),
        (format!("{w1}{w2}group G most W1 W2\nquorum G\n"), 3),
        (format!("{w1}group G any\nquorum W1\n"), 2),
        (format!("{w1}group G any W2\n{w2}quorum G\n"), 2),
        (format!("{w1}group G any W1 W1\nquorum G\n"), 2),
        (format!("{w1}group G any W1\ngroup H any W1\nquorum G\n"), 3),
        (format!("{w1}group G any G\nquorum G\n"), 2),
        (format!("{w1}group G any none\nquorum G\n"), 2),
        (format!("{w1}group W1 any W1\nquorum W1\n"), 2),
        ("Quorum none\n".into(), 1),
        ("quorum none\r\n".into(), 1),
        ("quorum none\u{7f}\n".into(), 1),
    ];
    for (text, line) in wrong {
        assert_eq!(Policy::parse(text.as_bytes()).map_err(|error| error.line), Err(line), "{text}");
    }
    for text in
        [format!("{w1}quorum W1\n"), format!("{w1}group all all W1\nquorum all\n"), "quorum none".into(), "\n\nquorum\tnone\n".into()]
    {
        assert!(Policy::parse(text.as_bytes()).is_ok(), "{text}");
    }
    let opaque = [w1.replace("W1", "K").as_bytes(), b"witness \xe2\x84\xff ", two.text().as_bytes(), b"\nquorum \xe2\x84\xff\n"].concat();
    assert!(Policy::parse(&opaque).is_ok(), "a name is any bytes");
}

/// The key's text under another name.
fn rename(signer: &Signer, name: &str) -> String {
    use sha2::{Digest, Sha256};
    let secret = signer.secret();
    // Base64 may have plus signs of its own.
    let tail = secret.splitn(5, '+').last().expect("a key");
    let public = [&[4u8], signer.verifier().bytes().as_slice()].concat();
    let hash = Sha256::new_with_prefix(format!("{name}\n")).chain_update(public).finalize();
    let id: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("PRIVATE+KEY+{name}+{id}+{tail}")
}
