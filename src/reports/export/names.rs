//! Account names as beancount, hledger and ledger take them, and back.
//!
//! beancount is the strictest: parts under one of five headings, each beginning with a capital or a digit, without `_`. An identifier
//! becomes its kind and its 26 characters, two parts: `grant:grt_01h…:lot_01h…:spent` is `Expenses:Grant:01h…:Lot:01h…:Spent`, so that
//! the tools' own trees group by grant and by lot. The mapping is one to one: a part that begins with a digit is an
//! identifier and takes its kind from the part before it, every other part is a word.

use super::Class;

/// Who owns accounts: the prefix of its identifiers, its word in the books, its word in a path.
const OWNERS: [(&str, &str, &str); 3] = [("dnt", "donation", "Donation"), ("lot", "lot", "Lot"), ("grt", "grant", "Grant")];

/// Characters of an identifier after its prefix.
const CODED: usize = 26;

/// The path of an account in the auditor's tools. `None` if the name is not of the books' form: an owner's word and identifier,
/// perhaps more identifiers, perhaps words.
pub fn path_of(class: Class, name: &str) -> Option<String> {
    let mut parts = name.split(':');
    let owner = parts.next()?;
    let (kind, coded) = identifier(parts.next()?)?;
    let (_, _, title) = OWNERS.iter().find(|(prefix, word, _)| *prefix == kind && *word == owner)?;
    let mut path = format!("{}:{title}:{coded}", class.heading());
    for part in parts {
        path.push(':');
        match identifier(part) {
            Some((kind, coded)) => {
                let (_, _, title) = OWNERS.iter().find(|(prefix, ..)| *prefix == kind)?;
                path.push_str(title);
                path.push(':');
                path.push_str(coded);
            }
            None => path.push_str(&capitalised(part)?),
        }
    }
    Some(path)
}

/// The class and name of the account with this path: the inverse of [`path_of`].
pub fn account_of(path: &str) -> Option<(Class, String)> {
    let mut parts = path.split(':').peekable();
    let heading = parts.next()?;
    let class = Class::ALL.into_iter().find(|c| c.heading() == heading)?;
    let mut name = String::with_capacity(path.len());
    while let Some(part) = parts.next() {
        let owner = OWNERS.iter().find(|(.., title)| *title == part);
        match (owner, parts.next_if(|next| is_coded(next))) {
            (Some((prefix, word, _)), Some(coded)) if name.is_empty() => name = format!("{word}:{prefix}_{coded}"),
            (Some((prefix, ..)), Some(coded)) => name.push_str(&format!(":{prefix}_{coded}")),
            (_, None) if !name.is_empty() => {
                name.push(':');
                name.push_str(&uncapitalised(part)?);
            }
            _ => return None,
        }
    }
    (!name.is_empty()).then_some((class, name))
}

/// The prefix and the coded part of an identifier.
fn identifier(part: &str) -> Option<(&str, &str)> {
    part.split_once('_').filter(|(_, coded)| is_coded(coded))
}

fn is_coded(text: &str) -> bool {
    let digit_first = text.bytes().next().is_some_and(|b| b.is_ascii_digit());
    digit_first && text.len() == CODED && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn capitalised(word: &str) -> Option<String> {
    let (first, rest) = word.split_at_checked(1)?;
    let form = first.bytes().all(|b| b.is_ascii_lowercase()) && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    form.then(|| first.to_ascii_uppercase() + rest)
}

fn uncapitalised(word: &str) -> Option<String> {
    let (first, rest) = word.split_at_checked(1)?;
    let lower = first.to_ascii_lowercase() + rest;
    (capitalised(&lower).as_deref() == Some(word)).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DonationId, GrantId, LotId};

    #[test]
    fn every_account_of_the_books_has_a_path_and_comes_back() {
        let (d, l, g) = (DonationId::from_stamp(1_700_000_000_000_001), LotId::from_stamp(7), GrantId::from_stamp(1_700_000_000_000_002));
        let names = [
            (Class::Asset, format!("donation:{d}:receivable")),
            (Class::Income, format!("donation:{d}:given")),
            (Class::Asset, format!("lot:{l}:available")),
            (Class::Expense, format!("lot:{l}:lapsed")),
            (Class::Equity, format!("lot:{l}:returned")),
            (Class::Asset, format!("grant:{g}:{l}:held")),
            (Class::Expense, format!("grant:{g}:{l}:spent")),
            (Class::Expense, format!("grant:{g}:overdraft:spent")),
            (Class::Liability, format!("grant:{g}:overdraft:owed")),
        ];
        for (class, name) in names {
            let path = path_of(class, &name).expect("a path");
            assert_eq!(account_of(&path), Some((class, name)), "{path}");
        }
        let path = path_of(Class::Expense, &format!("grant:{g}:{l}:spent")).expect("a path");
        let coded = |id: String| id[4..].to_owned();
        assert_eq!(path, format!("Expenses:Grant:{}:Lot:{}:Spent", coded(g.to_string()), coded(l.to_string())));
    }

    #[test]
    fn other_forms_are_refused_both_ways() {
        let (l, coded) = (LotId::from_stamp(7).to_string(), &LotId::from_stamp(7).to_string()[4..]);
        let names = [
            String::new(),
            "lot".into(),
            l.clone(),
            format!("grant:{l}"),
            format!("lot:{l}:"),
            format!("lot:{l}:Held"),
            format!("lot:{l}:a b"),
            format!("lot:{l}:é"),
            format!("lot:{l}:prs_{coded}"),
        ];
        for name in names {
            assert_eq!(path_of(Class::Asset, &name), None, "{name}");
        }
        for path in
            ["Assets", "Assets:Lot", "Asset:Lot", &format!("Assets:{coded}"), &format!("Assets:Lot:{coded}:held"), "Assets:Held", ""]
        {
            assert_eq!(account_of(path), None, "{path}");
        }
    }
}
