//! The postings of an entry as their text, and out of it, without a look at JSON in general: every charge writes them, every reading of the
//! journal reads them.
//!
//! Pure. It reads what this program writes; of any other text it says nothing, and who asks reads it as JSON.

use super::Posted;

/// Bytes that the text of a posting mostly takes.
const TEXT: usize = 48;

/// The text of postings, as JSON: `[[1,-5,1,95],[2,5,1,5]]`.
pub(super) fn text(postings: &[Posted]) -> String {
    let mut text = String::with_capacity(postings.len() * TEXT);
    let mut digits = itoa::Buffer::new();
    for Posted(account, amount, nth, balance) in postings {
        let mut before = if text.is_empty() { "[[" } else { "],[" };
        for number in [account, amount, nth, balance] {
            text.push_str(before);
            text.push_str(digits.format(*number));
            before = ",";
        }
    }
    text.push_str("]]");
    text
}

/// The postings, if they are written as this program writes them: `[[1,-5,1,95],[2,5,1,5]]`.
pub(super) fn postings(text: &str) -> Option<Vec<Posted>> {
    let mut rest = text.as_bytes();
    let mut found = Vec::with_capacity(2);
    let mut before = b'[';
    loop {
        take(&mut rest, before)?;
        take(&mut rest, b'[')?;
        let mut number = |ends| whole(&mut rest).filter(|_| take(&mut rest, ends).is_some());
        found.push(Posted(number(b',')?, number(b',')?, number(b',')?, number(b']')?));
        if rest == b"]" {
            return Some(found);
        }
        before = b',';
    }
}

fn take(rest: &mut &[u8], byte: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[byte])?;
    Some(())
}

/// A whole number without needless zeros that is well within 64 bits.
fn whole(rest: &mut &[u8]) -> Option<i64> {
    let negative = take(rest, b'-').is_some();
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = rest.split_at(count);
    let plain = matches!(digits, [b'1'..=b'9', ..]) || (digits == b"0" && !negative);
    if !plain || count > 18 {
        return None;
    }
    *rest = after;
    let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<[i64; 4]>> {
        postings(text).map(|some| some.into_iter().map(|Posted(a, b, c, d)| [a, b, c, d]).collect())
    }

    #[test]
    fn what_is_written_is_json_and_read_and_nothing_else_is() {
        let most = 999_999_999_999_999_999;
        for some in [vec![[1, -5, 1, 95], [2, 5, 1, 5]], vec![[0, most, -most, 10]], vec![[7, 0, 3, 0]; 5]] {
            let written = text(&some.iter().map(|[a, b, c, d]| Posted(*a, *b, *c, *d)).collect::<Vec<_>>());
            assert_eq!(written, serde_json::to_string(&some).expect("JSON"));
            assert_eq!(read(&written), Some(some));
        }
        let odd = [
            "",
            "[]",
            "[[]]",
            "[[1,2,3]]",
            "[[1,2,3,4,5]]",
            "[[1,2,3,4]",
            "[[1,2,3,4]]]",
            "[[1,2,3,4],]",
            "[[1,2,3,4][1,2,3,4]]",
            "[[1, 2,3,4]]",
            "[[01,2,3,4]]",
            "[[-0,2,3,4]]",
            "[[+1,2,3,4]]",
            "[[1.0,2,3,4]]",
            "[[1e3,2,3,4]]",
            "[[1000000000000000000,2,3,4]]",
            "[[\"1\",2,3,4]]",
            "[[--1,2,3,4]]",
            "[[,2,3,4]]",
            " [[1,2,3,4]]",
        ];
        assert!(odd.iter().all(|text| read(text).is_none()));
    }
}
