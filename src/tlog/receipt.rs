//! Receipts (C2SP tlog-proof): one leaf's inclusion with the checkpoint it is proved against, as a text that is checked offline.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::Checkpoint;
use super::hash::{self, Hash};
use super::note::{Note, NoteError};
use super::proof;

/// The first line.
const FIRST: &str = "c2sp.org/tlog-proof@v1";
/// The most hashes of a path.
const PATH: usize = 63;

/// A receipt. What is in it is believed of nobody: see `proves`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// What the reader may need to make the leaf again; nothing vouches for it.
    pub extra: Option<Vec<u8>>,
    /// Which leaf it is.
    pub index: u64,
    /// The inclusion proof, from the leaf's neighbour up.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

impl Receipt {
    /// The text (C2SP tlog-proof, "Format").
    pub fn text(&self) -> String {
        let extra = self.extra.as_ref().map(|bytes| format!("extra {}\n", STANDARD.encode(bytes))).unwrap_or_default();
        let path: String = self.path.iter().map(|hash| hash::to_base64(hash) + "\n").collect();
        format!("{FIRST}\n{extra}index {}\n{path}\n{}", self.index, self.checkpoint.signed())
    }

    /// Reads the text.
    pub fn parse(text: &str) -> Result<Receipt, NoteError> {
        let wrong = NoteError::Malformed("the receipt can't be read");
        let (head, note) = text.split_once("\n\n").ok_or(wrong)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST) {
            return Err(wrong);
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let extra = extra.map(|encoded| STANDARD.decode(encoded).map_err(|_| wrong)).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(hash::decimal).ok_or(wrong)?;
        let path: Option<Vec<Hash>> = lines.map(hash::from_base64).collect();
        let path = path.filter(|path| path.len() <= PATH).ok_or(wrong)?;
        let checkpoint = Note::parse(note)?;
        // What follows the first empty line is a checkpoint, or it was not the end of the path.
        Checkpoint::parse(checkpoint.text())?;
        Ok(Receipt { extra, index, path, checkpoint })
    }

    /// Whether it shows that this leaf is in the checkpoint's tree; who signed the checkpoint is asked elsewhere, of `Policy::judge`.
    #[must_use]
    pub fn proves(&self, leaf: &Hash, checkpoint: &Checkpoint) -> bool {
        proof::includes(self.index, leaf, checkpoint.size, &checkpoint.root, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::{Kind, Signer};
    use super::super::tree::Grown;
    use super::super::tree::tests::{leaves, naive};
    use super::*;

    fn receipt(extra: Option<&[u8]>) -> (Receipt, Hash, Checkpoint) {
        let all = leaves(7);
        let key = Signer::generate("log.example", Kind::Text).expect("a key");
        let head = Checkpoint::new("log.example", 7, naive(&all)).expect("a checkpoint");
        let path = proof::prove_inclusion(4, 7, &mut Grown::new(all.clone())).expect("a proof");
        let checkpoint = head.sign(&[key]).expect("signed");
        (Receipt { extra: extra.map(<[u8]>::to_vec), index: 4, path, checkpoint }, all[4], head)
    }

    #[test]
    fn a_receipt_is_read_as_it_was_written_and_proves_its_leaf_alone() {
        for extra in [None, Some(b"what it is".as_slice()), Some(b"")] {
            let (made, leaf, head) = receipt(extra);
            let read = Receipt::parse(&made.text()).expect("a receipt");
            assert_eq!((&read, read.text()), (&made, made.text()));
            assert!(read.proves(&leaf, &head) && !read.proves(&hash::empty(), &head));
            assert!(!Receipt { index: 5, ..read }.proves(&leaf, &head));
        }
        let text = receipt(Some(b"x")).0.text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra eA==\nindex 4\n") && text.contains("\n\nlog.example\n7\n"), "{text}");
    }

    #[test]
    fn only_the_one_form_is_read() {
        let text = receipt(None).0.text();
        let wrong = [
            text.replace("@v1", "@v2"),
            text.replace("index 4", "index 04"),
            text.replace("index 4", "Index 4"),
            text.replace("index 4\n", "index 4\n\n"),
            text.replace("index 4", "extra eA=\nindex 4"),
            text.replace("index 4", "index 4\nextra eA=="),
            text.replace("index 4", &format!("index 4{}", "\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".repeat(64))),
            text.replace("\n\n", "\n"),
            text[..text.len() - 1].into(),
            String::new(),
        ];
        for text in wrong {
            assert!(Receipt::parse(&text).is_err(), "{text}");
        }
    }
}
