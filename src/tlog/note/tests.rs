//! Notes and keys that others published, and what must not pass for one.

use super::*;

const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETERS: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const BY_PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const BY_ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn key(text: &str) -> Verifier {
    Verifier::parse(text).expect("a key")
}

fn signed(lines: &str) -> Result<Note, NoteError> {
    Note::parse(&format!("{TEXT}\n{lines}"))
}

#[test]
fn the_example_of_gos_package_comes_out() {
    let signer = Signer::parse(PETERS).expect("a key");
    let mut note = Note::new(TEXT).expect("a text");
    note.add(signer.sign(TEXT, 0));
    assert_eq!(note.signed(), format!("{TEXT}\n{BY_PETER}"));
    assert_eq!((signer.secret().as_str(), signer.verifier().text().as_str()), (PETERS, PETER));
    assert_eq!(format!("{signer:?}"), "Signer(PeterNeumann)");
}

#[test]
fn the_specifications_examples_verify() {
    let vkey = key("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
    let note = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let note = Note::parse(note).expect("a note");
    assert_eq!(note.verify([&vkey]), Ok(vec![(&vkey, None)]));
    // An empty line in the text: the last one parts it from the signatures.
    let poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n";
    let line =
        "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(&format!("{poem}\n{line}")).expect("a note");
    assert_eq!((note.text(), note.signatures()[0].line().as_str()), (poem, line));
}

#[test]
fn known_keys_must_verify_and_others_count_for_nothing() {
    let (peter, enoch) = (key(PETER), key(ENOCH));
    let both = signed(&format!("{BY_PETER}{BY_ENOCH}")).expect("a note");
    assert_eq!(both.verify([&enoch, &peter]), Ok(vec![(&peter, None), (&enoch, None)]));
    assert_eq!(both.verify([&enoch]), Ok(vec![(&enoch, None)]));
    assert_eq!(both.verify([]), Ok(Vec::new()));
    // The same signature twice is one; and a wrong one beside a right one refuses the whole.
    let twice = signed(&format!("{BY_PETER}{BY_PETER}")).expect("a note");
    assert_eq!(twice.verify([&peter]), Ok(vec![(&peter, None)]));
    let wrong = BY_PETER.replace("x08go/Z", "x08go/Y");
    for lines in [wrong.clone(), format!("{BY_PETER}{wrong}"), format!("{wrong}{BY_ENOCH}")] {
        assert_eq!(signed(&lines).expect("a note").verify([&peter, &enoch]), Err(NoteError::Signature), "{lines}");
    }
    assert_eq!(signed(&wrong).expect("a note").verify([&enoch]), Ok(Vec::new()));
    let other = Note::parse(&format!("{TEXT}more\n\n{BY_PETER}")).expect("a note");
    assert_eq!(other.verify([&peter]), Err(NoteError::Signature));
    // Another name or another id is another key.
    let renamed = BY_PETER.replace("PeterNeumann", "EnochRoot");
    assert_eq!(signed(&renamed).expect("a note").verify([&peter, &enoch]), Ok(Vec::new()));
}

#[test]
fn what_is_no_note_is_refused() {
    let many = BY_PETER.repeat(SIGNATURES + 1);
    let wrong = [
        String::new(),
        TEXT.into(),
        format!("{TEXT}\n"),
        format!("{TEXT}{BY_PETER}"),
        format!("{TEXT}\n{}", BY_PETER.trim_end()),
        format!("{TEXT}\n{BY_PETER}\n"),
        format!("{TEXT}\n{BY_PETER}more\n"),
        format!("{TEXT}\n{many}"),
        format!("tab\t\n\n{BY_PETER}"),
        format!("return\r\n\n{BY_PETER}"),
        format!("{TEXT}\n{}", BY_PETER.replace('—', "-")),
        format!("{TEXT}\n{}", BY_PETER.replace("nAM=", "nAN=")),
        format!("{TEXT}\n{}", BY_PETER.replace("nAM=", "nAM")),
        format!("{TEXT}\n— PeterNeumann x08gow==\n"),
        format!("{TEXT}\n— Peter Neumann x08gowA=\n"),
        format!("{TEXT}\n— Peter+Neumann x08gowA=\n"),
        format!("{TEXT}\n—  x08gowA=\n"),
        format!("{}\n\n{BY_PETER}", "x".repeat(NOTE_BYTES)),
    ];
    for note in wrong {
        assert!(matches!(Note::parse(&note), Err(NoteError::Malformed(_))), "{note:.200}");
    }
    assert!(signed(&BY_PETER.repeat(SIGNATURES)).is_ok());
    assert!(Note::new("no end").is_err());
}

#[test]
fn what_is_no_key_is_refused() {
    let tail = PETER.rsplit('+').next().expect("base64");
    let wrong = [
        String::new(),
        "PeterNeumann".into(),
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("c74f20a3", "0c74f20a3"),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER.replace("PeterNeumann", ""),
        PETER.replace(tail, &tail.replacen('A', "B", 1)),
        PETER.replace(tail, &tail[..tail.len() - 4]),
        format!("{PETER}="),
        PETERS.into(),
    ];
    for text in &wrong {
        assert!(Verifier::parse(text).is_err(), "{text}");
    }
    for text in [PETER, &PETERS.replace("a3+AY", "a4+AY"), &PETERS.replace("PRIVATE+", ""), &PETERS[..PETERS.len() - 4]] {
        assert!(Signer::parse(text).is_err(), "{text}");
    }
    assert!(Signer::generate("two words", Kind::Text).is_err());
}

/// A verifier key's text for any bytes, with the id that belongs to them.
fn named(bytes: &[u8]) -> String {
    let hash = Sha256::new_with_prefix("k\n\x01").chain_update(bytes).finalize();
    let id: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("k+{id}+{}", STANDARD.encode([&[1], bytes].concat()))
}

#[test]
fn points_of_small_order_and_second_encodings_are_no_keys() {
    let good = *key(PETER).bytes();
    assert!(Verifier::parse(&named(&good)).is_ok());
    let mut refused = 0;
    // y = 0, 1 and −1 lie on points of small order; from p on, y is 0 to 18 a second time; each with both signs.
    for low in [0u8, 1].into_iter().map(|low| (low, false)).chain((0xec..=0xff).map(|low| (low, true))) {
        for sign in [0, 0x80] {
            let mut bytes = if low.1 { [0xff; 32] } else { [0; 32] };
            bytes[0] = low.0;
            bytes[31] = if low.1 { 0x7f } else { 0 } | sign;
            assert!(Verifier::parse(&named(&bytes)).is_err(), "{bytes:x?}");
            refused += usize::from(VerifyingKey::from_bytes(&bytes).is_ok());
        }
    }
    assert!(refused > 12, "many of these are points to a lenient reader: {refused}");
}

#[test]
fn a_scalar_beyond_the_order_and_a_small_r_are_refused() {
    let signer = Signer::parse(PETERS).expect("a key");
    let good = signer.sign(TEXT, 0);
    assert_eq!(signer.verifier().verify(TEXT, &good.bytes), Ok(None));
    // S + L verifies to those who don't look at S.
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x10,
    ];
    let (mut larger, mut carry) = (good.bytes.clone(), 0u16);
    for (byte, add) in larger[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    let mut small = good.bytes.clone();
    small[..32].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for wrong in [&larger[..], &small[..], &good.bytes[1..], &[]] {
        assert_eq!(signer.verifier().verify(TEXT, wrong), Err(NoteError::Signature));
    }
    for at in 0..good.bytes.len() {
        let mut wrong = good.bytes.clone();
        wrong[at] ^= 1;
        assert_eq!(signer.verifier().verify(TEXT, &wrong), Err(NoteError::Signature), "{at}");
    }
}

#[test]
fn a_witness_signs_the_time_too() {
    let witness = Signer::generate("witness.example/w1", Kind::Cosignature).expect("a key");
    let again = Signer::parse(&witness.secret()).expect("a key");
    let mut note = Note::new(TEXT).expect("a text");
    note.add(again.sign(TEXT, 1_679_315_147));
    let vkey = key(&witness.verifier().text());
    assert_eq!(note.verify([&vkey]), Ok(vec![(&vkey, Some(1_679_315_147))]));
    let mut later = note.signatures()[0].clone();
    later.bytes[7] ^= 1;
    note.add(later);
    assert_eq!(note.verify([&vkey]), Err(NoteError::Signature));
    // The same key for texts has another id.
    let text = Verifier { kind: Kind::Text, ..vkey.clone() };
    assert_ne!(text.id(), vkey.id());
    assert_eq!(Verifier::parse(&text.text()), Ok(text));
}
