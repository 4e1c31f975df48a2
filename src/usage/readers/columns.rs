//! The columns of Slurm's accounting by name: which may hold free text, and what the others can look like.
//!
//! The looks are deliberately wide: they must admit every true value, because a shifted row is put right by trying where its
//! cells could belong. Too wide a look makes a row ambiguous and rejected; too narrow a one could make it wrong.

use crate::refusal::{FieldCode, Refusal};

/// The fixed order in which the XDMoD shredder's files come.
const XDMOD: &str = "jobid jobidraw cluster partition qos account group gid user uid submit eligible start end elapsed exitcode state \
                     nnodes ncpus reqcpus reqmem reqtres alloctres timelimit nodelist jobname";

/// Reads a list of column names, separated by commas, spaces or `|`, or the name of a known list: `xdmod`.
/// Upper and lower case are the same, and a width as in `JobName%50` is left out.
pub fn columns(text: &str) -> Result<Vec<String>, Refusal> {
    let list = if text.trim().eq_ignore_ascii_case("xdmod") { XDMOD } else { text };
    let parts = list.split(|c: char| c == ',' || c == '|' || c.is_whitespace()).filter(|name| !name.is_empty());
    let names: Vec<String> = parts.map(|name| name.split('%').next().unwrap_or_default().to_ascii_lowercase()).collect();
    if names.iter().any(|name| name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')) {
        return Err(Refusal::field("/columns", FieldCode::Malformed, "Name the columns as sacct does, separated by commas."));
    }
    if names.is_empty() {
        return Err(Refusal::field("/columns", FieldCode::Required, "Name the columns, or say xdmod."));
    }
    Ok(names)
}

/// What the cells of a column can look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Whatever a user or a site wrote: may hold `|`.
    Free,
    /// Nothing known, but no `|`.
    Any,
    /// Nothing at all: what follows the last `|` of `--parsable`.
    Empty,
    Time,
    EmptyOrTime,
    Duration,
    Number,
    ExitCode,
    Tres,
    JobId,
    State,
    Name,
    Nodes,
}

impl Look {
    /// The look of the column of that name, in lower case.
    pub fn of(column: &str) -> Look {
        match column {
            "" => Look::Empty,
            "jobname" | "comment" | "admincomment" | "systemcomment" | "submitline" | "workdir" | "container" | "constraints"
            | "reason" | "reservation" | "wckey" | "extra" | "stdin" | "stdout" | "stderr" | "licenses" => Look::Free,
            "submit" | "start" | "end" => Look::Time,
            "eligible" => Look::EmptyOrTime,
            "elapsed" | "cputime" | "timelimit" | "suspended" | "reserved" | "planned" | "resvcpu" | "plannedcpu" | "systemcpu"
            | "usercpu" | "totalcpu" => Look::Duration,
            "elapsedraw" | "alloccpus" | "allocnodes" | "ncpus" | "nnodes" | "reqcpus" | "reqnodes" | "ntasks" | "uid" | "gid"
            | "associd" | "cputimeraw" | "timelimitraw" | "priority" | "qosraw" | "dbindex" | "resvcpuraw" | "plannedcpuraw"
            | "reservationid" | "wckeyid" | "reqmem" => Look::Number,
            "exitcode" | "derivedexitcode" => Look::ExitCode,
            "alloctres" | "reqtres" => Look::Tres,
            "jobid" | "jobidraw" => Look::JobId,
            "state" => Look::State,
            "cluster" | "account" | "user" | "group" | "partition" | "qos" | "sluid" => Look::Name,
            "nodelist" => Look::Nodes,
            _ => Look::Any,
        }
    }

    /// Whether a cell can be one of such a column.
    pub fn fits(self, cell: &str) -> bool {
        let unsaid = matches!(cell, "Unknown" | "None" | "UNLIMITED" | "Partition_Limit" | "INVALID");
        let only = |more: &[u8]| cell.bytes().all(|b| b.is_ascii_digit() || more.contains(&b));
        match self {
            Look::Free | Look::Any => true,
            Look::Empty => cell.is_empty(),
            Look::Time => unsaid || time_like(cell),
            Look::EmptyOrTime => cell.is_empty() || unsaid || time_like(cell),
            Look::Duration => cell.is_empty() || unsaid || (cell.contains(':') && only(b"-:.")),
            Look::Number => cell.is_empty() || unsaid || (starts_with_digit(cell) && only(b".KMGTPEnc")),
            Look::ExitCode => cell.is_empty() || (cell.contains(':') && only(b":")),
            Look::Tres => {
                cell.split(',').all(|part| part.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty()))
                    || cell.is_empty()
            }
            Look::JobId => starts_with_digit(cell) && !cell.contains(char::is_whitespace),
            Look::State => state_like(cell),
            Look::Name => !cell.contains(char::is_whitespace) && !cell.contains(['"', '\'', '=', '/']),
            Look::Nodes => cell == "None assigned" || !cell.contains(char::is_whitespace),
        }
    }
}

fn starts_with_digit(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit())
}

fn time_like(cell: &str) -> bool {
    cell.len() >= 9 && starts_with_digit(cell) && cell.bytes().all(|b| b.is_ascii_digit() || b"-+:.TZ ".contains(&b))
}

/// `COMPLETED`, `NODE_FAIL`, `CANCELLED by 1000`.
fn state_like(cell: &str) -> bool {
    let (word, rest) = cell.split_once(' ').unwrap_or((cell, "by"));
    word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && rest.starts_with("by")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_columns() {
        assert_eq!(columns("XDMoD").expect("known").len(), 26);
        assert_eq!(columns("JobIDRaw, Account|JobName%50").expect("names"), ["jobidraw", "account", "jobname"]);
        assert!(columns(" , ").is_err());
        assert!(columns("Job-Name").is_err());
    }

    #[test]
    fn looks_admit_true_values() {
        let good = [
            ("end", "Unknown"),
            ("start", "2016-12-22T07:15:12"),
            ("submit", "1482390912"),
            ("elapsed", "10-13:27:06"),
            ("timelimit", "UNLIMITED"),
            ("nnodes", "1.5K"),
            ("reqmem", "31000Mn"),
            ("exitcode", "0:15"),
            ("alloctres", ""),
            ("alloctres", "billing=8,gres/gpu:h100=4"),
            ("jobid", "3_[4-10%2]"),
            ("jobidraw", "12+0"),
            ("state", "CANCELLED by 380693"),
            ("account", "uni-a-proj1"),
            ("nodelist", "None assigned"),
        ];
        for (column, cell) in good {
            assert!(Look::of(column).fits(cell), "{column} {cell}");
        }
        let bad = [
            ("end", ""),
            ("elapsed", "5"),
            ("ncpus", "n1"),
            ("exitcode", "0"),
            ("alloctres", "normal"),
            ("state", "failed"),
            ("account", "a b"),
        ];
        for (column, cell) in bad {
            assert!(!Look::of(column).fits(cell), "{column} {cell}");
        }
    }
}
