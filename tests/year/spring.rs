//! April to June: a split is seen through, credits move between grants, a third donor's lot arrives.

use super::stage::Who::{Of, Officer, Operator};
use super::winter::{CENTRE, CLOUD};
use super::year::Change::{Closing, Extension, Reduction, Supplement, Transfer};
use super::year::Year;

pub fn play(y: &mut Year) {
    y.chapter("April");
    a_request_is_split(y);
    little_used_and_overdrawn(y);
    y.chapter("May");
    may(y);
    credits_move(y);
    y.chapter("June");
    june(y);
    work_of_june(y);
    y.quarter("at the end of June, before Cloud 1 expires");
}

fn a_request_is_split(y: &mut Year) {
    y.on(97);
    y.by(Officer(1)).books_delivery("Cloud 2", "Cloud credits", "250 000 USD", Some(460)).done();
    y.by(Of("Turbines")).asks("Turbines", "Turbines", "90 000 USD", (100, 220), "Blades in turbulent air.").done();
    y.by(Officer(1)).sends_back("Turbines", "Above 50 000 two officers read it. Where are the details?").done();
    y.by(Of("Turbines")).withdraws("Turbines", "We ask in two halves instead.").done();
    y.by(Of("Turbines")).asks("Turbines A", "Turbines", "45 000 USD", (100, 220), "Blades in turbulent air, first half.").done();
    y.by(Of("Turbines")).asks("Turbines B", "Turbines", "45 000 USD", (100, 220), "Blades in turbulent air, second half.").done();
    y.on(99);
    y.by(Officer(1)).approves("Turbines A", "45 000 USD of Cloud 2", "Sound.").done();
    y.by(Officer(1)).approves("Turbines B", "45 000 USD of Cloud 2", "Together they are 90 000.").waits();
    y.by(Officer(1)).approves("Turbines B", "45 000 USD of Cloud 2", "It is only 45 000.").refused("same_approver_twice");
    y.by(Officer(2)).approves("Turbines B", "45 000 USD of Cloud 2", "I know the tunnel.").refused("conflict_of_interest");
    y.by(Officer(3)).approves("Turbines B", "45 000 USD of Cloud 2", "I read both halves, and agree.").done();
}

fn little_used_and_overdrawn(y: &mut Year) {
    y.on(105);
    y.by(Of("Bridges")).asks("Bridges II", "Bridges", "30 000 USD", (115, 250), "Old bridges under new loads.").done();
    y.by(Of("Galaxies")).asks("Galaxies II", "Galaxies", "10 000 USD", (110, 200), "A second field of the sky.").done();
    y.by(Operator(CLOUD)).reports("Enzymes", "Cloud GPUs", "2 700.5 h").called("the long search").overdrawn("283.0825 USD");
    y.by(Of("Enzymes")).wants("more for Enzymes", Supplement("Enzymes"), Some("10 000 USD"), "We were too slow to ask.").done();
    y.on(112);
    y.finds_little_used("Proteins", "24 000 USD");
    y.by(Officer(1)).wants("less for Proteins", Reduction("Proteins"), Some("24 000 USD"), "A fifth of what lies idle.").done();
    y.by(Officer(1)).agrees_to("less for Proteins", Some("24 000 USD of Cloud 1"), "I asked, I agree.").refused("self_approval");
    y.by(Officer(2)).agrees_to("less for Proteins", Some("24 000 USD of Cloud 1"), "Others wait for it.").done();
    y.by(Officer(2)).agrees_to("more for Enzymes", Some("10 000 USD of Cloud 1"), "The search was worth it.").done();
    y.on(114);
    let both = "14 000 USD of Cloud 1 + 16 000 USD of Cloud 2";
    y.by(Officer(2)).approves("Bridges II", both, "Sound.").without_overdraft().done();
    y.by(Officer(3)).approves("Galaxies II", "10 000 USD of Cloud 2", "A good field.").done();
    y.on(118);
    y.by(Operator(CLOUD)).reports("Turbines A", "Cloud GPUs", "2 310.75 h + 1 804.5 h + 3 600 000 s").done();
    y.by(Operator(CENTRE)).reports("Forests", "Cluster", "1 250.5 h + 999.999 h").done();
    y.by(Operator(CENTRE)).reports("Field Season", "Cluster", "800.05 h").done();
    y.by(Operator(CENTRE)).reports("Tide School", "Cluster", "1 900 h").done();
}

