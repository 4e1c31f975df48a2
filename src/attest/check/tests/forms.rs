//! Logs that are sealed, signed and proved as they should be, but for one form: whatever is written in another way than the one is refused.

use super::*;

/// A log whose second line is disclosed, and its leaf written, as given.
fn written(disclosure: impl FnOnce(&Forged) -> String, leaf: impl FnOnce(String) -> String) -> Forger {
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    let line = log.line("a", "charge", -2_500);
    let (index, disclosure) = (log.leaves.len() as u64, disclosure(&line));
    let own = digest(&disclosure);
    let lot = log.lots.get_mut("a").expect("there");
    lot.take(line.amount).expect("not less than nothing");
    lot.add(&own);
    log.leaves.push(leaf(Leaf::new("charge", vec!["entry".into()], vec![own], line.nul.clone()).text()));
    log.lines.push(Forged { index, disclosure, ..line });
    log.seal();
    log
}

/// A log whose head and seal are written as given, and sealed so.
fn sealed(head: impl Fn(String) -> String, seal: impl Fn(String) -> String) -> Forger {
    let mut log = with(|_| ());
    let (_, lot) = log.sealed[0].lots["a"].clone();
    let head = head(lot.head(&[9; 16]));
    let mut heads = Heads::default();
    heads.set("a", &head);
    log.leaves.push(seal(heads.seal()));
    let size = log.leaves.len() as u64;
    let root = root_of(size, &mut log.tree(size)).expect("a root");
    let note = Checkpoint::new(ORIGIN, size, root).expect("a checkpoint").sign(std::slice::from_ref(&log.key)).expect("signed").signed();
    log.sealed.push(Sealed { size, note, heads, lots: BTreeMap::from([("a", (head, lot))]) });
    log
}

#[track_caller]
fn non_canonical(log: &Forger) {
    log.refused(&log.bundle(&["a"], false), None, Reason::NonCanonical);
}

