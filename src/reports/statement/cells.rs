//! Cells: what was used, by something that jobs have in common, told only where enough projects share it. Pure.
//!
//! A cell of fewer than [`FEWEST`] projects is grouped with others, and so is the smallest of the rest as long as the group itself has
//! fewer: otherwise the whole less the cells that are shown would tell what was hidden.

use std::collections::{BTreeMap, BTreeSet};

use crate::amount::out_of_range;
use crate::id::ProjectId;
use crate::refusal::Refusal;

/// Projects that a cell must have to be told.
pub const FEWEST: usize = 3;

/// What the jobs of some projects used.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cell {
    /// What the jobs have in common, as it is shown.
    pub name: String,
    /// The identifier of that, if it has one.
    pub id: Option<String>,
    /// In the unit's smallest part.
    pub spent: i64,
    projects: BTreeSet<ProjectId>,
}

/// Cells of one unit that are being filled, by what orders them.
#[derive(Clone, Debug, Default)]
pub struct Cells(BTreeMap<String, Cell>);

impl Cells {
    /// Counts what a project used in a cell; `name` names the cell when it is first met.
    pub fn add(
        &mut self,
        key: &str,
        project: ProjectId,
        minor: i64,
        name: impl FnOnce() -> (String, Option<String>),
    ) -> Result<(), Refusal> {
        if !self.0.contains_key(key) {
            let (name, id) = name();
            self.0.insert(key.to_owned(), Cell { name, id, ..Cell::default() });
        }
        if let Some(cell) = self.0.get_mut(key) {
            cell.spent = cell.spent.checked_add(minor).ok_or_else(out_of_range)?;
            cell.projects.insert(project);
        }
        Ok(())
    }

    /// The cells that may be told, in order, and what the others come to together.
    pub fn grouped(self) -> Result<(Vec<Cell>, Option<Cell>), Refusal> {
        let (mut told, few): (Vec<Cell>, Vec<Cell>) = self.0.into_values().partition(|cell| cell.projects.len() >= FEWEST);
        let mut other: Option<Cell> = None;
        for cell in few {
            join(&mut other, cell)?;
        }
        while other.as_ref().is_some_and(|other| other.projects.len() < FEWEST) {
            let smallest = (0..told.len()).min_by_key(|at| told.get(*at).map(|cell| (cell.projects.len(), cell.spent.unsigned_abs())));
            let Some(at) = smallest else { break };
            join(&mut other, told.remove(at))?;
        }
        Ok((told, other))
    }
}

fn join(group: &mut Option<Cell>, cell: Cell) -> Result<(), Refusal> {
    let group = group.get_or_insert_with(Cell::default);
    group.spent = group.spent.checked_add(cell.spent).ok_or_else(out_of_range)?;
    group.projects.extend(cell.projects);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with amounts, and projects with the amount of the rest.
    type Told = (Vec<(String, i64)>, Option<(usize, i64)>);

    /// Cells of so many projects, each of which used so much; the projects of different cells are different ones.
    fn cells(of: &[(&str, i64, i64)]) -> Told {
        let mut cells = Cells::default();
        for (at, (name, projects, each)) in of.iter().enumerate() {
            for project in 0..*projects {
                let project = ProjectId::from_stamp(at as i64 * 100 + project);
                cells.add(name, project, *each, || ((*name).to_owned(), None)).expect("small");
            }
        }
        let (told, other) = cells.grouped().expect("small");
        (told.into_iter().map(|cell| (cell.name, cell.spent)).collect(), other.map(|cell| (cell.projects.len(), cell.spent)))
    }

    #[test]
    fn a_cell_of_few_projects_is_not_told() {
        assert_eq!(cells(&[]), (vec![], None));
        assert_eq!(cells(&[("a", 3, 1), ("b", 4, 1)]), (vec![("a".into(), 3), ("b".into(), 4)], None));
        assert_eq!(cells(&[("a", 3, 1), ("b", 2, 1), ("c", 1, 1)]), (vec![("a".into(), 3)], Some((3, 3))));
        assert_eq!(cells(&[("a", 1, 7)]), (vec![], Some((1, 7))), "there is nothing else to group it with");
    }

    #[test]
    fn what_is_hidden_can_not_be_had_by_taking_the_rest_away() {
        // Alone `c` would be the whole less `a` and `b`.
        assert_eq!(cells(&[("a", 5, 1), ("b", 3, 1), ("c", 1, 9)]), (vec![("a".into(), 5)], Some((4, 12))));
        assert_eq!(cells(&[("a", 3, 1), ("c", 2, 9)]), (vec![], Some((5, 21))));
    }

    #[test]
    fn the_same_project_counts_once() {
        let mut cells = Cells::default();
        for _ in 0..5 {
            cells.add("a", ProjectId::from_stamp(1), 1, || ("a".into(), None)).expect("small");
        }
        assert_eq!(cells.grouped().expect("small").0, []);
    }
}
