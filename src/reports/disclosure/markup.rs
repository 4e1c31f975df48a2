//! A disclosure as XML: JATS 1.3 `<funding-group>` for articles, Crossref's `fr:program` for deposits. Pure.
//!
//! Element orders are those of the content models (`award-group`: funding-source, award-id, award-name, award-desc). A funder with a ROR
//! identifier is named to Crossref by it alone, as its deposit schema has it; one without by its name.

use std::fmt::Write;

use crate::donations::Donor;

use super::{Disclosure, DonationPart, ror, words};

/// Text as XML 1.0 can hold it: markup escaped, characters that no document may contain replaced.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // XML 1.0 §2.2.
            '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}' => out.push(c),
            _ => out.push('\u{FFFD}'),
        }
    }
    out
}

/// `<funding-group>` for the metadata of an article: an award group for each donation that paid, and the statement.
pub fn jats(disclosure: &Disclosure) -> String {
    let mut out = String::from("<funding-group>\n");
    for (place, (donor, part)) in (1..).zip(disclosure.donations()) {
        award_group(&mut out, place, donor, part);
    }
    let statement = words::short(disclosure);
    let _ = writeln!(out, "  <funding-statement>{}</funding-statement>\n</funding-group>", escape(statement.trim_end()));
    out
}

fn award_group(out: &mut String, place: usize, donor: &Donor, part: &DonationPart) {
    let _ = writeln!(out, "  <award-group id=\"compute-{place}\" award-type=\"gift\">\n    <funding-source>\n      <institution-wrap>");
    if let Some(id) = ror(donor) {
        let _ = writeln!(out, "        <institution-id institution-id-type=\"ror\">{}</institution-id>", escape(&id));
    }
    let _ = writeln!(out, "        <institution>{}</institution>", escape(&donor.about.name));
    out.push_str("      </institution-wrap>\n    </funding-source>\n");
    if let Some(name) = &part.donation.about.external_id {
        let _ = writeln!(out, "    <award-id>{}</award-id>", escape(name));
    }
    let _ = writeln!(out, "    <award-name>{}</award-name>", escape(&part.donation.about.title));
    let paid = format!("Donated compute: {} {}", part.amount, part.amount.unit.code());
    let _ = writeln!(out, "    <award-desc>{}</award-desc>\n  </award-group>", escape(&paid));
}

/// `fr:program` for a deposit with Crossref: a group of assertions for each donation that paid.
pub fn crossref(disclosure: &Disclosure) -> String {
    let mut out = String::from("<fr:program xmlns:fr=\"http://www.crossref.org/fundref.xsd\" name=\"fundref\">\n");
    for (donor, part) in disclosure.donations() {
        out.push_str("  <fr:assertion name=\"fundgroup\">\n");
        let _ = match ror(donor) {
            Some(id) => writeln!(out, "    <fr:assertion name=\"ror\">{}</fr:assertion>", escape(&id)),
            None => writeln!(out, "    <fr:assertion name=\"funder_name\">{}</fr:assertion>", escape(&donor.about.name)),
        };
        if let Some(name) = &part.donation.about.external_id {
            let _ = writeln!(out, "    <fr:assertion name=\"award_number\">{}</fr:assertion>", escape(name));
        }
        out.push_str("  </fr:assertion>\n");
    }
    out.push_str("</fr:program>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn no_name_leaves_its_place() {
        assert_eq!(escape("a & <b> \"c\" 'd' ]]> é😀"), "a &amp; &lt;b&gt; &quot;c&quot; &apos;d&apos; ]]&gt; é😀");
        assert_eq!(escape("\u{0}\u{1f}\u{fffe}\u{ffff}\t"), "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\t");
    }
}
