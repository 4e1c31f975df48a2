//! How long a grant lasts and what will be left, against figures that can be reckoned on paper.

use almoner::donations;
use almoner::grants;
use almoner::id::{GrantId, LotId};
use almoner::reports::forecast::{GrantForecast, LotForecast, Then, WINDOW, grant_forecast, lot_forecast};

use crate::support::database::databases;
use crate::world::{World, named};

fn foretold(world: &World, grant: GrantId) -> GrantForecast {
    world.look(|conn, now| grants::grant(conn, grant).and_then(|grant| grant_forecast(conn, grant, now, WINDOW)))
}

fn of_lot(world: &World, lot: LotId) -> LotForecast {
    world.look(|conn, now| {
        let lot = donations::lot(conn, lot)?;
        lot_forecast(conn, lot, now)
    })
}

#[test]
fn an_even_pace_is_foretold_to_the_day_and_lot_by_lot() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        let first = world.lot(&named("Donor A"), 1000, Some("2026-03-15T00:00:00Z"));
        let second = world.lot(&named("Donor B"), 5000, None);
        let grant = world.grant(1500, "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z", None);
        for day in 1..=29 {
            world.set(&format!("2026-01-{:02}T13:00:00Z", day));
            let charge = world.job(grant, &format!("job {day}"), 12, &format!("2026-01-{day:02}T12:00:00Z"));
            // Counted by the day on which the job ended, whenever it is given back.
            world.refund(&charge, 2);
        }
        world.set("2026-01-10T09:00:00Z");
        let young = foretold(&world, grant);
        assert!(young.runway.is_none() && young.pace.is_none() && young.lots.iter().all(|lot| lot.left.is_none()));
        assert!(young.method.starts_with("Too little history: 9 full days"), "{}", young.method);
        world.set("2026-01-30T00:00:00Z");
        let found = foretold(&world, grant);
        let window = found.window.as_ref().expect("a window");
        assert_eq!((window.days, window.days_of_use, window.used.minor), (28, 28, 280), "the first day is past the window");
        let runway = found.runway.expect("a runway");
        assert_eq!((found.balance.available.minor, runway.days, runway.high), (1210, 121, Some(121)));
        assert_eq!(runway.low, 119, "71 in seven days, the least that is more than the mean");
        let [a, b] = found.lots.as_slice() else { panic!("{:?}", found.lots) };
        assert_eq!((a.lot, a.available.minor, a.then), (first, 710, Then::Lapses));
        let left = a.left.expect("a projection");
        assert_eq!((left.used.minor, left.unused.minor, left.unused_low.minor, left.unused_high.minor), (440, 270, 264, 270));
        assert_eq!((b.lot, b.then), (second, Then::Frees));
        assert_eq!(b.left.expect("a projection").unused.minor, 0, "108 days more at 10 a day");
        for words in ["28 full days", "2026-01-02 to 2026-01-29", "280 CREDIT", "10 CREDIT a day", "lasts 121 days", "draw-down order"] {
            assert!(found.method.contains(words), "{words} is not in: {}", found.method);
        }
        let lot = of_lot(&world, first);
        assert_eq!(lot.left.map(|left| (left.used.minor, left.unused.minor)), Some((440, 270)));
        let endless = of_lot(&world, second);
        assert!(endless.left.is_none() && endless.method.contains("no expiry"), "{}", endless.method);
    }
}

#[test]
fn what_is_not_known_has_no_figure() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        let lot = world.lot(&named("Donor A"), 1000, Some("2026-06-01T00:00:00Z"));
        let grant = world.grant(600, "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z", None);
        world.set("2026-02-20T10:00:00Z");
        let idle = foretold(&world, grant);
        assert!(idle.runway.is_none() && idle.method.contains("jobs ended on 0 days"), "{}", idle.method);
        let found = of_lot(&world, lot);
        assert!(found.left.is_none(), "{found:?}");
        assert_eq!((found.without_history.minor, found.available.minor), (600, 400));
        world.set("2026-08-01T00:00:00Z");
        let over = foretold(&world, grant);
        assert!(over.window.is_none() && over.method.starts_with("Nothing is foretold"), "{}", over.method);
    }
}

#[test]
fn uneven_use_widens_the_band() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        world.lot(&named("Donor A"), 100_000, None);
        let grant = world.grant(10_000, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", None);
        world.set("2026-01-29T01:00:00Z");
        for (place, day) in [2, 3, 4, 15, 16, 28].into_iter().enumerate() {
            world.job(grant, &format!("job {place}"), 100, &format!("2026-01-{day:02}T00:00:00Z"));
        }
        let runway = foretold(&world, grant).runway.expect("a runway");
        assert_eq!(runway.days, 9_400 * 28 / 600);
        assert!(runway.low < runway.days && runway.high.is_none_or(|high| high > runway.days), "{runway:?}");
        assert_eq!(runway.high, None, "one week in ten saw no use at all");
    }
}
