//! July to September: a lot lapses, late reports and late refunds, a new price, grants that end.

use super::stage::Who::{Of, Officer, Operator};
use super::winter::{CENTRE, CLOUD};
use super::year::Change::Supplement;
use super::year::Year;

pub fn play(y: &mut Year) {
    y.chapter("July");
    the_first_lot_lapses(y);
    july(y);
    y.chapter("August");
    august(y);
    y.chapter("September");
    september(y);
    y.on(273);
    y.quarter("at the end of September, before Climate 1 expires");
}

fn the_first_lot_lapses(y: &mut Year) {
    y.on(185);
    y.by(Operator(CLOUD)).reports("Proteins", "Cloud GPUs", "2 000 h").ended(181).called("the late report").done();
    y.by(Of("Galaxies")).asks("Galaxies III", "Galaxies", "60 000 USD", (190, 360), "The southern sky.").done();
    y.by(Of("Archive")).asks("Archive II", "Archive", "1 000 GPU-HOUR", (190, 360), "The registers, on the cluster.").done();
    y.by(Of("Bridges")).asks("Bridges III", "Bridges", "10 000 USD", (195, 365), "One more bridge.").done();
    y.by(Officer(2)).approves("Galaxies III", "52 000 USD of Cloud 2", "A better telescope than the last.").waits();
    y.by(Officer(2)).takes_up("Galaxies III", "I read it too fast.").done();
    y.by(Officer(2)).approves("Galaxies III", "52 000 USD of Cloud 2", "Now I have read it all.").waits();
    y.by(Officer(1)).approves("Galaxies III", "52 000 USD of Cloud 2", "So have I.").done();
    y.by(Officer(3)).approves("Archive II", "800 GPU-HOUR of Institutes", "The ministry thought of museums.").done();
    y.on(190);
    y.by(Of("Bridges")).revises("Bridges III", "12 000 USD", (195, 365), "One more bridge, and its ramps.").done();
    y.by(Officer(1)).approves("Bridges III", "12 000 USD of Cloud 2", "Fine.").having_read(1).refused("version_mismatch");
    y.by(Officer(1)).approves("Bridges III", "12 000 USD of Cloud 2", "With the ramps.").done();
    y.by(Operator(CLOUD)).refunds("the late report", "500.25 USD", "The disks were slow.").done();
}

fn july(y: &mut Year) {
    y.on(195);
    y.by(Operator(CENTRE)).reports("Tides", "Cluster", "3 100 h").called("the last harbour").done();
    y.by(Operator(CLOUD)).reports("Turbines A", "Cloud GPUs", "6 010.5 h + 3 333.333 h").done();
    y.by(Operator(CLOUD)).reports("Bridges III", "Cloud GPUs", "1 000.001 h").done();
    y.on(203);
    y.by(Operator(CENTRE)).reports("Tides", "Cluster", "210.5 h").ended(199).done();
    y.by(Operator(CENTRE)).reports("Tides", "Cluster", "99 h").ended(201).called("the job after the end").kept("grant_not_active");
    y.by(Officer(1)).dismisses("the job after the end", "It ran after the grant had ended; the centre bears it.").done();
    y.on(212);
    y.by(Operator(CLOUD)).reports("Tides II", "Cloud GPUs", "2 480 h + 1 219.75 h").done();
}

fn august(y: &mut Year) {
    y.on(215);
    y.by(Operator(CENTRE)).refunds("the last harbour", "1 000 USD", "It was run twice.").done();
    y.by(Of("Glaciers")).asks("Glaciers II", "Glaciers", "20 000 USD", (240, 400), "Melt of the coming winter.").done();
    y.by(Of("Proteins")).asks("Proteins III", "Proteins", "70 000 USD", (220, 365), "We are faster now.").done();
    y.on(220);
    y.by(Officer(2)).approves("Glaciers II", "15 000 USD of Cloud 2", "Winter comes.").refused("conflict_of_interest");
    let lasting = "15 000 USD of Cloud 2";
    y.by(Officer(3)).approves("Glaciers II", lasting, "From a lot that lasts through the winter.").naming_lots(lasting).done();
    y.by(Officer(1)).approves("Proteins III", "70 000 USD of Cloud 2", "They are.").refused("insufficient_credits");
    y.by(Officer(1)).approves("Proteins III", "5 000 USD of Cloud 2", "What there is.").done();
    y.on(235);
    y.by(Operator(CLOUD)).reports("Galaxies III", "Cloud GPUs", "3 500.5 h").with_high_priority().done();
    y.by(Operator(CLOUD)).reports("Proteins III", "Cloud GPUs", "2 400 h").called("the eager fold").overdrawn("400 USD");
    y.by(Operator(CLOUD)).sets_aside("the next fold", ("Galaxies III", "Cloud GPUs"), "100 h", 300).done();
    y.by(Operator(CLOUD)).refunds("the eager fold", "150 USD", "A slow hour.").done();
}

fn september(y: &mut Year) {
    y.on(246);
    y.by(Of("Forests")).asks("Forests III", "Forests", "3 000 GPU-HOUR", (250, 365), "A third forest.").done();
    y.by(Of("Classroom")).asks("Classroom III", "Classroom", "3 000 GPU-HOUR", (250, 330), "Autumn term.").for_purpose("teaching").done();
    y.by(Of("Storms")).asks("Storms IV", "Storms", "5 000 USD", (250, 300), "A last winter.").done();
    y.by(Officer(3)).approves("Forests III", "3 000 GPU-HOUR of Institutes", "I was there.").refused("conflict_of_interest");
    y.by(Officer(1)).approves("Forests III", "3 000 GPU-HOUR of Institutes", "Good.").done();
    y.by(Officer(1)).approves("Classroom III", "3 000 GPU-HOUR of Teaching", "Good.").done();
    y.by(Of("Storms")).withdraws("Storms IV", "The third grant has enough left.").done();
    y.by(Of("Proteins")).wants("more for Proteins III", Supplement("Proteins III"), Some("1 000 USD"), "We owe.").done();
    y.by(Officer(2)).agrees_to("more for Proteins III", Some("1 000 USD of Cloud 2"), "Then pay.").done();
    y.on(260);
    y.by(Operator(CENTRE)).reports("Storms III", "Cluster", "7 777.777 h").done();
    y.by(Operator(CENTRE)).reports("Forests II", "Cluster", "4 100 h").done();
    y.by(Operator(CENTRE)).reports("Forests III", "Cluster", "1 234.567 h").done();
    y.by(Operator(CENTRE)).reports("Archive II", "Cluster", "640.5 h").done();
    y.by(Operator(CENTRE)).reports("Classroom III", "Cluster", "2 000 h + 3 600 s").done();
    y.by(Operator(CENTRE)).reports("Evening School II", "Cluster", "4 444.444 h").done();
}
