//! Typed identifiers: a prefix, an underscore and 26 base32 characters of a UUIDv7.
//!
//! Every object is born in one journal entry, and every journal entry is stamped with a microsecond of its own (the store's writer
//! sees to it). That stamp *is* the identifier: eight bytes in the database and in memory, ordered by time. The text form is the
//! UUIDv7 (RFC 9562 §5.7) of the stamp: 48 bits of milliseconds, the microseconds within them in `rand_a` (§6.2, method 3), and in
//! `rand_b` 62 check bits computed from the prefix and the stamp, so a mistyped identifier is known without a look-up. An
//! identifier says nothing about who owns the object; it may not know the database.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use crate::refusal::{Code, Refusal};
use crate::time::Time;

/// A kind of object, known by the prefix of its identifiers.
pub trait Kind: Copy + 'static {
    /// `grt` in `grt_…`.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $alias:ident $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $kind {}
            impl Kind for $kind { const PREFIX: &'static str = $prefix; }
            #[doc = concat!("`", $prefix, "_…`")]
            pub type $alias = Id<$kind>;
        )*
        /// Every prefix in use.
        pub const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

kinds! {
    /// Gives credits.
    Donor DonorId "dnr";
    /// A gift: terms and an amount pledged.
    Donation DonationId "dnt";
    /// One delivery of a donation.
    Lot LotId "lot";
    /// A university, a centre, a cloud.
    Institution InstitutionId "ins";
    /// Who is granted credits.
    Project ProjectId "prj";
    /// What jobs run on.
    Resource ResourceId "res";
    /// The price of a meter from a moment on.
    Rate RateId "rate";
    /// Credits awarded to a project.
    Grant GrantId "grt";
    /// An officer's verdict on a request.
    Decision DecisionId "dec";
    /// A change to a grant that counts.
    Amendment AmendmentId "amd";
    /// What awards of a unit ask of approvers.
    Policy PolicyId "pol";
    /// A conflict of interest that an officer declared.
    Conflict ConflictId "cfl";
    /// Credits set aside for a job.
    Hold HoldId "hld";
    /// A usage record as it arrived.
    Usage UsageId "usg";
    /// Priced usage, posted.
    Charge ChargeId "chg";
    /// Gives back part or all of one charge.
    Refund RefundId "rfd";
    /// Any journal entry with postings.
    Transaction TransactionId "txn";
    /// A human or a machine that signs in.
    Person PersonId "prs";
    /// A role that a person has.
    Binding BindingId "bnd";
    /// That what tells of persons or jobs was erased.
    Erasure ErasureId "era";
    /// What became of credits over a period.
    Statement StatementId "stm";
    /// Something that happened, for those whom it concerns.
    Event EventId "evt";
    /// An address that events are sent to.
    Webhook WebhookId "whk";
}

/// An identifier of one kind of object.
pub struct Id<K>(i64, PhantomData<K>);

impl<K: Kind> Id<K> {
    /// The identifier of the object born in the journal entry with this stamp.
    pub const fn from_stamp(stamp: i64) -> Id<K> {
        Id(stamp, PhantomData)
    }

    /// The stamp: what the database keeps.
    pub const fn stamp(self) -> i64 {
        self.0
    }

    /// When the object was recorded.
    pub const fn created_at(self) -> Time {
        Time::from_micros(self.0)
    }

    /// The same journal entry, seen as another kind of object (a charge and its transaction).
    pub const fn seen_as<L: Kind>(self) -> Id<L> {
        Id::from_stamp(self.0)
    }

    /// Reads the text form. Errors: `wrong_id_type` for another kind's prefix or for characters that are no identifier of ours.
    pub fn parse(text: &str) -> Result<Id<K>, Refusal> {
        let wrong = || {
            let shown: String = text.chars().take(40).collect();
            let detail = format!("{shown:?} is not an identifier of this kind; it must look like {}_ and 26 characters.", K::PREFIX);
            Refusal::new(Code::WrongIdType, detail)
        };
        let coded = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or_else(wrong)?;
        let uuid = decode(coded).ok_or_else(wrong)?;
        let millis = i64::try_from(uuid >> 80).map_err(|_| wrong())?;
        let within = i64::try_from((uuid >> 64) & 0xfff).map_err(|_| wrong())?;
        let stamp = millis * 1000 + within;
        if within > 999 || uuid_of(K::PREFIX, stamp) != uuid {
            return Err(wrong());
        }
        Ok(Id::from_stamp(stamp))
    }
}

