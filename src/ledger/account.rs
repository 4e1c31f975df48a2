//! Accounts: leaves, one per owner, lot and bucket, so that a credit's path is the ledger itself.
//!
//! Pure. An account's name is made of its parts and says all of them; the database keeps the parts.

use crate::id::{DonationId, GrantId, LotId};
use crate::refusal::{Code, Refusal};

/// The five classes of double entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Class {
    /// What the programme can still dispose of; never below zero.
    Asset,
    /// What it owes.
    Liability,
    /// What was given back.
    Equity,
    /// What was promised or given; grows on the credit side.
    Income,
    /// What was used up.
    Expense,
}

impl Class {
    /// The class's word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Class::Asset => "asset",
            Class::Liability => "liability",
            Class::Equity => "equity",
            Class::Income => "income",
            Class::Expense => "expense",
        }
    }
}

/// What an account holds of its owner's credits. The numbers are kept in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum Bucket {
    /// Pledged, not yet delivered.
    Receivable = 1,
    /// All that was promised or given.
    Given = 2,
    /// Of a lot: delivered, not granted.
    Available = 3,
    /// Of a lot: expired unused.
    Lapsed = 4,
    /// Of a lot: given back to the donor.
    Returned = 5,
    /// Of a grant, from a lot: free.
    Granted = 6,
    /// Of a grant, from a lot: set aside for jobs.
    Held = 7,
    /// Of a grant, from a lot: used by jobs.
    Spent = 8,
    /// Of a grant: used beyond it.
    OverdraftSpent = 9,
    /// Of a grant: owed for what was used beyond it.
    OverdraftOwed = 10,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Bucket; 10] = [
        Bucket::Receivable,
        Bucket::Given,
        Bucket::Available,
        Bucket::Lapsed,
        Bucket::Returned,
        Bucket::Granted,
        Bucket::Held,
        Bucket::Spent,
        Bucket::OverdraftSpent,
        Bucket::OverdraftOwed,
    ];

    /// The bucket of a number in the database.
    pub fn of(number: i32) -> Option<Bucket> {
        Bucket::ALL.into_iter().find(|b| *b as i32 == number)
    }

    /// The class its accounts belong to.
    pub const fn class(self) -> Class {
        match self {
            Bucket::Receivable | Bucket::Available | Bucket::Granted | Bucket::Held => Class::Asset,
            Bucket::Given => Class::Income,
            Bucket::Lapsed | Bucket::Spent | Bucket::OverdraftSpent => Class::Expense,
            Bucket::Returned => Class::Equity,
            Bucket::OverdraftOwed => Class::Liability,
        }
    }

    /// The last part of its accounts' names.
    pub const fn word(self) -> &'static str {
        match self {
            Bucket::Receivable => "receivable",
            Bucket::Given => "given",
            Bucket::Available | Bucket::Granted => "available",
            Bucket::Lapsed => "lapsed",
            Bucket::Returned => "returned",
            Bucket::Held => "held",
            Bucket::Spent | Bucket::OverdraftSpent => "spent",
            Bucket::OverdraftOwed => "owed",
        }
    }
}

/// Which account: its bucket and its owners; an owner that does not apply is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it holds.
    pub bucket: Bucket,
    /// Stamp of the donation, or 0.
    pub donation: i64,
    /// Stamp of the grant, or 0.
    pub grant: i64,
    /// Stamp of the lot, or 0.
    pub lot: i64,
}

impl Key {
    /// `donation:D:receivable` or `:given`.
    pub const fn donation(donation: DonationId, bucket: Bucket) -> Key {
        Key { bucket, donation: donation.stamp(), grant: 0, lot: 0 }
    }

    /// `lot:L:available`, `:lapsed` or `:returned`.
    pub const fn lot(lot: LotId, bucket: Bucket) -> Key {
        Key { bucket, donation: 0, grant: 0, lot: lot.stamp() }
    }

    /// `grant:G:L:available`, `:held` or `:spent`.
    pub const fn grant(grant: GrantId, lot: LotId, bucket: Bucket) -> Key {
        Key { bucket, donation: 0, grant: grant.stamp(), lot: lot.stamp() }
    }

