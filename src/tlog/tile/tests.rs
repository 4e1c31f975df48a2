//! Tiles against whole trees in memory and against the paths that C2SP gives as examples.

use super::super::tree::tests::{leaves, naive};
use super::super::tree::{Grown, root_of};
use super::super::{cover, proof};
use super::*;

/// All tiles that come out of a growing tree, and its edge.
fn grow(leaves: &[Hash]) -> (Edge, HashMap<(u8, u64), Vec<Hash>>) {
    let (mut edge, mut full) = (Edge::new(), HashMap::new());
    for leaf in leaves {
        edge.push(*leaf, |tile, hashes| {
            assert!(tile.is_full() && full.insert((tile.level, tile.index), hashes).is_none(), "{tile:?} twice");
        });
    }
    (edge, full)
}

/// A keeper of tiles that counts how often it is asked.
struct Kept {
    tiles: HashMap<(u8, u64), Vec<Hash>>,
    asked: usize,
}

impl Kept {
    fn of(leaves: &[Hash]) -> Kept {
        let (edge, mut tiles) = grow(leaves);
        tiles.extend(edge.parts().map(|(tile, hashes)| ((tile.level, tile.index), hashes.to_vec())));
        Kept { tiles, asked: 0 }
    }
}

impl Tiles for &mut Kept {
    type Error = ();

    fn tiles(&mut self, wanted: &[Tile]) -> Result<Vec<Vec<Hash>>, ()> {
        self.asked += 1;
        wanted.iter().map(|tile| self.tiles.get(&(tile.level, tile.index)).cloned().ok_or(())).collect()
    }
}

#[test]
fn paths_are_those_of_the_specification() {
    let tile = |level, index, width| Tile { level, index, width };
    let known = [
        (tile(0, 1_234_067, FULL), "tile/0/x001/x234/067"),
        (tile(0, 0, 1), "tile/0/000.p/1"),
        (tile(1, 273, 255), "tile/1/273.p/255"),
        (tile(7, 1000, FULL), "tile/7/x001/000"),
    ];
    for (tile, path) in known {
        assert_eq!(tile.path(), path);
        assert_eq!(Tile::parse(path.trim_start_matches("tile/")), Some((tile, false)));
    }
    assert_eq!(tile(0, 1234, 7).bundle_path(), "tile/entries/x001/234.p/7");
    assert_eq!(Tile::parse("entries/x001/234.p/7"), Some((tile(0, 1234, 7), true)));
    let wrong = [
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "00/000",
        "64/000",
        "-1/000",
        "0/001/234",
        "0/x01/234",
        "0/x000/001",
        "0/x001/x234",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/",
        "0/000.p",
        "0/x999/x999/x999/x999/x999/x999/999",
        "entries/1",
        "Entries/001",
        "0/xx001/234",
        "0/000/",
        "0/+01",
        "data/000",
    ];
    for path in wrong {
        assert_eq!(Tile::parse(path), None, "{path}");
    }
}

#[test]
fn the_tiles_of_the_specifications_example_are_there() {
    let partial: Vec<(u8, u64, u16)> = Tile::partial(70_000).map(|tile| (tile.level, tile.index, tile.width)).collect();
    assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    let partial: Vec<Tile> = Tile::partial(256).collect();
    assert_eq!(partial, [Tile { level: 1, index: 0, width: 1 }]);
    assert_eq!((Tile::partial(0).count(), Tile::of(0, 0, 0), Tile::of(0, 1, 256)), (0, None, None));
    assert_eq!(Tile::of(0, 0, 256).map(Tile::is_full), Some(true));
    assert_eq!(Tile::partial(MOST).last().map(|tile| (tile.level, tile.width)), Some((7, 127)));
}

#[test]
fn a_tree_in_tiles_is_the_tree() {
    let all = leaves(66_000);
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 66_000] {
        let part = &all[..size];
        let (edge, full) = grow(part);
        assert_eq!((edge.size(), edge.root()), (size as u64, naive(part)));
        assert_eq!(full.len(), size / 256 + size / 65_536);
        let parts: Vec<Vec<Hash>> = edge.parts().map(|(_, hashes)| hashes.to_vec()).collect();
        let again = Edge::from_parts(size as u64, parts.clone()).expect("an edge");
        assert_eq!((again.root(), again.frontier()), (edge.root(), edge.frontier()));
        assert_eq!(Edge::from_parts(size as u64 + 1, parts), None);
        let mut kept = Kept::of(part);
        let mut reader = Reader::new(&mut kept, size as u64);
        assert_eq!(root_of(size as u64, &mut reader), Ok(naive(part)));
    }
}

