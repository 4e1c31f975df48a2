//! A log as a folder of the files it serves (C2SP tlog-tiles), with a few proofs beside: what one implementation writes for another to check.
//!
//! `vkey`, `checkpoint`, `tile/…` and `proofs`, whose lines are `inclusion SIZE INDEX HASH…` and `consistency FROM TO ROOT-OF-FROM HASH…`.

use std::fs;
use std::path::{Path, PathBuf};

use almoner::tlog::hash::{from_base64, leaf, to_base64};
use almoner::tlog::note::{Kind, Signer};
use almoner::tlog::proof::{extends, includes, prove_consistency, prove_inclusion};
use almoner::tlog::tile::{Edge, FULL, Reader, Tile, Tiles, decode, decode_bundle, encode, encode_bundle};
use almoner::tlog::tree::root_of;
use almoner::tlog::{Checkpoint, Hash, Note, Verifier};

use crate::{leaves, text};

/// The log's name in all of these tests.
pub const ORIGIN: &str = "log.example/books";

/// Reads tiles from the folder.
pub struct Folder<'f>(pub &'f Path);

impl Tiles for Folder<'_> {
    type Error = String;

    fn tiles(&mut self, wanted: &[Tile]) -> Result<Vec<Vec<Hash>>, String> {
        let read = |tile: &Tile| {
            let bytes = fs::read(self.0.join(tile.path())).map_err(|e| format!("{}: {e}", tile.path()))?;
            decode(&bytes, tile.width).ok_or_else(|| format!("{}: {} bytes", tile.path(), bytes.len()))
        };
        wanted.iter().map(read).collect()
    }
}

/// The proofs worth having: at both ends, where tiles end, and in the middle.
fn places(size: u64) -> Vec<u64> {
    let mut all: Vec<u64> = [0, 1, 2, 254, 255, 256, 257, size / 3, size / 2, size - 1].into_iter().filter(|at| *at < size).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

/// Writes a log of so many leaves as we make it.
pub fn make(folder: &Path, size: u64) {
    let mut edge = Edge::new();
    for leaf in leaves(size) {
        edge.push(leaf, |tile, hashes| write(&folder.join(tile.path()), encode(&hashes)));
    }
    edge.parts().for_each(|(tile, hashes)| write(&folder.join(tile.path()), encode(hashes)));
    for index in 0..size.div_ceil(u64::from(FULL)) {
        let tile = Tile::of(0, index, size).expect("a tile");
        let first = index * u64::from(FULL);
        let texts: Vec<String> = (first..first + u64::from(tile.width)).map(text).collect();
        let bundle = encode_bundle(texts.iter().map(String::as_bytes)).expect("short leaves");
        write(&folder.join(tile.bundle_path()), bundle);
    }
    let key = Signer::generate(ORIGIN, Kind::Text).expect("a key");
    let checkpoint = Checkpoint::new(ORIGIN, size, edge.root()).expect("a checkpoint");
    write(&folder.join("vkey"), key.verifier().text());
    write(&folder.join("checkpoint"), checkpoint.sign(&[key]).expect("signed").signed());
    write(&folder.join("proofs"), proofs(folder, size));
}

/// The lines of proofs that we make of a log, reading its tiles.
fn proofs(folder: &Path, size: u64) -> String {
    let mut reader = Reader::new(Folder(folder), size);
    let line = |head: String, proof: Vec<Hash>| proof.iter().fold(head, |line, hash| line + " " + &to_base64(hash)) + "\n";
    let mut lines = String::new();
    for index in places(size) {
        let proof = prove_inclusion(index, size, &mut reader).expect("a proof");
        lines += &line(format!("inclusion {size} {index}"), proof);
        let from = index + 1;
        let root = root_of(from, &mut Reader::new(Folder(folder), size)).expect("a root");
        let proof = prove_consistency(from, size, &mut reader).expect("a proof");
        lines += &line(format!("consistency {from} {size} {}", to_base64(&root)), proof);
    }
    lines
}

/// Checks a log that others wrote: the checkpoint's signature, every leaf against the tiles, the tiles against the root, and that the proofs are
/// those that we would make and hold.
pub fn check(folder: &Path) -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"));
    let wrong = |what: &str, why: &dyn std::fmt::Debug| format!("{what}: {why:?}");
    let key = Verifier::parse(read("vkey")?.trim_end()).map_err(|e| wrong("vkey", &e))?;
    let note = Note::parse(&read("checkpoint")?).map_err(|e| wrong("checkpoint", &e))?;
    let head = Checkpoint::open(&note, &[key]).map_err(|e| wrong("checkpoint", &e))?;
    let mut count = 0;
    for index in 0..head.size.div_ceil(u64::from(FULL)) {
        let tile = Tile::of(0, index, head.size).ok_or("no such tile")?;
        let hashes = Folder(folder).tiles(&[tile])?.remove(0);
        let bytes = fs::read(folder.join(tile.bundle_path())).map_err(|e| wrong("bundle", &e))?;
        let texts = decode_bundle(&bytes, tile.width).ok_or("a bundle can't be read")?;
        for (bytes, hash) in texts.into_iter().zip(hashes) {
            if bytes != text(count).as_bytes() || leaf(bytes) != hash {
                return Err(format!("leaf {count} is another"));
            }
            count += 1;
        }
    }
    let root = root_of(head.size, &mut Reader::new(Folder(folder), head.size)).map_err(|e| wrong("tiles", &e))?;
    if (count, root) != (head.size, head.root) {
        return Err("the leaves and tiles are not those of the checkpoint".into());
    }
    let given = read("proofs")?;
    if given != proofs(folder, head.size) {
        return Err("the proofs are others than ours".into());
    }
    let hold = given.lines().all(|line| holds(line, &head).unwrap_or(false));
    hold.then_some(()).ok_or_else(|| "a proof does not hold".into())
}

fn holds(line: &str, head: &Checkpoint) -> Option<bool> {
    let words: Vec<&str> = line.split(' ').collect();
    let hashes = |from: usize| words.get(from..)?.iter().map(|word| from_base64(word)).collect::<Option<Vec<Hash>>>();
    let number = |at: usize| words.get(at)?.parse().ok();
    Some(match *words.first()? {
        "inclusion" => {
            let index = number(2)?;
            includes(index, &leaf(text(index).as_bytes()), number(1)?, &head.root, &hashes(3)?)
        }
        "consistency" => extends(number(1)?, &from_base64(words.get(3)?)?, number(2)?, &head.root, &hashes(4)?),
        _ => return None,
    })
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found.sort();
    found
}

#[test]
fn what_we_write_we_read_and_a_flipped_bit_anywhere_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    make(folder.path(), 700);
    assert_eq!(check(folder.path()), Ok(()));
    for file in files(folder.path()) {
        let good = fs::read(&file).expect("read");
        let mut wrong = good.clone();
        wrong[good.len() / 2] ^= 1;
        fs::write(&file, wrong).expect("written");
        assert!(check(folder.path()).is_err(), "{}", file.display());
        fs::write(&file, good).expect("written");
    }
}
