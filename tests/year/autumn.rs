//! October to December: what was not used goes back, the year is closed.

use super::stage::Who::{Of, Officer, Operator};
use super::winter::{CENTRE, CLOUD};
use super::year::Change::Supplement;
use super::year::Year;

pub fn play(y: &mut Year) {
    y.chapter("October");
    october(y);
    y.chapter("November");
    november(y);
    y.chapter("December");
    december(y);
    y.on(365);
    y.quarter("at the end of the year");
    assert_eq!(y.asked.len(), 40, "requests");
    y.leaves_nothing_open();
    y.outcome();
}

fn october(y: &mut Year) {
    y.on(283);
    y.by(Of("Turbines")).asks("Turbines C", "Turbines", "25 000 USD", (285, 365), "Blades in rain.").done();
    y.by(Of("Evening School"))
        .asks("Evening School III", "Evening School", "6 000 GPU-HOUR", (300, 360), "Winter course.")
        .for_purpose("teaching")
        .done();
    y.by(Officer(3)).approves("Turbines C", "25 000 USD of Cloud 2", "From what they left in spring.").done();
    y.by(Officer(2)).approves("Evening School III", "6 000 GPU-HOUR of Teaching", "To the end of it.").done();
    y.by(Operator(CLOUD)).reports("Glaciers II", "Cloud GPUs", "1 500 h + 250.25 h").done();
    y.on(304);
    y.by(Operator(CLOUD)).reports("Tides II", "Cloud GPUs", "1 000 h").done();
    y.by(Operator(CENTRE)).reports("Tides II", "Cluster", "6 000 h").overdrawn("1 450 USD");
}

fn november(y: &mut Year) {
    y.on(306);
    y.by(Of("Enzymes")).asks("Enzymes IV", "Enzymes", "8 000 USD", (310, 365), "The third plastic.").done();
    y.by(Officer(1)).approves("Enzymes IV", "8 000 USD of Cloud 2", "At last.").done();
    y.by(Of("Tides"))
        .wants("more for Tides II", Supplement("Tides II"), Some("2 000 USD"), "The cloud's credits do not pay the cluster.")
        .done();
    y.by(Officer(3)).agrees_to("more for Tides II", Some("2 000 USD of Climate 2"), "The foundation's do.").done();
    y.on(315);
    y.by(Officer(1)).gives_back_to_donor("Climate 2", "1 000 USD").done();
    y.by(Operator(CENTRE)).reports("Evening School III", "Cluster", "2 100 h").done();
    y.by(Operator(CLOUD)).reports("Turbines C", "Cloud GPUs", "4 500 h + 36 000 s").done();
    y.by(Operator(CLOUD)).reports("Enzymes IV", "Cloud GPUs", "2 000.002 h").done();
}

fn december(y: &mut Year) {
    y.on(338);
    y.by(Operator(CENTRE)).reports("Evening School III", "Cluster", "500 h").ended(334).done();
    y.by(Of("Tides")).asks("Tides III", "Tides", "40 000 USD", (366, 731), "Tides of the next year.").renewing("Tides II").done();
    y.by(Officer(1)).takes_up("Tides III", "It waits for next year's gifts.").done();
    let stricter = "the stricter policy for dollars";
    y.by(Officer(1)).sets_policy(stricter, "40 000 USD", Some("100 000 USD"), 25).done();
    y.by(Officer(1)).confirms_the_policy(stricter).refused("self_approval");
    y.by(Officer(2)).confirms_the_policy(stricter).done();
    y.on(350);
    y.by(Officer(1)).cancels("Cloud credits").done();
    y.by(Operator(CLOUD)).reports("Galaxies III", "Cloud GPUs", "4 000 h + 2 750.5 h").done();
    y.by(Operator(CLOUD)).reports("Glaciers II", "Cloud GPUs", "3 000.3 h").done();
}
