//! `almoner backup`: all the books in one file, while they are served or not.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};
use super::place::Place;
use super::table::count;
use crate::reports::verify::verify;
use crate::store::backup::{self, KeyFile};
use crate::store::{Conn, Fault};
use crate::time::Clock;

/// Where to, and with what.
#[derive(Args, Debug)]
pub struct Options {
    /// File to write; it appears under this name once it is whole and verified, and never in the place of another
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Put the key files of the data folder into it too: whoever has the backup then signs for these books
    #[arg(long)]
    with_keys: bool,
}

/// Writes the backup, verifies what was written, and says what it holds. `Broken` where the books do not hold: there is a backup all the same,
/// since one of broken books is better than none.
pub fn run(place: &Place, options: &Options) -> Result<Exit, Failure> {
    drop(place.books()?);
    let keys = if options.with_keys { key_files(place)? } else { Vec::new() };
    let made_at = Clock::system().now().to_string();
    let mut holds = true;
    let copied = backup::write(&place.database()?, &options.output, &made_at, &keys, |written| {
        holds = verify(written)?.holds();
        Ok(())
    })?;
    if place.json {
        let said = serde_json::json!({
            "file": options.output, "made_at": made_at, "tables": copied.tables, "rows": copied.rows, "sha256": copied.digest(), "keys": keys.len(), "holds": holds,
        });
        writeln!(io::stdout(), "{said:#}")?;
    }
    let rows = count(copied.rows);
    eprintln!("Backed up {} rows of {} tables to {}, as of {made_at}.", rows, copied.tables, options.output.display());
    eprintln!("SHA-256 of the rows: {}", copied.digest());
    match keys.as_slice() {
        [] if place.key_folder().is_dir() => eprintln!("The keys in {} are not in it (--with-keys).", place.key_folder().display()),
        [] => {}
        keys => eprintln!("{} key files are in it: keep it as secret as they are.", keys.len()),
    }
    match holds {
        true => eprintln!("The books in it were read again and hold."),
        false => eprintln!("THE BOOKS IN IT DO NOT HOLD: look at almoner verify."),
    }
    Ok(if holds { Exit::Done } else { Exit::Broken })
}

/// Every file in the folder of the keys, without those of the log's signer: one that forgot what it signed last would sign another history.
fn key_files(place: &Place) -> Result<Vec<KeyFile>, Failure> {
    let folder = place.key_folder();
    let failed = |error: io::Error| Failure::file(&folder, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|name| name.to_str()))
            && !name.starts_with("log.")
        {
            files.push(KeyFile { name: name.into(), content: fs::read(&path).map_err(|error| Failure::file(&path, &error))? });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Refuses books that do not hold.
pub fn expect_sound(conn: &mut Conn) -> Result<(), Fault> {
    let found = verify(conn)?;
    match found.laws.iter().find(|law| law.broken > 0) {
        None => Ok(()),
        Some(law) => {
            let first = law.findings.first().map_or("", String::as_str);
            Err(Fault::Internal(format!("the books do not hold: law {}: {}: {first}", law.number, law.title)))
        }
    }
}
