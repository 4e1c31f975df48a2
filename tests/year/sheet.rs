//! The spreadsheet: a plain table of rows, kept from what the script asks for and never from what the server answers, and a few sums
//! over it.
//!
//! Every row says on which day how much of which lot moved for which grant, and what that was; what it does to the columns is one table.

use super::sums::{Sum, Unit};

/// How many days after an end the programme still takes reports.
pub const GRACE: i64 = 7;

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Pledged,
    Delivered,
    DeliveredBeyond,
    Undone,
    Cancelled,
    Awarded,
    GivenBack,
    PassedOn,
    PassedIn,
    SetAside,
    Freed,
    Settled,
    Charged,
    Overdrawn,
    Covered,
    Refunded,
    RefundedToLot,
    RefundedLapsed,
    RefundedOwed,
    LotLapsed,
    LotReturned,
    ShareLapsed,
    ShareReturned,
}

/// Where credits are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    Receivable,
    Given,
    Available,
    Lapsed,
    Returned,
    Free,
    Held,
    Spent,
    Owed,
}

/// What a row adds to the columns.
fn effects(what: What) -> &'static [(Column, i64)] {
    use Column::*;
    match what {
        What::Pledged => &[(Receivable, 1), (Given, -1)],
        What::Delivered => &[(Available, 1), (Receivable, -1)],
        What::DeliveredBeyond => &[(Available, 1), (Given, -1)],
        What::Undone => &[(Available, -1), (Receivable, 1)],
        What::Cancelled => &[(Receivable, -1), (Given, 1)],
        What::Awarded => &[(Available, -1), (Free, 1)],
        What::GivenBack => &[(Free, -1), (Available, 1)],
        What::PassedOn => &[(Free, -1)],
        What::PassedIn => &[(Free, 1)],
        What::SetAside => &[(Free, -1), (Held, 1)],
        What::Freed => &[(Held, -1), (Free, 1)],
        What::Settled => &[(Held, -1), (Spent, 1)],
        What::Charged => &[(Free, -1), (Spent, 1)],
        What::Overdrawn => &[(Owed, 1)],
        What::Covered => &[(Free, -1), (Spent, 1), (Owed, -1)],
        What::Refunded => &[(Spent, -1), (Free, 1)],
        What::RefundedToLot => &[(Spent, -1), (Available, 1)],
        What::RefundedLapsed => &[(Spent, -1), (Lapsed, 1)],
        What::RefundedOwed => &[(Owed, -1)],
        What::LotLapsed => &[(Available, -1), (Lapsed, 1)],
        What::LotReturned => &[(Available, -1), (Returned, 1)],
        What::ShareLapsed => &[(Free, -1), (Lapsed, 1)],
        What::ShareReturned => &[(Free, -1), (Returned, 1)],
    }
}

/// One row; a name that does not apply is empty.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: What,
    pub donation: String,
    pub lot: String,
    pub grant: String,
    pub amount: i64,
}

#[derive(Clone, Debug)]
pub struct Donation {
    pub title: String,
    pub donor: String,
    pub unit: Unit,
    pub priority: i64,
    pub returns: bool,
    /// The only resource that it may pay for.
    pub only_on: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Lot {
    pub name: String,
    pub donation: Donation,
    pub delivered: i64,
    pub expires: Option<i64>,
}

impl Lot {
    /// Whether it pays for a job that ended on a day, reported today.
    fn pays(&self, resource: &str, ended: i64, today: i64) -> bool {
        let open = self.delivered <= ended && self.expires.is_none_or(|end| ended < end);
        open && !self.is_gone(today) && self.donation.only_on.as_deref().is_none_or(|only| only == resource)
    }

    fn is_gone(&self, today: i64) -> bool {
        self.expires.is_some_and(|end| today >= end + GRACE)
    }
}

#[derive(Clone, Debug)]
pub struct Grant {
    pub name: String,
    pub unit: Unit,
    pub ends: i64,
    /// Closed in the course of its last day, not at its beginning.
    pub closed: bool,
    pub booked: bool,
}

impl Grant {
    fn due(&self) -> i64 {
        self.ends + GRACE + i64::from(self.closed)
    }
}

/// A job that was charged: who paid how much of it, and what nobody has paid yet.
#[derive(Clone, Debug)]
pub struct Job {
    grant: String,
    resource: String,
    ended: i64,
    pub parts: Vec<(String, i64)>,
    pub owed: i64,
}

/// Credits set aside for a job.
#[derive(Clone, Debug)]
pub struct Held {
    pub grant: String,
    pub parts: Vec<(String, i64)>,
}

/// The price of an hour on a resource from a day on.
#[derive(Clone, Debug)]
pub struct Rate {
    pub resource: String,
    pub unit: Unit,
    pub from: i64,
    pub minor: i64,
}

/// Of what a sum is taken; nothing named for all.
#[derive(Clone, Copy, Default)]
pub struct Of<'n> {
    pub donation: Option<&'n str>,
    pub lot: Option<&'n str>,
    pub grant: Option<&'n str>,
}

