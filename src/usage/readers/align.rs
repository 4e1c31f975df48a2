//! Puts a row right whose free text held the separator.
//!
//! sacct escapes nothing: every `|` in a job's name or comment adds a cell and shifts those behind it. The surplus cells are given
//! to the columns of free text in every way that leaves each other column with a cell it can have. All ways are followed at once,
//! from the left and from the right: what matters at a column is only by how many cells it is shifted. The row is accepted if all
//! ways agree on the columns that are needed. Bounded: more than 256 surplus cells are not tried.

use super::columns::Look;

/// The most surplus cells that are tried.
const SURPLUS_MAX: usize = 256;

/// The cells of the `needed` columns, in their order.
pub fn align<'a>(looks: &[Look], needed: &[usize], cells: &[&'a str]) -> Result<Vec<&'a str>, String> {
    let (want, have) = (looks.len(), cells.len());
    let Some(surplus) = have.checked_sub(want) else {
        return Err(format!("The line has {have} cells, and there are {want} columns."));
    };
    if surplus == 0 {
        return Ok(needed.iter().map(|column| cells.get(*column).copied().unwrap_or_default()).collect());
    }
    if surplus > SURPLUS_MAX {
        return Err(format!("The line has {have} cells, and there are {want} columns: too many to put right."));
    }
    let ways = Ways::new(looks, cells, surplus);
    let mut found = Vec::with_capacity(needed.len());
    for column in needed {
        found.push(ways.cell(*column).map_err(|many| {
            let trouble = if many { "more than one way to put them right" } else { "no way to put them right" };
            format!("The line has {have} cells, and there are {want} columns (a | in a free text?): {trouble}.")
        })?);
    }
    Ok(found)
}

/// Which shifts are possible before each column, seen from either end.
struct Ways<'c, 'a> {
    looks: &'c [Look],
    cells: &'c [&'a str],
    /// `left[c][d]`: the columns before `c` can hold the cells before `c + d`.
    left: Vec<Vec<bool>>,
    /// `right[c][d]`: the columns from `c` on can hold the cells from `c + d` on.
    right: Vec<Vec<bool>>,
}

impl<'c, 'a> Ways<'c, 'a> {
    fn new(looks: &'c [Look], cells: &'c [&'a str], surplus: usize) -> Ways<'c, 'a> {
        let mut ways = Ways { looks, cells, left: Vec::with_capacity(looks.len() + 1), right: Vec::with_capacity(looks.len() + 1) };
        let mut reach: Vec<bool> = (0..=surplus).map(|shift| shift == 0).collect();
        ways.left.push(reach.clone());
        for (column, look) in looks.iter().enumerate() {
            if *look == Look::Free {
                // Free text takes any number of surplus cells: every larger shift can follow.
                let first = reach.iter().position(|r| *r).unwrap_or(surplus + 1);
                reach.iter_mut().enumerate().for_each(|(shift, r)| *r = shift >= first);
            } else {
                reach.iter_mut().enumerate().for_each(|(shift, r)| *r = *r && ways.fits(column, shift));
            }
            ways.left.push(reach.clone());
        }
        let mut reach: Vec<bool> = (0..=surplus).map(|shift| shift == surplus).collect();
        ways.right.push(reach.clone());
        for (column, look) in looks.iter().enumerate().rev() {
            if *look == Look::Free {
                let end = reach.iter().rposition(|r| *r).map_or(0, |last| last + 1);
                reach.iter_mut().enumerate().for_each(|(shift, r)| *r = shift < end);
            } else {
                reach.iter_mut().enumerate().for_each(|(shift, r)| *r = *r && ways.fits(column, shift));
            }
            ways.right.push(reach.clone());
        }
        ways.right.reverse();
        ways
    }

    fn fits(&self, column: usize, shift: usize) -> bool {
        let (Some(look), Some(cell)) = (self.looks.get(column), self.cells.get(column + shift)) else {
            return false;
        };
        look.fits(cell)
    }

    /// The one cell that all ways give the column; `Err(true)` if they differ, `Err(false)` if there is no way.
    fn cell(&self, column: usize) -> Result<&'a str, bool> {
        let (Some(left), Some(right)) = (self.left.get(column), self.right.get(column)) else {
            return Err(false);
        };
        let shifts = left.iter().zip(right).enumerate().filter(|(_, (l, r))| **l && **r);
        let mut cells = shifts.filter_map(|(shift, _)| self.cells.get(column + shift).copied());
        let first = cells.next().ok_or(false)?;
        if cells.all(|cell| cell == first) { Ok(first) } else { Err(true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_right(columns: &str, needed: &[&str], line: &str) -> Result<String, String> {
        let names: Vec<&str> = columns.split('|').collect();
        let looks: Vec<Look> = names.iter().map(|name| Look::of(name)).collect();
        let places: Vec<usize> = needed.iter().filter_map(|n| names.iter().position(|name| name == n)).collect();
        let cells: Vec<&str> = line.split('|').collect();
        align(&looks, &places, &cells).map(|found| found.join(" "))
    }

    #[test]
    fn one_free_column_takes_what_is_surplus() {
        let needed = ["jobid", "account", "state"];
        assert_eq!(put_right("jobid|jobname|account|state", &needed, "1|a|b|proj|FAILED").as_deref(), Ok("1 proj FAILED"));
        // Even a name that looks like other columns can't be mistaken for them.
        assert_eq!(put_right("jobid|jobname|account|state", &needed, "1|x|other|FAILED|proj|COMPLETED").as_deref(), Ok("1 proj COMPLETED"));
    }

    #[test]
    fn the_last_column_may_be_free() {
        assert_eq!(put_right("jobid|state|jobname", &["state"], "1|FAILED|a||b|").as_deref(), Ok("FAILED"));
    }

    #[test]
    fn two_free_columns_are_told_apart_by_what_lies_between() {
        let columns = "jobid|comment|ncpus|jobname|state";
        assert_eq!(put_right(columns, &["ncpus", "state"], "1|a|b|8|c|FAILED").as_deref(), Ok("8 FAILED"));
        assert_eq!(put_right(columns, &["ncpus", "state"], "1|a|8|b|c|FAILED").as_deref(), Ok("8 FAILED"));
        let refused = put_right(columns, &["ncpus", "state"], "1|a|4|8|c|FAILED").expect_err("two ways");
        assert!(refused.contains("more than one way"), "{refused}");
        // What is in doubt does not matter if it is not needed, nor if all ways agree on it.
        assert_eq!(put_right(columns, &["state"], "1|a|4|8|c|FAILED").as_deref(), Ok("FAILED"));
        assert_eq!(put_right(columns, &["ncpus"], "1|a|8|8|c|FAILED").as_deref(), Ok("8"));
    }

    #[test]
    fn without_a_way_the_line_is_refused() {
        let none = put_right("jobid|jobname|state", &["state"], "1|a|b|failed").expect_err("no way");
        assert!(none.contains("no way"), "{none}");
        assert!(put_right("jobid|state", &["state"], "1|a|FAILED").is_err());
        assert!(put_right("jobid|state", &["state"], "1").is_err());
        assert!(put_right("jobid|jobname|state", &["state"], &format!("1|{}FAILED", "|".repeat(300))).is_err());
    }
}
