//! What a plugin prints, as lines of bounded length, and how loud each is.
//!
//! Output comes in pieces, by pipe and by stream, and must be taken as fast as it comes, or the plugin would wait; so
//! of a line that is too long the end is dropped, not the line held up.

use std::{collections::VecDeque, sync::Mutex};

use mortise_plugin_api::host::{Host, LogLevel};
use serde::Deserialize;

/// Longest line that is kept, in bytes.
const MAX_LINE: usize = 4096;

/// Lines that are kept to say how a process ended.
const TAIL: usize = 12;

/// Longest of these, in bytes.
const MAX_TAIL_LINE: usize = 400;

/// Pieces on their way to lines.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    held: Vec<u8>,
}

impl LineBuffer {
    /// Takes a piece, and gives each line that is now whole.
    pub(crate) fn push(&mut self, piece: &[u8], mut line: impl FnMut(&[u8])) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.hold(&rest[..end]);
            self.flush(&mut line);
            rest = &rest[end + 1..];
        }
        self.hold(rest);
    }

    /// Gives what is left without an end.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        self.flush(&mut line);
    }

    fn hold(&mut self, piece: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.held.len());
        self.held.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn flush(&mut self, line: &mut impl FnMut(&[u8])) {
        let held = self.held.trim_ascii_end();
        if !held.is_empty() {
            line(held);
        }
        self.held.clear();
    }
}

/// The last lines a process wrote.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    pub(crate) fn push(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(MAX_TAIL_LINE)]).into_owned();
        let mut lines = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines, joined.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

/// A line of hclog, the log of go-plugin programs.
#[derive(Deserialize)]
struct Hclog {
    #[serde(rename = "@level")]
    level: String,
    #[serde(rename = "@message")]
    message: String,
}

/// Writes a line of a plugin to the log in its name.
pub(crate) fn log(host: &dyn Host, stream: &'static str, line: &[u8]) {
    if line.starts_with(b"{")
        && let Ok(structured) = serde_json::from_slice::<Hclog>(line)
    {
        let level = level_of(&structured.level).unwrap_or(LogLevel::Info);
        return host.log(level, &structured.message, &[("stream", stream)]);
    }
    let text = String::from_utf8_lossy(line);
    host.log(marked(&text).unwrap_or(LogLevel::Info), &text, &[("stream", stream)]);
}

/// The level that a line names in brackets near its start.
fn marked(text: &str) -> Option<LogLevel> {
    let start = text.get(..text.len().min(64)).unwrap_or_default();
    let (_, rest) = start.split_once('[')?;
    let (word, _) = rest.split_once(']')?;
    level_of(word.trim())
}

fn level_of(word: &str) -> Option<LogLevel> {
    Some(match word.to_ascii_lowercase().as_str() {
        "trace" | "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warn" | "warning" => LogLevel::Warn,
        "error" | "fatal" => LogLevel::Error,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut buffer, mut lines) = (LineBuffer::default(), Vec::new());
        for piece in pieces {
            buffer.push(piece, |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        }
        buffer.finish(|line| lines.push(String::from_utf8_lossy(line).into_owned()));
        lines
    }

    #[test]
    fn line_that_is_too_long_loses_its_end_and_nothing_after_it() {
        let long = vec![b'x'; 3 * MAX_LINE];
        let lines = lines(&[&long, b"y\nnext\r\n\n", b"last"]);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, 4, 4]);
        assert_eq!(lines[1..], ["next", "last"]);
    }

    #[test]
    fn level_is_read_where_the_line_says_it() {
        assert_eq!(marked("2026-01-01T00:00:00Z [WARN] x: y"), Some(LogLevel::Warn));
        assert_eq!(marked("[ERROR] [Plugin 1] boom"), Some(LogLevel::Error));
        assert_eq!(marked("hello [there]"), None);
        assert_eq!(marked("plain"), None);
    }

    #[test]
    fn tail_keeps_the_last_lines() {
        let tail = Tail::default();
        (0..20).for_each(|at| tail.push(format!("line {at}").as_bytes()));
        assert!(tail.text().starts_with("line 8 | ") && tail.text().ends_with("| line 19"));
    }

    proptest! {
        #[test]
        fn how_output_is_cut_does_not_matter(text in "[a-c\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let whole = lines(&[text.as_bytes()]);
            let mut at: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for cut in at {
                pieces.push(&text.as_bytes()[start..cut]);
                start = cut;
            }
            pieces.push(&text.as_bytes()[start..]);
            prop_assert_eq!(lines(&pieces), whole);
        }
    }
}
