//! `almoner config show`: the settings in force, without secrets.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::{Value, json};

use super::exit::Failure;
use super::place::Place;
use super::signin::SignIn;
use super::table;

/// What to do with the settings.
#[derive(Subcommand, Debug)]
pub enum Options {
    /// Show the settings in force, without secrets
    Show(SignIn),
}

/// Prints the settings.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    match options {
        Options::Show(signin) => show(place, signin),
    }
}

fn show(place: &Place, signin: &SignIn) -> Result<(), Failure> {
    let (data, key) = (place.data.display().to_string(), place.local_key());
    let local = if key.exists() { key.display().to_string() } else { "none".into() };
    let others: Vec<String> = place.provider_keys().iter().map(|path| path.display().to_string()).collect();
    let mut settings = vec![
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("data", json!(data)),
        ("database", json!(place.database()?.to_string())),
        ("audience", json!(place.audience())),
        ("local_key", json!(local)),
        ("provider_keys", json!(others)),
    ];
    settings.extend(signin.shown());
    if place.json {
        let object: serde_json::Map<String, Value> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        return Ok(writeln!(io::stdout(), "{:#}", Value::Object(object))?);
    }
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    let rows: Vec<Vec<String>> = settings.iter().map(|(name, value)| vec![(*name).to_owned(), shown(value)]).collect();
    for line in table::lines(&rows, &[]) {
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}
