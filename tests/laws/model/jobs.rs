//! The model's usage: rates, prices, charges, quarantine, refunds, covers.

use almoner::refusal::Code;

use super::turns::{BEYOND, BY_JOB, CLOSED, LATE, PART, SUSPENDED, TOTAL_ABOVE, TOTAL_BELOW, WITHIN};
use super::{Account, Charge, GRACE, Kept, LEAD, Model, Rate, Said, Stage, Stands, half_even, owner};
use crate::command::{METERS, RATED, RESOURCES, Record, Used};

/// The person who reports all usage.
const REPORTER: usize = 0;

/// What became of one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum One {
    Charged { amount: i128, lots: Vec<(usize, i128)>, overdraft: i128 },
    Duplicate(usize),
    Conflict(usize),
    Quarantined(usize, Code),
    Rejected(Code),
}

impl One {
    /// For counting.
    pub fn word(&self) -> &'static str {
        match self {
            One::Charged { overdraft: 1.., .. } => "overdrawn",
            One::Charged { amount: 0, .. } => "charged nothing",
            One::Charged { lots, .. } if lots.len() > 1 => "charged to several lots",
            One::Charged { .. } => "charged",
            One::Duplicate(_) => "duplicate",
            One::Conflict(_) => "conflict",
            One::Quarantined(..) => "quarantined",
            One::Rejected(_) => "rejected",
        }
    }

    pub fn code(&self) -> Option<Code> {
        match self {
            One::Charged { .. } | One::Duplicate(_) => None,
            One::Conflict(_) => Some(Code::UsageConflict),
            One::Quarantined(_, code) | One::Rejected(code) => Some(*code),
        }
    }
}

impl Model {
    /// The first rate of a meter stands at once, later ones wait for another person.
    pub(super) fn add_rate(&mut self, who: usize, resource: usize, meter: usize, price: i64, from: i64) -> Result<Said, Code> {
        if resource >= RESOURCES {
            return Err(Code::ValidationFailed);
        }
        let stands = !self.rates.iter().any(|r| (r.resource, r.meter) == (resource, meter));
        self.rates.push(Rate { resource, meter, price, from, proposed_by: who, stands });
        Ok(Said::Done)
    }

    pub(super) fn confirm_rate(&mut self, who: usize, rate: usize) -> Result<Said, Code> {
        let found = self.rates.get_mut(rate).ok_or(Code::NotFound)?;
        if found.stands {
            return Err(Code::AlreadyDecided);
        }
        if found.proposed_by == who {
            return Err(Code::SelfApproval);
        }
        found.stands = true;
        Ok(Said::Done)
    }

    /// One record: met before, or attempted; what can't be charged is kept unless it can't be right.
    pub(super) fn charge(&mut self, provider: usize, record: &Record) -> One {
        let same_key = |p: usize, r: &Record| (p, r.key, r.part) == (provider, record.key, record.part);
        if let Some(at) = self.charges.iter().position(|c| same_key(c.provider, &c.record)) {
            return if self.charges[at].record.says_as(record) { One::Duplicate(at) } else { One::Conflict(at) };
        }
        let waiting = self.kept.iter().position(|k| k.open && same_key(k.provider, &k.record));
        if waiting.is_some_and(|at| !self.kept[at].record.says_as(record)) {
            return One::Rejected(Code::UsageConflict);
        }
        if let Some(total) = self.total_of(provider, record) {
            return One::Conflict(total);
        }
        match self.attempt(provider, record, record.grant) {
            Ok(charged) => {
                waiting.into_iter().for_each(|at| self.kept[at].open = false);
                charged
            }
            Err(code @ (Code::ValidationFailed | Code::NotFound)) => One::Rejected(code),
            Err(code) => {
                let at = waiting.unwrap_or(self.kept.len());
                if at == self.kept.len() {
                    self.kept.push(Kept { provider, record: record.clone(), open: true });
                }
                One::Quarantined(at, code)
            }
        }
    }