/// Whether a text has the form of an identifier of any kind: a prefix in use and 26 characters that hold no words.
pub fn is_formed(text: &str) -> bool {
    text.split_once('_').is_some_and(|(prefix, coded)| PREFIXES.contains(&prefix) && decode(coded).is_some())
}

/// The UUIDv7 of a stamp, with check bits that depend on the prefix.
fn uuid_of(prefix: &str, stamp: i64) -> u128 {
    let micros = stamp.max(0).unsigned_abs();
    let salt = prefix.bytes().fold(0u64, |h, b| h.wrapping_mul(131).wrapping_add(u64::from(b)));
    let check = mix(micros ^ mix(salt)) >> 2;
    let high = (u128::from(micros / 1000) << 16) | 0x7000 | u128::from(micros % 1000);
    (high << 64) | (0b10u128 << 62) | u128::from(check)
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Crockford's alphabet, lower case: no i, l, o, u to misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

const NONE: u8 = 0xff;

/// The digit that each byte stands for: identifiers are read in every record.
const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

fn decode(text: &str) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    let mut value = 0u128;
    for (place, byte) in text.bytes().enumerate() {
        let digit = DIGITS[usize::from(byte)];
        // 26 characters hold 130 bits; the first may use only three of its five.
        if digit == NONE || (place == 0 && digit > 7) {
            return None;
        }
        value = (value << 5) | u128::from(digit);
    }
    Some(value)
}

impl<K: Kind> Id<K> {
    /// Writes the text form at the end of another text.
    pub fn push_to(self, out: &mut String) {
        out.push_str(K::PREFIX);
        out.push('_');
        out.push_str(std::str::from_utf8(&self.coded()).unwrap_or_default());
    }

    fn coded(self) -> [u8; 26] {
        let mut uuid = uuid_of(K::PREFIX, self.0);
        let mut coded = [0; 26];
        // Twelve digits at a time, which 64 bits hold.
        for some in coded.rchunks_mut(12) {
            let mut low = uuid as u64;
            for byte in some.iter_mut().rev() {
                *byte = ALPHABET[low as usize & 31];
                low >>= 5;
            }
            uuid >>= 60;
        }
        coded
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(std::str::from_utf8(&self.coded()).map_err(|_| fmt::Error)?)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

// Derived versions would ask the same of the kind, which is never a value.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_stamp_are_one_to_one() {
        for stamp in [0, 1, 999, 1000, 1_700_000_000_123_456, 253_402_300_799_999_999] {
            let id = GrantId::from_stamp(stamp);
            assert_eq!(id.to_string().len(), 30);
            assert_eq!(GrantId::parse(&id.to_string()), Ok(id));
            let mut text = String::new();
            id.push_to(&mut text);
            assert_eq!(text, id.to_string());
        }
    }

    #[test]
    fn a_name_is_no_identifier_of_any_kind() {
        assert!(is_formed(&LotId::from_stamp(5).to_string()) && is_formed(&PersonId::from_stamp(5).to_string()));
        for text in ["", "Example Person", "prs_", "prs_Example", "xyz_00000000000000000000000000", "prs_exampleexampleexampleexampl"] {
            assert!(!is_formed(text), "{text}");
        }
    }

    #[test]
    fn text_sorts_as_time_does() {
        let texts: Vec<String> = [5, 6, 1005, 2_000_000].map(|s| LotId::from_stamp(s).to_string()).into();
        assert!(texts.is_sorted());
    }

    #[test]
    fn it_is_a_version_7_uuid() {
        let uuid = uuid_of("grt", 1_700_000_000_123_456);
        assert_eq!((uuid >> 76) & 0xf, 7);
        assert_eq!((uuid >> 62) & 0b11, 0b10);
        assert_eq!(uuid >> 80, 1_700_000_000_123);
    }

    #[test]
    fn another_kind_or_a_typing_error_is_refused() {
        let text = GrantId::from_stamp(1_700_000_000_123_456).to_string();
        let as_lot = text.replace("grt_", "lot_");
        let mistyped = format!("{}{}", &text[..29], if text.ends_with('0') { '1' } else { '0' });
        for bad in [text.as_str(), &as_lot, "lot_", "", "lot_é", "lot_zzzzzzzzzzzzzzzzzzzzzzzzzz"] {
            assert!(LotId::parse(bad).is_err(), "{bad}");
        }
        assert!(GrantId::parse(&mistyped).is_err());
    }
}
