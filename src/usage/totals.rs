//! Totals of metered quantities: what was used, apart from what it cost.
//!
//! Read from the records as they were sent, so that they can be compared with a scheduler's own totals; refund policies and prices
//! leave them alone. Exact: seconds are added as seconds. Bound: one page of charges in memory.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::store::ChargeRow;
use crate::store::{Conn, Fault, Page};

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
        let meters: Vec<_> = record.get("quantities").and_then(Value::as_object).into_iter().flatten().collect();
        self.records += 1;
        let mut used = false;
        for (meter, quantity) in meters {
            let quantity: Decimal = quantity.as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
            let sum = self.meters.entry(meter.clone()).or_default();
            *sum = sum.checked_add(quantity).ok_or_else(overflow)?;
            used |= !quantity.is_zero();
        }
        self.empty += u64::from(!used);
        Ok(())
    }

    /// The totals of all parts together.
    pub fn of_all<'t>(parts: impl Iterator<Item = &'t Totals>) -> Result<Totals, Fault> {
        let mut all = Totals::default();
        for part in parts {
            all.records += part.records;
            all.empty += part.empty;
            for (meter, quantity) in &part.meters {
                let sum = all.meters.entry(meter.clone()).or_default();
                *sum = sum.checked_add(*quantity).ok_or_else(overflow)?;
            }
        }
        Ok(all)
    }
}

fn overflow() -> Fault {
    Fault::Internal("the totals of metered quantities leave 96 bits".into())
}

/// Rows read at a time.
const PAGE: i64 = 2000;

/// The totals of all charges that `look` reads page by page, by scheduler account (`""` where none was named).
pub fn totals(
    conn: &mut Conn,
    look: impl Fn(&mut Conn, Page) -> Result<Vec<ChargeRow>, Fault>,
) -> Result<BTreeMap<String, Totals>, Fault> {
    let mut by_account: BTreeMap<String, Totals> = BTreeMap::new();
    let mut page = Page { after: None, limit: PAGE, descending: false };
    loop {
        let rows = look(conn, page)?;
        for row in &rows {
            let record: Value = serde_json::from_str(&row.record).map_err(|e| Fault::Internal(format!("a record: {e}")))?;
            let account = record.get("account").and_then(Value::as_str).unwrap_or_default();
            by_account.entry(account.to_owned()).or_default().add(&record)?;
        }
        match rows.last() {
            Some(last) if rows.len() as i64 == PAGE => page.after = Some(last.id),
            _ => return Ok(by_account),
        }
    }
}