    fn attempt(&mut self, provider: usize, record: &Record, named: Option<usize>) -> Result<One, Code> {
        if record.ended_at > self.now + LEAD || owner(record.resource) != Some(provider) {
            return Err(Code::ValidationFailed);
        }
        let (grant, hold) = self.payer(provider, record, named)?;
        // A job whose credits were set aside before a suspension may run.
        let began_at = hold.map_or(record.began_at(), |at| self.holds[at].made_at.min(record.began_at()));
        if !self.active(grant, began_at, record.ended_at) {
            return Err(Code::GrantNotActive);
        }
        if !self.admits(grant, record.resource) {
            return Err(Code::TermsNotMet);
        }
        let price = self.price(record)?;
        let earlier = if record.part.is_none() { self.parts_of(provider, record) } else { Vec::new() };
        if earlier.iter().any(|at| self.charges[*at].grant != grant) {
            return Err(Code::UsageConflict);
        }
        let before: i128 = earlier.iter().map(|at| self.charges[*at].amount).sum();
        let charged = self.post(provider, record, grant, hold, (price - before).max(0))?;
        self.met.extend(match self.grants[grant].stage {
            Stage::Suspended => Some(SUSPENDED),
            Stage::Closed => Some(CLOSED),
            _ => None,
        });
        let mut too_much = (before - price).max(0);
        if !earlier.is_empty() {
            self.met.push(if too_much > 0 { TOTAL_BELOW } else { TOTAL_ABOVE });
        }
        for part in earlier.into_iter().rev() {
            let left = self.charges[part].left().min(too_much);
            if left > 0 {
                self.refund_part(part, left);
                too_much -= left;
            }
        }
        Ok(charged)
    }

    /// The total of a record's job, if it was charged.
    fn total_of(&self, provider: usize, record: &Record) -> Option<usize> {
        self.charges.iter().position(|c| (c.provider, c.record.key, c.record.part) == (provider, record.key, None))
    }

    /// The charges of a job's parts that stand, oldest first.
    fn parts_of(&self, provider: usize, record: &Record) -> Vec<usize> {
        let own = |c: &Charge| c.provider == provider && c.record.key == record.key && c.record.part.is_some() && !c.reversed;
        (0..self.charges.len()).filter(|at| own(&self.charges[*at])).collect()
    }

    /// What is set aside pays first, then what is free; a total ends the hold and gives back the rest of it.
    fn post(&mut self, provider: usize, record: &Record, grant: usize, hold: Option<usize>, amount: i128) -> Result<One, Code> {
        let aside = hold.map_or(Vec::new(), |at| self.holds[at].rest.clone());
        let (mut rest, mut from_hold, mut left) = (amount, Vec::new(), Vec::new());
        for (lot, part) in aside {
            let used = if self.pays(lot, record.resource, record.ended_at) { part.min(rest) } else { 0 };
            rest -= used;
            from_hold.push((lot, used));
            left.push((lot, part - used));
        }
        let (from_free, beyond) = self.plan(grant, record, rest);
        if beyond > 0 && self.grants[grant].reject_overdraft {
            return Err(Code::InsufficientCredits);
        }
        from_hold.iter().for_each(|(lot, part)| self.shift(Account::Held(grant, *lot), Account::Spent(grant, *lot), *part));
        from_free.iter().for_each(|(lot, part)| self.shift(Account::Granted(grant, *lot), Account::Spent(grant, *lot), *part));
        self.shift(Account::OverdraftOwed(grant), Account::OverdraftSpent(grant), beyond);
        left.retain(|(_, part)| *part > 0);
        let of_hold = from_hold.iter().any(|(_, part)| *part > 0) || (record.part.is_none() && !left.is_empty());
        let drawn = self.merged(grant, &[from_hold, from_free].concat());
        let charged = One::Charged { amount, lots: drawn.clone(), overdraft: beyond };
        self.charges.push(Charge {
            provider,
            by: REPORTER,
            record: record.clone(),
            grant,
            amount,
            parts: drawn.iter().copied().collect(),
            drawn,
            beyond,
            owed: beyond,
            touched: false,
            reversed: false,
            of_hold,
        });
        if let Some(at) = hold {
            self.met.push(match (record.part, self.holds[at].stands, rest) {
                (Some(_), ..) => PART,
                (None, Stands::Expired, _) => LATE,
                (None, _, 0) => WITHIN,
                (None, ..) => BEYOND,
            });
            self.met.extend(record.hold.is_none().then_some(BY_JOB));
            self.holds[at].rest = left;
            if record.part.is_none() {
                for (lot, part) in std::mem::take(&mut self.holds[at].rest) {
                    self.shift(Account::Held(grant, lot), Account::Granted(grant, lot), part);
                }
                self.holds[at].stands = Stands::Settled;
            }
            self.cover(grant);
        }
        Ok(charged)
    }

