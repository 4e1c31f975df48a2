//! What is asked for, what is decided on it, and what is to change about grants.

use super::{Command, DAY, HOUR, MEMBERS, NOTHING, PERSONS, PROJECTS, RESOURCES, any, fitting};
use crate::dice::Dice;
use crate::model::{Account, Grant, Model, Stage};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub project: usize,
    pub amount: i64,
    pub from: i64,
    pub to: i64,
    pub teaching: bool,
    pub resources: Vec<usize>,
    pub renews: Option<usize>,
    pub name: Option<usize>,
}

/// What is said of a request or an amendment, on the version that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruling {
    pub version: i32,
    pub verdict: Verdict,
    pub no_conflict: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Approve { awarded: Option<i64>, reject_overdraft: Option<bool>, lots: Option<Vec<(usize, i64)>> },
    Reject,
    Return,
}

/// A step of a grant's life that is no decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Submit,
    Review,
    Withdraw,
    Suspend,
    Resume,
    Close,
    Recuse,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Supplement(i64),
    Extension(i64),
    Reduction(i64),
    Transfer(i64, usize),
    Closing,
}

impl Change {
    pub fn amount(self) -> Option<i64> {
        match self {
            Change::Supplement(amount) | Change::Reduction(amount) | Change::Transfer(amount, _) => Some(amount),
            Change::Extension(_) | Change::Closing => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewPolicy {
    pub two_above: Option<i64>,
    pub three_above: Option<i64>,
    pub carry_over: i32,
}

pub(super) fn request(dice: &mut Dice, model: &Model) -> Request {
    let now = model.now;
    let from = now + dice.within(-15, 1) * DAY;
    let resources = match dice.below(4) {
        0 => vec![dice.below(RESOURCES)],
        1 => vec![0, 1 + dice.below(2)],
        _ => Vec::new(),
    };
    let resources = if dice.chance(3) { vec![0, NOTHING] } else { resources };
    let project = if dice.chance(3) { NOTHING } else { dice.below(PROJECTS) };
    let to = (now + dice.within(-1, 30) * DAY).max(from + DAY);
    let runs = |g: &Grant| g.stage.runs() && g.about.project == project;
    let renews = (dice.chance(4) || model.grants.iter().any(runs) && dice.chance(50)).then(|| fitting(dice, &model.grants, runs));
    Request {
        project,
        amount: dice.within(1, 700),
        from,
        to,
        teaching: dice.chance(50),
        resources,
        renews,
        name: dice.chance(30).then(|| dice.below(4)),
    }
}

/// Of mostly what may be changed, and mostly the version that stands.
pub(super) fn revise(who: usize, dice: &mut Dice, model: &Model) -> Command {
    let awaiting = model.grants.iter().any(|g| g.stage == Stage::Awaiting) && dice.chance(60);
    let fits = |g: &Grant| if awaiting { g.stage == Stage::Awaiting } else { g.stage.undecided() };
    let grant = fitting(dice, &model.grants, fits);
    Command::Revise { who, grant, version: read(dice, model.grants.get(grant).map(|g| g.version)), request: request(dice, model) }
}

fn read(dice: &mut Dice, version: Option<i32>) -> i32 {
    version.unwrap_or(1) + i32::from(dice.chance(5))
}

pub(super) fn step(who: usize, step: Step, dice: &mut Dice, model: &Model) -> Command {
    let first = |g: &Grant| g.approvals.first().map(|first| first.who);
    // Who stands back has mostly approved before.
    if let Some(grant) = model.grants.iter().position(|g| first(g).is_some()).filter(|_| step == Step::Recuse && dice.chance(80)) {
        return Command::Step { who: first(&model.grants[grant]).unwrap_or(who), grant, step };
    }
    let busy = |g: &Grant| g.stage == Stage::Active && g.about.to > model.now;
    let fits = |g: &Grant| match step {
        Step::Submit => matches!(g.stage, Stage::Draft | Stage::Returned),
        Step::Review => matches!(g.stage, Stage::Requested | Stage::Awaiting),
        Step::Withdraw => g.stage.undecided(),
        Step::Suspend => busy(g),
        Step::Resume => g.stage == Stage::Suspended,
        Step::Close => g.stage.runs(),
        Step::Recuse => g.stage.decidable(),
    };
    Command::Step { who, grant: fitting(dice, &model.grants, fits), step }
}

/// Mostly somebody who may decide and has not yet.
fn officer(dice: &mut Dice, may: impl Fn(usize) -> bool) -> usize {
    let good: Vec<usize> = (0..PERSONS).filter(|who| may(*who)).collect();
    if good.is_empty() || dice.chance(15) { dice.below(PERSONS) } else { good[dice.below(good.len())] }
}

pub(super) fn decide(dice: &mut Dice, model: &Model) -> Command {
    let grant = match model.grants.iter().position(|g| g.stage == Stage::Awaiting).filter(|_| dice.chance(50)) {
        Some(awaiting) => awaiting,
        None => fitting(dice, &model.grants, |g| g.stage.decidable()),
    };
    let found = model.grants.get(grant);
    let fresh = |who: usize| found.is_none_or(|g| g.approvals.iter().all(|a| a.who != who));
    let who = officer(dice, |who| found.is_some() && fresh(who) && model.may_decide(who, &[grant], None).is_ok());
    let version = read(dice, found.map(|g| g.version));
    let asked = found.map_or(1, |g| g.about.amount);
    let first = found.is_none_or(|g| g.approvals.is_empty());
    let verdict = match dice.below(100) {
        0..10 => Verdict::Reject,
        10..20 => Verdict::Return,
        _ => {
            let may = (0..model.lots.len()).filter(|lot| found.is_some() && model.may_fund(grant, *lot).is_ok());
            let free = may.map(|lot| model.balance(Account::Available(lot))).sum::<i128>() as i64;
            approval(dice, model, asked, first, free)
        }
    };
    Command::Decide { who, grant, ruling: Ruling { version, verdict, no_conflict: !dice.chance(3) } }
}

/// Mostly what there is; whoever approves after the first mostly leaves the terms as they are.
fn approval(dice: &mut Dice, model: &Model, asked: i64, first: bool, free: i64) -> Verdict {
    if !first && dice.chance(85) {
        return Verdict::Approve { awarded: None, reject_overdraft: None, lots: None };
    }
    let most = if free > 0 && dice.chance(90) { free.min(asked) } else { asked + asked / 20 };
    let awarded = (most < asked || dice.chance(50)).then(|| dice.within(1, most));
    let lots = dice.chance(15).then(|| named_lots(dice, model, awarded.unwrap_or(asked)));
    Verdict::Approve { awarded, reject_overdraft: dice.chance(60).then(|| dice.chance(50)), lots }
}

fn named_lots(dice: &mut Dice, model: &Model, amount: i64) -> Vec<(usize, i64)> {
    let first = any(dice, model.lots.len());
    let part = if dice.chance(50) { amount } else { dice.within(1, amount) };
    let mut lots = vec![(first, part)];
    if part < amount {
        lots.push((any(dice, model.lots.len()), amount - part + i64::from(dice.chance(5))));
    }
    lots
}

/// Mostly to grants that run; more to those that owe something, from those that have something.
pub(super) fn amend(who: usize, dice: &mut Dice, model: &Model) -> Command {
    let runs = |g: &Grant| g.stage.runs() && g.about.to + 6 * DAY > model.now;
    let owes = (0..model.grants.len()).find(|at| runs(&model.grants[*at]) && model.balance(Account::OverdraftSpent(*at)) > 0);
    let free = |at: usize| model.grants[at].lots.iter().map(|lot| model.balance(Account::Granted(at, *lot))).sum::<i128>() as i64;
    let rich: Vec<usize> = (0..model.grants.len()).filter(|at| runs(&model.grants[*at]) && free(*at) > 0).collect();
    let grant = if rich.is_empty() || dice.chance(20) { fitting(dice, &model.grants, runs) } else { rich[dice.below(rich.len())] };
    let most = model.grants.get(grant).map_or(0, |_| free(grant)).max(1) * 11 / 10 + 1;
    let end = model.grants.get(grant).map_or(model.now, |g| g.about.to);
    let other = |g: &Grant| runs(g) && model.grants.get(grant).is_none_or(|own| !std::ptr::eq(own, g));
    let (grant, change) = match dice.below(100) {
        0..22 => (owes.filter(|_| dice.chance(50)).unwrap_or(grant), Change::Supplement(dice.within(1, 200))),
        22..38 => (grant, Change::Extension(end.max(model.now) + dice.within(-1, 15) * DAY)),
        38..58 => (grant, Change::Reduction(dice.within(1, most))),
        58..94 => {
            let to = owes.filter(|to| *to != grant && dice.chance(50)).unwrap_or_else(|| fitting(dice, &model.grants, other));
            (grant, Change::Transfer(dice.within(1, most), to))
        }
        _ => (grant, Change::Closing),
    };
    Command::Amend { who, grant, change }
}

pub(super) fn decide_amendment(dice: &mut Dice, model: &Model) -> Command {
    let amendment = match model.amendments.iter().position(|a| a.open && !a.approvals.is_empty()).filter(|_| dice.chance(50)) {
        Some(awaiting) => awaiting,
        None => fitting(dice, &model.amendments, |a| a.open),
    };
    let found = model.amendments.get(amendment);
    let may = |who: usize| {
        let fresh = found.is_some_and(|a| a.approvals.iter().all(|earlier| earlier.who != who));
        fresh && found.is_some_and(|a| model.may_decide(who, &a.concerns(), Some(a.requester)).is_ok())
    };
    let who = officer(dice, may);
    let version = read(dice, found.map(|a| a.version));
    let (asked, first) = (found.and_then(|a| a.change.amount()), found.is_none_or(|a| a.approvals.is_empty()));
    let verdict = match (dice.below(100), asked) {
        (0..8, _) => Verdict::Reject,
        (8..10, _) => Verdict::Return,
        (_, Some(asked)) => match approval(dice, model, asked, first, asked) {
            Verdict::Approve { awarded, lots, .. } => Verdict::Approve { awarded, reject_overdraft: dice.chance(2).then_some(true), lots },
            other => other,
        },
        _ => Verdict::Approve { awarded: dice.chance(3).then_some(1), reject_overdraft: None, lots: None },
    };
    Command::DecideAmendment { who, amendment, ruling: Ruling { version, verdict, no_conflict: !dice.chance(3) } }
}

pub(super) fn policy(dice: &mut Dice) -> NewPolicy {
    let two_above = dice.chance(75).then(|| dice.within(20, 400));
    let three_above = dice.chance(60).then(|| two_above.unwrap_or(0) + dice.within(-20, 300)).map(|three| three.max(0));
    NewPolicy { two_above, three_above, carry_over: dice.below(3) as i32 * 37 }
}

/// Mostly of somebody who is no member anyway.
pub(super) fn declare(who: usize, dice: &mut Dice) -> Command {
    let project = if dice.chance(4) { NOTHING } else { dice.below(PROJECTS) };
    let who = if MEMBERS.contains(&(project, who)) { dice.below(PERSONS) } else { who };
    Command::Declare { who, project }
}

/// How long a job ran: mostly nobody says.
pub(super) fn ran(dice: &mut Dice) -> i64 {
    if dice.chance(40) { dice.within(1, 72) * HOUR } else { 0 }
}
