//! `almoner migrate`: brings the schema up to date, says how it stands, or takes it down.

use std::io::{self, Write};

use clap::Args;

use super::exit::{Exit, Failure};
use super::place::Place;
use crate::attest::keep::Log;
use crate::store::migrate::{self, Part};
use crate::store::{Conn, Database};

/// What to do with the schema.
#[derive(Args, Debug)]
pub struct Options {
    /// Only say which steps are missing
    #[arg(long, conflicts_with = "down")]
    status: bool,
    /// Take the schema down, AND ALL BOOKS WITH IT
    #[arg(long)]
    down: bool,
    /// Yes, take everything down
    #[arg(long, requires = "down")]
    yes: bool,
}

/// Migrates; the steps go to standard output, one a line.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    if options.down && !options.yes {
        let words = format!("This destroys all books at {}.\nIf that is what you want, say --down --yes.", place.database()?);
        return Err(Failure::new(Exit::Usage, words));
    }
    let mut conn = place.connect(false)?;
    let books = conn.has_table("head")?;
    migrate::check(&mut conn)?;
    let (steps, talk) = match (options.status, options.down) {
        (true, _) => (migrate::pending(&mut conn)?, "missing"),
        (_, true) if !books => (Vec::new(), "taken down"),
        (_, true) => (down(place, &mut conn)?, "taken down"),
        _ => (migrate::up(&mut conn)?, "taken"),
    };
    if place.json {
        return Ok(writeln!(io::stdout(), "{}", serde_json::json!({"did": talk, "steps": steps}))?);
    }
    match steps.as_slice() {
        [] if options.down => eprintln!("There is nothing to take down."),
        [] => eprintln!("The schema is up to date."),
        _ => eprintln!("Steps {talk}:"),
    }
    for step in steps {
        writeln!(io::stdout(), "{step}")?;
    }
    Ok(())
}

/// Takes books and log down, which on SQLite are two files.
fn down(place: &Place, conn: &mut Conn) -> Result<Vec<String>, Failure> {
    let database = place.database()?;
    let log = if matches!(database, Database::Sqlite(_)) { Log::find(&database)? } else { None };
    let of_log = log.map(|log| migrate::down_part(&mut log.connect()?, Part::Log)).transpose()?;
    Ok(of_log.into_iter().flatten().chain(migrate::down(conn)?).collect())
}
