//! What the command writes: results to standard output, everything else to standard error.
//!
//! A reader that goes away (`mortise hooks | head`) is no error. Colours follow `NO_COLOR` and whether a terminal is
//! at the other end.

use std::io::{self, IsTerminal, Write};

use mortise_framework::config::{Errors, Notice};

/// Where results and messages go.
pub(crate) struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    out_colour: bool,
    err_colour: bool,
}

/// How something is painted.
#[derive(Clone, Copy)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
        }
    }
}

impl Output {
    /// Standard output and standard error.
    pub(crate) fn standard() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            out_colour: !plain && io::stdout().is_terminal(),
            err_colour: !plain && io::stderr().is_terminal(),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
        }
    }

    /// Writes a line of a result.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        let _reader_gone = writeln!(self.out, "{}", line.as_ref());
    }

    /// Writes a message.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        let _reader_gone = writeln!(self.err, "{}", line.as_ref());
    }

    /// Writes a result as JSON.
    pub(crate) fn json(&mut self, value: &serde_json::Value) {
        self.line(format!("{value:#}"));
    }

    /// Paints text of a result.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        if self.out_colour { format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code()) } else { text.to_owned() }
    }

    /// Writes an error with its causes.
    pub(crate) fn error(&mut self, error: &anyhow::Error) {
        let label = if self.err_colour { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
        self.say(format!("{label}: {error:#}"));
    }

    /// Writes everything that is wrong with a configuration.
    pub(crate) fn errors(&mut self, errors: &Errors) {
        let text = errors.render(self.err_colour);
        self.say(text.trim_end());
        self.say(format!("\n{}", counted(errors.list().len(), "error")));
    }

    /// Writes that a file of a check is wrong, and everything that is wrong with it.
    pub(crate) fn errors_of(&mut self, file: &str, errors: &Errors) {
        let word = self.paint(Paint::Bad, &counted(errors.list().len(), "error"));
        self.line(format!("{file}: {word}"));
        self.errors(errors);
    }

    /// Writes what was tolerated.
    pub(crate) fn notices(&mut self, notices: &[Notice]) {
        for notice in notices {
            let text = notice.render("notice", self.err_colour);
            self.say(text.trim_end());
        }
    }

    /// Writes rows in columns; the last one is not padded.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(head.get(column).map(|cell| cell.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let head: Vec<String> = head.iter().map(ToString::to_string).collect();
        let head = self.paint(Paint::Bold, &columns(&head, &widths));
        self.line(head);
        for row in rows {
            self.line(columns(row, &widths));
        }
    }
}

/// `1 error`, `2 errors`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn columns(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count().min(*width)));
    }
    line.trim_end().to_owned()
}