#[test]
pub fn lines_are_written_in_one_way() {
    let good = |line: &Forged| disclose(&[2; 16], NAME, &text_of(line));
    let log = written(good, |leaf| leaf);
    assert!(log.check(&log.bundle(&["a"], false), None).is_ok());
    let changes = [
        (r#""day":"2026-03-02""#, r#""day":"2026-03-02T10""#),
        (r#""day":"2026-03-02""#, r#""day":"2026-3-02""#),
        (r#""day":"2026-03-02","#, ""),
        (r#""day":"2026-03-02""#, r#""day":"2026-03-02","effective":"yesterday""#),
        (r#""amount":"-25.00""#, r#""amount":"-25.0""#),
        (r#""amount":"-25.00""#, r#""amount":"-025.00""#),
        (r#""amount":"-25.00""#, r#""amount":-25"#),
        (r#""amount":"-25.00""#, r#""amount":"-0.00""#),
        (r#""amount":"-25.00""#, r#""amount":"-1701411834604692317316873037158841057.28""#),
        (r#""n":"2""#, r#""n":"02""#),
        (r#""n":"2""#, r#""n":null"#),
        (r#""n":"2""#, r#""job":"4711","n":"2""#),
        (r#""n":"2""#, r#""n": "2""#),
        (r#""n":"2""#, r#""n":"\u0032""#),
        (r#""class":"charge","#, r#""class":"charge","class":"charge","#),
    ];
    for (from, to) in changes {
        let text = |line: &Forged| {
            let text = text_of(line);
            assert!(text.contains(from), "{text}");
            disclose(&[2; 16], NAME, &text.replace(from, to))
        };
        non_canonical(&written(text, |leaf| leaf));
    }
}

#[test]
pub fn disclosures_are_written_in_one_way() {
    let url64 = |text: String| super::super::super::canon::url64(text.as_bytes());
    let salt = "AgICAgICAgICAgICAgICAg";
    non_canonical(&written(|line| disclose(&[2; 16], "job", &text_of(line)), |leaf| leaf));
    for wrong in ["AgIC", "", "AgICAgICAgICAgICAgICAgI", "AgICAgICAgICAgICAgICAg=="] {
        non_canonical(&written(|line| url64(format!(r#"["{wrong}","line",{}]"#, text_of(line))), |leaf| leaf));
    }
    non_canonical(&written(|line| url64(format!(r#"["{salt}","line",{},"more"]"#, text_of(line))), |leaf| leaf));
    non_canonical(&written(|_| url64(format!(r#"["{salt}","line"]"#)), |leaf| leaf));
    non_canonical(&written(|line| url64(format!(r#"["{salt}","line", {}]"#, text_of(line))), |leaf| leaf));
    non_canonical(&written(|_| url64(format!(r#"["{salt}","line","text"]"#)), |leaf| leaf));
    non_canonical(&written(|_| "not in the alphabet!".into(), |leaf| leaf));
    non_canonical(&written(|_| super::super::super::canon::url64(&[0xff, 0xfe]), |leaf| leaf));
}

#[test]
pub fn leaves_are_written_in_one_way() {
    let good = |line: &Forged| disclose(&[2; 16], NAME, &text_of(line));
    let long = "x".repeat(40_000);
    let changes = [
        (r#""v":1"#, r#""v":2"#),
        (r#""v":1"#, r#""v":true"#),
        (r#""v":1"#, r#""v":1.0"#),
        (r#""v":1"#, r#""v":1,"w":"more""#),
        (r#""_sd":["entry"]"#, r#""_sd":["entry","entry"]"#),
        (r#""_sd":["entry"]"#, r#""_sd":["entry","a"]"#),
        (r#""_sd":["entry"]"#, r#""_sd":[1]"#),
        (r#""_sd":["entry"]"#, &format!(r#""_sd":["{long}"]"#)),
    ];
    for (from, to) in changes {
        let text = |leaf: String| {
            assert!(leaf.contains(from), "{leaf}");
            leaf.replace(from, to)
        };
        non_canonical(&written(good, text));
    }
    // Out of order, too.
    non_canonical(&written(good, |leaf| leaf.replace(r#""lines":["#, r#""lines":["~","#)));
}

#[test]
pub fn heads_and_seals_are_written_in_one_way() {
    let log = sealed(|head| head, |seal| seal);
    assert!(log.check(&log.bundle(&["a"], false), None).is_ok());
    let root = |text: &str| text.split("\"root\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a root").to_owned();
    let heads: [&dyn Fn(String) -> String; 7] = [
        &|head| head.replace(r#""in":"100.00""#, r#""in":"100.0""#),
        &|head| head.replace(r#""in":"100.00""#, r#""in":"-100.00""#),
        &|head| head.replace(&root(&head), "AAAA"),
        &|head| head.replace(r#""count":"2""#, r#""count":"02""#),
        &|head| head.replace(r#""salt":""#, r#""salt":"="#),
        &|head| head.replace(r#""unit":"USD""#, r#""unit":"USD","who":"x""#),
        &|head| head.replace(',', ", "),
    ];
    for change in heads {
        let honest = log.sealed[1].lots["a"].0.clone();
        assert_ne!(change(honest.clone()), honest);
        non_canonical(&sealed(change, |seal| seal));
    }
    let seals: [&dyn Fn(String) -> String; 6] = [
        &|seal| seal.replace(r#""lots":"1""#, r#""lots":"01""#),
        &|seal| seal.replace(r#""lots":"1""#, r#""lots":1"#),
        &|seal| seal.replace(r#""v":1"#, r#""v":2"#),
        &|seal| seal.replace(r#""t":"seal""#, r#""t":"lid""#),
        &|seal| seal.replace(&root(&seal), "AAAA"),
        &|seal| seal.replace(r#""v":1"#, r#""v":1,"w":1"#),
    ];
    for change in seals {
        non_canonical(&sealed(|head| head, change));
    }
}

#[test]
pub fn numbers_and_hashes_outside_leaves_have_one_form_too() {
    let log = honest();
    let bundle = log.bundle(&["a", "b"], true);
    let mut index = bundle.clone();
    index.lots[0].lines[0].index.insert(0, '0');
    log.refused(&index, None, Reason::NonCanonical);
    let mut place = bundle.clone();
    place.lots[0].place = "00".into();
    log.refused(&place, None, Reason::NonCanonical);
    let mut seal = bundle.clone();
    seal.seals[0].index.insert(0, '+');
    log.refused(&seal, None, Reason::NonCanonical);
    let wrong = ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=".to_owned(), "A".repeat(44)];
    for (of, wrong) in (0..8).zip(wrong.iter().cycle()) {
        let mut hash = bundle.clone();
        let list = match of / 2 {
            0 => &mut hash.consistency,
            1 => &mut hash.previous_cover,
            2 => &mut hash.lots[0].path,
            _ => &mut hash.cover,
        };
        list.push(wrong.clone());
        log.refused(&hash, None, Reason::Malformed);
    }
}

#[test]
pub fn notes_are_read_as_they_are_signed() {
    let log = honest();
    let bundle = log.bundle(&["a", "b"], true);
    let text = Note::parse(&bundle.checkpoint).expect("a note").text().to_owned();
    let signed = |text: &str| format!("{text}\n{}", log.key.sign(text, 0).line());
    let extended = Bundle { checkpoint: signed(&format!("{text}an extension\n")), ..bundle.clone() };
    assert!(log.check(&extended, None).is_ok());
    let malformed = [
        signed(&format!("{text}a\tb\n")),
        signed(&text).replace("\n\n", "\n"),
        format!("{text}\n"),
        signed(&text).trim_end().to_owned(),
        format!("{}— a b\n", signed(&text)),
        format!("{}\n", signed(&text)),
        signed(&format!("{text}{}\n", "x".repeat(1_000_000))),
        format!("{text}\n{}", log.key.sign(&text, 0).line().repeat(101)),
    ];
    for checkpoint in malformed {
        log.refused(&Bundle { checkpoint, ..bundle.clone() }, None, Reason::Malformed);
    }
    let size = format!("\n{}\n", log.sealed[1].size);
    let root = text.lines().nth(2).expect("a root").to_owned();
    assert_eq!(root.len(), 44);
    for wrong in [
        text.replace(&root, &"!".repeat(44)),
        text.replace(&size, "\n07\n"),
        format!("{text}\n"),
        text.replace(&size, "\n9223372036854775808\n"),
        "\n\n".into(),
    ] {
        log.refused(&Bundle { checkpoint: signed(&wrong), ..bundle.clone() }, None, Reason::Signature);
    }
    // A witness whose word does not verify spoils the rest.
    let witness = Signer::generate("witness.example", Kind::Cosignature).expect("a key");
    let policy = format!("log {}\nwitness w {}\nquorum none\n", log.key.verifier().text(), witness.verifier().text());
    let trust = Trust { policy: Policy::parse(policy.as_bytes()).expect("a policy"), keys: Vec::new() };
    let checkpoint = format!("{}{}", bundle.checkpoint, witness.sign("another\n", 1).line());
    let spoiled = serde_json::to_string(&Bundle { checkpoint, ..bundle }).expect("written");
    assert!(judged(&spoiled, &trust, None).is_err_and(|refused| refused.reason == Reason::Signature));
}
