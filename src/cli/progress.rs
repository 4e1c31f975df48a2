//! Progress of long work on standard error: how far, how fast, how long still. Nothing where standard error is no terminal.

use std::io::{self, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over so many bytes; without an end where nobody knows how many will come.
pub fn bytes(what: &'static str, total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => styled(ProgressBar::new(total), what, "{msg} {wide_bar} {percent}% of {total_bytes}, {bytes_per_sec}, {eta} left"),
        None => styled(ProgressBar::new_spinner(), what, "{spinner} {msg} {bytes}, {bytes_per_sec}, {elapsed}"),
    }
}

/// A bar over so many things.
pub fn things(what: &'static str, total: u64) -> ProgressBar {
    styled(ProgressBar::new(total), what, "{msg} {wide_bar} {percent}% of {len}, {per_sec}, {eta} left")
}

fn styled(bar: ProgressBar, what: &'static str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Input that moves a bar as it is read.
pub struct Counted<R> {
    input: R,
    bar: ProgressBar,
}

impl<R> Counted<R> {
    /// The same input, counted.
    pub fn new(input: R, bar: ProgressBar) -> Counted<R> {
        Counted { input, bar }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.input.read(into)?;
        self.bar.inc(taken as u64);
        Ok(taken)
    }
}
