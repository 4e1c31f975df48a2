//! Events and alerts by a clock that the test holds: each once, in order, whoever looks and however often, and to each what concerns them.

use almoner::actor::{Actor, Role};
use almoner::donations;
use almoner::events::{Event, Of, Sight, alert, events, follow};
use almoner::grants::{self, Change, NewGrant, Ruling, Verdict, amend, policy};
use almoner::id::LotId;
use almoner::store::Page;

use crate::support::books::period;
use crate::support::database::databases;
use crate::world::{World, named};

/// One round of what `serve` does: how many events came of it.
pub fn pass(world: &World) -> usize {
    let mut told = 0;
    let mut seen = 0;
    loop {
        let found = world.look(|conn, _| follow::look(conn, seen));
        let more = found.more;
        seen = found.to;
        told += world.write(move |work, _| follow::book(work, &found)).unwrap_or_default();
        if !more {
            break;
        }
    }
    let due = world.look(alert::due);
    told + world.write(move |work, _| alert::raise(work, &due))
}

fn seen_by(world: &World, actor: &Actor) -> Vec<Event> {
    world.look(|conn, now| {
        let sight = Sight::of(conn, actor, now)?;
        events(conn, &sight, &Of::default(), Page::ALL)
    })
}

fn all(world: &World) -> Vec<Event> {
    seen_by(world, &Actor::operator("anybody"))
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.told.kind.as_str()).collect()
}

/// The alerts since the last look: kind and the figure that says which.
fn news(world: &World, known: &mut usize) -> Vec<(String, i64)> {
    pass(world);
    let events = all(world);
    let fresh = events.iter().skip(*known).filter(|event| event.told.seq.is_none());
    let figure = |event: &Event| event.told.body["threshold"].as_i64().or(event.told.body["days"].as_i64()).unwrap_or(0);
    let found = fresh.map(|event| (event.told.kind.clone(), figure(event))).collect();
    *known = events.len();
    found
}

#[test]
fn the_journal_is_followed_once_and_in_order() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T08:00:00Z");
        let lot = world.lot(&named("Donor A"), 1000, Some("2026-03-01T00:00:00Z"));
        let grant = world.grant(100, "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", Some(lot));
        world.set("2026-01-02T09:00:00Z");
        let charge = world.job(grant, "one", 20, "2026-01-02T00:00:00Z");
        world.refund(&charge, 5);
        // Two processes look at the same time: whoever books second finds that it is done.
        let both = [(); 2].map(|()| world.look(|conn, _| follow::look(conn, 0)));
        let told = both.map(|found| world.write(move |work, _| follow::book(work, &found)).unwrap_or_default());
        assert_eq!(told, [6, 0]);
        let wanted = ["donation.proposed", "donation.accepted", "lot.delivered", "grant.requested", "grant.awarded", "charge.refunded"];
        let found = all(&world);
        assert_eq!(kinds(&found), wanted, "charges are no events");
        assert!(found.is_sorted_by_key(|event| event.id) && found.is_sorted_by_key(|event| event.told.seq));
        let figures: Vec<String> =
            found.iter().map(|event| event.told.body["amount"]["value"].as_str().unwrap_or("-").to_owned()).collect();
        assert_eq!(figures, ["-", "1000", "1000", "-", "100", "5"]);
        assert_eq!(pass(&world), 0, "nothing is told twice");
        world.set("2026-03-09T00:00:00Z");
        world.write(|work, _| grants::sweep::sweep(work));
        pass(&world);
        let later: Vec<_> = all(&world).into_iter().skip(6).filter(|event| event.told.seq.is_some()).collect();
        assert_eq!(kinds(&later), ["lot.lapsed", "grant.lapsed"]);
        assert_eq!(later[1].told.body["amount"]["value"], "85");
    }
}

