//! Signed notes (C2SP signed-note): a text, then a line for each signature; and the keys that make and verify them, in their own text forms.
//!
//! Ed25519 only, verified so that all implementations agree: no scalar beyond the order, no point in a second encoding or of small order.
//! Bounds: a note of 1,000,000 bytes, 100 signatures.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::cosign;

/// The most bytes of a note.
const NOTE_BYTES: usize = 1_000_000;
/// The most signatures of a note.
const SIGNATURES: usize = 100;
/// What a signature's line begins with: an em dash and a space.
const MARK: &str = "— ";
/// What a signer's key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Bytes of a key, public or private.
const KEY_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Why a note or a key is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteError {
    /// It can't be read, or is not written in the one way there is.
    Malformed(&'static str),
    /// No known key signed it.
    Unsigned,
    /// A signature is said to be a known key's and is not.
    Signature,
    /// The system gives no randomness for a new key.
    Randomness,
}

impl std::fmt::Display for NoteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoteError::Malformed(why) => f.write_str(why),
            NoteError::Unsigned => f.write_str("it is signed by no known key"),
            NoteError::Signature => f.write_str("a signature of a known key does not verify"),
            NoteError::Randomness => f.write_str("the system gives no randomness"),
        }
    }
}

/// What a key signs, by its byte (C2SP signed-note, "Signature types").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The note's text.
    Text = 0x01,
    /// A checkpoint at a time: a witness's key.
    Cosignature = 0x04,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Text, Kind::Cosignature].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A signature as it stands in a note; whether it holds is another question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// The key's id.
    pub id: u32,
    /// What the key made.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// The line, with its end.
    pub fn line(&self) -> String {
        let joined = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        format!("{MARK}{} {}\n", self.name, STANDARD.encode(joined))
    }

    /// Reads a line, without its end.
    pub fn parse(line: &str) -> Result<Signature, NoteError> {
        let wrong = NoteError::Malformed("a signature's line can't be read");
        let (name, encoded) = line.strip_prefix(MARK).and_then(|rest| rest.split_once(' ')).ok_or(wrong)?;
        let joined = STANDARD.decode(encoded).map_err(|_| wrong)?;
        let (id, bytes) = joined.split_first_chunk().filter(|(_, bytes)| !bytes.is_empty() && is_name(name)).ok_or(wrong)?;
        Ok(Signature { name: name.into(), id: u32::from_be_bytes(*id), bytes: bytes.into() })
    }
}

/// Whether a key may have this name: not empty, no space, no plus, no control character (C2SP signed-note, "Format").
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c < ' ' || c == '+')
}

/// A text with its signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A text, not signed yet. It must end with a newline and have no other control characters.
    pub fn new(text: &str) -> Result<Note, NoteError> {
        if !text.ends_with('\n') || text.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed("a note's text must be lines without control characters"));
        }
        Ok(Note { text: text.into(), signatures: Vec::new() })
    }

    /// Reads a signed note (C2SP signed-note, "Format").
    pub fn parse(note: &str) -> Result<Note, NoteError> {
        if note.len() > NOTE_BYTES {
            return Err(NoteError::Malformed("the note is too long"));
        }
        let split = note.rfind("\n\n").and_then(|at| note.split_at_checked(at + 1));
        let (text, lines) = split.ok_or(NoteError::Malformed("the note has no signatures"))?;
        let mut read = Note::new(text)?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        for line in lines.ok_or(NoteError::Malformed("the note does not end with a line"))?.split('\n') {
            if read.signatures.len() == SIGNATURES {
                return Err(NoteError::Malformed("the note has too many signatures"));
            }
            read.signatures.push(Signature::parse(line)?);
        }
        Ok(read)
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures there are, whether they hold or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature, unless it is there already.
    pub fn add(&mut self, signature: Signature) {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// The signed note's text.
    pub fn signed(&self) -> String {
        let lines: String = self.signatures.iter().map(Signature::line).collect();
        format!("{}\n{lines}", self.text)
    }

    /// Which of these keys signed it, each with the time it says if it is a witness's; in the order of the signatures. Refused as a whole if a
    /// signature is said to be one of theirs and does not verify; signatures of other keys count for nothing (C2SP signed-note,
    /// "Signatures").
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k Verifier> + Clone) -> Result<Vec<(&'k Verifier, Option<u64>)>, NoteError> {
        let mut found: Vec<(&Verifier, Option<u64>)> = Vec::new();
        for signature in &self.signatures {
            for key in keys.clone().into_iter().filter(|key| key.name == signature.name && key.id() == signature.id) {
                let time = key.verify(&self.text, &signature.bytes)?;
                if !found.iter().any(|(known, _)| *known == key) {
                    found.push((key, time));
                }
            }
        }
        Ok(found)
    }
}

/// A public key with its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verifier {
    name: String,
    kind: Kind,
    key: VerifyingKey,
}

