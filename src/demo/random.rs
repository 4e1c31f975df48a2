//! Chance that can be repeated: a small generator and the heavy-tailed sizes of jobs, in whole numbers only.
//!
//! Pure. SplitMix64 (Steele, Lea, Flood 2014) is enough for a demo and the same on every machine; it must decide nothing that matters.

/// A source of chance; the same seed gives the same sequence for ever.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

/// One standard deviation of [`Random::bell`].
const DEVIATION: i64 = 1 << 16;

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end` − 1; 0 if there is none. The bias of the remainder is far below what a demo shows.
    pub fn below(&mut self, end: i64) -> i64 {
        // 63 bits, so that the number is positive.
        (self.next() >> 1).cast_signed().checked_rem(end).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }

    /// True so many times in a thousand.
    pub fn in_thousand(&mut self, times: i64) -> bool {
        self.below(1000) < times
    }

    /// A place in a table, each as often as its weight says.
    pub fn weighted(&mut self, weights: &[i64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            if left < *weight {
                return place;
            }
            left -= weight;
        }
        0
    }

    /// Roughly normal around 0: twelve uniform numbers added up.
    fn bell(&mut self) -> i64 {
        (0..12).map(|_| self.below(DEVIATION)).sum::<i64>() - 6 * DEVIATION
    }

    /// A heavy-tailed factor in thousandths, 1000 on average: log-normal with σ = 1.5, and one job in 200 from a Pareto tail.
    pub fn tail(&mut self) -> i64 {
        // e^(σz) is 2^(2.164 z): the whole part shifts, the rest is taken as linear between the powers of two.
        let octaves = self.bell() * 2164 / 1000;
        let (whole, rest) = (octaves >> 16, octaves & 0xffff);
        // The mean of the log-normal alone is 3.08, of the tail some 4 % more.
        let scaled = 308 * (DEVIATION + rest);
        let log_normal = if whole >= 0 { scaled << whole.min(20) } else { scaled >> (-whole).min(40) } >> 16;
        let stretched = if self.below(200) == 0 { log_normal * (1000 / self.between(1, 1000)).min(60) } else { log_normal };
        stretched.clamp(1, 400_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sequence() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            [random.below(1000), random.between(5, 9), random.tail()]
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        assert_eq!(Random::new(1).below(0), 0);
    }

    #[test]
    fn sizes_have_a_heavy_tail_and_the_mean_they_promise() {
        let mut random = Random::new(1);
        let mut sizes: Vec<i64> = (0..200_000).map(|_| random.tail()).collect();
        sizes.sort_unstable();
        let total: i64 = sizes.iter().sum();
        let mean = total / 200_000;
        assert!((900..1100).contains(&mean), "{mean}");
        let median = sizes[100_000];
        assert!((250..400).contains(&median), "{median}");
        let top: i64 = sizes[198_000..].iter().sum();
        assert!((15..40).contains(&(top * 100 / total)), "one job in a hundred uses {} %", top * 100 / total);
    }

    #[test]
    fn tables_are_drawn_by_weight() {
        let mut random = Random::new(2);
        let mut met = [0; 3];
        for _ in 0..10_000 {
            met[random.weighted(&[1, 0, 9])] += 1;
        }
        assert_eq!(met[1], 0);
        assert!((800..1200).contains(&met[0]), "{met:?}");
    }
}
