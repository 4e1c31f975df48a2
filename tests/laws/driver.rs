//! The real books, driven by the same commands as the model, and read back in the model's words.

mod grants;

use std::collections::BTreeMap;

use almoner::amount::Amount;
use almoner::donations::{self, NewDonation, NewLot, OnExpiry, Terms};
use almoner::id::{AmendmentId, ChargeId, DonationId, GrantId, HoldId, Id, LotId, PolicyId, RateId, TransactionId, UsageId};
use almoner::ledger::{Bucket, Kind};
use almoner::refusal::Code;
use almoner::store::{Fault, Store, Work};
use almoner::time::{Clock, Time};
use almoner::usage::hold::{self, HeldJob};
use almoner::usage::{self, Incoming, Job, NewRate, Outcome, Resolution};
use rust_decimal::Decimal;

use crate::command::{Command, Gift, METERS, NOTHING, NewHold, RATED, Record, Target, Used};
use crate::model::{Account, One, Said};
use crate::rows::AccountRow;
use crate::world::{self, FIELDS, World};

/// Why a command was not done: a refusal, or a fault that must never happen.
enum Stop {
    Refused(Code),
    Fault(String),
}

/// The real books, with the identifiers of what was made, each in the place that the model has it.
#[derive(Clone)]
pub struct Driver {
    store: Store,
    clock: Clock,
    tag: String,
    world: World,
    made: Made,
}

#[derive(Clone, Default)]
struct Made {
    donations: Vec<DonationId>,
    pledges: BTreeMap<usize, TransactionId>,
    lots: Vec<LotId>,
    grants: Vec<GrantId>,
    awards: BTreeMap<usize, TransactionId>,
    amendments: Vec<AmendmentId>,
    amended: BTreeMap<usize, TransactionId>,
    policies: Vec<PolicyId>,
    rates: Vec<RateId>,
    charges: Vec<ChargeId>,
    kept: Vec<UsageId>,
    returns: Vec<TransactionId>,
    holds: Vec<HoldId>,
    refunds: Vec<TransactionId>,
    sent: usize,
    /// The first return that the clock booked, once there is one.
    clock_return: Option<TransactionId>,
}

/// The identifier in that place, or one that names nothing.
fn at<K: almoner::id::Kind>(ids: &[Id<K>], place: usize) -> Id<K> {
    ids.get(place).copied().unwrap_or(Id::from_stamp(1))
}

impl Driver {
    /// Registers everything that the commands take for granted.
    pub fn begin(store: &Store, clock: &Clock, tag: &str) -> Result<Driver, String> {
        let name = tag.to_owned();
        let world = store.write(move |work| world::set_up(work, &name)).map_err(|fault| fault.to_string())?;
        let made = Made { rates: world.rates.clone(), ..Made::default() };
        Ok(Driver { store: store.clone(), clock: clock.clone(), tag: tag.to_owned(), world, made })
    }