impl Verifier {
    /// Reads a verifier key: `NAME+ID+KEY` (C2SP signed-note, "Verifier keys").
    pub fn parse(vkey: &str) -> Result<Verifier, NoteError> {
        let wrong = NoteError::Malformed("a verifier key can't be read");
        // Base64 has plus signs too; names and ids have none.
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else { return Err(wrong) };
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong)?;
        let (kind, key) = bytes.split_first().ok_or(wrong)?;
        let kind = Kind::of(*kind).ok_or(NoteError::Malformed("a verifier key is of a kind that is not known here"))?;
        let key = <&[u8; KEY_BYTES]>::try_from(key).map_err(|_| wrong)?;
        let read = Verifier { name: name.into(), kind, key: point(key).ok_or(wrong)? };
        (is_name(name) && format!("{:08x}", read.id()) == id).then_some(read).ok_or(wrong)
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The public key's bytes (RFC 8032).
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.key.as_bytes()
    }

    /// The key's id: the beginning of a hash of name, kind and key (C2SP signed-note, "Signatures").
    pub fn id(&self) -> u32 {
        let hash = Sha256::new_with_prefix(&self.name).chain_update([b'\n', self.kind as u8]).chain_update(self.bytes()).finalize();
        hash.first_chunk().map_or(0, |id| u32::from_be_bytes(*id))
    }

    /// As it is written: `NAME+ID+KEY`.
    pub fn text(&self) -> String {
        let bytes = [&[self.kind as u8], self.bytes().as_slice()].concat();
        format!("{}+{:08x}+{}", self.name, self.id(), STANDARD.encode(bytes))
    }

    /// Whether the key made this signature of the text, and at which time if it is a witness's.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NoteError> {
        let (time, signature) = match self.kind {
            Kind::Text => (None, signature),
            Kind::Cosignature => cosign::split(signature).map(|(time, rest)| (Some(time), rest)).ok_or(NoteError::Signature)?,
        };
        let signature = Ed25519::from_slice(signature).map_err(|_| NoteError::Signature)?;
        let verified = match time {
            None => self.key.verify_strict(text.as_bytes(), &signature),
            Some(time) => self.key.verify_strict(cosign::message(time, text).as_bytes(), &signature),
        };
        verified.map(|()| time).map_err(|_| NoteError::Signature)
    }
}

/// The point that a public key stands for; nothing if it is of small order or not written in the one way there is.
fn point(bytes: &[u8; KEY_BYTES]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    // From 2^255 − 19 on a coordinate is one of the smallest written differently.
    let [low, middle @ .., high] = bytes;
    let twice = *low >= 0xed && middle.iter().all(|byte| *byte == 0xff) && high | 0x80 == 0xff;
    (!twice && !key.is_weak()).then_some(key)
}

/// A private key with its name. It shows nothing of itself but by `secret`.
#[derive(Clone)]
pub struct Signer {
    name: String,
    kind: Kind,
    key: SigningKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

impl Signer {
    /// A new key from the system's randomness.
    pub fn generate(name: &str, kind: Kind) -> Result<Signer, NoteError> {
        let mut seed = [0; KEY_BYTES];
        rand::fill(&mut seed).map_err(|_| NoteError::Randomness)?;
        if !is_name(name) {
            return Err(NoteError::Malformed("a key's name has no spaces and no plus"));
        }
        Ok(Signer { name: name.into(), kind, key: SigningKey::from_bytes(&seed) })
    }

    /// Reads a signer's key: `PRIVATE+KEY+NAME+ID+KEY`, as Go's note package writes it.
    pub fn parse(secret: &str) -> Result<Signer, NoteError> {
        let wrong = NoteError::Malformed("a signer's key can't be read");
        let mut parts = secret.strip_prefix(PRIVATE).ok_or(wrong)?.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else { return Err(wrong) };
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong)?;
        let (kind, seed) = bytes.split_first().ok_or(wrong)?;
        let seed = <&[u8; KEY_BYTES]>::try_from(seed).map_err(|_| wrong)?;
        let read = Signer { name: name.into(), kind: Kind::of(*kind).ok_or(wrong)?, key: SigningKey::from_bytes(seed) };
        (is_name(name) && format!("{:08x}", read.verifier().id()) == id).then_some(read).ok_or(wrong)
    }

    /// As it is kept in a file that nobody else reads.
    pub fn secret(&self) -> String {
        let bytes = [&[self.kind as u8], self.key.as_bytes().as_slice()].concat();
        format!("{PRIVATE}{}+{:08x}+{}", self.name, self.verifier().id(), STANDARD.encode(bytes))
    }

    /// The public key.
    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), kind: self.kind, key: self.key.verifying_key() }
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs a text; a witness's key signs that it saw this checkpoint at `time`, in seconds since 1970, which other keys don't tell.
    pub fn sign(&self, text: &str, time: u64) -> Signature {
        let bytes = match self.kind {
            Kind::Text => self.key.sign(text.as_bytes()).to_bytes().into(),
            Kind::Cosignature => cosign::join(time, &self.key.sign(cosign::message(time, text).as_bytes()).to_bytes()),
        };
        Signature { name: self.name.clone(), id: self.verifier().id(), bytes }
    }
}

#[cfg(test)]
mod tests;
