//! What an allocation consists of: Slurm's trackable resources, `cpu=8,gres/gpu=1,gres/gpu:a100=1,mem=62.50G,node=1`.
//!
//! `billing` is cut to a whole number by Slurm and left aside with all that is not metered. A card named with its type and without is
//! the same card: the untyped count holds if there is one, else the typed counts are added up.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::Meter;

/// The counts of one allocation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tres {
    cpu: Option<Decimal>,
    node: Option<Decimal>,
    mebibytes: Option<Decimal>,
    gpu: Option<Decimal>,
    gpu_by_type: Option<Decimal>,
}

impl Tres {
    /// Reads the list; empty text is an empty allocation.
    pub fn parse(text: &str) -> Result<Tres, String> {
        let mut tres = Tres::default();
        let mut seen = BTreeSet::new();
        let mut memory = None;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("AllocTRES has {part:?}, which is no name=count."))?;
            if !seen.insert(key) {
                return Err(format!("AllocTRES names {key} twice."));
            }
            match key {
                "mem" => memory = Some(value),
                _ if metered(key) => tres.add(key, whole(value).ok_or_else(|| format!("AllocTRES has no readable count in {part:?}."))?)?,
                _ => {}
            }
        }
        // Memory may be stated per node or per CPU, whose counts may come behind it.
        if let Some(value) = memory {
            let read = tres.memory(value).ok_or_else(|| format!("AllocTRES has no readable amount in mem={value:?}."))?;
            tres.add("mem", read)?;
        }
        Ok(tres)
    }

    /// Adds one count; memory in MiB. Names that are not metered are left aside.
    pub fn add(&mut self, key: &str, count: Decimal) -> Result<(), String> {
        let place = match key {
            "cpu" => &mut self.cpu,
            "node" => &mut self.node,
            "mem" => &mut self.mebibytes,
            "gres/gpu" => &mut self.gpu,
            _ if key.starts_with("gres/gpu:") => &mut self.gpu_by_type,
            _ => return Ok(()),
        };
        let sum = place.unwrap_or_default().checked_add(count).ok_or_else(|| format!("The count of {key} is too large."))?;
        *place = Some(sum);
        Ok(())
    }

    /// Whether nothing that is metered is named.
    pub fn is_empty(&self) -> bool {
        *self == Tres::default()
    }

    /// What was used in so many seconds: one quantity for each meter the allocation names, or else 0 on the first meter.
    pub fn over(&self, seconds: u64, meters: &[Meter]) -> Result<Vec<(String, Decimal)>, String> {
        let mut used = Vec::with_capacity(meters.len());
        for meter in meters {
            let Some(count) = self.count(*meter) else { continue };
            let quantity = count.checked_mul(Decimal::from(seconds)).ok_or_else(|| format!("{} is too large.", meter.name()))?;
            used.push((meter.name().to_owned(), quantity.normalize()));
        }
        if let (true, Some(meter)) = (used.is_empty(), meters.first()) {
            used.push((meter.name().to_owned(), Decimal::ZERO));
        }
        Ok(used)
    }

    fn count(&self, meter: Meter) -> Option<Decimal> {
        match meter {
            Meter::Gpu => self.gpu.or(self.gpu_by_type),
            Meter::Cpu => self.cpu,
            Meter::Node => self.node,
            Meter::Memory => self.mebibytes,
        }
    }

    /// `31000Mn` is per node, `4Gc` per CPU; a number alone is MiB.
    fn memory(&self, text: &str) -> Option<Decimal> {
        let (amount, times) = match text.as_bytes().last()? {
            b'n' => (text.strip_suffix('n')?, self.node?),
            b'c' => (text.strip_suffix('c')?, self.cpu?),
            _ => (text, Decimal::ONE),
        };
        let (number, power) = suffixed(amount)?;
        let kibibytes = number.checked_mul(Decimal::from(1024_u64.checked_pow(power.unwrap_or(2).checked_sub(1)?)?))?;
        // One part in 1024 has ten decimals, so this is exact.
        kibibytes.checked_mul(Decimal::new(9_765_625, 10))?.checked_mul(times)
    }
}

fn metered(key: &str) -> bool {
    matches!(key, "cpu" | "node" | "mem" | "gres/gpu") || key.starts_with("gres/gpu:")
}

/// A count, which must come out whole: `8`, `1.5K`.
fn whole(text: &str) -> Option<Decimal> {
    let (number, power) = suffixed(text)?;
    let count = number.checked_mul(Decimal::from(1024_u64.checked_pow(power.unwrap_or(0))?))?;
    count.is_integer().then(|| count.normalize())
}

/// A plain decimal and the power of 1024 that its suffix stands for.
fn suffixed(text: &str) -> Option<(Decimal, Option<u32>)> {
    let power = match text.as_bytes().last()? {
        b'K' => Some(1),
        b'M' => Some(2),
        b'G' => Some(3),
        b'T' => Some(4),
        b'P' => Some(5),
        _ => None,
    };
    let number = text.get(..text.len() - usize::from(power.is_some()))?;
    Some((plain(number)?, power))
}

/// Digits with at most one point between them, of sane length.
pub fn plain(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let form = digits(whole) && digits(fraction) && text.len() <= 28;
    if form { Decimal::from_str_exact(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(text: &str, seconds: u64) -> Result<String, String> {
        let used = Tres::parse(text)?.over(seconds, &Meter::ALL)?;
        Ok(used.iter().map(|(meter, q)| format!("{meter}={q}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn cards_are_counted_once() {
        assert_eq!(
            used("billing=8,cpu=8,gres/gpu:h100=4,gres/gpu=4,node=1", 3).as_deref(),
            Ok("gpu-second=12 cpu-second=24 node-second=3")
        );
        assert_eq!(used("gres/gpu:a100=1,gres/gpu:h100=2", 10).as_deref(), Ok("gpu-second=30"));
        assert_eq!(used("gres/gpumem=4,gres/shard=2,cpu=1", 1).as_deref(), Ok("cpu-second=1"));
    }

    #[test]
    fn suffixes_and_memory() {
        assert_eq!(used("cpu=64,mem=62.50G,node=8", 2).as_deref(), Ok("cpu-second=128 node-second=16 mib-second=128000"));
        assert_eq!(used("mem=4000Mn,node=2", 1).as_deref(), Ok("node-second=2 mib-second=8000"));
        assert_eq!(used("mem=2Gc,cpu=1.5K", 1).as_deref(), Ok("cpu-second=1536 mib-second=3145728"));
        assert_eq!(used("mem=1K", 1).as_deref(), Ok("mib-second=0.0009765625"));
        assert_eq!(used("mem=1P", 1).as_deref(), Ok("mib-second=1073741824"));
        assert_eq!(used("mem=500", 1).as_deref(), Ok("mib-second=500"));
    }

    #[test]
    fn nothing_is_zero_and_nonsense_is_refused() {
        assert_eq!(used("", 5).as_deref(), Ok("gpu-second=0"));
        assert!(Tres::parse("billing=5,energy=").expect("left aside").is_empty());
        for bad in
            ["cpu", "cpu=", "cpu=-1", "cpu=1.5", "cpu=1,cpu=2", "cpu=1e9", "mem=3Gc", "gres/gpu:a=x", "cpu=99999999999999999999999999999"]
        {
            assert!(Tres::parse(bad).is_err(), "{bad}");
        }
        assert!(used("cpu=9999999999999999999999999999", u64::MAX).is_err());
    }
}
