//! The `almoner` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    almoner::cli::main()
}