    fn write<T, F>(&self, verb: F) -> Result<T, Stop>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.store.write(verb).map_err(stopped)
    }

    fn amount(&self, minor: i64) -> Amount {
        Amount::new(minor, self.world.unit)
    }

    /// Carries out a command; `Err` for what is no answer at all.
    pub fn run(&mut self, command: &Command) -> Result<Said, String> {
        match self.try_run(command) {
            Ok(said) => Ok(said),
            Err(Stop::Refused(code)) => Ok(Said::Refused(code)),
            Err(Stop::Fault(text)) => Err(text),
        }
    }

    fn try_run(&mut self, command: &Command) -> Result<Said, Stop> {
        match command {
            Command::Propose { who, gift } => self.propose(*who, gift)?,
            Command::Accept { who, donation } => {
                let (who, id) = (self.world.persons[*who], at(&self.made.donations, *donation));
                let stamp = self.write(move |work| {
                    let next = work.birth().stamp;
                    donations::accept(work, who, id).map(|_| next)
                })?;
                self.made.pledges.insert(*donation, Id::from_stamp(stamp));
            }
            Command::Cancel { who, donation } => {
                let (who, id) = (self.world.persons[*who], at(&self.made.donations, *donation));
                self.write(move |work| donations::cancel(work, who, id).map(|_| ()))?;
            }
            Command::Deliver { who, donation, amount, delivered_at, expires_at, wrong_unit } => {
                let amount = Amount::new(*amount, if *wrong_unit { self.world.other_unit } else { self.world.unit });
                let (delivered_at, expires_at) = (Time::from_micros(*delivered_at), expires_at.map(Time::from_micros));
                let new = NewLot { donation: at(&self.made.donations, *donation), amount, delivered_at, expires_at };
                let who = self.world.persons[*who];
                self.made.lots.push(self.write(move |work| donations::deliver(work, who, &new).map(|lot| lot.id))?);
            }
            Command::Return { who, lot, amount } => self.give_back(*who, *lot, *amount)?,
            Command::Request { who, request, draft } => self.request(*who, request, *draft)?,
            Command::Revise { who, grant, version, request } => self.revise(*who, *grant, *version, request)?,
            Command::Step { who, grant, step } => self.step(*who, *grant, *step)?,
            Command::Decide { who, grant, ruling } => return self.decide(*who, *grant, ruling),
            Command::Amend { who, grant, change } => self.amend(*who, *grant, *change)?,
            Command::WithdrawAmendment { who, amendment } => self.withdraw_amendment(*who, *amendment)?,
            Command::DecideAmendment { who, amendment, ruling } => return self.decide_amendment(*who, *amendment, ruling),
            Command::SetPolicy { who, policy } => self.set_policy(*who, policy)?,
            Command::ConfirmPolicy { who, policy } => self.confirm_policy(*who, *policy)?,
            Command::Declare { who, project } => self.declare(*who, *project)?,
            Command::AddRate { who, resource, meter, price, from } => {
                let new = NewRate {
                    resource: at(&self.world.resources, *resource),
                    meter: RATED[*meter].into(),
                    price: self.amount(*price),
                    from: Time::from_micros(*from),
                    qos: [("high".to_owned(), Decimal::TWO)].into(),
                };
                let who = self.world.persons[*who];
                self.made.rates.push(self.write(move |work| usage::add_rate(work, who, &new).map(|rate| rate.id))?);
            }
            Command::ConfirmRate { who, rate } => {
                let (who, id) = (self.world.persons[*who], at(&self.made.rates, *rate));
                self.write(move |work| usage::confirm_rate(work, who, id).map(|_| ()))?;
            }
            Command::Charge { provider, records } => return self.charge(*provider, records),
            Command::Hold { provider, new } => return self.hold(*provider, new),
            Command::Extend { provider, hold, expires_at } => {
                let (who, provider, id) = (self.world.persons[0], self.world.providers[*provider], at(&self.made.holds, *hold));
                let until = Time::from_micros(*expires_at);
                return self.held(self.write(move |work| hold::extend(work, who, provider, id, until))?);
            }
            Command::Release { provider, hold } => {
                let (who, provider, id) = (self.world.persons[0], self.world.providers[*provider], at(&self.made.holds, *hold));
                return self.held(self.write(move |work| hold::release(work, who, provider, id))?);
            }
            Command::Resolve { who, entry, charge_to } => return self.resolve(*who, *entry, *charge_to),
            Command::Refund { who, charge, amount } => return self.refund(*who, *charge, *amount),
            Command::Reverse { who, what } => self.reverse(*who, *what)?,
            Command::Wait(micros) => self.clock.set(self.clock.now().plus(*micros)),
            Command::Sweep => {
                let swept = self.write(usage::sweep)?;
                return Ok(Said::Swept { grants: swept.grants, lots: swept.lots });
            }
        }
        Ok(Said::Done)
    }

    fn propose(&mut self, who: usize, gift: &Gift) -> Result<(), Stop> {
        let terms = Terms {
            fields_of_science: gift.field.map(|field| vec![FIELDS[field].into()]),
            institution_kinds: None,
            resources: gift.resource.map(|resource| vec![self.world.resources[resource].to_string()]),
            purpose: gift.teaching.then(|| "teaching".into()),
        };
        let new = NewDonation {
            donor: self.world.donor,
            title: "a gift".into(),
            unit: self.world.unit,
            pledged: self.amount(gift.pledged),
            terms,
            draw_priority: gift.priority,
            on_expiry: if gift.returns { OnExpiry::Return } else { OnExpiry::Lapse },
            external_id: gift.name.map(|name| format!("{}-gift-{name}", self.tag)),
        };
        let who = self.world.persons[who];
        self.made.donations.push(self.write(move |work| donations::propose(work, who, &new).map(|donation| donation.id))?);
        Ok(())
    }

    /// As a door does it: ends that are due are booked first, since donations know nothing of grants.
    fn give_back(&mut self, who: usize, lot: usize, amount: Option<i64>) -> Result<(), Stop> {
        let (who, id, amount) = (self.world.persons[who], at(&self.made.lots, lot), amount.map(|minor| self.amount(minor)));
        let stamp = self.write(move |work| {
            usage::book_ends(work)?;
            let next = work.birth().stamp;
            donations::return_lot(work, who, id, amount).map(|_| next)
        })?;
        self.made.returns.push(Id::from_stamp(stamp));
        Ok(())
    }

    fn hold(&mut self, provider: usize, new: &NewHold) -> Result<Said, Stop> {
        let job = |job: usize| HeldJob { cluster: format!("{}-c", self.tag), id: format!("{job}"), submitted_at: None };
        let new = hold::NewHold {
            grant: at(&self.made.grants, new.grant),
            resource: new.resource.map(|resource| at(&self.world.resources, resource)),
            wanted: self.used(new.used),
            qos: new.high.then(|| "high".into()),
            job: new.job.map(job),
            expires_at: Time::from_micros(new.expires_at),
            external_id: new.name.map(|name| format!("{}-hold-{name}", self.tag)),
        };
        let (who, provider) = (self.world.persons[0], self.world.providers[provider]);
        let made = self.write(move |work| hold::create(work, who, provider, &new))?;
        self.made.holds.push(made.id);
        self.held(made)
    }

    fn held(&self, hold: hold::Hold) -> Result<Said, Stop> {
        let rest = if hold.state == hold::State::Open { hold.rest } else { Vec::new() };
        let parts: Vec<(LotId, Amount)> = rest.into_iter().map(|(lot, part)| (lot, self.amount(part))).collect();
        Ok(Said::Held(self.parts(&parts)))
    }

    fn used(&self, used: Used) -> usage::Used {
        match used {
            Used::Priced(minor, wrong) => {
                usage::Used::Priced(Amount::new(minor, if wrong { self.world.other_unit } else { self.world.unit }))
            }
            Used::Metered(quantities) => {
                let present = METERS.iter().zip(quantities).filter(|(_, thousandths)| *thousandths >= 0);
                // Said with more or fewer zeros, a quantity is the same.
                let decimal = |thousandths: i64| match self.made.sent.is_multiple_of(2) {
                    true => Decimal::new(thousandths, 3),
                    false => Decimal::new(thousandths * 100, 5),
                };
                usage::Used::Metered(present.map(|(meter, thousandths)| ((*meter).to_owned(), decimal(thousandths))).collect())
            }
        }
    }

    fn incoming(&self, provider: usize, record: &Record) -> Incoming {
        let accounts = ["p0", "p1", "alias", "both", "only", "nobody"];
        let record = usage::Record {
            external_id: format!("{}-job-{}", self.tag, record.key),
            grant: record.grant.map(|grant| at(&self.made.grants, grant)),
            account: record.account.map(|account| format!("{}-{}", self.tag, accounts[account])),
            resource: at(&self.world.resources, record.resource),
            used: self.used(record.used),
            qos: record.high.then(|| "high".into()),
            started_at: (record.ran > 0).then(|| Time::from_micros(record.began_at())),
            ended_at: Time::from_micros(record.ended_at),
            user: None,
            hold: record.hold.map(|hold| at(&self.made.holds, hold)),
            part: record.part,
            job: Job {
                cluster: record.job.map(|_| format!("{}-c", self.tag)),
                id: record.job.map(|job| format!("{job}")),
                state: record.failed.then(|| "NODE_FAIL".into()),
            },
        };
        Incoming::new(self.world.providers[provider], record)
    }

    fn charge(&mut self, provider: usize, records: &[Record]) -> Result<Said, Stop> {
        self.made.sent += 1;
        let incoming: Vec<Incoming> = records.iter().map(|record| self.incoming(provider, record)).collect();
        let (who, provider) = (self.world.persons[0], self.world.providers[provider]);
        let outcomes = self.write(move |work| usage::charge(work, who, provider, &incoming))?;
        Ok(Said::Batch(outcomes.iter().map(|outcome| self.one(outcome)).collect()))
    }

    fn one(&mut self, outcome: &Outcome) -> One {
        let charged = |charges: &[ChargeId], id: &ChargeId| charges.iter().position(|known| known == id).unwrap_or(NOTHING);
        match outcome {
            Outcome::Charged(charge) => self.charged(charge),
            Outcome::Duplicate(id) => One::Duplicate(charged(&self.made.charges, id)),
            Outcome::Conflict(id) => One::Conflict(charged(&self.made.charges, id)),
            Outcome::Rejected(refusal) => One::Rejected(refusal.code),
            Outcome::Quarantined(id, refusal) => {
                let place = self.made.kept.iter().position(|known| known == id).unwrap_or_else(|| {
                    self.made.kept.push(*id);
                    self.made.kept.len() - 1
                });
                One::Quarantined(place, refusal.code)
            }
        }
    }

    fn charged(&mut self, charge: &usage::Charge) -> One {
        self.made.charges.push(charge.row.id());
        One::Charged { amount: charge.row.amount.into(), lots: self.parts(&charge.lots()), overdraft: charge.row.overdraft.into() }
    }

    fn parts(&self, lots: &[(LotId, Amount)]) -> Vec<(usize, i128)> {
        let place = |id: &LotId| self.made.lots.iter().position(|known| known == id).unwrap_or(NOTHING);
        lots.iter().map(|(lot, part)| (place(lot), part.minor.into())).collect()
    }

    fn resolve(&mut self, who: usize, entry: usize, charge_to: Option<Option<usize>>) -> Result<Said, Stop> {
        let how = match charge_to {
            Some(grant) => Resolution::Charge(grant.map(|grant| at(&self.made.grants, grant))),
            None => Resolution::Dismiss("a mistake".into()),
        };
        let (who, id) = (self.world.persons[who], at(&self.made.kept, entry));
        let charge = self.write(move |work| usage::resolve(work, who, id, &how))?;
        Ok(charge.map_or(Said::Done, |charge| Said::Batch(vec![self.charged(&charge)])))
    }

    fn refund(&mut self, who: usize, charge: usize, amount: Option<i64>) -> Result<Said, Stop> {
        let (who, id, amount) = (self.world.persons[who], at(&self.made.charges, charge), amount.map(|minor| self.amount(minor)));
        let refunded = self.write(move |work| usage::refund(work, who, id, amount, "as agreed"))?;
        self.made.refunds.push(refunded.row.id().seen_as());
        Ok(Said::Refunded { lots: self.parts(&refunded.lots), overdraft: refunded.overdraft.minor.into() })
    }

    fn reverse(&mut self, who: usize, what: Target) -> Result<(), Stop> {
        let nothing = Id::from_stamp(1);
        let id: TransactionId = match what {
            Target::Delivery(lot) => at(&self.made.lots, lot).seen_as(),
            Target::Return(place) => at(&self.made.returns, place),
            Target::Charge(place) => at(&self.made.charges, place).seen_as(),
            Target::Pledge(place) => self.made.pledges.get(&place).copied().unwrap_or(nothing),
            Target::Amendment(place) => self.made.amended.get(&place).copied().unwrap_or(nothing),
            Target::Award(place) => self.made.awards.get(&place).copied().unwrap_or(nothing),
            Target::Refund(place) => at(&self.made.refunds, place),
            Target::ClockReturn => self.made.clock_return.unwrap_or(nothing),
        };
        let who = self.world.persons[who];
        self.write(move |work| usage::reverse(work, who, id, "a mistake").map(|_| ()))
    }

    /// The accounts as stored, in the model's words; those with nothing in them left out.
    pub fn balances(&self, rows: &[AccountRow]) -> Result<BTreeMap<Account, i128>, String> {
        let with = rows.iter().filter(|row| row.balance != 0);
        with.map(|row| Ok((self.account(row).ok_or_else(|| format!("{row:?} is nobody's"))?, row.balance.into()))).collect()
    }

    fn account(&self, row: &AccountRow) -> Option<Account> {
        let donation = || self.made.donations.iter().position(|id| id.stamp() == row.donation);
        let lot = || self.made.lots.iter().position(|id| id.stamp() == row.lot);
        let grant = || self.made.grants.iter().position(|id| id.stamp() == row.award);
        Some(match Bucket::of(row.bucket as i32)? {
            Bucket::Receivable => Account::Receivable(donation()?),
            Bucket::Given => Account::Given(donation()?),
            Bucket::Available => Account::Available(lot()?),
            Bucket::Lapsed => Account::Lapsed(lot()?),
            Bucket::Returned => Account::Returned(lot()?),
            Bucket::Granted => Account::Granted(grant()?, lot()?),
            Bucket::Spent => Account::Spent(grant()?, lot()?),
            Bucket::OverdraftSpent => Account::OverdraftSpent(grant()?),
            Bucket::OverdraftOwed => Account::OverdraftOwed(grant()?),
            Bucket::Held => Account::Held(grant()?, lot()?),
        })
    }

    /// Notes an entry of the journal that a later command may name.
    pub fn notice(&mut self, kind: i64, actor: Option<i64>, stamp: i64) {
        if kind == Kind::Return as i64 && actor.is_none() && self.made.clock_return.is_none() {
            self.made.clock_return = Some(Id::from_stamp(stamp));
        }
    }

    pub fn grants(&self) -> &[GrantId] {
        &self.made.grants
    }

    pub fn lots(&self) -> &[LotId] {
        &self.made.lots
    }
}

fn stopped(fault: Fault) -> Stop {
    match fault.code() {
        Some(code) => Stop::Refused(code),
        None => Stop::Fault(fault.to_string()),
    }
}