#[test]
fn a_donor_sees_own_figures_when_the_day_is_over_and_nothing_finer() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T08:30:00Z");
        let lots: Vec<LotId> = ["Donor A", "Donor B"].iter().map(|name| world.lot(&named(name), 100, None)).collect();
        let grant = world.grant(100, "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", Some(lots[0]));
        world.set("2026-01-01T09:30:00Z");
        world.job(grant, "secret-job", 95, "2026-01-01T08:45:00Z");
        pass(&world);
        let donor = world.look(|conn, _| Ok(donations::lot(conn, lots[0])?.donor));
        let actor = Actor { roles: [Role::Donor].into_iter().collect(), donor: Some(donor), ..Actor::operator("gives") };
        assert!(seen_by(&world, &actor).is_empty(), "not while the day lasts: when it appears would tell the hour");
        world.set("2026-01-02T00:00:00Z");
        let seen = seen_by(&world, &actor);
        assert_eq!(kinds(&seen), ["donation.proposed", "donation.accepted", "lot.delivered", "lot.used"]);
        let (sight, midnight) = (world.look(|conn, now| Sight::of(conn, &actor, now)), 86_400_000_000);
        for event in &seen {
            assert!(event.id.stamp() % midnight < 100, "the id is a day and a running number");
            assert!(!sight.in_full(event));
            let text = event.told.body.to_string();
            assert!(!["prs_", "chg_", "prj_", "grt_", "secret-job", "08:", "09:"].iter().any(|part| text.contains(part)), "{text}");
        }
        let researcher =
            Actor { roles: [Role::Researcher].into_iter().collect(), projects: vec![world.project], ..Actor::operator("asks") };
        assert_eq!(kinds(&seen_by(&world, &researcher)), ["grant.requested", "grant.awarded", "grant.used"]);
        let stranger = Actor { roles: [Role::Researcher, Role::Donor, Role::Provider].into_iter().collect(), ..Actor::operator("nobody") };
        assert!(seen_by(&world, &stranger).is_empty());
    }
}

#[test]
fn thresholds_of_use_are_told_once_and_again_after_it_fell() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        // Large, so that its own thresholds stay out of the way.
        let lot = world.lot(&named("Donor A"), 1_000_000, None);
        let grant = world.grant(100, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", Some(lot));
        world.set("2026-02-01T00:00:00Z");
        let mut known = 0;
        let used = |threshold: i64| vec![("grant.used".to_owned(), threshold)];
        assert_eq!(news(&world, &mut known), []);
        let first = world.job(grant, "first", 74, "2026-01-10T00:00:00Z");
        assert_eq!(news(&world, &mut known), []);
        world.job(grant, "second", 1, "2026-01-11T00:00:00Z");
        assert_eq!(news(&world, &mut known), used(75));
        assert_eq!(news(&world, &mut known), [], "once");
        world.refund(&first, 2);
        assert_eq!(news(&world, &mut known), [], "a little less is no news");
        world.job(grant, "third", 23, "2026-01-12T00:00:00Z");
        assert_eq!(news(&world, &mut known), used(90), "96 % passes 90 alone");
        world.refund(&first, 40);
        assert_eq!(news(&world, &mut known), [("grant.use_fell".into(), 0)], "armed again");
        world.job(grant, "fourth", 50, "2026-01-13T00:00:00Z");
        assert_eq!(
            news(&world, &mut known),
            [("grant.used".into(), 100), ("grant.overdrawn".into(), 0)],
            "after a leap only the highest is told"
        );
        world.refund(&first, 10);
        assert_eq!(news(&world, &mut known), [("grant.overdraft_covered".into(), 0)]);
        world.job(grant, "fifth", 50, "2026-01-14T00:00:00Z");
        assert_eq!(news(&world, &mut known), [("grant.overdrawn".into(), 0)], "a second overdraft is another");
    }
}

#[test]
fn ends_are_told_by_the_most_urgent_threshold_and_only_while_something_is_unused() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        world.lot(&named("Donor A"), 100, Some("2026-07-01T00:00:00Z"));
        let spent = world.lot(&named("Donor B"), 10, Some("2026-07-01T00:00:00Z"));
        let grant = world.grant(10, "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", Some(spent));
        world.job(grant, "all of it", 10, "2026-01-01T00:00:00Z");
        let mut known = 0;
        let expiring = |days: i64| vec![("lot.expiring".to_owned(), days)];
        let about_use = news(&world, &mut known);
        assert_eq!(about_use, [("lot.used".into(), 100), ("grant.used".into(), 100)], "nothing of a lot or grant that is used up expires");
        world.set("2026-04-01T23:00:00Z");
        assert_eq!(news(&world, &mut known), [], "91 days before");
        world.set("2026-04-02T00:00:00Z");
        assert_eq!(news(&world, &mut known), expiring(90));
        // Down for two months: 30 days were passed too, and are not told any more.
        world.set("2026-06-25T00:00:00Z");
        assert_eq!(news(&world, &mut known), expiring(7));
        world.set("2026-06-30T00:00:00Z");
        assert_eq!(news(&world, &mut known), []);
        // A short lot has no news of a threshold that lay before it came.
        world.lot(&named("Donor C"), 5, Some("2026-07-20T00:00:00Z"));
        assert_eq!(news(&world, &mut known), []);
        world.set("2026-07-13T00:00:00Z");
        assert_eq!(news(&world, &mut known), expiring(7));
    }
}

