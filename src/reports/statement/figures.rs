//! Figures: what one unit's credits are counted under, and how much of it. Pure.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::amount::{Amount, Unit, out_of_range};
use crate::ledger::Bucket;
use crate::refusal::Refusal;

macro_rules! columns {
    ($($(#[$doc:meta])* $column:ident $word:literal $head:literal;)*) => {
        /// What is counted; in the order in which it is shown.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Column { $($(#[$doc])* $column,)* }
        impl Column {
            /// Its word on the wire.
            pub const fn word(self) -> &'static str {
                match self { $(Column::$column => $word,)* }
            }
            /// What stands above it.
            pub const fn head(self) -> &'static str {
                match self { $(Column::$column => $head,)* }
            }
        }
    };
}

columns! {
    /// Promised, net of what was cancelled.
    Pledged "pledged" "Pledged";
    /// Received.
    Delivered "delivered" "Delivered";
    /// Free: of a lot not granted, of a grant not used.
    Available "available" "Available";
    /// Granted and free there.
    Granted "granted" "Granted";
    /// Set aside for jobs.
    Held "held" "Held";
    /// Used by jobs, net of refunds.
    Spent "spent" "Used";
    /// Used beyond the grant and not covered.
    Overdraft "overdraft" "Overdraft";
    /// Expired unused.
    Lapsed "lapsed" "Lapsed";
    /// Given back to the donor.
    Returned "returned" "Returned";
    /// Charged for jobs.
    Charged "charged" "Charged";
    /// Given back by refunds and reversals.
    Refunded "refunded" "Refunded";
}

/// What a donor's statement counts of a donation.
pub const OF_DONATION: &[Column] = &[Column::Pledged];
/// What it counts of a lot.
pub const OF_LOT: &[Column] =
    &[Column::Delivered, Column::Available, Column::Granted, Column::Held, Column::Spent, Column::Lapsed, Column::Returned];
/// What a project's statement counts of a grant's part of a lot.
pub const OF_SHARE: &[Column] = &[Column::Available, Column::Held, Column::Spent];
/// What it counts of a grant beyond all lots.
pub const OF_OVERDRAFT: &[Column] = &[Column::Overdraft];
/// What a provider's statement counts of a resource and a grant.
pub const OF_RESOURCE: &[Column] = &[Column::Charged, Column::Refunded];

/// The columns of a lot that an account of this bucket is counted in: all that was delivered is somewhere.
pub const fn of_lot(bucket: Bucket) -> &'static [Column] {
    match bucket {
        Bucket::Available => &[Column::Delivered, Column::Available],
        Bucket::Granted => &[Column::Delivered, Column::Granted],
        Bucket::Held => &[Column::Delivered, Column::Held],
        Bucket::Spent => &[Column::Delivered, Column::Spent],
        Bucket::Lapsed => &[Column::Delivered, Column::Lapsed],
        Bucket::Returned => &[Column::Delivered, Column::Returned],
        _ => &[],
    }
}

/// The columns of a grant's part of a lot, or of its overdraft, that an account of this bucket is counted in.
pub const fn of_share(bucket: Bucket) -> &'static [Column] {
    match bucket {
        Bucket::Granted => &[Column::Available],
        Bucket::Held => &[Column::Held],
        Bucket::Spent => &[Column::Spent],
        Bucket::OverdraftSpent => &[Column::Overdraft],
        _ => &[],
    }
}

/// Amounts of one unit by column. Written as an object of decimals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Figures {
    unit: Unit,
    by: BTreeMap<Column, i64>,
}

impl Figures {
    /// Nothing, in these columns.
    pub fn none(unit: Unit, columns: &[Column]) -> Figures {
        Figures { unit, by: columns.iter().map(|column| (*column, 0)).collect() }
    }

    /// What is counted.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Counts so much more in a column.
    pub fn add(&mut self, column: Column, minor: i64) -> Result<(), Refusal> {
        let sum = self.by.entry(column).or_default();
        *sum = sum.checked_add(minor).ok_or_else(out_of_range)?;
        Ok(())
    }

    /// Counts other figures of the same unit too.
    pub fn plus(&mut self, other: &Figures) -> Result<(), Refusal> {
        self.zero().same_unit(other.zero())?;
        other.by.iter().try_for_each(|(column, minor)| self.add(*column, *minor))
    }

    fn zero(&self) -> Amount {
        Amount::zero(self.unit)
    }

    /// How much stands in a column; `None` where it is none of these figures'.
    pub fn get(&self, column: Column) -> Option<Amount> {
        self.by.get(&column).map(|minor| Amount::new(*minor, self.unit))
    }

    /// The smallest parts in a column; 0 where it is none of these figures'.
    pub fn minor(&self, column: Column) -> i64 {
        self.by.get(&column).copied().unwrap_or(0)
    }

    /// The columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = Column> {
        self.by.keys().copied()
    }

    /// Whether there is nothing in any column.
    pub fn is_nothing(&self) -> bool {
        self.by.values().all(|minor| *minor == 0)
    }

    /// Without the columns in which nothing stands.
    pub fn trimmed(mut self) -> Figures {
        self.by.retain(|_, minor| *minor != 0);
        self
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.by.len()))?;
        for (column, minor) in &self.by {
            map.serialize_entry(column.word(), &Amount::new(*minor, self.unit).to_string())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(code: &str) -> Unit {
        Unit::new(code, 2).expect("a unit")
    }

    #[test]
    fn figures_add_up_by_column_and_never_across_units() {
        let mut sum = Figures::none(unit("USD"), OF_SHARE);
        let mut line = Figures::none(unit("USD"), &[]);
        line.add(Column::Available, -150).expect("small");
        line.add(Column::Spent, 150).expect("small");
        sum.plus(&line).expect("the same unit");
        let shown = serde_json::to_value(&sum).expect("JSON");
        assert_eq!(shown, serde_json::json!({"available": "-1.50", "held": "0.00", "spent": "1.50"}));
        assert!(sum.plus(&Figures::none(unit("EUR"), &[])).is_err());
        assert!(sum.add(Column::Spent, i64::MAX).is_err(), "an overflow is refused");
        assert_eq!(line.trimmed().columns().collect::<Vec<_>>(), [Column::Available, Column::Spent]);
    }
}
