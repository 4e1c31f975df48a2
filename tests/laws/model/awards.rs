//! The model's awards: which lots pay for a grant, what it gives back, how the clock ends it; and what a sweep books.

use almoner::refusal::Code;

use super::{Account, GRACE, Grant, Model, Said, Stage};

/// So much of each of some lots.
type Plan = Vec<(usize, i128)>;

impl Model {
    /// Lots usable for part of the grant's period and not past their expiry, whose terms admit the grant.
    pub fn may_fund(&self, grant: usize, lot: usize) -> Result<(), Code> {
        let (about, l, gift) = (&self.grants[grant].about, &self.lots[lot], self.gift_of(lot));
        if self.expired(lot) || l.delivered_at >= about.to || l.expires_at.is_some_and(|end| end <= about.from) {
            return Err(Code::LotExpired);
        }
        let field = gift.field.is_none_or(|only| only == about.project);
        let purpose = !gift.teaching || about.teaching;
        let resource = gift.resource.is_none_or(|only| about.resources.is_empty() || about.resources.contains(&only));
        if field && purpose && resource { Ok(()) } else { Err(Code::TermsNotMet) }
    }

    /// From the lots that are named, or from those that may pay, in draw-down order.
    pub(super) fn fund(&self, grant: usize, amount: i64, named: Option<&[(usize, i128)]>) -> Result<Plan, Code> {
        let Some(named) = named else {
            let fit: Vec<usize> = (0..self.lots.len()).filter(|lot| self.may_fund(grant, *lot).is_ok()).collect();
            let free = self.in_draw_order(&fit).into_iter().map(|lot| (lot, self.balance(Account::Available(lot))));
            return so_much(free, amount);
        };
        adds_up(named, amount)?;
        for (lot, _) in named {
            if *lot >= self.lots.len() {
                return Err(Code::ValidationFailed);
            }
            self.may_fund(grant, *lot)?;
        }
        let short = named.iter().any(|(lot, part)| self.balance(Account::Available(*lot)) < *part);
        if short { Err(Code::InsufficientCredits) } else { Ok(named.to_vec()) }
    }

    /// What a grant gives back or passes on: of the lots that are named, or of those that would pay last. What has lapsed is not its own.
    pub(super) fn unfund(&self, grant: usize, amount: i64, named: Option<&[(usize, i128)]>, to: Option<usize>) -> Result<Plan, Code> {
        let free = |lot: usize| if self.lapsed(lot) { 0 } else { self.balance(Account::Granted(grant, lot)) };
        let lots = &self.grants[grant].lots;
        if let Some(named) = named {
            adds_up(named, amount)?;
            for (lot, part) in named {
                if !lots.contains(lot) {
                    return Err(Code::ValidationFailed);
                }
                to.map_or(Ok(()), |to| self.may_fund(to, *lot))?;
                if free(*lot) < *part {
                    return Err(Code::InsufficientCredits);
                }
            }
            return Ok(named.to_vec());
        }
        let all: Plan = self.in_draw_order(lots).into_iter().rev().map(|lot| (lot, free(lot))).collect();
        let fits = |lot: usize| to.is_none_or(|to| self.may_fund(to, lot).is_ok());
        so_much(all.iter().copied().filter(|(lot, _)| fits(*lot)), amount).map_err(|short| match so_much(all.iter().copied(), amount) {
            // What is free would do, what the other may have would not.
            Ok(_) => Code::TermsNotMet,
            Err(_) => short,
        })
    }

    /// Where expired credits of a lot go.
    fn after_expiry(&self, lot: usize) -> Account {
        if self.gift_of(lot).returns { Account::Returned(lot) } else { Account::Lapsed(lot) }
    }

    /// Grants past their end and the grace: unexpired lots are deobligated, expired ones follow their donation's rule.
    pub(super) fn book_ends(&mut self) -> usize {
        let due = |g: &Grant| g.stage.awarded() && !g.booked && self.now >= g.about.to + GRACE;
        let due: Vec<usize> = (0..self.grants.len()).filter(|at| due(&self.grants[*at])).collect();
        for grant in &due {
            let end = self.grants[*grant].about.to;
            for lot in self.grants[*grant].lots.clone() {
                let expired = self.lots[lot].expires_at.is_some_and(|expiry| expiry <= end);
                let to = if expired { self.after_expiry(lot) } else { Account::Available(lot) };
                let free = self.balance(Account::Granted(*grant, lot));
                self.shift(Account::Granted(*grant, lot), to, free);
            }
            let ended = &mut self.grants[*grant];
            ended.booked = true;
            ended.version += 1;
            if ended.stage != Stage::Closed {
                ended.stage = Stage::Ended;
            }
        }
        due.len()
    }

    /// Ends of grants, then lots past their expiry and the grace, wherever their credits are.
    pub(super) fn sweep(&mut self) -> Said {
        self.book_expired();
        let grants = self.book_ends();
        let mut lots = 0;
        for lot in 0..self.lots.len() {
            if !self.lapsed(lot) {
                continue;
            }
            let places = (0..self.grants.len()).map(|grant| Account::Granted(grant, lot)).chain([Account::Available(lot)]);
            let left: Vec<(Account, i128)> = places.map(|place| (place, self.balance(place))).filter(|(_, free)| *free > 0).collect();
            for (place, free) in &left {
                self.shift(*place, self.after_expiry(lot), *free);
            }
            lots += usize::from(!left.is_empty());
            self.clock_returned |= !left.is_empty() && self.gift_of(lot).returns;
        }
        Said::Swept { grants, lots }
    }
}

fn adds_up(named: &[(usize, i128)], amount: i64) -> Result<(), Code> {
    let twice = named.iter().enumerate().any(|(at, (lot, _))| named[..at].iter().any(|(earlier, _)| earlier == lot));
    let sum: i128 = named.iter().map(|(_, part)| part).sum();
    if twice || sum != i128::from(amount) { Err(Code::ValidationFailed) } else { Ok(()) }
}

/// What each of these lots has, in their order, until the amount is reached.
fn so_much(free: impl Iterator<Item = (usize, i128)>, amount: i64) -> Result<Plan, Code> {
    let (mut rest, mut plan) = (i128::from(amount), Vec::new());
    for (lot, free) in free {
        let part = free.min(rest);
        if part > 0 {
            plan.push((lot, part));
            rest -= part;
        }
    }
    if rest > 0 { Err(Code::InsufficientCredits) } else { Ok(plan) }
}
