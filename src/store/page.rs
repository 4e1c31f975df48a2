//! One page of a list: after which key, how many, in which direction.

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
