//! `almoner completions`: what a shell needs to complete commands and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// For which shell.
#[derive(Args, Debug)]
pub struct Options {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

/// Prints the shell's completion script.
pub fn run(options: &Options) {
    clap_complete::generate(options.shell, &mut Cli::command(), "almoner", &mut std::io::stdout());
}
