//! Account names as beancount, hledger and ledger take them, and back.
//!
//! beancount is the strictest: parts under one of five headings, each beginning with a capital or a digit, without `_`. An identifier
//! becomes its kind and its 26 characters, two parts: `grant:grt_01h…:lot_01h…:spent` is `Expenses:Grant:01h…:Lot:01h…:Spent`, so that
//! the tools' own trees group by grant and by lot. The mapping is one to one: a part that begins with a digit is an
//! identifier and takes its kind from the part before it, every other part is a word.

use crate::ledger::{Class, Key};

/// Who owns accounts: the prefix of its identifiers, its word in the books, its word in a path.
const OWNERS: [(&str, &str, &str); 3] = [("dnt", "donation", "Donation"), ("lot", "lot", "Lot"), ("grt", "grant", "Grant")];

/// The account that all others of the class stand under in the auditor's tools.
const fn heading(class: Class) -> &'static str {
    match class {
        Class::Asset => "Assets",
        Class::Liability => "Liabilities",
        Class::Equity => "Equity",
        Class::Income => "Income",
        Class::Expense => "Expenses",
    }
}

/// The path of an account in the auditor's tools.
pub fn path_of(account: &Key) -> String {
    let mut path = heading(account.bucket.class()).to_owned();
    // The first part says again what the identifier behind it says.
    for part in account.name().split(':').skip(1) {
        path.push(':');
        match part.split_once('_') {
            Some((kind, coded)) => {
                let title = OWNERS.iter().find(|(prefix, ..)| *prefix == kind).map_or(kind, |(.., title)| title);
                path.extend([title, ":", coded]);
            }
            None => path.push_str(&capitalised(part)),
        }
    }
    path
}

/// The account with this path: the inverse of [`path_of`].
pub fn account_of(path: &str) -> Option<Key> {
    let mut parts = path.split(':').skip(1).peekable();
    let mut name = String::with_capacity(path.len());
    while let Some(part) = parts.next() {
        let owner = OWNERS.iter().find(|(.., title)| *title == part);
        match (owner, parts.next_if(|next| next.starts_with(|c: char| c.is_ascii_digit()))) {
            (Some((prefix, word, _)), Some(coded)) if name.is_empty() => name = format!("{word}:{prefix}_{coded}"),
            (Some((prefix, ..)), Some(coded)) => name.extend([":", prefix, "_", coded]),
            _ => name.extend([":", &part.to_ascii_lowercase()]),
        }
    }
    Key::parse(&name).ok().filter(|account| path_of(account) == path)
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DonationId, GrantId, LotId};
    use crate::ledger::Bucket;

    #[test]
    fn every_account_of_the_books_has_a_path_and_comes_back() {
        let (d, l, g) = (DonationId::from_stamp(1_700_000_000_000_001), LotId::from_stamp(7), GrantId::from_stamp(1_700_000_000_000_002));
        for bucket in Bucket::ALL {
            let accounts = [Key::donation(d, bucket), Key::grant(g, l, bucket), Key::lot(l, bucket), Key::overdraft(g, bucket)];
            for account in accounts.into_iter().filter(Key::fits) {
                let path = path_of(&account);
                assert_eq!(account_of(&path), Some(account), "{path}");
            }
        }
        let coded = |id: String| id[4..].to_owned();
        let path = path_of(&Key::grant(g, l, Bucket::Spent));
        assert_eq!(path, format!("Expenses:Grant:{}:Lot:{}:Spent", coded(g.to_string()), coded(l.to_string())));
        assert_eq!(
            path_of(&Key::overdraft(g, Bucket::OverdraftOwed)),
            format!("Liabilities:Grant:{}:Overdraft:Owed", coded(g.to_string()))
        );
    }

    #[test]
    fn other_paths_are_no_accounts() {
        let coded = &LotId::from_stamp(7).to_string()[4..];
        let good = format!("Assets:Lot:{coded}:Available");
        assert!(account_of(&good).is_some());
        let bad = [
            "Assets".to_owned(),
            "Assets:Lot".into(),
            "Asset:Lot".into(),
            format!("Assets:{coded}"),
            good.replace("Available", "available"),
            good.replace("Assets", "Expenses"),
            good.replace("Lot", "Grant"),
            format!("{good}:Held"),
            "Assets:Held".into(),
            String::new(),
        ];
        for path in bad {
            assert_eq!(account_of(&path), None, "{path}");
        }
    }
}
