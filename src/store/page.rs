//! One page of a list: after which key, how many, in which direction; and a list page by page, for who reads all of it.

use super::Fault;

/// Which part of a list to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Key of the last row of the page before.
    pub after: Option<i64>,
    /// Rows at most.
    pub limit: i64,
    /// Newest first.
    pub descending: bool,
}

impl Page {
    /// All there is, oldest first.
    pub const ALL: Page = Page { after: None, limit: i64::MAX, descending: false };
}

/// The pages of a list until its end: however long the list is, one page of it is held in memory.
pub struct Pages(Option<Page>);

impl Pages {
    /// Pages of so many rows, oldest first.
    pub const fn of(limit: i64) -> Pages {
        Pages::from(Page { limit, ..Page::ALL })
    }

    /// That page and those that follow it.
    pub const fn from(first: Page) -> Pages {
        Pages(Some(first))
    }

    /// The next page that has rows, by who reads one; `key` is what the list is ordered by. A page that is not full is the last.
    pub fn next<R>(
        &mut self,
        read: impl FnOnce(Page) -> Result<Vec<R>, Fault>,
        key: impl FnOnce(&R) -> i64,
    ) -> Result<Option<Vec<R>>, Fault> {
        let Some(page) = self.0.take() else { return Ok(None) };
        let rows = read(page)?;
        let full = rows.last().filter(|_| rows.len() as i64 == page.limit);
        self.0 = full.map(|last| Page { after: Some(key(last)), ..page });
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }
}

/// Runs a query for one page, ordered by its key column.
#[macro_export]
macro_rules! paged {
    ($query:expr, $key:expr, $page:expr, $c:expr) => {
        match $page.descending {
            false => $query.filter($key.gt($page.after.unwrap_or(i64::MIN))).order($key).limit($page.limit).load($c),
            true => $query.filter($key.lt($page.after.unwrap_or(i64::MAX))).order($key.desc()).limit($page.limit).load($c),
        }
    };
}

/// Narrows a boxed query to rows whose column has one of the values, where any are given.
#[macro_export]
macro_rules! narrowed {
    ($query:ident, $($column:expr => $values:expr),* $(,)?) => {
        $(if let Some(values) = &$values { $query = $query.filter($column.eq_any(values)); })*
    };
}