impl<'n> Of<'n> {
    pub fn lot(name: &'n str) -> Of<'n> {
        Of { lot: Some(name), ..Of::default() }
    }

    pub fn grant(name: &'n str) -> Of<'n> {
        Of { grant: Some(name), ..Of::default() }
    }

    pub fn share(grant: &'n str, lot: &'n str) -> Of<'n> {
        Of { grant: Some(grant), lot: Some(lot), ..Of::default() }
    }

    pub fn donation(title: &'n str) -> Of<'n> {
        Of { donation: Some(title), ..Of::default() }
    }

    fn has(&self, row: &Row) -> bool {
        let fits = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| wanted == name);
        fits(self.donation, &row.donation) && fits(self.lot, &row.lot) && fits(self.grant, &row.grant)
    }
}

#[derive(Default)]
pub struct Sheet {
    pub rows: Vec<Row>,
    pub donations: Vec<Donation>,
    /// In draw-down order.
    pub lots: Vec<Lot>,
    pub grants: Vec<Grant>,
    pub rates: Vec<Rate>,
    pub jobs: Vec<Job>,
    pub today: i64,
}

impl Sheet {
    /// The sum of a column.
    pub fn total(&self, column: Column, of: Of<'_>) -> i64 {
        let factor = |row: &Row| effects(row.what).iter().filter(|(c, _)| *c == column).map(|(_, sign)| sign).sum::<i64>();
        self.rows.iter().filter(|row| of.has(row)).map(|row| factor(row) * row.amount).sum()
    }

    /// Whether any row has moved something in a column.
    pub fn touches(&self, column: Column, of: Of<'_>) -> bool {
        self.rows.iter().any(|row| of.has(row) && effects(row.what).iter().any(|(c, _)| *c == column))
    }

    /// The sum of all rows of some kinds.
    pub fn sum(&self, kinds: &[What], of: Of<'_>) -> i64 {
        self.rows.iter().filter(|row| kinds.contains(&row.what) && of.has(row)).map(|row| row.amount).sum()
    }

    pub fn lot(&self, name: &str) -> &Lot {
        self.lots.iter().find(|lot| lot.name == name).unwrap_or_else(|| panic!("there is no lot {name}"))
    }

    pub fn grant(&mut self, name: &str) -> &mut Grant {
        self.grants.iter_mut().find(|grant| grant.name == name).unwrap_or_else(|| panic!("there is no grant {name}"))
    }

    pub fn donation(&self, title: &str) -> &Donation {
        self.donations.iter().find(|donation| donation.title == title).unwrap_or_else(|| panic!("there is no donation {title}"))
    }

    fn row(&mut self, what: What, lot: &str, grant: &str, amount: i64) {
        let donation = if lot.is_empty() { String::new() } else { self.lot(lot).donation.title.clone() };
        self.rows.push(Row { what, donation, lot: lot.into(), grant: grant.into(), amount });
    }

    fn rows_of(&mut self, what: What, grant: &str, parts: &[(String, i64)]) {
        parts.iter().filter(|(_, part)| *part > 0).for_each(|(lot, part)| self.row(what, lot, grant, *part));
    }

    fn free(&self, grant: &str, lot: &str) -> i64 {
        self.total(Column::Free, Of::share(grant, lot))
    }

    // Gifts.

    pub fn pledge(&mut self, title: &str, amount: i64) {
        self.rows.push(Row { what: What::Pledged, donation: title.into(), lot: String::new(), grant: String::new(), amount });
    }

    pub fn cancel(&mut self, title: &str) {
        let amount = self.total(Column::Receivable, Of::donation(title));
        self.rows.push(Row { what: What::Cancelled, donation: title.into(), lot: String::new(), grant: String::new(), amount });
    }

    /// Out of the pledge as far as it goes, given beyond it.
    pub fn deliver(&mut self, lot: Lot, amount: i64) {
        let (name, pledged) = (lot.name.clone(), self.total(Column::Receivable, Of::donation(&lot.donation.title)).min(amount));
        self.lots.push(lot);
        self.lots.sort_by_key(|lot| (lot.donation.priority, lot.expires.unwrap_or(i64::MAX), lot.delivered));
        for (what, part) in [(What::Delivered, pledged), (What::DeliveredBeyond, amount - pledged)] {
            self.rows_of(what, "", &[(name.clone(), part)]);
        }
    }

