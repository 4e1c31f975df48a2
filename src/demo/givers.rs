//! Who gives to the demo's programme: donors, their pledges and terms, and when they deliver.
//!
//! The two amounts of Microsoft and NVIDIA were announced in public. Everything else is invented and says so in its title; what
//! goes wrong (a lapse, a return, a disputed delivery, a cancelled pledge) happens to “Example …” donors only.

use super::places::{ACCELERATOR, ACCESS_CREDIT, EAST, GPU_HOUR, NATIONAL, Place, USD};
use super::stage::{Stage, missing};
use crate::amount::{Amount, Unit};
use crate::donations::donation::Terms;
use crate::donations::{self, NewDonation, NewDonor, NewLot, OnExpiry};
use crate::id::{DonationId, DonorId, LotId};
use crate::store::Fault;
use crate::time::{DAY, Time};
use crate::usage;

/// Name, kind.
const DONORS: [(&str, &str); 7] = [
    ("Microsoft", "industry"),
    ("NVIDIA", "industry"),
    ("Example Cloud", "industry"),
    ("Example Chips Foundation", "nonprofit"),
    ("Example Ministry of Science", "government"),
    ("Example State Computing Fund", "government"),
    ("Example University Consortium", "university"),
];

/// Place in [`DONORS`] of the donor whom the demo lets sign in: the one to whom most happens.
const EXAMPLE_CLOUD: usize = 2;

/// One donation and its deliveries, amounts in whole units, days counted from the first.
struct Gift {
    donor: usize,
    title: &'static str,
    unit: usize,
    pledged: i64,
    /// Only on this site's resources.
    site: Option<usize>,
    fields: &'static [&'static str],
    kinds: &'static [&'static str],
    purpose: Option<&'static str>,
    priority: i32,
    on_expiry: OnExpiry,
    proposed: i64,
    /// Day, amount, days until it expires (0: never).
    deliveries: &'static [(i64, i64, i64)],
}

const PLAIN: Gift = Gift {
    donor: 0,
    title: "",
    unit: USD,
    pledged: 0,
    site: None,
    fields: &[],
    kinds: &[],
    purpose: None,
    priority: 0,
    on_expiry: OnExpiry::Lapse,
    proposed: 0,
    deliveries: &[],
};

const TEACHING: usize = 2;
const DISPUTED: usize = 3;
const RETURNING: usize = 4;
const UNDECIDED: usize = 8;