#[test]
fn an_edge_goes_on_where_it_was_left() {
    let all = leaves(70_000);
    let (mut edge, full) = grow(&all[..65_530]);
    let parts = edge.parts().map(|(_, hashes)| hashes.to_vec()).collect();
    let mut later = Edge::from_parts(edge.size(), parts).expect("an edge");
    let mut more = Vec::new();
    for leaf in &all[65_530..] {
        edge.push(*leaf, |_, _| {});
        later.push(*leaf, |tile, hashes| more.push((tile, hashes)));
    }
    assert_eq!((later.root(), later.frontier()), (edge.root(), edge.frontier()));
    assert_eq!(later.root(), naive(&all));
    let (_, whole) = grow(&all);
    assert_eq!(full.len() + more.len(), whole.len());
    assert!(more.iter().all(|(tile, hashes)| whole.get(&(tile.level, tile.index)) == Some(hashes)));
}

#[test]
fn proofs_read_from_tiles_are_those_of_the_whole_tree() {
    let all = leaves(66_000);
    for size in [1u64, 2, 255, 256, 257, 700, 65_536, 65_999, 66_000] {
        let mut whole = Grown::new(all[..size as usize].to_vec());
        // The keeper may have grown meanwhile: wider tiles than the tree's are cut.
        let mut kept = Kept::of(&all);
        for at in [0, 1, 255, 256, size / 2, size - 1].into_iter().filter(|at| *at < size) {
            let mut reader = Reader::new(&mut kept, size);
            let path = proof::prove_inclusion(at, size, &mut reader).expect("a proof");
            assert_eq!(Ok(path), proof::prove_inclusion(at, size, &mut whole), "{at} of {size}");
            let path = proof::prove_consistency(at + 1, size, &mut reader).expect("a proof");
            assert_eq!(Ok(path), proof::prove_consistency(at + 1, size, &mut whole), "{at} of {size}");
        }
        let wanted: Vec<u64> = (0..size).step_by(97).collect();
        let before = kept.asked;
        let cover = cover::prove(&wanted, size, &mut Reader::new(&mut kept, size)).expect("a cover");
        assert_eq!(kept.asked, before + usize::from(size > 1), "all tiles are asked for at once");
        assert_eq!(Ok(cover), cover::prove(&wanted, size, &mut whole), "of {size}");
    }
}

#[test]
fn what_the_keeper_lacks_is_told() {
    let all = leaves(300);
    let mut kept = Kept::of(&all);
    let mut reader = Reader::new(&mut kept, 301);
    let short = Tile { level: 0, index: 1, width: 45 };
    assert_eq!(root_of(301, &mut reader), Err(Unread::Short(short)));
    let mut reader = Reader::new(&mut kept, 300);
    for node in
        [Node { level: 0, index: 300 }, Node { level: 9, index: 0 }, Node { level: 63, index: u64::MAX }, Node { level: 255, index: 1 }]
    {
        assert_eq!(reader.hash(node), Err(Unread::Beyond(node)));
    }
}

#[test]
fn tiles_and_bundles_are_read_strictly() {
    let hashes = leaves(3);
    let bytes = encode(&hashes);
    assert_eq!((bytes.len(), decode(&bytes, 3)), (96, Some(hashes)));
    assert_eq!((decode(&bytes, 2), decode(&bytes[1..], 3), decode(&[], 0)), (None, None, Some(Vec::new())));

    let texts: [&[u8]; 3] = [b"one", b"", b"three"];
    let bundle = encode_bundle(texts).expect("short leaves");
    assert_eq!(bundle, b"\0\x03one\0\0\0\x05three");
    assert_eq!(decode_bundle(&bundle, 3), Some(texts.to_vec()));
    for (wrong, width) in [(&bundle[..], 2), (&bundle[..], 4), (&bundle[..bundle.len() - 1], 3), (&bundle[1..], 3), (b"\0".as_slice(), 0)] {
        assert_eq!(decode_bundle(wrong, width), None);
    }
    let long = vec![7; LEAF_BYTES + 1];
    assert_eq!(encode_bundle([long.as_slice()]), None);
    assert!(encode_bundle([&long[1..]]).is_some_and(|bundle| decode_bundle(&bundle, 1).is_some()));
}

#[test]
fn what_a_growing_tree_fills_is_told_beforehand() {
    let all = leaves(70_000);
    let (mut edge, mut from) = (Edge::new(), 0);
    for to in [0, 1, 255, 256, 257, 1000, 65_535, 65_536, 70_000] {
        let mut full = Vec::new();
        all[from..to].iter().for_each(|leaf| edge.push(*leaf, |tile, _| full.push((tile.level, tile.index))));
        full.sort_unstable();
        let told = Tile::filled(from as u64, to as u64).flat_map(|(level, indices)| indices.map(move |index| (level, index)));
        assert_eq!(told.collect::<Vec<_>>(), full, "from {from} to {to}");
        from = to;
    }
    assert_eq!(Tile::filled(MOST - 1, MOST).count(), 0);
}
