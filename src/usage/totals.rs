//! Totals of metered quantities: what was used, apart from what it cost.
//!
//! Read from the records as they were sent, so that they can be compared with a scheduler's own totals; refund policies and prices
//! leave them alone; of a record that was erased what was metered remains, under no account. Exact: seconds are added as seconds. A job's total stands for its parts, which count until it is there. Bound: one page
//! of charges in memory, and the sums of the jobs that have parts.

pub mod store;

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::erase;
use super::store::ChargeRow;
use crate::store::{Conn, Fault, Page, Pages};

/// What was metered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// How many records.
    pub records: u64,
    /// How many of them used nothing.
    pub empty: u64,
    /// By meter.
    pub meters: BTreeMap<String, Decimal>,
}

impl Totals {
    /// Adds one record in its canonical form.
    pub fn add(&mut self, record: &Value) -> Result<(), Fault> {
        let meters = record.get("quantities").and_then(Value::as_object).into_iter().flatten();
        let read = |quantity: &Value| quantity.as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
        let quantities: Vec<(String, Decimal)> = meters.map(|(meter, quantity)| (meter.clone(), read(quantity))).collect();
        self.meter(&quantities)
    }

    /// Adds one record's quantities.
    pub fn meter(&mut self, quantities: &[(String, Decimal)]) -> Result<(), Fault> {
        self.records += 1;
        self.empty += u64::from(quantities.iter().all(|(_, quantity)| quantity.is_zero()));
        quantities.iter().try_for_each(|(meter, quantity)| self.sum(meter, *quantity))
    }

    /// Adds other totals.
    pub fn plus(&mut self, other: &Totals) -> Result<(), Fault> {
        self.records += other.records;
        self.empty += other.empty;
        other.meters.iter().try_for_each(|(meter, quantity)| self.sum(meter, *quantity))
    }

    fn sum(&mut self, meter: &str, quantity: Decimal) -> Result<(), Fault> {
        let sum = self.meters.entry(meter.to_owned()).or_default();
        *sum = sum.checked_add(quantity).ok_or_else(overflow)?;
        Ok(())
    }
}

fn read(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|e| Fault::Internal(format!("a record: {e}")))
}

fn overflow() -> Fault {
    Fault::Internal("the totals of metered quantities leave 96 bits".into())
}

/// Rows read at a time.
const PAGE: i64 = 2000;

/// The totals of all charges that `look` reads page by page, by scheduler account (`""` where none was named).
pub fn totals(conn: &mut Conn, look: impl Fn(&mut Conn, Page) -> Result<Vec<ChargeRow>, Fault>) -> Result<BTreeMap<String, Totals>, Fault> {
    totals_by(conn, look, |_, record| record.get("account").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// The same by whatever a charge and its record have in common.
pub fn totals_by<K: Ord>(
    conn: &mut Conn,
    look: impl Fn(&mut Conn, Page) -> Result<Vec<ChargeRow>, Fault>,
    key: impl Fn(&ChargeRow, &Value) -> K,
) -> Result<BTreeMap<K, Totals>, Fault> {
    let mut by_key: BTreeMap<K, Totals> = BTreeMap::new();
    let mut parted: HashMap<[u8; 16], BTreeMap<K, Totals>> = HashMap::new();
    let mut pages = Pages::of(PAGE);
    while let Some(rows) = pages.next(|page| look(conn, page), |row| row.id)? {
        let erased: Vec<i64> = rows.iter().filter(|row| row.is_erased()).map(|row| row.id).collect();
        let metered = erase::store::metered(conn, &erased)?;
        for row in &rows {
            let record = metered.get(&row.id).map_or_else(|| read(&row.said), |metered| Ok(json!({"quantities": read(metered)?})))?;
            let sums = match row.part {
                0 => {
                    // Recorded after all the parts that it sums up.
                    parted.remove(&row.usage_key);
                    &mut by_key
                }
                _ => parted.entry(row.usage_key).or_default(),
            };
            sums.entry(key(row, &record)).or_default().add(&record)?;
        }
    }
    for (key, sum) in parted.into_values().flatten() {
        by_key.entry(key).or_default().plus(&sum)?;
    }
    Ok(by_key)
}
