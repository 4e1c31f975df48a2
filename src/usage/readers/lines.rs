//! Lines of bounded length from any input: one line is held at a time, and of an overlong one only its beginning.

use std::io::{self, BufRead};

/// The longest line that is read.
pub const LINE_MAX: usize = 1 << 20;
/// How much of an overlong line is kept to show.
const SHOWN: usize = 4096;

/// One line without its end (`\n` or `\r\n`).
pub enum Line<'a> {
    /// Readable text.
    Text(&'a str),
    /// What can't be read, why, and what to show of it.
    Unreadable(&'static str, String),
}

/// Hands out lines with their numbers, from 1.
pub struct Lines<R> {
    input: R,
    held: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Lines<R> {
        Lines { input, held: Vec::new(), number: 0 }
    }

    /// The next line that is not blank; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        loop {
            let Some(overlong) = self.fill()? else { return Ok(None) };
            self.number += 1;
            if overlong {
                self.held.truncate(SHOWN);
                let shown = String::from_utf8_lossy(&self.held).into_owned();
                return Ok(Some((self.number, Line::Unreadable("The line is longer than 1 MiB.", shown))));
            }
            if self.held.last() == Some(&b'\r') {
                self.held.pop();
            }
            if !self.held.trim_ascii().is_empty() {
                break;
            }
        }
        let line = match std::str::from_utf8(&self.held) {
            Ok(text) => Line::Text(text),
            Err(_) => Line::Unreadable("The line is not UTF-8.", String::from_utf8_lossy(&self.held).into_owned()),
        };
        Ok(Some((self.number, line)))
    }

    /// Takes one line off the input; `None` at the end, else whether it was overlong.
    fn fill(&mut self) -> io::Result<Option<bool>> {
        self.held.clear();
        let mut any = false;
        let mut overlong = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
                Err(fault) => return Err(fault),
            };
            if chunk.is_empty() {
                return Ok(any.then_some(overlong));
            }
            any = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            overlong |= self.held.len() + part.len() > LINE_MAX;
            let room = LINE_MAX.saturating_sub(self.held.len()).min(part.len());
            self.held.extend_from_slice(part.get(..room).unwrap_or_default());
            let taken = part.len() + usize::from(end.is_some());
            self.input.consume(taken);
            if end.is_some() {
                return Ok(Some(overlong));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &[u8]) -> Vec<(u64, String)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(7, input));
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().expect("no fault") {
            all.push(match line {
                Line::Text(text) => (number, text.to_owned()),
                Line::Unreadable(reason, start) => (number, format!("{reason} {}", start.len())),
            });
        }
        all
    }

    #[test]
    fn ends_blanks_and_bad_bytes() {
        let got = shown(b"one\r\n\n  \ntwo\xff\nthree");
        let want = [(1, "one"), (4, "The line is not UTF-8. 6"), (5, "three")];
        assert_eq!(got, want.map(|(n, t)| (n, t.to_owned())));
    }

    #[test]
    fn an_overlong_line_costs_itself_only() {
        let mut input = vec![b'x'; LINE_MAX + 1];
        input.extend_from_slice(b"\nafter\n");
        input.extend(std::iter::repeat_n(b'y', LINE_MAX));
        let got = shown(&input);
        assert_eq!(got[0], (1, "The line is longer than 1 MiB. 4096".to_owned()));
        assert_eq!(got[1], (2, "after".to_owned()));
        assert_eq!((got[2].0, got[2].1.len()), (3, LINE_MAX));
    }
}