const GIFTS: [Gift; 9] = [
    Gift {
        donor: 0,
        title: "Microsoft: USD 20 million of cloud credits for the NAIRR pilot (amount public; tranches, terms and provider invented for the demo)",
        pledged: 20_000_000,
        site: Some(EAST),
        deliveries: &[(2, 6_000_000, 540), (120, 5_000_000, 540), (240, 5_000_000, 540)],
        ..PLAIN
    },
    Gift {
        donor: 1,
        title: "NVIDIA: USD 30 million of technology over two years for the NAIRR pilot (amount public; tranches, terms and provider invented for the demo)",
        pledged: 30_000_000,
        site: Some(ACCELERATOR),
        deliveries: &[(3, 7_500_000, 730), (185, 7_500_000, 730)],
        ..PLAIN
    },
    Gift {
        donor: EXAMPLE_CLOUD,
        title: "Example Cloud: credits for teaching (invented for the demo; a part lapses)",
        pledged: 600_000,
        site: Some(EAST),
        purpose: Some("education"),
        priority: -10,
        proposed: 4,
        deliveries: &[(9, 600_000, 200)],
        ..PLAIN
    },
    Gift {
        donor: EXAMPLE_CLOUD,
        title: "Example Cloud: credits for open science (invented for the demo; a delivery is disputed, the rest cancelled)",
        pledged: 1_000_000,
        site: Some(EAST),
        purpose: Some("open-science"),
        priority: -5,
        proposed: 198,
        deliveries: &[(DISPUTE, 300_000, 365), (DISPUTE + 3, 250_000, 365)],
        ..PLAIN
    },
    Gift {
        donor: 3,
        title: "Example Chips Foundation: GPU hours for climate research (invented for the demo; what is unused goes back)",
        unit: GPU_HOUR,
        pledged: 300_000,
        site: Some(NATIONAL),
        fields: &["climate science", "earth science"],
        priority: -5,
        on_expiry: OnExpiry::Return,
        proposed: 6,
        deliveries: &[(12, 300_000, 240)],
        ..PLAIN
    },
    Gift {
        donor: 4,
        title: "Example Ministry of Science: national GPU hours (invented for the demo)",
        unit: GPU_HOUR,
        pledged: 2_000_000,
        site: Some(NATIONAL),
        proposed: 1,
        deliveries: &[(5, 1_000_000, 0), (180, 700_000, 0)],
        ..PLAIN
    },
    Gift {
        donor: 5,
        title: "Example State Computing Fund: allocation credits for campuses (invented for the demo)",
        unit: ACCESS_CREDIT,
        pledged: 80_000_000,
        kinds: &["university", "college", "institute"],
        proposed: 1,
        deliveries: &[(6, 40_000_000, 500), (150, 30_000_000, 500)],
        ..PLAIN
    },
    Gift {
        donor: 6,
        title: "Example University Consortium: allocation credits for colleges (invented for the demo; a lot is about to lapse)",
        unit: ACCESS_CREDIT,
        pledged: 9_000_000,
        kinds: &["college"],
        priority: -5,
        proposed: 25,
        deliveries: &[(30, 8_000_000, 380), (60, 1_000_000, 302)],
        ..PLAIN
    },
    Gift {
        donor: 3,
        title: "Example Chips Foundation: a second gift of GPU hours (invented for the demo; waits for acceptance)",
        unit: GPU_HOUR,
        pledged: 150_000,
        site: Some(NATIONAL),
        fields: &["climate science", "earth science"],
        on_expiry: OnExpiry::Return,
        proposed: 358,
        ..PLAIN
    },
];

/// The day of the delivery that the donor disputes.
const DISPUTE: i64 = 205;
/// The day on which what remains of that pledge is cancelled.
const CANCELLED: i64 = 300;

/// What the donors did, as far as the rest of the demo asks.
#[derive(Default)]
pub(super) struct Givers {
    donors: Vec<DonorId>,
    donations: Vec<(usize, DonationId)>,
    lots: Vec<(usize, LotId)>,
}

impl Givers {
    /// Registers the donors.
    pub fn arrive(stage: &Stage<'_>) -> Result<Givers, Fault> {
        let officer = stage.cast.officer;
        let donors = stage.store.write(move |work| {
            let mut made = Vec::with_capacity(DONORS.len());
            for (place, (name, kind)) in DONORS.iter().enumerate() {
                let external_id = Some(format!("demo-donor-{}", place + 1));
                let new = NewDonor { name: (*name).into(), kind: (*kind).into(), ror: None, external_id };
                made.push(donations::add_donor(work, officer, &new)?.id);
            }
            Ok(made)
        })?;
        Ok(Givers { donors, ..Givers::default() })
    }

    /// All that happens to donations on a day: proposals, acceptances the day after by another officer, deliveries, the dispute.
    pub fn play(&mut self, stage: &Stage<'_>, day: i64, units: &[Unit], places: &[Place]) -> Result<(), Fault> {
        for (place, gift) in GIFTS.iter().enumerate() {
            if gift.proposed == day {
                self.propose(stage, place, units, places)?;
            }
            if gift.proposed + 1 == day && place != UNDECIDED {
                let (officer2, id) = (stage.cast.officer2, self.donation(place)?);
                stage.store.write(move |work| donations::accept(work, officer2, id))?;
            }
            for (_, amount, valid) in gift.deliveries.iter().filter(|(on, ..)| *on == day) {
                let at = stage.at(day, 0);
                self.deliver(stage, place, whole(*amount, unit_of(gift, units)?), at, *valid)?;
            }
        }
        match day {
            _ if day == DISPUTE + 2 => self.reverse_disputed(stage),
            CANCELLED => {
                let (officer, id) = (stage.cast.officer, self.donation(DISPUTED)?);
                stage.store.write(move |work| donations::cancel(work, officer, id).map(|_| ()))
            }
            _ => Ok(()),
        }
    }

