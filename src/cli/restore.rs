//! `almoner restore`: the books of a backup where there are none, in either database.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::backup::expect_sound;
use super::exit::{Exit, Failure};
use super::init::make_folders;
use super::place::Place;
use super::table::count;
use crate::store::backup::{self, KeyFile};

/// What from.
#[derive(Args, Debug)]
pub struct Options {
    /// A file that almoner backup made
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Restore books that do not hold too, as they are
    #[arg(long)]
    broken: bool,
}

/// Restores the books and the keys that are in the backup. Nothing that is there is overwritten.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    let database = place.database()?;
    let mut backup = backup::open(&options.file)?;
    for key in &backup.keys {
        expect_room(&place.key_folder().join(&key.name), key)?;
    }
    make_folders(place)?;
    let broken = options.broken;
    let copied = backup::restore(&mut backup, &database, |written| if broken { Ok(()) } else { expect_sound(written) })?;
    for key in &backup.keys {
        write_key(&place.key_folder().join(&key.name), key)?;
    }
    eprintln!("Restored {} rows of {} tables to {database}, as of {}.", count(copied.rows), copied.tables, backup.made_at);
    eprintln!("SHA-256 of the rows: {}", copied.digest());
    match backup.keys.len() {
        0 if !place.local_key().exists() => {
            eprintln!(
                "No keys are in the backup: put them into {}, or tokens of the books' own issuer can't be made.",
                place.key_folder().display()
            );
        }
        0 => {}
        keys => eprintln!("{keys} key files are in {}.", place.key_folder().display()),
    }
    Ok(())
}

/// Refuses to put a key in the place of another, and a name that leads elsewhere.
fn expect_room(path: &Path, key: &KeyFile) -> Result<(), Failure> {
    if Path::new(&key.name).components().count() != 1 || path.file_name().is_none_or(|name| name != key.name.as_str()) {
        return Err(Failure::error(format!("The backup has a key file of the name {:?}.", key.name)));
    }
    match fs::read(path) {
        Ok(there) if there != key.content => {
            Err(Failure::new(Exit::Configuration, format!("{} is another key, and nothing is ever overwritten.", path.display())))
        }
        _ => Ok(()),
    }
}

fn write_key(path: &Path, key: &KeyFile) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(&key.content).and_then(|()| file.sync_all()).map_err(failed)
}
