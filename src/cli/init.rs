//! `almoner init`: empty books, with keys of their own. Never touches what is there.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::Args;

use super::exit::{Exit, Failure};
use super::log::{self, Origin};
use super::place::Place;
use super::token;
use crate::actor::{Actor, Role, Roles};
use crate::directory::binding;
use crate::http::keys::Keys;
use crate::store::migrate;

/// With whom the books begin.
#[derive(Args, Debug)]
pub struct Options {
    /// Bind the administrator's role to NAME, as books need that are served with --require-bindings; twice for two, who can then bind others
    #[arg(long = "admin", value_name = "NAME")]
    admins: Vec<String>,
    #[command(flatten)]
    log_origin: Origin,
}

/// How long the first administrator's token is good for, in seconds.
const FIRST_TOKEN: i64 = 24 * 3600;

/// Makes the books and says what was made on standard error; the administrator's token goes to standard output.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    let two: HashSet<&String> = options.admins.iter().collect();
    if options.admins.len() > 2 || two.len() < options.admins.len() {
        return Err(Failure::new(Exit::Usage, "Books begin with at most two administrators, each named once."));
    }
    let database = place.database()?;
    let key = place.local_key();
    if key.exists() {
        let words = format!("{} exists: there are books here already, and init never overwrites any.", key.display());
        return Err(Failure::error(words));
    }
    make_folders(place)?;
    let mut conn = place.connect(true)?;
    if conn.has_table("head")? {
        let words = format!("There are books at {database} already, and init never overwrites any.");
        return Err(Failure::error(words));
    }
    migrate::up(&mut conn)?;
    Keys::create_local(&key).map_err(Failure::error)?;
    let subject = options.admins.first().map_or("admin", String::as_str);
    let admin = Actor { roles: Roles::default().with(Role::Admin), ..Actor::operator(subject) };
    bind(place, &options.admins)?;
    log::integrate(place, options.log_origin.name())?;
    let token = token::issue(place, &admin, FIRST_TOKEN)?;
    if place.json {
        let made = serde_json::json!({
            "data": place.data, "database": database.to_string(), "key": key, "token": token.text, "expires_at": token.expires_at,
        });
        return Ok(writeln!(io::stdout(), "{made:#}")?);
    }
    eprintln!("Made empty books:");
    eprintln!("  database  {database}");
    eprintln!("  key       {}  (signs tokens; keep it secret, and back it up)", key.display());
    eprintln!("  log       {}  (signs the log; never put an older copy of its state back)", place.key_folder().join("log.key").display());
    eprintln!("An administrator's token, good until {}; make others with almoner token:", token.expires_at);
    Ok(writeln!(io::stdout(), "{}", token.text)?)
}

/// Binds the administrators with whom the books begin.
fn bind(place: &Place, names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let keys = place.keys()?;
    let issuer = keys.local_issuer().ok_or_else(|| Failure::error("The books' own issuer was not made."))?;
    let admins: Vec<Actor> = names.iter().map(|name| Actor { issuer: issuer.into(), ..Actor::operator(name) }).collect();
    Ok(place.open()?.write(move |work| binding::found(work, &admins))?)
}

/// Makes the data folder and that of the keys.
pub fn make_folders(place: &Place) -> Result<(), Failure> {
    make_folder(&place.data)?;
    make_folder(&place.key_folder())
}

/// Makes a folder that only its owner may enter; one that exists stays as it is.
fn make_folder(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path).map_err(|error| Failure::file(path, &error))
}