    /// `grant:G:overdraft:spent` or `:owed`.
    pub const fn overdraft(grant: GrantId, bucket: Bucket) -> Key {
        Key { bucket, donation: 0, grant: grant.stamp(), lot: 0 }
    }

    /// The lot, if it has one.
    pub fn lot_id(&self) -> Option<LotId> {
        (self.lot != 0).then(|| LotId::from_stamp(self.lot))
    }

    /// The grant, if it has one.
    pub fn grant_id(&self) -> Option<GrantId> {
        (self.grant != 0).then(|| GrantId::from_stamp(self.grant))
    }

    /// The account's name, which is also its identifier on the wire.
    pub fn name(&self) -> String {
        let word = self.bucket.word();
        match (self.donation, self.grant, self.lot) {
            (0, 0, lot) => format!("lot:{}:{word}", LotId::from_stamp(lot)),
            (0, grant, 0) => format!("grant:{}:overdraft:{word}", GrantId::from_stamp(grant)),
            (0, grant, lot) => format!("grant:{}:{}:{word}", GrantId::from_stamp(grant), LotId::from_stamp(lot)),
            (donation, _, _) => format!("donation:{}:{word}", DonationId::from_stamp(donation)),
        }
    }

    /// Reads a name. Errors: `wrong_id_type` when it is no account's.
    pub fn parse(name: &str) -> Result<Key, Refusal> {
        let detail =
            "An account is named like lot:lot_…:available, grant:grt_…:lot_…:spent, grant:grt_…:overdraft:owed or donation:dnt_…:given.";
        let wrong = || Refusal::new(Code::WrongIdType, detail);
        let parts: Vec<&str> = name.split(':').collect();
        let candidates: Vec<Key> = match parts.as_slice() {
            ["lot", lot, _] => LotId::parse(lot).map(|l| Bucket::ALL.map(|b| Key::lot(l, b)))?.into(),
            ["donation", donation, _] => DonationId::parse(donation).map(|d| Bucket::ALL.map(|b| Key::donation(d, b)))?.into(),
            ["grant", grant, "overdraft", _] => GrantId::parse(grant).map(|g| Bucket::ALL.map(|b| Key::overdraft(g, b)))?.into(),
            ["grant", grant, lot, _] => {
                let (grant, lot) = (GrantId::parse(grant)?, LotId::parse(lot)?);
                Bucket::ALL.map(|b| Key::grant(grant, lot, b)).into()
            }
            _ => return Err(wrong()),
        };
        candidates.into_iter().find(|key| key.fits() && key.name() == name).ok_or_else(wrong)
    }

    /// Whether the bucket belongs to this kind of owner.
    pub fn fits(&self) -> bool {
        let owners = (self.donation != 0, self.grant != 0, self.lot != 0);
        match self.bucket {
            Bucket::Receivable | Bucket::Given => owners == (true, false, false),
            Bucket::Available | Bucket::Lapsed | Bucket::Returned => owners == (false, false, true),
            Bucket::Granted | Bucket::Held | Bucket::Spent => owners == (false, true, true),
            Bucket::OverdraftSpent | Bucket::OverdraftOwed => owners == (false, true, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_the_same_account() {
        let (d, g, l) = (DonationId::from_stamp(1_000), GrantId::from_stamp(2_000), LotId::from_stamp(3_000));
        for bucket in Bucket::ALL {
            for key in [Key::donation(d, bucket), Key::grant(g, l, bucket), Key::lot(l, bucket), Key::overdraft(g, bucket)] {
                match key.fits() {
                    true => assert_eq!(Key::parse(&key.name()), Ok(key)),
                    false => assert_ne!(Key::parse(&key.name()), Ok(key)),
                }
            }
        }
        for bad in ["", "lot", "lot:lot_x:available", "grant:overdraft:owed", "donation::given"] {
            assert!(Key::parse(bad).is_err(), "{bad}");
        }
    }
}
