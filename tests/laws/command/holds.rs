//! Which holds are asked for, and which records draw on them.

use super::{DAY, HOUR, NOTHING, Record, Used, any, fitting, quantities};
use crate::command::{Command, RESOURCES};
use crate::dice::Dice;
use crate::model::{Account, Charge, Hold, Model, Stands, owner};

/// Jobs that holds are made for, in each sequence; few, so that two holds may be for one.
const JOBS: usize = 12;

/// A hold as it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewHold {
    pub grant: usize,
    pub resource: Option<usize>,
    pub used: Used,
    pub high: bool,
    pub job: Option<usize>,
    pub expires_at: i64,
    pub name: Option<usize>,
}

/// How long a hold is to last: mostly some hours or days, now and then not at all or too long.
fn span(dice: &mut Dice) -> i64 {
    match dice.below(20) {
        0 => -HOUR,
        1 => 100 * DAY,
        2..=7 => dice.within(2, 20) * DAY,
        _ => dice.within(1, 40) * HOUR,
    }
}

pub(super) fn hold(dice: &mut Dice, model: &Model) -> Command {
    let now = model.now;
    let free = |place: usize| {
        let g = &model.grants[place];
        let lots = g.lots.iter().map(|lot| model.balance(Account::Granted(place, *lot))).sum::<i128>();
        lots > 0 && model.balance(Account::OverdraftSpent(place)) == 0 && g.about.from <= now && now < g.about.to
    };
    let good: Vec<usize> = (0..model.grants.len()).filter(|place| free(*place)).collect();
    let grant = match good.is_empty() || dice.chance(10) {
        true => fitting(dice, &model.grants, |g| g.stage.runs()),
        false => good[dice.below(good.len())],
    };
    let open_to = model.grants.get(grant).map(|g| g.about.resources.clone()).filter(|only| !only.is_empty());
    let resource = match open_to {
        Some(only) if dice.chance(90) => only[dice.below(only.len())],
        _ => dice.below(RESOURCES),
    };
    let most = if dice.chance(80) { 60 } else { 300 };
    let used = match dice.chance(80) {
        true => Used::Priced(dice.within(1, most), dice.chance(3)),
        false => Used::Metered(quantities(dice)),
    };
    let provider = owner(resource).unwrap_or(0);
    let new = NewHold {
        grant,
        resource: (!dice.chance(20)).then_some(if dice.chance(2) { NOTHING } else { resource }),
        used,
        high: dice.chance(10),
        job: dice.chance(60).then(|| dice.below(JOBS)),
        expires_at: now + span(dice),
        name: dice.chance(20).then(|| dice.below(4)),
    };
    Command::Hold { provider: if dice.chance(4) { 1 - provider } else { provider }, new }
}

/// Mostly an open hold and its own provider.
fn one(dice: &mut Dice, model: &Model) -> (usize, usize) {
    let hold = fitting(dice, &model.holds, |hold| hold.stands == Stands::Open);
    let provider = model.holds.get(hold).map_or(0, |hold| hold.provider);
    (if dice.chance(4) { 1 - provider } else { provider }, hold)
}

/// To some later end; often to one just past that of a lot behind the hold, where another lot could take its place.
pub(super) fn extend(dice: &mut Dice, model: &Model) -> Command {
    let outlived = |hold: &Hold| hold.rest.iter().filter_map(|(lot, _)| model.lots[*lot].expires_at).min().map(|end| end + HOUR);
    let could = |hold: &Hold| {
        let grant = &model.grants[hold.grant];
        let fresh = |lot: &usize, until: i64| {
            model.lots[*lot].expires_at.is_none_or(|end| end >= until) && model.balance(Account::Granted(hold.grant, *lot)) > 0
        };
        let until = outlived(hold).filter(|until| hold.stands == Stands::Open && *until <= grant.about.to);
        until.is_some_and(|until| grant.lots.iter().any(|lot| fresh(lot, until)))
    };
    if let Some(hold) = model.holds.iter().position(could).filter(|_| dice.chance(80)) {
        let found = &model.holds[hold];
        return Command::Extend { provider: found.provider, hold, expires_at: outlived(found).unwrap_or(model.now) };
    }
    let (provider, hold) = one(dice, model);
    Command::Extend { provider, hold, expires_at: model.now + span(dice) + DAY }
}

