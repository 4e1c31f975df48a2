//! Checkpoints (C2SP tlog-checkpoint): a tree's size and root as the text of a signed note.

use super::hash::{self, Hash};
use super::note::{Kind, Note, NoteError, Signer, Verifier};
use super::tree::MOST;

/// A tree's head, as its log says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// How many leaves the tree has.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
}

impl Checkpoint {
    /// Of a tree. Nothing if the origin can't stand on a line of its own or there are more leaves than may be.
    pub fn new(origin: &str, size: u64, root: Hash) -> Option<Checkpoint> {
        let line = !origin.is_empty() && !origin.contains(|c: char| c < ' ');
        (line && size <= MOST).then(|| Checkpoint { origin: origin.into(), size, root })
    }

    /// Reads a note's text (C2SP tlog-checkpoint, "Note text"). Lines after the third are others' extensions: read over, and lost in `text`.
    pub fn parse(text: &str) -> Result<Checkpoint, NoteError> {
        let wrong = NoteError::Malformed("the note is no checkpoint");
        let mut lines = text.strip_suffix('\n').ok_or(wrong)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else { return Err(wrong) };
        let size = hash::decimal(size).ok_or(wrong)?;
        let root = hash::from_base64(root).ok_or(wrong)?;
        if lines.any(str::is_empty) {
            return Err(wrong);
        }
        Checkpoint::new(origin, size, root).ok_or(wrong)
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, hash::to_base64(&self.root))
    }

    /// The checkpoint signed by its log's keys: one, or two while they change.
    pub fn sign(&self, keys: &[Signer]) -> Result<Note, NoteError> {
        let mut note = Note::new(&self.text())?;
        for key in keys {
            note.add(key.sign(note.text(), 0));
        }
        Ok(note)
    }

    /// The checkpoint of a note that one of these keys signed as its log's: the key's name is the origin.
    pub fn open(note: &Note, logs: &[Verifier]) -> Result<Checkpoint, NoteError> {
        let read = Checkpoint::parse(note.text())?;
        let keys = logs.iter().filter(|key| key.kind() == Kind::Text && key.name() == read.origin);
        match note.verify(keys)?.as_slice() {
            [] => Err(NoteError::Unsigned),
            _ => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_specifications_example_is_read_and_written() {
        let read = Checkpoint::parse(TEXT).expect("a checkpoint");
        assert_eq!((read.origin.as_str(), read.size, read.text().as_str()), ("example.com/behind-the-sofa", 20_852_163, TEXT));
        assert_eq!(Checkpoint::parse(&format!("{TEXT}an extension\n")), Ok(read));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let wrong = [
            String::new(),
            "a\n1\n".into(),
            format!("\n1\n{root}\n"),
            format!("a\n01\n{root}\n"),
            format!("a\n-1\n{root}\n"),
            format!("a\n9223372036854775808\n{root}\n"),
            format!("a\n1\n{root}"),
            format!("a\n1\n{root}\n\n"),
            format!("a\n1\n{root}\nx\n\ny\n"),
            format!("a\n1\n{} \n", root),
            "a\n1\nAAAA\n".into(),
        ];
        for text in wrong {
            assert!(matches!(Checkpoint::parse(&text), Err(NoteError::Malformed(_))), "{text:?}");
        }
        assert_eq!((Checkpoint::new("", 1, [0; 32]), Checkpoint::new("a\nb", 1, [0; 32])), (None, None));
    }

    #[test]
    fn only_the_logs_own_key_opens_it() {
        let key = |name: &str, kind| Signer::generate(name, kind).expect("a key");
        let (log, next, other) = (key("log.example", Kind::Text), key("log.example", Kind::Text), key("other.example", Kind::Text));
        let checkpoint = Checkpoint::new("log.example", 7, [9; 32]).expect("a checkpoint");
        let note = checkpoint.sign(&[log.clone(), next.clone()]).expect("signed");
        let read = Note::parse(&note.signed()).expect("a note");
        for keys in [vec![log.verifier()], vec![next.verifier()], vec![other.verifier(), log.verifier()]] {
            assert_eq!(Checkpoint::open(&read, &keys).as_ref(), Ok(&checkpoint));
        }
        // Signed by others, or by the key of another log, it is nobody's.
        assert_eq!(Checkpoint::open(&read, &[other.verifier()]), Err(NoteError::Unsigned));
        let foreign = checkpoint.sign(std::slice::from_ref(&other)).expect("signed");
        assert_eq!(Checkpoint::open(&foreign, &[log.verifier(), other.verifier()]), Err(NoteError::Unsigned));
        let mut witnessed = Note::new(note.text()).expect("a text");
        let witness = key("log.example", Kind::Cosignature);
        witnessed.add(witness.sign(note.text(), 1));
        assert_eq!(Checkpoint::open(&witnessed, &[witness.verifier()]), Err(NoteError::Unsigned));
    }
}
