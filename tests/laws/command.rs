//! What can be asked of the books, with everything named by its place in the order of its making.

mod gifts;
mod grants;
mod holds;

use crate::dice::Dice;
use crate::model::{Model, Stage, Stands, State};
pub use grants::{Change, NewPolicy, Request, Ruling, Step, Verdict};
pub use holds::NewHold;

/// Names nothing that exists.
pub const NOTHING: usize = usize::MAX;
pub const HOUR: i64 = 3_600_000_000;
pub const DAY: i64 = 24 * HOUR;

/// The meters a record may carry; nobody ever sets a rate for the last.
pub const METERS: [&str; 5] = ["cpu-hour", "cpu-second", "gpu-hour", "gpu-second", "tpu-hour"];
/// The meters that rates are set for.
pub const RATED: [&str; 2] = ["cpu-hour", "gpu-hour"];
/// Persons, projects, resources and names of scheduler accounts of each sequence.
pub const PERSONS: usize = 5;
pub const PROJECTS: usize = 2;
pub const RESOURCES: usize = 3;
pub const ACCOUNTS: usize = 6;
/// Who is a member of which project: (project, person).
pub const MEMBERS: &[(usize, usize)] = &[(0, 0)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Used {
    /// Thousandths of each meter, by its place in `METERS`; 0 or below: the meter is absent.
    Metered([i64; METERS.len()]),
    /// Priced by the provider; `true`: in another unit than the grants'.
    Priced(i64, bool),
}

/// A usage record as it is sent. Equality is that of the content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub key: usize,
    pub grant: Option<usize>,
    pub account: Option<usize>,
    pub resource: usize,
    pub used: Used,
    /// Quality of service `high` doubles every price.
    pub high: bool,
    /// The machine failed: metered, not charged.
    pub failed: bool,
    pub ended_at: i64,
    /// How long before that it began; 0 where nobody says.
    pub ran: i64,
    /// The hold that it names; no part of what was used.
    pub hold: Option<usize>,
    /// Which increment of its job; none for the total.
    pub part: Option<i32>,
    pub job: Option<usize>,
}

impl Record {
    pub fn began_at(&self) -> i64 {
        self.ended_at - self.ran
    }

