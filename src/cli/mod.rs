//! The command line: one file per command, each of which parses, runs and says how it ended.
//!
//! Data goes to standard output, talk to standard error. It may not decide anything about credits.

mod backup;
mod completions;
mod config;
mod demo;
mod doctor;
mod exit;
mod export;
mod import;
mod init;
mod log;
mod migrate;
mod monitor;
mod place;
mod progress;
mod remote;
mod restore;
mod serve;
mod signin;
mod statement;
mod table;
mod token;
mod verify;
mod witness;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;
use exit::Failure;
pub use place::Place;

/// Keeps the books of donated compute: what donors gave, what was granted, what each job used.
#[derive(Parser, Debug)]
#[command(name = "almoner", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done, 1 error, 2 usage, 3 done but some records were rejected, \
                        4 the books or proofs do not hold, 5 configuration, 6 database.")]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
enum Command {
    /// Play a believable year of books, then serve it
    Demo(Box<demo::Options>),
    /// Serve the books over HTTP
    Serve(Box<serve::Options>),
    /// Make empty books: database, keys, an administrator's token
    Init(init::Options),
    /// Print a token signed by these books' own issuer
    Token(token::Options),
    /// Charge the jobs of a scheduler's log: Slurm accounting or CSV
    Import(Box<import::Options>),
    /// Write the journal for beancount, hledger, ledger, or as rows
    Export(export::Options),
    /// Write what became of a donor's, a project's or a provider's credits over a period
    Statement(statement::Options),
    /// The verifiable log: bring it up to date, print its checkpoint and its key
    #[command(subcommand)]
    Log(log::Options),
    /// Recompute every law of the books and of their log; or check a statement that proves itself, or a service from outside
    Verify(Box<verify::Options>),
    /// Follow a log that is served elsewhere: hash it again, and say when it contradicts itself
    Monitor(monitor::Options),
    /// Cosign logs that only ever grow, for others to see; needs no books
    Witness(witness::Options),
    /// Write all the books to one file, while they are served or not
    Backup(backup::Options),
    /// Make books of a backup, in either database, where there are none
    Restore(restore::Options),
    /// Look for what is wrong with the installation, and say what to do
    Doctor(Box<doctor::Options>),
    /// Bring the database's schema up to date
    Migrate(migrate::Options),
    /// The settings
    #[command(subcommand)]
    Config(Box<config::Options>),
    /// Print a completion script for a shell
    Completions(completions::Options),
}

/// Runs the program with the arguments it was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) => {
            // Help and version come this way too; where they can't be printed nobody can be told.
            let _ = shown.print();
            return if shown.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("almoner: {}", failure.words.replace('\n', "\n         "));
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let place = &cli.place;
    let done = |()| Exit::Done;
    match cli.command {
        Command::Demo(options) => demo::run(place, &options).map(done),
        Command::Serve(options) => serve::run(place, &options).map(done),
        Command::Init(options) => init::run(place, &options).map(done),
        Command::Token(options) => token::run(place, options).map(done),
        Command::Import(options) => import::run(place, &options),
        Command::Export(options) => export::run(place, &options).map(done),
        Command::Statement(options) => statement::run(place, &options).map(done),
        Command::Backup(options) => backup::run(place, &options),
        Command::Restore(options) => restore::run(place, &options).map(done),
        Command::Log(options) => log::run(place, &options).map(done),
        Command::Verify(options) => verify::run(place, &options),
        Command::Monitor(options) => monitor::run(place, &options),
        Command::Witness(options) => witness::run(place, &options),
        Command::Doctor(options) => doctor::run(place, &options),
        Command::Migrate(options) => migrate::run(place, &options).map(done),
        Command::Config(options) => config::run(place, &options).map(done),
        Command::Completions(options) => {
            completions::run(&options);
            Ok(Exit::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