#[test]
fn what_a_grant_will_lose_and_what_waits_is_told_to_its_project() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        world.lot(&named("Donor A"), 40, Some("2026-09-01T00:00:00Z"));
        world.lot(&named("Donor B"), 1000, None);
        world.grant(100, "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z", None);
        world.set("2026-08-05T00:00:00Z");
        pass(&world);
        let found = all(&world);
        let loses = found.iter().find(|event| event.told.kind == "grant.expiring").expect("an alert");
        assert_eq!((&loses.told.body["unused"]["value"], &loses.told.body["ends_on"]), (&"40".into(), &"2026-09-01".into()));
        let (project, unused) = (world.project, world.amount(5));
        world.write(move |work, pair| {
            let new = NewGrant {
                project,
                requested: unused,
                period: period("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
                justification: "For the test.".into(),
                purpose: None,
                resources: Vec::new(),
                renews: None,
                external_id: None,
            };
            grants::request(work, pair.first, &new)
        });
        pass(&world);
        let mut known = all(&world).len();
        world.set("2026-08-09T23:59:59Z");
        assert_eq!(news(&world, &mut known), []);
        world.set("2026-08-10T00:00:00.5Z");
        assert_eq!(news(&world, &mut known), [("grant.waiting".into(), 5)]);
        assert_eq!(news(&world, &mut known), []);
    }
}

#[test]
fn second_approvals_and_amendments_that_wait_are_told_once_each() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        world.lot(&named("Donor A"), 1000, None);
        let running = world.grant(10, "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z", None);
        let (unit, project, amount) = (world.unit, world.project, |minor| almoner::amount::Amount::new(minor, world.unit));
        let (two_above, requested, supplement) = (Some(amount(50)), amount(100), amount(60));
        let amendment = world.write(move |work, pair| {
            policy::set(work, pair.first, &policy::NewPolicy { unit, two_above, three_above: None, carry_over: 0, refund_alone: None })?;
            let new = NewGrant {
                project,
                requested,
                period: period("2026-01-01T00:00:00Z", "2026-10-01T00:00:00Z"),
                justification: "For the test.".into(),
                purpose: None,
                resources: Vec::new(),
                renews: None,
                external_id: None,
            };
            let waiting = grants::request(work, pair.first, &new)?;
            grants::decide(work, pair.second, waiting.id, &Ruling::new(Verdict::APPROVE, 1, "First."), false)?;
            Ok(amend::propose(work, pair.first, running, Change::Supplement(supplement), "Some more.")?.id)
        });
        pass(&world);
        let mut known = all(&world).len();
        let waiting = |days: i64| vec![("grant.waiting".to_owned(), days)];
        world.set("2026-01-02T23:59:59Z");
        assert_eq!(news(&world, &mut known), []);
        world.set("2026-01-03T00:00:01Z");
        assert_eq!(news(&world, &mut known), waiting(2), "the second approval");
        world.set("2026-01-06T00:00:01Z");
        assert_eq!(news(&world, &mut known), waiting(5), "the amendment, that nobody has decided");
        let told = all(&world).pop().expect("an alert").told;
        assert_eq!((&told.body["amendment"], &told.body["for"]), (&amendment.to_string().into(), &"decision".into()));
        world.write(move |work, pair| {
            amend::decide(work, pair.second, amendment, &Ruling::new(Verdict::APPROVE, 1, "First."), false).map(|_| ())
        });
        assert_eq!(news(&world, &mut known), []);
        world.set("2026-01-08T00:00:02Z");
        assert_eq!(news(&world, &mut known), waiting(2), "the amendment's second approval");
        assert_eq!(news(&world, &mut known), [], "once");
    }
}
