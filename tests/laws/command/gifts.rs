//! What is given: gifts with their terms, and their deliveries.

use super::{Command, DAY, Gift, HOUR, PROJECTS, RESOURCES, fitting};
use crate::dice::Dice;
use crate::model::{Model, State};

pub(super) fn gift(dice: &mut Dice) -> Gift {
    Gift {
        pledged: if dice.chance(15) { 0 } else { dice.within(1, 2000) },
        field: dice.chance(12).then(|| dice.below(PROJECTS)),
        resource: dice.chance(15).then(|| dice.below(RESOURCES)),
        teaching: dice.chance(10),
        priority: dice.below(3) as i32,
        returns: dice.chance(40),
        name: dice.chance(30).then(|| dice.below(4)),
    }
}

pub(super) fn deliver(who: usize, dice: &mut Dice, model: &Model) -> Command {
    let donation = fitting(dice, &model.donations, |d| d.state == State::Accepted);
    let delivered_at = if dice.chance(4) { model.now + HOUR } else { model.now - dice.within(0, 12 * 24) * HOUR };
    let expires_at = dice.chance(75).then(|| match dice.chance(5) {
        true => delivered_at,
        false => (model.now + dice.within(-4, 30) * DAY).max(delivered_at + HOUR),
    });
    // Small lots make grants of several, which large jobs then draw on one after the other.
    let most = if dice.chance(75) { 200 } else { 1500 };
    Command::Deliver { who, donation, amount: dice.within(1, most), delivered_at, expires_at, wrong_unit: dice.chance(3) }
}
