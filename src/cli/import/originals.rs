//! The original lines of a log, kept from when they are read until the ledger has said what became of their jobs.
//!
//! Bound: what the reader has read ahead, and one batch; of a line longer than the readers take only the beginning is kept.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

/// How much of one line is kept.
const KEPT: usize = 1 << 20;

/// The lines that were read and not yet asked for.
#[derive(Default)]
struct Kept {
    /// Number of the first one, counted from 0.
    first: u64,
    lines: VecDeque<Vec<u8>>,
    /// The line whose end was not read yet.
    open: Vec<u8>,
}

impl Kept {
    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let room = KEPT.saturating_sub(self.open.len()).min(text.len());
            self.open.extend_from_slice(text.get(..room).unwrap_or_default());
            if ended {
                self.lines.push_back(std::mem::take(&mut self.open));
            }
        }
    }
}

/// Hands out the originals of lines, in their order.
#[derive(Clone, Default)]
pub struct Originals(Rc<RefCell<Kept>>);

impl Originals {
    /// Input that keeps a copy of its lines here.
    pub fn of<R: Read>(&self, input: R) -> Copied<R> {
        Copied { input, kept: self.clone() }
    }

    /// The line of that number, from 1; those before it are forgotten.
    pub fn line(&self, number: u64) -> String {
        let mut kept = self.0.borrow_mut();
        while kept.first + 1 < number && kept.lines.pop_front().is_some() {
            kept.first += 1;
        }
        let line = if kept.first + 1 == number { kept.lines.front().unwrap_or(&kept.open).clone() } else { Vec::new() };
        String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()
    }
}

/// Input whose lines are kept as they are read.
pub struct Copied<R> {
    input: R,
    kept: Originals,
}

impl<R: Read> Read for Copied<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.input.read(into)?;
        self.kept.0.borrow_mut().take(into.get(..taken).unwrap_or_default());
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_by_their_numbers() {
        let originals = Originals::default();
        let mut text = String::new();
        originals.of(&b"one\n\nthree\r\nfour"[..]).read_to_string(&mut text).expect("text");
        assert_eq!(originals.line(1), "one");
        assert_eq!(originals.line(3), "three");
        assert_eq!(originals.line(3), "three", "asked for twice");
        assert_eq!(originals.line(4), "four", "without an end");
        assert_eq!(originals.line(9), "", "beyond the end");
    }
}
