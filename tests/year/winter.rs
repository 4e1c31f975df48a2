//! January to March: the programme is set up, the first gifts arrive, the first requests are decided.

use super::gifts::Terms;
use super::stage::Who::{Admin, AsResearcher, Of, Officer, Operator};
use super::sums::Unit;
use super::year::Year;

pub const COMPANY: &str = "the cloud company";
pub const FOUNDATION: &str = "the climate foundation";
pub const MINISTRY: &str = "the ministry";
pub const CLOUD: &str = "the cloud operator";
pub const CENTRE: &str = "the computing centre";

pub fn play(y: &mut Year) {
    y.chapter("January");
    the_programme_is_set_up(y);
    the_gifts_are_promised(y);
    the_projects_come(y);
    the_first_requests(y);
    y.chapter("February");
    february(y);
    y.chapter("March");
    march(y);
    work_of_march(y);
    y.on(90);
    y.quarter("at the end of March");
}

fn the_programme_is_set_up(y: &mut Year) {
    y.on(2);
    y.by(Admin).defines(Unit::Usd, "US dollar of cloud credit").done();
    y.by(Admin).defines(Unit::Gpu, "hour of a GPU").done();
    for (name, kind) in [
        (CLOUD, "company"),
        (CENTRE, "centre"),
        ("Coast University", "university"),
        ("Mountain University", "university"),
        ("River University", "university"),
        ("Plain University", "university"),
        ("Harbour College", "college"),
        ("Valley College", "college"),
        ("Forest Institute", "institute"),
        ("City Museum", "museum"),
    ] {
        y.by(Admin).registers(name, kind).done();
    }
    y.by(Operator(CLOUD)).offers("Cloud GPUs").done();
    y.by(Operator(CENTRE)).offers("Cluster").done();
    y.by(Operator(CLOUD)).asks_a_price("the cloud's price", "Cloud GPUs", "2.50 USD", 1).done();
    y.by(Operator(CENTRE)).asks_a_price("the cluster's price in dollars", "Cluster", "1.20 USD", 1).done();
    y.by(Operator(CENTRE)).asks_a_price("the cluster's price in hours", "Cluster", "1 GPU-HOUR", 1).done();
    y.by(Admin).sets_policy("the policy for dollars", "50 000 USD", Some("120 000 USD"), 50).done();
    y.by(Admin).sets_policy("the policy for hours", "20 000 GPU-HOUR", None, 0).done();
}

fn the_gifts_are_promised(y: &mut Year) {
    y.on(3);
    y.by(Officer(1)).registers_donor(COMPANY, "industry").done();
    y.by(Officer(1)).registers_donor(FOUNDATION, "nonprofit").done();
    y.by(Officer(1)).registers_donor(MINISTRY, "government").done();
    let schools = &["university", "college"];
    let cloud = Terms { kinds: schools, only_on: Some("Cloud GPUs"), ..Terms::default() };
    y.by(Officer(1)).proposes("Cloud credits", COMPANY, "500 000 USD", cloud).done();
    y.by(Officer(1)).accepts("Cloud credits").refused("self_approval");
    y.by(Officer(2)).accepts("Cloud credits").done();
    let climate = Terms { fields: &["Climate science", "Ecology"], priority: -5, returns: true, ..Terms::default() };
    y.by(Officer(2)).proposes("Climate fund", FOUNDATION, "120 000 USD", climate).done();
    y.by(Officer(1)).accepts("Climate fund").done();
    let teaching = Terms { kinds: schools, only_on: Some("Cluster"), purpose: Some("teaching"), returns: true, ..Terms::default() };
    y.by(Officer(1)).proposes("Hours for teaching", MINISTRY, "60 000 GPU-HOUR", teaching).done();
    y.by(Officer(3)).accepts("Hours for teaching").done();
    let institutes = Terms { kinds: &["institute", "museum"], only_on: Some("Cluster"), ..Terms::default() };
    y.by(Officer(3)).proposes("Hours for institutes", MINISTRY, "40 000 GPU-HOUR", institutes).done();
    y.by(Officer(1)).accepts("Hours for institutes").done();
    y.on(6);
    y.by(Officer(1)).books_delivery("Cloud 1", "Cloud credits", "200 000 USD", Some(182)).done();
    y.on(10);
    y.by(Officer(1)).books_delivery("Climate 1", "Climate fund", "100 000 USD", Some(274)).done();
    y.by(Officer(1)).books_delivery("Climate 0", "Climate fund", "20 000 USD", Some(274)).done();
    y.by(Officer(2)).reverses_delivery("Climate 0", "It was announced, and has not arrived.").done();
    y.on(11);
    y.by(Officer(2)).books_delivery("Teaching", "Hours for teaching", "60 000 GPU-HOUR", Some(335)).done();
}