    pub fn undo_delivery(&mut self, lot: &str) {
        let amount = self.sum(&[What::Delivered], Of::lot(lot));
        self.row(What::Undone, lot, "", amount);
    }

    pub fn return_to_donor(&mut self, lot: &str, amount: i64) {
        self.row(What::LotReturned, lot, "", amount);
    }

    // Grants.

    pub fn award(&mut self, grant: &str, parts: &[(String, i64)]) {
        self.rows_of(What::Awarded, grant, parts);
        self.cover(grant);
    }

    pub fn give_back(&mut self, grant: &str, parts: &[(String, i64)]) {
        self.rows_of(What::GivenBack, grant, parts);
    }

    pub fn pass_on(&mut self, from: &str, to: &str, parts: &[(String, i64)]) {
        self.rows_of(What::PassedOn, from, parts);
        self.rows_of(What::PassedIn, to, parts);
        self.cover(to);
    }

    /// So many hundredths of what a grant has free, lot by lot, rounded down.
    pub fn share_of_free(&self, grant: &str, hundredths: i64) -> Vec<(String, i64)> {
        let part = |lot: &Lot| (lot.name.clone(), self.free(grant, &lot.name) * hundredths / 100);
        self.lots.iter().map(part).filter(|(_, part)| *part > 0).collect()
    }

    // Jobs.

    /// The price of an hour for a job that ended on a day.
    pub fn rate(&self, resource: &str, unit: Unit, ended: i64) -> i64 {
        let fits = |rate: &&Rate| rate.resource == resource && rate.unit == unit && rate.from <= ended;
        self.rates.iter().filter(fits).max_by_key(|rate| rate.from).map(|rate| rate.minor).expect("a rate")
    }

    /// From the top of the list of lots down, each what it has free; and what nobody pays.
    fn draw(&self, grant: &str, amount: i64, may: impl Fn(&Lot) -> bool) -> (Vec<(String, i64)>, i64) {
        let (mut rest, mut parts) = (amount, Vec::new());
        for lot in self.lots.iter().filter(|lot| may(lot)) {
            let part = self.free(grant, &lot.name).min(rest);
            if part > 0 {
                parts.push((lot.name.clone(), part));
                rest -= part;
            }
        }
        (parts, rest)
    }

    /// Charges a job; its place in the list of jobs.
    pub fn charge(&mut self, grant: &str, resource: &str, amount: i64, ended: i64) -> usize {
        let (parts, owed) = self.draw(grant, amount, |lot| lot.pays(resource, ended, self.today));
        self.rows_of(What::Charged, grant, &parts);
        if owed > 0 {
            self.row(What::Overdrawn, "", grant, owed);
        }
        self.jobs.push(Job { grant: grant.into(), resource: resource.into(), ended, parts, owed });
        self.jobs.len() - 1
    }

    /// Pays what a grant owes out of what it has free, the oldest job first.
    fn cover(&mut self, grant: &str) {
        for place in 0..self.jobs.len() {
            let job = self.jobs[place].clone();
            if job.grant != grant || job.owed == 0 {
                continue;
            }
            let (parts, left) = self.draw(grant, job.owed, |lot| lot.pays(&job.resource, job.ended, self.today));
            self.rows_of(What::Covered, grant, &parts);
            self.jobs[place].owed = left;
            self.jobs[place].parts.extend(parts);
        }
    }

    /// Gives back part of a job: first what is owed, then from the lot that paid last.
    pub fn refund(&mut self, place: usize, amount: i64) {
        let today = self.today;
        let mut job = self.jobs[place].clone();
        let (owed, ended) = (job.owed.min(amount), self.grant(&job.grant).clone());
        job.owed -= owed;
        if owed > 0 {
            self.row(What::RefundedOwed, "", &job.grant, owed);
        }
        let mut rest = amount - owed;
        for (lot, part) in job.parts.iter_mut().rev() {
            let back = rest.min(*part);
            let what = match (self.lot(lot).is_gone(today), ended.booked || today >= ended.due()) {
                (true, _) => What::RefundedLapsed,
                (false, true) => What::RefundedToLot,
                (false, false) => What::Refunded,
            };
            self.rows_of(what, &job.grant, &[(lot.clone(), back)]);
            *part -= back;
            rest -= back;
        }
        assert_eq!(rest, 0, "more is given back than was charged");
        let grant = job.grant.clone();
        self.jobs[place] = job;
        self.cover(&grant);
    }