    /// Active at the job's end, not suspended when it began, and reported before the grace is over, by the clock.
    pub(super) fn active(&self, grant: usize, began_at: i64, ended_at: i64) -> bool {
        let g = &self.grants[grant];
        let awarded = g.stage.awarded() && g.suspended_at.is_none_or(|since| began_at < since);
        awarded && g.about.from <= ended_at && ended_at < g.about.to && self.now < g.about.to + GRACE
    }

    pub(super) fn admits(&self, grant: usize, resource: usize) -> bool {
        let only = &self.grants[grant].about.resources;
        only.is_empty() || only.contains(&resource)
    }

    /// By the project's external id or an account mapping: exactly one.
    pub(super) fn find_grant(&self, record: &Record) -> Result<usize, Code> {
        let projects: &[usize] = match record.account.ok_or(Code::Unattributed)? {
            0 | 2 => &[0],
            1 => &[1],
            3 => &[0, 1],
            4 if record.resource == 1 => &[1],
            _ => &[],
        };
        let awarded = |g: &super::Grant| g.stage.awarded() && projects.contains(&g.about.project);
        let candidates: Vec<usize> = (0..self.grants.len()).filter(|at| awarded(&self.grants[*at])).collect();
        let (active, past): (Vec<usize>, Vec<usize>) =
            candidates.into_iter().partition(|at| self.active(*at, record.began_at(), record.ended_at));
        let fitting: Vec<usize> = active.into_iter().filter(|at| self.admits(*at, record.resource)).collect();
        match fitting.as_slice() {
            [one] => Ok(*one),
            [] if !past.is_empty() => Err(Code::GrantNotActive),
            _ => Err(Code::Unattributed),
        }
    }

    /// The sum of exact products, rounded once.
    pub(super) fn price(&self, record: &Record) -> Result<i128, Code> {
        let quantities = match record.used {
            Used::Priced(_, true) => return Err(Code::ValidationFailed),
            Used::Priced(amount, false) => return Ok(i128::from(amount)),
            Used::Metered(quantities) => quantities,
        };
        let mut sum = 0;
        for (meter, thousandths) in METERS.iter().zip(quantities).filter(|(_, thousandths)| *thousandths >= 0) {
            let rated = RATED.iter().position(|rated| rated[..3] == meter[..3]).ok_or(Code::RateMissing)?;
            let in_force = |r: &&Rate| r.stands && (r.resource, r.meter) == (record.resource, rated) && r.from <= record.ended_at;
            let found = self.rates.iter().enumerate().filter(|(_, r)| in_force(r)).max_by_key(|(at, r)| (r.from, *at));
            let price = i128::from(found.ok_or(Code::RateMissing)?.1.price);
            let seconds = if meter.ends_with("hour") { 3600 } else { 1 };
            sum += i128::from(thousandths) * seconds * price * if record.high { 2 } else { 1 };
        }
        Ok(if record.failed { 0 } else { half_even(sum, 1000 * 3600) })
    }

    /// What each lot pays of an amount, in draw-down order, and what nobody pays.
    fn plan(&self, grant: usize, record: &Record, amount: i128) -> (Vec<(usize, i128)>, i128) {
        let (mut rest, mut plan) = (amount, Vec::new());
        for lot in self.in_draw_order(&self.grants[grant].lots) {
            let free = self.balance(Account::Granted(grant, lot));
            let part = free.min(rest);
            if part > 0 && self.pays(lot, record.resource, record.ended_at) {
                plan.push((lot, part));
                rest -= part;
            }
        }
        (plan, rest)
    }

