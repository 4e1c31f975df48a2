//! Handles: the names under which lines are told to those who may not know what the lines' own identifiers tell.
//!
//! A stamp carries the time of a job and a sequence its place among the others'. A handle is an HMAC of what it names under a secret of
//! the books: the same line has the same handle in every statement and proof, and nobody without the secret learns anything from it.

mod store;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::{Conn, Fault};

/// What is named, so that no two kinds of things share a handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// A lot, by its stamp.
    Lot(i64),
    /// What an entry of the journal (by its sequence) did to a lot or a donation (by its stamp).
    Line(i64, i64),
}

/// Bytes of the tag that are told: 96 bits, so that among 10^9 lines no two are alike.
const TOLD: usize = 12;

/// What every handle is made of first.
const NAMED: &[u8; 16] = b"almoner/handle/1";

/// Names things by the secret of the books.
pub struct Handles(hmac::Key);

impl Handles {
    /// With the secret as the books have it.
    pub fn read(conn: &mut Conn) -> Result<Handles, Fault> {
        Ok(Handles(hmac::Key::new(hmac::HMAC_SHA256, &store::secret(conn, "handle")?)))
    }

    /// The handle of a thing: 16 characters of base64url.
    pub fn name(&self, of: Of) -> String {
        let (kind, owner, seq) = match of {
            Of::Lot(stamp) => (b'l', stamp, 0i64),
            Of::Line(owner, seq) => (b'e', owner, seq),
        };
        let mut text = [0; NAMED.len() + 17];
        for (place, byte) in text.iter_mut().zip(NAMED.iter().chain([&kind]).chain(&owner.to_be_bytes()).chain(&seq.to_be_bytes())) {
            *place = *byte;
        }
        let tag = hmac::sign(&self.0, &text);
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..TOLD).unwrap_or_default())
    }
}

/// Hashes identities by the secret of the books, so that one that nobody can read any more is known again.
#[derive(Debug)]
pub struct Identities(hmac::Key);

impl Identities {
    /// With the secret as the books have it.
    pub fn read(conn: &mut Conn) -> Result<Identities, Fault> {
        Ok(Identities(hmac::Key::new(hmac::HMAC_SHA256, &store::secret(conn, "handle")?)))
    }

    /// The hash of somebody's name under an issuer.
    pub fn digest(&self, issuer: &str, subject: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"almoner/identity/1");
        context.update(&(issuer.len() as u64).to_be_bytes());
        context.update(issuer.as_bytes());
        context.update(subject.as_bytes());
        context.sign().as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_one_thing_under_one_secret() {
        let [ours, theirs] = [[1; 32], [2; 32]].map(|secret: [u8; 32]| Handles(hmac::Key::new(hmac::HMAC_SHA256, &secret)));
        let things = [Of::Lot(5), Of::Lot(6), Of::Line(5, 0), Of::Line(5, 6), Of::Line(6, 5)];
        let mut names: Vec<String> = things.iter().flat_map(|of| [ours.name(*of), theirs.name(*of)]).collect();
        assert_eq!(ours.name(things[0]), names[0]);
        assert!(names.iter().all(|name| name.len() == 16));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2 * things.len());
    }
}