fn the_projects_come(y: &mut Year) {
    y.on(12);
    for (project, institution, field) in [
        ("Tides", "Coast University", "Climate science"),
        ("Glaciers", "Mountain University", "Climate science"),
        ("Storms", "River University", "Climate science"),
        ("Forests", "Forest Institute", "Ecology"),
        ("Proteins", "Plain University", "Biology"),
        ("Enzymes", "Coast University", "Chemistry"),
        ("Galaxies", "River University", "Astronomy"),
        ("Turbines", "Mountain University", "Engineering"),
        ("Bridges", "Plain University", "Engineering"),
        ("Archive", "City Museum", "History"),
        ("Classroom", "Harbour College", "Computer science"),
        ("Evening School", "Valley College", "Computer science"),
    ] {
        y.by(Of(project)).founds(project, institution, field).done();
    }
    y.by(Officer(2)).declares_conflict_with("Mountain University", "I taught there until last summer.").done();
}

fn the_first_requests(y: &mut Year) {
    y.on(14);
    y.by(Of("Tides")).asks("Tides", "Tides", "60 000 USD", (20, 200), "Tide models for sixty harbours.").done();
    y.by(Of("Glaciers")).asks("Glaciers", "Glaciers", "45 000 USD", (25, 300), "Melt of the high glaciers.").done();
    y.by(Of("Proteins")).asks("Proteins", "Proteins", "150 000 USD", (25, 240), "Folding of membrane proteins.").done();
    y.by(Of("Archive")).asks("Archive", "Archive", "10 000 USD", (20, 360), "Reading of the town's old registers.").done();
    y.by(Of("Classroom")).asks("Classroom", "Classroom", "15 000 GPU-HOUR", (32, 180), "Two courses.").for_purpose("teaching").done();
    y.by(Of("Enzymes")).asks("Enzymes", "Enzymes", "25 000 USD", (30, 250), "Enzymes.").still_a_draft().done();
    y.by(Officer(1)).approves("Enzymes", "25 000 USD of Cloud 1", "Short, but good.").refused("already_decided");
    y.on(16);
    y.by(Officer(1)).takes_up("Tides", "It is complete.").done();
    let unsaid = " (without declaring to have no part in it)";
    y.by(Officer(1))
        .approves("Tides", "40 000 USD of Climate 1", "Good.")
        .with("no_conflict", false)
        .words(unsaid)
        .refused("conflict_of_interest");
    y.by(Officer(1)).approves("Tides", "40 000 USD of Climate 1", "Forty harbours first.").done();
    y.by(Officer(2)).approves("Glaciers", "30 000 USD of Climate 1", "Good work.").refused("conflict_of_interest");
    y.by(Officer(1)).approves("Glaciers", "30 000 USD of Climate 1", "The northern glaciers first.").done();
    y.by(Officer(1)).approves("Archive", "10 000 USD of Cloud 1", "A fine idea.").refused("insufficient_credits");
    y.by(Officer(1)).rejects("Archive", "No donor's terms admit history at a museum.").done();
    y.by(Of("Enzymes")).revises("Enzymes", "20 000 USD", (30, 250), "Enzymes that break down plastics.").done();
    y.by(Of("Enzymes")).submits("Enzymes", "Now it says what for.").done();
    y.on(20);
    y.by(Officer(3)).approves("Classroom", "15 000 GPU-HOUR of Teaching", "As the ministry wishes.").done();
    y.by(Officer(1)).approves("Proteins", "130 000 USD of Cloud 1", "Sound.").waits();
    y.by(Officer(1)).approves("Proteins", "130 000 USD of Cloud 1", "Once more.").refused("same_approver_twice");
    y.by(Officer(2)).approves("Proteins", "125 000 USD of Cloud 1", "Sound, but less.").refused("validation_failed");
    y.by(Officer(2)).approves("Proteins", "130 000 USD of Cloud 1", "Sound indeed.").waits();
    y.by(Officer(2)).sends_back("Enzymes", "Which data, and where are they kept?").done();
    y.on(22);
    y.by(Officer(3)).approves("Proteins", "130 000 USD of Cloud 1", "I agree with both.").done();
    y.by(Officer(3)).rejects("Proteins", "On second thoughts.").refused("already_decided");
    y.by(Of("Enzymes")).submits("Enzymes", "Public data, kept at the library.").done();
    y.on(27);
    y.by(Officer(2)).approves("Enzymes", "18 000 USD of Cloud 1", "The answer is good.").done();
    y.by(Operator(CLOUD)).reports("Proteins", "Cloud GPUs", "310.5 h + 48.125 h + 90 000 s").done();
}