    /// Whether the same is said of what was used.
    pub fn says_as(&self, other: &Record) -> bool {
        *self == Record { hold: self.hold, ..other.clone() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Delivery(usize),
    Return(usize),
    Charge(usize),
    Pledge(usize),
    Award(usize),
    Amendment(usize),
    Refund(usize),
    /// The first return that a sweep booked.
    ClockReturn,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gift {
    pub pledged: i64,
    pub field: Option<usize>,
    pub resource: Option<usize>,
    pub teaching: bool,
    pub priority: i32,
    pub returns: bool,
    pub name: Option<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Propose {
        who: usize,
        gift: Gift,
    },
    Accept {
        who: usize,
        donation: usize,
    },
    Cancel {
        who: usize,
        donation: usize,
    },
    Deliver {
        who: usize,
        donation: usize,
        amount: i64,
        delivered_at: i64,
        expires_at: Option<i64>,
        wrong_unit: bool,
    },
    Return {
        who: usize,
        lot: usize,
        amount: Option<i64>,
    },
    Request {
        who: usize,
        request: Request,
        draft: bool,
    },
    Revise {
        who: usize,
        grant: usize,
        version: i32,
        request: Request,
    },
    Step {
        who: usize,
        grant: usize,
        step: Step,
    },
    Decide {
        who: usize,
        grant: usize,
        ruling: Ruling,
    },
    Amend {
        who: usize,
        grant: usize,
        change: Change,
    },
    WithdrawAmendment {
        who: usize,
        amendment: usize,
    },
    DecideAmendment {
        who: usize,
        amendment: usize,
        ruling: Ruling,
    },
    SetPolicy {
        who: usize,
        policy: NewPolicy,
    },
    ConfirmPolicy {
        who: usize,
        policy: usize,
    },
    Declare {
        who: usize,
        project: usize,
    },
    AddRate {
        who: usize,
        resource: usize,
        meter: usize,
        price: i64,
        from: i64,
    },
    ConfirmRate {
        who: usize,
        rate: usize,
    },
    Charge {
        provider: usize,
        records: Vec<Record>,
    },
    Hold {
        provider: usize,
        new: NewHold,
    },
    Extend {
        provider: usize,
        hold: usize,
        expires_at: i64,
    },
    Release {
        provider: usize,
        hold: usize,
    },
    /// To this grant or to the one that is found; or dismissed.
    Resolve {
        who: usize,
        entry: usize,
        charge_to: Option<Option<usize>>,
    },
    Refund {
        who: usize,
        charge: usize,
        amount: Option<i64>,
    },
    Reverse {
        who: usize,
        what: Target,
    },
    Wait(i64),
    Sweep,
}

impl Command {
    /// The same, so much later.
    pub fn shifted(&self, micros: i64) -> Command {
        let mut moved = self.clone();
        match &mut moved {
            Command::Deliver { delivered_at, expires_at, .. } => {
                *delivered_at += micros;
                expires_at.iter_mut().for_each(|end| *end += micros);
            }
            Command::Request { request, .. } | Command::Revise { request, .. } => {
                request.from += micros;
                request.to += micros;
            }
            Command::Amend { change: Change::Extension(to), .. } => *to += micros,
            Command::AddRate { from, .. } => *from += micros,
            Command::Charge { records, .. } => records.iter_mut().for_each(|record| record.ended_at += micros),
            Command::Hold { new, .. } => new.expires_at += micros,
            Command::Extend { expires_at, .. } => *expires_at += micros,
            _ => {}
        }
        moved
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Propose,
    Accept,
    Cancel,
    Deliver,
    Return,
    Request,
    Revise,
    Step(Step),
    Decide,
    Amend,
    WithdrawAmendment,
    DecideAmendment,
    SetPolicy,
    ConfirmPolicy,
    Declare,
    AddRate,
    ConfirmRate,
    Charge,
    Hold,
    Extend,
    Release,
    Resolve,
    Refund,
    Reverse,
    Wait,
    Sweep,
}

const VERBS: &[(usize, Verb)] = &[
    (4, Verb::Propose),
    (5, Verb::Accept),
    (1, Verb::Cancel),
    (12, Verb::Deliver),
    (3, Verb::Return),
    (7, Verb::Request),
    (4, Verb::Revise),
    (4, Verb::Step(Step::Submit)),
    (3, Verb::Step(Step::Review)),
    (1, Verb::Step(Step::Withdraw)),
    (3, Verb::Step(Step::Suspend)),
    (5, Verb::Step(Step::Resume)),
    (1, Verb::Step(Step::Close)),
    (4, Verb::Step(Step::Recuse)),
    (20, Verb::Decide),
    (13, Verb::Amend),
    (1, Verb::WithdrawAmendment),
    (18, Verb::DecideAmendment),
    (2, Verb::SetPolicy),
    (3, Verb::ConfirmPolicy),
    (1, Verb::Declare),
    (2, Verb::AddRate),
    (3, Verb::ConfirmRate),
    (40, Verb::Charge),
    (24, Verb::Hold),
    (16, Verb::Extend),
    (9, Verb::Release),
    (5, Verb::Resolve),
    (10, Verb::Refund),
    (7, Verb::Reverse),
    (8, Verb::Wait),
    (4, Verb::Sweep),
];

/// What a sequence begins with, so that most of it is not spent on getting anywhere.
const OPENING: &[Verb] =
    &[Verb::Propose, Verb::Accept, Verb::Deliver, Verb::Request, Verb::Decide, Verb::SetPolicy, Verb::Deliver, Verb::Request, Verb::Decide];

/// The command that these dice make of where the model stands.
pub fn choose(place: usize, dice: &mut Dice, model: &Model) -> Command {
    let wanted = OPENING.get(place).copied().unwrap_or_else(|| dice.weighted(VERBS));
    // Now and then something is asked of what is not there at all.
    let verb = if dice.chance(4) { wanted } else { possible(wanted, model) };
    let who = dice.below(PERSONS);
    match verb {
        Verb::Propose => Command::Propose { who, gift: gifts::gift(dice) },
        Verb::Accept => Command::Accept { who, donation: fitting(dice, &model.donations, |d| d.state == State::Proposed) },
        Verb::Cancel => Command::Cancel { who, donation: fitting(dice, &model.donations, |d| d.state == State::Proposed) },
        Verb::Deliver => gifts::deliver(who, dice, model),
        Verb::Return => {
            let amount = dice.chance(60).then(|| dice.within(1, 300));
            Command::Return { who, lot: any(dice, model.lots.len()), amount }
        }
        Verb::Request => Command::Request { who, request: grants::request(dice, model), draft: place > OPENING.len() && dice.chance(20) },
        Verb::Revise => grants::revise(who, dice, model),
        Verb::Step(step) => grants::step(who, step, dice, model),
        Verb::Decide => grants::decide(dice, model),
        Verb::Amend => grants::amend(who, dice, model),
        Verb::WithdrawAmendment => Command::WithdrawAmendment { who, amendment: fitting(dice, &model.amendments, |a| a.open) },
        Verb::DecideAmendment => grants::decide_amendment(dice, model),
        Verb::SetPolicy => Command::SetPolicy { who, policy: grants::policy(dice) },
        Verb::ConfirmPolicy => Command::ConfirmPolicy { who, policy: fitting(dice, &model.policies, |p| p.since.is_none()) },
        Verb::Declare => grants::declare(who, dice),
        Verb::AddRate => {
            let from = model.now + dice.within(-12, 1) * DAY;
            let resource = if dice.chance(6) { NOTHING } else { dice.below(RESOURCES) };
            Command::AddRate { who, resource, meter: dice.below(RATED.len()), price: dice.within(0, 60), from }
        }
        Verb::ConfirmRate => Command::ConfirmRate { who, rate: fitting(dice, &model.rates, |r| !r.stands) },
        Verb::Charge => charge(dice, model),
        Verb::Hold => holds::hold(dice, model),
        Verb::Extend => holds::extend(dice, model),
        Verb::Release => holds::release(dice, model),
        Verb::Resolve => {
            let grant = dice.chance(40).then(|| any(dice, model.grants.len()));
            let charge_to = dice.chance(75).then_some(grant);
            Command::Resolve { who, entry: fitting(dice, &model.kept, |k| k.open), charge_to }
        }
        Verb::Refund => {
            let amount = dice.chance(70).then(|| dice.within(1, 250));
            Command::Refund { who, charge: fitting(dice, &model.charges, |c| c.left() > 0), amount }
        }
        Verb::Reverse => Command::Reverse { who, what: target(dice, model) },
        Verb::Wait if dice.chance(10) => Command::Wait(dice.within(5, 12) * DAY),
        Verb::Wait => Command::Wait(dice.within(1, 60) * HOUR),
        Verb::Sweep => Command::Sweep,
    }
}

/// The verb that is wanted, or the one without which there is nothing to do it to.
fn possible(wanted: Verb, model: &Model) -> Verb {
    let accepted = model.donations.iter().any(|d| d.state == State::Accepted);
    let proposed = model.donations.iter().any(|d| d.state == State::Proposed);
    let any_grant = |fits: fn(Stage) -> bool| model.grants.iter().any(|g| fits(g.stage));
    let runs = any_grant(Stage::runs);
    match wanted {
        Verb::Accept if !proposed => Verb::Propose,
        Verb::Deliver | Verb::Cancel if !accepted => possible(Verb::Accept, model),
        Verb::Return if model.lots.is_empty() => possible(Verb::Deliver, model),
        Verb::Decide if !any_grant(Stage::decidable) => Verb::Request,
        Verb::Revise | Verb::Step(Step::Withdraw | Step::Review) if !any_grant(Stage::undecided) => Verb::Request,
        Verb::Amend | Verb::Step(Step::Suspend | Step::Close) if !runs => possible(Verb::Decide, model),
        Verb::WithdrawAmendment | Verb::DecideAmendment if !model.amendments.iter().any(|a| a.open) => possible(Verb::Amend, model),
        Verb::ConfirmPolicy if model.policies.iter().all(|p| p.since.is_some()) => Verb::SetPolicy,
        Verb::Charge | Verb::Hold if !runs => possible(Verb::Decide, model),
        Verb::Extend | Verb::Release if !model.holds.iter().any(|hold| hold.stands == Stands::Open) => possible(Verb::Hold, model),
        Verb::Resolve if !model.kept.iter().any(|kept| kept.open) => possible(Verb::Charge, model),
        Verb::Refund | Verb::Reverse if model.charges.is_empty() => possible(Verb::Charge, model),
        _ => wanted,
    }
}

/// One of so many; now and then none.
fn any(dice: &mut Dice, of: usize) -> usize {
    if of == 0 || dice.chance(4) { NOTHING } else { dice.below(of) }
}

/// Mostly one that fits, sometimes any.
fn fitting<T>(dice: &mut Dice, all: &[T], fits: impl Fn(&T) -> bool) -> usize {
    let good: Vec<usize> = (0..all.len()).filter(|at| fits(&all[*at])).collect();
    match good.is_empty() || dice.chance(8) {
        true => any(dice, all.len()),
        false => good[dice.below(good.len())],
    }
}

fn charge(dice: &mut Dice, model: &Model) -> Command {
    let count = if dice.chance(30) { 2 + dice.below(4) } else { 1 };
    let mut records: Vec<Record> = Vec::with_capacity(count);
    for place in 0..count {
        let earlier = records.last().cloned().filter(|_| dice.chance(12));
        records.push(earlier.unwrap_or_else(|| record(dice, model, place)));
    }
    // Mostly the provider whose resource it is.
    let owner = usize::from(records[0].resource == 2);
    Command::Charge { provider: if dice.chance(4) { 1 - owner } else { owner }, records }
}

fn record(dice: &mut Dice, model: &Model, place: usize) -> Record {
    if dice.chance(15)
        && let Some(again) = repeat(dice, model)
    {
        return again;
    }
    let used = match dice.chance(15) {
        true => Used::Priced(dice.within(1, 400), dice.chance(8)),
        false => Used::Metered(quantities(dice)),
    };
    let grant = fitting(dice, &model.grants, |g| g.stage.awarded() && g.about.to > model.now - 6 * DAY);
    let by_name = dice.chance(30);
    let latest = if dice.chance(30) { 240 } else { 24 };
    let mut made = Record {
        key: if dice.chance(96) { 1000 + model.sent + place } else { dice.below(1000) },
        grant: (!by_name).then_some(grant),
        account: dice.chance(95).then(|| if dice.chance(85) { dice.below(3) } else { dice.below(ACCOUNTS) }),
        resource: if dice.chance(2) { NOTHING } else { dice.below(RESOURCES) },
        used,
        high: dice.chance(10),
        failed: dice.chance(4),
        ended_at: if dice.chance(2) { model.now + HOUR } else { model.now - dice.within(0, latest) * HOUR },
        hold: None,
        ran: grants::ran(dice),
        part: None,
        job: None,
    };
    if dice.chance(if model.holds.is_empty() { 2 } else { 45 }) {
        holds::draw_on(dice, model, &mut made);
    }
    if dice.chance(12) {
        holds::overdraw(dice, model, &mut made);
    }
    if dice.chance(26) {
        holds::part(dice, model, &mut made);
    }
    made
}

/// A record that was sent before, as it was or with something changed.
fn repeat(dice: &mut Dice, model: &Model) -> Option<Record> {
    let sent: Vec<&Record> = model.charges.iter().map(|c| &c.record).chain(model.kept.iter().map(|k| &k.record)).collect();
    let mut again = (*sent.get(dice.below(sent.len().max(1)))?).clone();
    if dice.chance(35) {
        again.high = !again.high;
    }
    Some(again)
}

fn quantities(dice: &mut Dice) -> [i64; METERS.len()] {
    let mut thousandths = [-1; METERS.len()];
    for _ in 0..1 + dice.below(3) {
        let meter = dice.weighted(&[(15, 0), (10, 1), (30, 2), (10, 3), (1, 4)]);
        let most = if METERS[meter].ends_with("second") { 40_000_000 } else { 12_000 };
        thousandths[meter] = if dice.chance(8) { 0 } else { dice.within(1, most) };
    }
    thousandths
}

fn target(dice: &mut Dice, model: &Model) -> Target {
    match dice.below(12) {
        0 | 1 => Target::Delivery(any(dice, model.lots.len())),
        2 | 3 => Target::Return(any(dice, model.returns.len())),
        4 => Target::Pledge(fitting(dice, &model.donations, |d| d.state == State::Accepted)),
        5 if dice.chance(50) => Target::Amendment(fitting(dice, &model.amendments, |a| a.approved)),
        5 => Target::Award(fitting(dice, &model.grants, |g| g.stage.awarded())),
        6 => Target::Refund(any(dice, model.refunds)),
        7 => Target::ClockReturn,
        8 => Target::Charge(fitting(dice, &model.charges, |c| c.reversed)),
        _ => Target::Charge(any(dice, model.charges.len())),
    }
}