    fn propose(&mut self, stage: &Stage<'_>, place: usize, units: &[Unit], places: &[Place]) -> Result<(), Fault> {
        let gift = GIFTS.get(place).ok_or_else(|| missing("a gift"))?;
        let list = |texts: &[&str]| (!texts.is_empty()).then(|| texts.iter().map(|t| (*t).to_owned()).collect());
        let resources = gift.site.and_then(|site| places.get(site)).map(|p| p.resources.iter().map(ToString::to_string).collect());
        let unit = unit_of(gift, units)?;
        let new = NewDonation {
            donor: *self.donors.get(gift.donor).ok_or_else(|| missing("a donor"))?,
            title: gift.title.into(),
            unit,
            pledged: whole(gift.pledged, unit),
            terms: Terms {
                fields_of_science: list(gift.fields),
                institution_kinds: list(gift.kinds),
                resources,
                purpose: gift.purpose.map(String::from),
            },
            draw_priority: gift.priority,
            on_expiry: gift.on_expiry,
            external_id: Some(format!("demo-donation-{}", place + 1)),
        };
        let officer = stage.cast.officer;
        let made = stage.store.write(move |work| donations::propose(work, officer, &new))?;
        self.donations.push((place, made.id));
        Ok(())
    }

    fn deliver(&mut self, stage: &Stage<'_>, place: usize, amount: Amount, delivered_at: Time, valid: i64) -> Result<(), Fault> {
        let expires_at = (valid > 0).then(|| delivered_at.plus(valid * DAY));
        let new = NewLot { donation: self.donation(place)?, amount, delivered_at, expires_at };
        let officer = stage.cast.officer;
        let made = stage.store.write(move |work| donations::deliver(work, officer, &new))?;
        self.lots.push((place, made.id));
        Ok(())
    }

    /// The donor finds that less was sent than was booked: the delivery is reversed, and booked again the next day.
    fn reverse_disputed(&self, stage: &Stage<'_>) -> Result<(), Fault> {
        let (officer2, lot) = (stage.cast.officer2, self.lot(DISPUTED)?);
        let reason = "The donor sent less than was booked (invented for the demo).";
        stage.store.write(move |work| usage::reverse(work, officer2, lot.seen_as(), reason).map(|_| ()))
    }

    fn donation(&self, place: usize) -> Result<DonationId, Fault> {
        self.donations.iter().find(|(of, _)| *of == place).map(|(_, id)| *id).ok_or_else(|| missing("a donation"))
    }

    /// The first lot of a gift.
    fn lot(&self, place: usize) -> Result<LotId, Fault> {
        self.lots.iter().find(|(of, _)| *of == place).map(|(_, id)| *id).ok_or_else(|| missing("a lot"))
    }

    /// The lot of which a part lapsed.
    pub fn lapsed(&self) -> Result<LotId, Fault> {
        self.lot(TEACHING)
    }

    /// The lot of which a part went back.
    pub fn returned(&self) -> Result<LotId, Fault> {
        self.lot(RETURNING)
    }

    /// The donation that waits for acceptance.
    pub fn undecided(&self) -> Result<DonationId, Fault> {
        self.donation(UNDECIDED)
    }

    /// The donor who signs in.
    pub fn speaker(&self) -> Result<DonorId, Fault> {
        self.donors.get(EXAMPLE_CLOUD).copied().ok_or_else(|| missing("a donor"))
    }

    /// How many donors, donations and lots there are.
    pub fn counts(&self) -> (u64, u64, u64) {
        (self.donors.len() as u64, self.donations.len() as u64, self.lots.len() as u64)
    }
}

fn unit_of(gift: &Gift, units: &[Unit]) -> Result<Unit, Fault> {
    units.get(gift.unit).copied().ok_or_else(|| missing("a unit"))
}

/// So many whole units.
pub(super) fn whole(number: i64, unit: Unit) -> Amount {
    Amount::new(number * 10i64.pow(u32::from(unit.scale())), unit)
}