fn may(y: &mut Year) {
    y.on(121);
    y.by(Officer(1)).books_delivery("Climate 2", "Climate fund", "30 000 USD", None).sent_twice().done();
    y.by(Of("Forests")).asks("Forests II", "Forests", "9 000 USD", (125, 330), "A second forest.").done();
    y.by(Of("Classroom")).asks("Classroom II", "Classroom", "5 000 GPU-HOUR", (150, 240), "Summer course.").for_purpose("teaching").done();
    y.by(Of("Proteins")).asks("Proteins II", "Proteins", "20 000 USD", (130, 300), "More of the same.").done();
    y.by(Of("Storms")).asks("Storms III", "Storms", "40 000 USD", (150, 280), "Storm tracks of three winters.").done();
    y.on(124);
    y.by(Officer(1)).approves("Forests II", "7 000 USD of Climate 1 + 2 000 USD of Climate 2", "What expires first goes first.").done();
    y.by(Officer(2)).approves("Classroom II", "5 000 GPU-HOUR of Teaching", "A full course.").done();
    y.by(Officer(3)).rejects("Proteins II", "Use the first grant, then ask.").done();
    y.by(Officer(2)).approves("Storms III", "20 000 USD of Climate 2", "Two winters.").done();
    y.on(130);
    y.by(Operator(CLOUD)).reports("Bridges II", "Cloud GPUs", "4 000.5 h + 3 200 h").done();
    y.by(Of("Bridges")).wants("more for Bridges II", Supplement("Bridges II"), Some("25 000 USD"), "Longer bridges.").done();
    y.by(Officer(1)).agrees_to("more for Bridges II", Some("25 000 USD of Cloud 2"), "Fine.").waits();
    y.by(Officer(2)).agrees_to("more for Bridges II", Some("25 000 USD of Cloud 2"), "Fine with me.").done();
}

fn credits_move(y: &mut Year) {
    y.on(135);
    let on = Transfer("Tides", "Glaciers");
    y.by(Of("Tides")).wants("the loan to Glaciers", on, Some("5 000 USD"), "They can use them before us.").done();
    y.by(Officer(2)).agrees_to("the loan to Glaciers", Some("5 000 USD of Climate 1"), "Fine.").refused("conflict_of_interest");
    y.by(Officer(1)).agrees_to("the loan to Glaciers", Some("5 000 USD of Climate 1"), "Both are climate science.").done();
    let away = Transfer("Glaciers", "Turbines A");
    y.by(Of("Glaciers")).wants("the loan to Turbines", away, Some("4 000 USD"), "Our neighbours are short.").done();
    y.by(Officer(1)).agrees_to("the loan to Turbines", Some("4 000 USD of Climate 1"), "Neighbourly.").refused("terms_not_met");
    y.by(Officer(1)).declines("the loan to Turbines", "The foundation gives for climate and ecology only.").done();
    y.on(140);
    y.by(Of("Storms")).wants("longer Storms II", Extension("Storms II", 180), None, "The tapes arrive late.").done();
    y.by(Officer(1)).agrees_to("longer Storms II", None, "No credits move.").done();
    y.by(Operator(CENTRE)).reports("Glaciers", "Cluster", "5 100.4 h + 4 300 h").done();
    y.by(Operator(CENTRE)).reports("Evening School", "Cluster", "6 020 h + 2 000.5 h").done();
    y.on(150);
    y.by(Officer(1)).wants("the end of Glaciers Extra", Closing("Glaciers Extra"), None, "Nothing has run since it began.").done();
    y.by(Officer(2)).agrees_to("the end of Glaciers Extra", None, "So be it.").refused("conflict_of_interest");
    y.by(Officer(3)).agrees_to("the end of Glaciers Extra", None, "So be it.").done();
}

fn june(y: &mut Year) {
    y.on(155);
    y.by(Operator(CLOUD)).asks_a_price("the cloud's summer price", "Cloud GPUs", "2.25 USD", 182).done();
    y.by(Officer(2)).confirms_the_price("the cloud's summer price").done();
    y.by(Of("Evening School"))
        .asks("Evening School II", "Evening School", "12 000 GPU-HOUR", (170, 300), "Autumn course.")
        .for_purpose("teaching")
        .done();
    y.by(Of("Enzymes")).asks("Enzymes III", "Enzymes", "15 000 USD", (200, 360), "A third plastic.").still_a_draft().done();
    y.on(160);
    y.by(Operator(CLOUD)).reports("Bridges II", "Cloud GPUs", "14 900 h").called("the long bridge").kept("insufficient_credits");
    y.by(Operator(CLOUD)).reports("Bridges II", "Cloud GPUs", "14 000 h").called("the shorter bridge").done();
    y.by(Officer(1)).dismisses("the long bridge", "It was reported again with its true hours.").done();
    y.by(Officer(1)).approves("Evening School II", "12 000 GPU-HOUR of Teaching", "The first one was full.").done();
    y.by(Of("Enzymes")).withdraws("Enzymes III", "Next year.").done();
    y.on(170);
    y.by(Of("Turbines")).closes("Turbines B", "The first half will do.").done();
    y.by(Operator(CLOUD)).reports("Proteins", "Cloud GPUs", "9 100.25 h + 8 200 h").done();
}

fn work_of_june(y: &mut Year) {
    y.on(172);
    y.by(Of("Tides")).asks("Tides II", "Tides", "30 000 USD", (182, 365), "The other harbours.").renewing("Tides").done();
    y.on(176);
    y.by(Officer(1)).approves("Tides II", "720 USD of Climate 1 + 8 000 USD of Climate 2 + 21 280 USD of Cloud 2", "On they go.").done();
    y.by(Operator(CLOUD)).reports("Galaxies", "Cloud GPUs", "5 000.5 h + 2 345.678 h").done();
    y.by(Operator(CLOUD)).reports("Enzymes", "Cloud GPUs", "1 111.111 h").called("the last search of June").done();
    y.by(Operator(CENTRE)).reports("Classroom II", "Cluster", "1 750.25 h").done();
    y.on(181);
}