    /// Sets credits aside until a day, only of lots that last as long.
    pub fn hold(&mut self, grant: &str, resource: &str, amount: i64, until: i64) -> Held {
        let lasts = |lot: &Lot| lot.pays(resource, self.today, self.today) && lot.expires.is_none_or(|end| end >= until);
        let (parts, missing) = self.draw(grant, amount, lasts);
        assert_eq!(missing, 0, "{grant} has less than is to be set aside");
        self.rows_of(What::SetAside, grant, &parts);
        Held { grant: grant.into(), parts }
    }

    /// Ends a hold with what was used of it; its place in the list of jobs.
    pub fn settle(&mut self, held: &Held, resource: &str, used: i64, ended: i64) -> usize {
        let (mut rest, mut paid) = (used, Vec::new());
        for (lot, part) in &held.parts {
            let own = rest.min(*part);
            paid.push((lot.clone(), own));
            rest -= own;
            self.rows_of(What::Freed, &held.grant, &[(lot.clone(), part - own)]);
        }
        assert_eq!(rest, 0, "the script settles within what is held");
        self.rows_of(What::Settled, &held.grant, &paid);
        self.jobs.push(Job { grant: held.grant.clone(), resource: resource.into(), ended, parts: paid, owed: 0 });
        self.cover(&held.grant);
        self.jobs.len() - 1
    }

    pub fn release(&mut self, held: &Held) {
        self.rows_of(What::Freed, &held.grant, &held.parts);
        self.cover(&held.grant);
    }

    // What the clock decides.

    /// Books the ends of grants and then the expiries of lots that are due.
    pub fn night(&mut self) -> Night {
        let due: Vec<Grant> = self.grants.iter().filter(|grant| !grant.booked && self.today >= grant.due()).cloned().collect();
        let mut lines: Vec<String> = due.iter().map(|grant| self.end(grant)).collect();
        let gone: Vec<Lot> = self.lots.iter().filter(|lot| lot.is_gone(self.today)).cloned().collect();
        let expired: Vec<String> = gone.iter().filter_map(|lot| self.expire(lot)).collect();
        let (grants, lots) = (due.len(), expired.len());
        lines.extend(expired);
        Night { grants, lots, lines }
    }

    fn end(&mut self, grant: &Grant) -> String {
        let mut words = Vec::new();
        for lot in self.lots.clone() {
            let expired = lot.expires.is_some_and(|end| end <= grant.ends);
            let (what, word) = match (expired, lot.donation.returns) {
                (false, _) => (What::GivenBack, "free again"),
                (true, false) => (What::ShareLapsed, "lapsed"),
                (true, true) => (What::ShareReturned, "back with the donor"),
            };
            let free = self.free(&grant.name, &lot.name);
            self.rows_of(what, &grant.name, &[(lot.name.clone(), free)]);
            words.extend((free > 0).then(|| format!("{} of {} {word}", Sum { minor: free, unit: grant.unit }, lot.name)));
        }
        self.grant(&grant.name).booked = true;
        let left = if words.is_empty() { "nothing is left".to_owned() } else { words.join(", ") };
        format!("the end of {} is booked: {left}", grant.name)
    }

    fn expire(&mut self, lot: &Lot) -> Option<String> {
        let sum = |minor| Sum { minor, unit: lot.donation.unit };
        let (of_lot, of_share, word) = match lot.donation.returns {
            true => (What::LotReturned, What::ShareReturned, "goes back to the donor"),
            false => (What::LotLapsed, What::ShareLapsed, "lapses"),
        };
        let own = self.total(Column::Available, Of::lot(&lot.name));
        self.rows_of(of_lot, "", &[(lot.name.clone(), own)]);
        let (mut all, mut words) = (own, Vec::new());
        words.extend((own > 0).then(|| format!("{} that nobody was granted", sum(own))));
        for grant in self.grants.clone() {
            let free = self.free(&grant.name, &lot.name);
            self.rows_of(of_share, &grant.name, &[(lot.name.clone(), free)]);
            all += free;
            words.extend((free > 0).then(|| format!("{} of {}", sum(free), grant.name)));
        }
        (all > 0).then(|| format!("what is left of {} {word}, {}: {}", lot.name, sum(all), words.join(", ")))
    }
}

/// What the clock had decided: how many grants ended, how many lots expired with credits in them, and that in words.
pub struct Night {
    pub grants: usize,
    pub lots: usize,
    pub lines: Vec<String>,
}
