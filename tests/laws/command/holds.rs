//! Which holds are asked for, and which records draw on them.

use super::{DAY, HOUR, NOTHING, Record, Used, any, fitting, quantities};
use crate::command::{Command, RESOURCES};
use crate::dice::Dice;
use crate::model::{Model, Stands, State, owner};

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
    let grant = fitting(dice, &model.grants, |g| g.state == State::Open && g.about.from <= now && now < g.about.to);
    let open_to = model.grants.get(grant).map(|g| g.about.resources.clone()).filter(|only| !only.is_empty());
    let resource = match open_to {
        Some(only) if dice.chance(90) => only[dice.below(only.len())],
        _ => dice.below(RESOURCES),
    };
    let used = match dice.chance(60) {
        true => Used::Priced(dice.within(1, 120), dice.chance(3)),
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

pub(super) fn extend(dice: &mut Dice, model: &Model) -> Command {
    let (provider, hold) = one(dice, model);
    Command::Extend { provider, hold, expires_at: model.now + span(dice) + DAY }
}

pub(super) fn release(dice: &mut Dice, model: &Model) -> Command {
    let (provider, hold) = one(dice, model);
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
    match hold.job.filter(|_| dice.chance(60)) {
        Some(job) => record.job = Some(job),
        None => record.hold = Some(at),
    }
}

/// Makes a record a part of a job, or the total of one that has parts.
pub(super) fn part(dice: &mut Dice, model: &Model, record: &mut Record) {
    let parted: Vec<&Record> = model.charges.iter().map(|charge| &charge.record).filter(|record| record.part.is_some()).collect();
    if parted.is_empty() || dice.chance(35) {
        record.part = Some(1 + dice.below(3) as i32);
        return;
    }
    let earlier = parted[dice.below(parted.len())];
    (record.key, record.resource) = (earlier.key, earlier.resource);
    record.part = dice.chance(45).then(|| 1 + dice.below(5) as i32);
    if dice.chance(95) {
        (record.grant, record.account, record.hold, record.job) = (earlier.grant, earlier.account, earlier.hold, earlier.job);
    }
}