/// Often one whose grant owes something.
pub(super) fn release(dice: &mut Dice, model: &Model) -> Command {
    let owes = |hold: &Hold| hold.stands == Stands::Open && model.balance(Account::OverdraftSpent(hold.grant)) > 0;
    let (provider, hold) = match model.holds.iter().position(owes).filter(|_| dice.chance(70)) {
        Some(hold) => (model.holds[hold].provider, hold),
        None => one(dice, model),
    };
    Command::Release { provider, hold }
}

/// Has a record draw on a hold, by name or by its job; how many of a hundred records do is the caller's choice.
pub(super) fn draw_on(dice: &mut Dice, model: &Model, record: &mut Record) {
    let at = fitting(dice, &model.holds, |hold| matches!(hold.stands, Stands::Open | Stands::Expired));
    let Some(hold) = model.holds.get(at) else {
        record.hold = (at == NOTHING && dice.chance(20)).then_some(at);
        return;
    };
    record.resource = if dice.chance(95) { hold.resource } else { any(dice, RESOURCES) };
    record.grant = dice.chance(40).then_some(hold.grant);
    // No moment of a job is one at which a hold is made: a second past the hour.
    record.ended_at = model.now - dice.within(0, 8) * HOUR + 1_000_000;
    if dice.chance(75) {
        let aside: i128 = hold.rest.iter().map(|(_, part)| part).sum();
        record.used = Used::Priced(dice.within(1, (aside as i64).max(4) * 5 / 4), false);
    }
    match hold.job.filter(|_| dice.chance(60)) {
        Some(job) => record.job = Some(job),
        None => record.hold = Some(at),
    }
}

/// Has a record use more than is free of a grant of which some is held, so that there is something to cover once it is let go.
pub(super) fn overdraw(dice: &mut Dice, model: &Model, record: &mut Record) {
    let bears = |hold: &Hold| hold.stands == Stands::Open && !model.grants[hold.grant].reject_overdraft;
    let Some(hold) = model.holds.iter().rev().find(|hold| bears(hold)) else { return };
    (record.grant, record.resource) = (Some(hold.grant), hold.resource);
    (record.used, record.ended_at) = (Used::Priced(dice.within(20, 400), false), model.now - HOUR);
}

/// Makes a record a part of a job, or the total of one that has parts.
pub(super) fn part(dice: &mut Dice, model: &Model, record: &mut Record) {
    let same = |a: &Charge, b: &Charge| (a.provider, a.record.key) == (b.provider, b.record.key);
    let told = |part: &&Charge| model.charges.iter().any(|total| total.record.part.is_none() && same(total, part));
    let parted: Vec<&Charge> = model.charges.iter().filter(|charge| charge.record.part.is_some()).collect();
    let open: Vec<&Charge> = parted.iter().copied().filter(|part| !told(part)).collect();
    let of = if open.is_empty() || dice.chance(15) { &parted } else { &open };
    if of.is_empty() || dice.chance(30) {
        record.part = Some(1 + dice.below(3) as i32);
        return;
    }
    let earlier = of[dice.below(of.len())];
    let so_far: i128 = parted.iter().filter(|part| same(part, earlier)).map(|part| part.amount).sum();
    if dice.chance(70) {
        record.used = Used::Priced(dice.within(1, (so_far as i64 + 1) * 2), false);
    }
    let earlier = &earlier.record;
    (record.key, record.resource) = (earlier.key, earlier.resource);
    record.part = dice.chance(40).then(|| 1 + dice.below(5) as i32);
    if dice.chance(95) {
        (record.grant, record.account, record.hold, record.job) = (earlier.grant, earlier.account, earlier.hold, earlier.job);
    }
}
