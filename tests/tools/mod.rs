//! The auditor's own tools, run on an export: whether each accepts it, and the balances each arrives at by itself.
//!
//! `verify(tool, file, balances)` is all a test needs; it takes any file that Almoner exported for that tool. A tool is looked for on `PATH` and in
//! `.tools/venv/bin`. Where one is missing the check says so and passes, but under `CI` it fails.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use almoner::amount::Amount;
use almoner::reports::export::{Format, account_of};

/// Balances by the books' own account names.
pub type Balances = BTreeMap<String, Amount>;

/// A program of others that does double entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    Beancount,
    Hledger,
    Ledger,
}

impl Tool {
    pub const ALL: [Tool; 3] = [Tool::Beancount, Tool::Hledger, Tool::Ledger];

    /// The format it reads.
    pub fn format(self) -> Format {
        match self {
            Tool::Beancount => Format::Beancount,
            Tool::Hledger => Format::Hledger,
            Tool::Ledger => Format::Ledger,
        }
    }

    fn command(self) -> &'static str {
        match self {
            Tool::Beancount => "bean-check",
            Tool::Hledger => "hledger",
            Tool::Ledger => "ledger",
        }
    }

    /// The program, if it is installed; a line on stderr if not, and a failure under `CI`.
    pub fn find(self) -> Option<Program> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin");
        let paths = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&paths).chain([beside]).map(|dir| dir.join(self.command())).find(|path| path.is_file());
        if found.is_none() {
            let missing = format!("{} is not installed: its check is left out (tests/run installs it)", self.command());
            assert!(env::var_os("CI").is_none(), "{missing}");
            eprintln!("{missing}");
        }
        found.map(|path| Program { tool: self, path })
    }
}

/// A tool that was found.
pub struct Program {
    pub tool: Tool,
    path: PathBuf,
}

impl Program {
    /// Has the tool check the file at its strictest: what it complained of, if it did.
    pub fn accepts(&self, file: &Path) -> Result<(), String> {
        let mut command = Command::new(&self.path);
        match self.tool {
            Tool::Beancount => command.arg("--no-cache").arg(file),
            Tool::Hledger => command.arg("-f").arg(file).args(["check", "--strict"]),
            Tool::Ledger => command.args(["--args-only", "--pedantic", "-f"]).arg(file).arg("balance"),
        };
        run(command).map(|_| ())
    }

    /// Every account's balance as the tool sums it up, as `account|number commodity`.
    fn report(&self, file: &Path) -> Result<String, String> {
        let mut command = match self.tool {
            Tool::Beancount => Command::new(interpreter(&self.path)?),
            Tool::Hledger | Tool::Ledger => Command::new(&self.path),
        };
        match self.tool {
            Tool::Beancount => command.args(["-c", SUM_BY_BEANCOUNT]).arg(file),
            Tool::Hledger => command.arg("-f").arg(file).args(["balance", "-N", "--flat", "-E", "--format", "%(account)|%(total)"]),
            Tool::Ledger => {
                let args = ["balance", "--flat", "--empty", "--no-total", "--format", "%(account)|%(display_total)\n"];
                command.args(["--args-only", "--pedantic", "-f"]).arg(file).args(args)
            }
        };
        run(command)
    }

    /// Compares the tool's balance of every account with ours, digit for digit; neither may have an account the other lacks.
    pub fn agrees(&self, file: &Path, ours: &Balances) -> Result<(), String> {
        let mut theirs = BTreeMap::new();
        for line in self.report(file)?.lines() {
            let (path, balance) = line.split_once('|').ok_or_else(|| format!("{line:?} is no balance"))?;
            let (_, name) = account_of(path.trim()).ok_or_else(|| format!("{path:?} is no account of ours"))?;
            theirs.insert(name, balance.trim().replace('"', ""));
        }
        for (name, ours) in ours {
            let theirs = theirs.remove(name).ok_or_else(|| format!("{:?} does not know {name}", self.tool))?;
            if !same(&theirs, *ours) {
                return Err(format!("{name}: {theirs} by {:?}, {ours} {} by us", self.tool, ours.unit.code()));
            }
        }
        theirs.is_empty().then_some(()).ok_or_else(|| format!("{:?} alone knows {:?}", self.tool, theirs.keys()))
    }
}

/// Has the tool, if it is found, accept the file and agree on the balance of every account.
pub fn verify(tool: Tool, file: &Path, ours: &Balances) {
    if let Some(program) = tool.find() {
        let checked = program.accepts(file).and_then(|()| program.agrees(file, ours));
        assert!(checked.is_ok(), "{tool:?} on {}: {}", file.display(), checked.unwrap_err());
    }
}

/// Whether the text is exactly this amount. A tool may show nothing as a bare `0`.
fn same(theirs: &str, ours: Amount) -> bool {
    theirs == format!("{ours} {}", ours.unit.code()) || (theirs == "0" && ours.minor == 0)
}

fn run(mut command: Command) -> Result<String, String> {
    let done = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr) + &text(&done.stdout)) }
}

/// The Python that a script is run by: it has the library that the script needs.
fn interpreter(script: &Path) -> Result<String, String> {
    let text = fs::read_to_string(script).map_err(|e| e.to_string())?;
    let first = text.lines().next().and_then(|line| line.strip_prefix("#!"));
    first.map(|path| path.trim().to_owned()).ok_or_else(|| format!("{} does not name its interpreter", script.display()))
}

const SUM_BY_BEANCOUNT: &str = "
import sys
from beancount import loader
from beancount.core import data, realization
entries, errors, _ = loader.load_file(sys.argv[1])
if errors:
    sys.exit(str(errors[0]))
opened = {entry.account for entry in entries if isinstance(entry, data.Open)}
for account in realization.iter_children(realization.realize(entries)):
    if account.account in opened:
        balance = [f'{p.units.number:f} {p.units.currency}' for p in account.balance]
        print(account.account, ', '.join(balance) or '0', sep='|')
";
