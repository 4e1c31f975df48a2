//! A disclosure as records: DataCite 4.5 `fundingReferences`, schema.org JSON-LD, BibTeX. Pure.

use serde_json::{Value, json};

use crate::amount::Amount;
use crate::donations::Donor;

use super::{Disclosure, DonationPart, ror, words};

/// The member `fundingReferences` of a DataCite 4.5 record: one for each donation that paid.
pub fn datacite(disclosure: &Disclosure) -> Value {
    let reference = |(donor, part): (&Donor, &DonationPart)| {
        let mut reference = json!({"funderName": donor.about.name, "awardTitle": part.donation.about.title});
        if let Some(id) = ror(donor) {
            reference["funderIdentifier"] = id.into();
            reference["funderIdentifierType"] = "ROR".into();
            reference["schemeUri"] = "https://ror.org".into();
        }
        if let Some(name) = &part.donation.about.external_id {
            reference["awardNumber"] = name.as_str().into();
        }
        reference
    };
    json!({"fundingReferences": disclosure.donations().into_iter().map(reference).collect::<Vec<_>>()})
}

/// The project with its funding in the words of schema.org, as JSON-LD. What is counted in a currency is a monetary grant.
pub fn schema_org(disclosure: &Disclosure) -> Value {
    let grant = |(donor, part): (&Donor, &DonationPart)| {
        let mut funder = json!({"@type": "Organization", "name": donor.about.name});
        if let Some(id) = ror(donor) {
            funder["@id"] = id.into();
        }
        let mut grant = json!({
            "@type": if is_currency(part.amount) { "MonetaryGrant" } else { "Grant" },
            "name": part.donation.about.title, "funder": funder,
            "description": format!("Donated compute: {} {}", part.amount, part.amount.unit.code()),
        });
        if is_currency(part.amount) {
            let value = part.amount.to_string();
            grant["amount"] = json!({"@type": "MonetaryAmount", "currency": part.amount.unit.code(), "value": value});
        }
        if let Some(name) = &part.donation.about.external_id {
            grant["identifier"] = name.as_str().into();
        }
        grant
    };
    json!({
        "@context": "https://schema.org", "@type": "ResearchProject", "name": disclosure.project.about.title,
        "funding": disclosure.donations().into_iter().map(grant).collect::<Vec<_>>(),
    })
}

/// Whether the unit's code has the form of ISO 4217.
fn is_currency(amount: Amount) -> bool {
    let code = amount.unit.code();
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())
}

/// One `@misc` with the statement as its note.
pub fn bibtex(disclosure: &Disclosure) -> String {
    let authors: Vec<String> = disclosure.donors().iter().map(|donor| format!("{{{}}}", tex(&donor.about.name))).collect();
    let author = if authors.is_empty() { String::new() } else { format!("  author = {{{}}},\n", authors.join(" and ")) };
    let year: String = disclosure.as_of.day().chars().take(4).collect();
    let (key, title) = (disclosure.project.id.to_string(), tex(&disclosure.project.about.title));
    let note = tex(words::short(disclosure).trim_end());
    format!(
        "@misc{{compute-{key},\n{author}  title = {{{{Funding of compute: {title}}}}},\n  year = {{{year}}},\n  note = {{{note}}},\n}}\n",
        key = key.trim_start_matches("prj_"),
    )
}

/// Text that BibTeX and TeX take for nothing but itself. Braces become words: BibTeX counts them even behind a backslash.
fn tex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' => out.push_str("\\textbraceleft{}"),
            '}' => out.push_str("\\textbraceright{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            '&' | '%' | '$' | '#' | '_' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::tex;

    #[test]
    fn braces_stay_balanced_and_nothing_is_a_command() {
        let hostile = "} @comment{ \\input{x} 100% $a_b^c~d# \"q\" A & B\n";
        let text = tex(hostile);
        let depth = text.bytes().try_fold(0i32, |depth, byte| match byte {
            b'{' => Some(depth + 1),
            b'}' => (depth > 0).then(|| depth - 1),
            _ => Some(depth),
        });
        assert_eq!(depth, Some(0), "{text}");
        assert!(!text.contains("\\input") && !text.contains('\n'), "{text}");
    }
}
