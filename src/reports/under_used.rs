//! Under-used grants: which have used little of what they were awarded, and what might go back to their lots.
//!
//! A proposal by stated rules, for officers to decide: nothing here moves credits. Precedent of the rules: NERSC in 2021 took 20 % of the
//! unused from who had used 5 % at most, and 10 % from who had used 5 to 10 %.

use crate::amount::Amount;
use crate::grants::{self, Grant, State};
use crate::store::{Conn, Fault, Page};
use crate::time::Time;

use super::balance::{self, GrantBalance, Moment};

/// By which rules grants are found and what is proposed, in hundredths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// So much of the period must have passed.
    pub elapsed: i64,
    /// So much of the award may have been used at most.
    pub used: i64,
    /// So much of the unused would go back.
    pub take: i64,
}

impl Rules {
    /// The rules in words.
    pub fn in_words(&self) -> String {
        let Rules { elapsed, used, take } = self;
        format!(
            "Active grants of whose period at least {elapsed} % has passed and of whose award at most {used} % was used or is set aside; \
             {take} % of what each has free might go back to its lots, by an amendment that another officer decides."
        )
    }
}

/// Half of the period, a twentieth of the award, a fifth of the unused.
pub const USUAL: Rules = Rules { elapsed: 50, used: 5, take: 20 };

/// A grant that has used little.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnderUsed {
    /// Which.
    pub balance: GrantBalance,
    /// How much of its period has passed, in hundredths, rounded down.
    pub elapsed: i64,
    /// How much of its award was used or is set aside, in hundredths, rounded up.
    pub used: i64,
    /// What might go back: a part of what is free, rounded down to the unit's smallest part.
    pub proposed: Amount,
}

/// The active grants, of these units or of any, that the rules fit; in the order of their identifiers.
pub fn under_used(conn: &mut Conn, units: Option<Vec<String>>, rules: Rules, now: Time) -> Result<Vec<UnderUsed>, Fault> {
    let of = grants::Of { states: Some(State::words(&[State::Active])), units, ..grants::Of::default() };
    let mut found = Vec::new();
    for grant in grants::store::grants(conn, &of, Page::ALL)? {
        found.extend(judge(conn, &grant, rules, now)?);
    }
    Ok(found)
}

fn judge(conn: &mut Conn, grant: &Grant, rules: Rules, now: Time) -> Result<Option<UnderUsed>, Fault> {
    let period = grant.about.period;
    let elapsed = share(now.since(period.from), period.to.since(period.from));
    if elapsed < rules.elapsed || now >= period.to {
        return Ok(None);
    }
    let balance = balance::grant_balance(conn, grant.clone(), Moment::Now(now))?;
    let gone = balance.spent.plus(balance.held)?.plus(balance.overdraft)?;
    let left = grant.awarded.minor.saturating_sub(gone.minor).max(0);
    // Rounded up: nobody is called less used than they are.
    let used = 100 - share(left, grant.awarded.minor);
    let proposed = Amount::new(part(balance.available.minor, rules.take), grant.awarded.unit);
    let fits = used <= rules.used && proposed.minor > 0;
    Ok(fits.then_some(UnderUsed { balance, elapsed, used, proposed }))
}

/// How many hundredths of the whole a part is, rounded down; none of nothing.
fn share(part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    // A hundredth of 64 bits always fits into them again, since no part exceeds its whole here.
    i64::try_from(i128::from(part.max(0)) * 100 / i128::from(whole)).unwrap_or(i64::MAX)
}

fn part(of: i64, hundredths: i64) -> i64 {
    i64::try_from(i128::from(of) * i128::from(hundredths) / 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down_and_never_divide_by_nothing() {
        assert_eq!([share(0, 3), share(1, 3), share(3, 3), share(5, 0), share(i64::MAX, i64::MAX)], [0, 33, 100, 0, 100]);
        assert_eq!([part(999, 20), part(4, 20), part(i64::MAX, 100)], [199, 0, i64::MAX]);
    }
}