fn february(y: &mut Year) {
    y.on(33);
    y.by(Of("Galaxies")).asks("Galaxies", "Galaxies", "70 000 USD", (40, 230), "A survey of dwarf galaxies.").done();
    y.by(Of("Storms")).asks("Storms", "Storms", "25 000 USD", (40, 150), "Storm tracks.").done();
    y.by(Of("Forests")).asks("Forests", "Forests", "12 000 GPU-HOUR", (45, 240), "Tree rings from photographs.").done();
    y.by(Of("Bridges")).asks("Bridges", "Bridges", "8 000 USD", (40, 200), "Desks and screens for the laboratory.").done();
    y.by(Operator(CENTRE)).reports("Classroom", "Cluster", "820 h + 415.5 h + 61 200 s").done();
    y.on(36);
    y.by(Officer(2)).rejects("Bridges", "The credits are for computing.").done();
    y.by(Of("Tides")).withdraws("Storms", "They are too many.").refused("not_found");
    y.by(Of("Storms")).withdraws("Storms", "Our student leaves; we ask again with another plan.").done();
    y.by(Officer(1)).approves("Galaxies", "55 000 USD of Cloud 1", "Most of it.").refused("insufficient_credits");
    y.by(Officer(1)).approves("Galaxies", "51 000 USD of Cloud 1", "Most of it.").waits();
    y.by(Of("Galaxies")).revises("Galaxies", "50 000 USD", (40, 230), "A survey of nearby dwarf galaxies.").done();
    y.by(Officer(2))
        .approves("Galaxies", "48 000 USD of Cloud 1", "Other than what was approved.")
        .having_read(2)
        .refused("version_mismatch");
    y.by(Officer(2)).approves("Galaxies", "48 000 USD of Cloud 1", "The smaller survey is the better one.").done();
    y.by(Officer(1)).approves("Forests", "10 000 GPU-HOUR of Institutes", "Sound.").refused("insufficient_credits");
    y.on(41);
    y.by(Of("Storms")).asks("Storms II", "Storms", "20 000 USD", (45, 150), "Storm tracks of one winter.").done();
    let evening = "A course for everybody.";
    y.by(Of("Evening School"))
        .asks("Evening School", "Evening School", "30 000 GPU-HOUR", (50, 200), evening)
        .for_purpose("teaching")
        .done();
    y.by(Officer(3)).stands_back_from("Storms II", "A friend of mine leads it.").done();
    y.by(Officer(3)).approves("Storms II", "15 000 USD of Climate 1", "I know it well.").refused("conflict_of_interest");
    y.by(Officer(2)).approves("Storms II", "15 000 USD of Climate 1", "One winter, three quarters of the sum.").done();
    y.by(Officer(1)).approves("Evening School", "25 000 GPU-HOUR of Teaching", "Many will come.").waits();
    y.by(Officer(3)).approves("Evening School", "25 000 GPU-HOUR of Teaching", "They will.").done();
    y.on(50);
    y.by(Operator(CENTRE)).reports("Tides", "Cluster", "2 100.5 h + 1 930.25 h + 1 000 000 s").done();
    y.by(Operator(CLOUD)).reports("Enzymes", "Cloud GPUs", "1 310.4 h + 902.333 h").done();
    y.by(Operator(CLOUD)).reports("Galaxies", "Cloud GPUs", "640.75 h").with_high_priority().done();
}