    pub(super) fn resolve(&mut self, who: usize, entry: usize, charge_to: Option<Option<usize>>) -> Result<Said, Code> {
        let kept = self.kept.get(entry).ok_or(Code::NotFound)?.clone();
        if !kept.open {
            return Err(Code::AlreadyDecided);
        }
        self.kept[entry].open = false;
        let Some(named) = charge_to else { return Ok(Said::Done) };
        if self.total_of(kept.provider, &kept.record).is_some() {
            return Err(Code::UsageConflict);
        }
        // Whoever names the grant now decides who pays, whatever became of the hold.
        let record = Record { hold: kept.record.hold.filter(|_| named.is_none()), ..kept.record };
        let charged = self.attempt(kept.provider, &record, named.or(record.grant))?;
        self.charges.last_mut().into_iter().for_each(|charge| charge.by = who);
        Ok(Said::Batch(vec![charged]))
    }

    /// The overdraft part first, then the charge's own lots in reverse draw-down order.
    pub(super) fn refund(&mut self, charge: usize, amount: Option<i64>) -> Result<Said, Code> {
        self.book_due(self.charges.get(charge).ok_or(Code::NotFound)?.grant);
        let left = self.charges[charge].left();
        let amount = amount.map_or(left, i128::from);
        if amount == 0 || amount > left {
            return Err(Code::RefundExceedsCharge);
        }
        self.refunds += 1;
        let (lots, overdraft) = self.refund_part(charge, amount);
        Ok(Said::Refunded { lots, overdraft })
    }

    fn refund_part(&mut self, charge: usize, amount: i128) -> (Vec<(usize, i128)>, i128) {
        let found = self.charges[charge].clone();
        let overdraft = found.owed.min(amount);
        self.shift(Account::OverdraftSpent(found.grant), Account::OverdraftOwed(found.grant), overdraft);
        let (mut rest, mut lots, mut passing) = (amount - overdraft, Vec::new(), Vec::new());
        let paid: Vec<usize> = found.parts.keys().copied().collect();
        for lot in self.in_draw_order(&paid).into_iter().rev() {
            let part = found.parts[&lot].min(rest);
            if part > 0 {
                let (share, home) = (Account::Granted(found.grant, lot), self.home(found.grant, lot));
                // On its way to the lot it stops at the grant, whose overdrafts come first.
                let to = if home == Account::Available(lot) { share } else { home };
                self.shift(Account::Spent(found.grant, lot), to, part);
                if to != home {
                    passing.push((share, home, self.balance(share) - part));
                }
                lots.push((lot, part));
                rest -= part;
            }
        }
        let mine = &mut self.charges[charge];
        mine.owed -= overdraft;
        mine.touched = true;
        lots.iter().for_each(|(lot, part)| *mine.parts.entry(*lot).or_default() -= part);
        self.cover(found.grant);
        for (share, home, before) in passing {
            self.shift(share, home, self.balance(share) - before);
        }
        (lots, overdraft)
    }

    /// A refund to an ended grant goes on to the lot; to a lapsed lot, to lapsed.
    fn home(&self, grant: usize, lot: usize) -> Account {
        let ended = self.now >= self.grants[grant].about.to + GRACE;
        match (self.lapsed(lot), ended) {
            (true, _) => Account::Lapsed(lot),
            (_, true) => Account::Available(lot),
            _ => Account::Granted(grant, lot),
        }
    }

    /// Overdrafts are paid oldest charge first, only from lots that fit the charge.
    pub(super) fn cover(&mut self, grant: usize) {
        for at in 0..self.charges.len() {
            if self.charges[at].grant != grant || self.charges[at].owed == 0 {
                continue;
            }
            let owed = self.charges[at].owed;
            let record = self.charges[at].record.clone();
            let (plan, _) = self.plan(grant, &record, owed);
            for (lot, part) in plan {
                self.shift(Account::Granted(grant, lot), Account::Spent(grant, lot), part);
                self.shift(Account::OverdraftSpent(grant), Account::OverdraftOwed(grant), part);
                let mine = &mut self.charges[at];
                *mine.parts.entry(lot).or_default() += part;
                mine.owed -= part;
                mine.touched = true;
            }
        }
    }
}