fn march(y: &mut Year) {
    y.on(60);
    y.by(Officer(1)).books_delivery("Institutes", "Hours for institutes", "40 000 GPU-HOUR", None).done();
    y.by(Officer(1)).approves("Forests", "10 000 GPU-HOUR of Institutes", "Now there are hours for it.").done();
    y.by(Of("Forests")).takes_in("Forests", Officer(3)).done();
    y.by(AsResearcher(3)).asks("Field Season", "Forests", "5 000 USD", (65, 260), "Seedlings counted from the air.").done();
    y.by(Officer(3)).approves("Field Season", "5 000 USD of Climate 1", "I know that it is good.").refused("self_approval");
    y.by(Officer(1)).approves("Field Season", "5 000 USD of Climate 1", "It is good.").done();
    y.by(Of("Tides")).asks("Tide School", "Tides", "3 000 USD", (70, 120), "A spring school.").for_purpose("teaching").done();
    y.by(Of("Enzymes")).asks("Enzymes II", "Enzymes", "9 000 USD", (70, 200), "A second plastic.").done();
    y.by(Of("Glaciers")).asks("Glaciers Extra", "Glaciers", "12 000 USD", (65, 170), "A cloud run beside the cluster.").done();
    y.on(64);
    y.by(Officer(3)).approves("Tide School", "3 000 USD of Climate 1", "Gladly.").done();
    y.by(Officer(1)).sends_back("Enzymes II", "The first grant is half unused; why now?").done();
    y.by(Officer(3))
        .approves("Glaciers Extra", "4 000 USD of Cloud 1", "A third, and from the cloud company.")
        .naming_lots("4 000 USD of Cloud 1")
        .done();
    y.by(Of("Enzymes")).withdraws("Enzymes II", "You are right; later.").done();
}

fn work_of_march(y: &mut Year) {
    let melt = ("Glaciers", "Cloud GPUs");
    y.on(70);
    y.by(Operator(CLOUD)).sets_aside("the melt run", melt, "400 h", 80).done();
    y.by(Operator(CLOUD)).sets_aside("the ice run", melt, "200 h", 85).done();
    y.by(Operator(CLOUD)).sets_aside("the snow run", melt, "120.5 h", 100).done();
    y.on(75);
    y.by(Operator(CLOUD)).settles("the melt run", "350.5 h").done();
    y.by(Operator(CLOUD)).releases("the ice run").done();
    y.by(Operator(CENTRE)).reports("Storms II", "Cluster", "3 300.125 h + 2 480 h").done();
    y.by(Operator(CENTRE)).reports("Evening School", "Cluster", "4 020.5 h + 3 999.999 h").done();
    y.on(80);
    y.by(Officer(2)).suspends("Galaxies", "A login was found for sale.").done();
    y.on(82);
    y.by(Operator(CLOUD)).reports("Galaxies", "Cloud GPUs", "75 h").called("the stopped job").kept("grant_not_active");
    y.on(86);
    y.by(Officer(1)).resumes("Galaxies", "The login is changed, nothing was taken.").done();
    y.by(Officer(2)).charges_after_all("the stopped job").done();
    y.by(Operator(CENTRE)).reports("Tides", "Cluster", "4 000 h").called("the harbour job").done();
    y.by(Operator(CLOUD)).reports("Enzymes", "Cloud GPUs", "2 400 h").called("the plastics job").done();
    y.by(Operator(CLOUD)).refunds("the harbour job", "1 USD", "Not ours to give.").refused("not_found");
    y.by(Operator(CENTRE)).refunds("the harbour job", "1 200.5 USD", "A node failed after a quarter of it.").done();
    y.by(Operator(CENTRE)).refunds("the harbour job", "4 000 USD", "All of it.").refused("refund_exceeds_charge");
}
