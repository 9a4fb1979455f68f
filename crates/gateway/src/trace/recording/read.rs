//! Reading a recording back: a file of lines, each a call. Nothing in it is believed to have been written here.

use std::str::{self, Utf8Error};

use mortise_plugin_api::HookTable;
use thiserror::Error;

use super::RecordedCall;

/// The form of a line that this program reads and writes.
pub(super) const FORM: u32 = 1;

/// Why a file is no recording.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is something else altogether.
    #[error("the recording is no text")]
    NoText(#[source] Utf8Error),
    /// A line is something else.
    #[error("line {line} is no recorded call: {}", .reason.escape_debug())]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it. The place that a parser names counts within the line, and would be taken for one of
        /// the file.
        reason: String,
    },
    /// A line was written by another version of this program.
    #[error("line {line} is of form {form}; this program reads form {known}", known = FORM)]
    Form {
        /// Which, from 1.
        line: usize,
        /// The form it says.
        form: u32,
    },
    /// A line names a hook that there is not.
    #[error("line {line} names the hook `{}`, which there is not", .hook.escape_debug())]
    Hook {
        /// Which, from 1.
        line: usize,
        /// The name.
        hook: String,
    },
}

impl RecordedCall {
    /// Reads a recording; empty lines count for nothing.
    ///
    /// # Errors
    /// At the first line that is none, is of another form, or names a hook that is not in `hooks`.
    pub fn read(text: &[u8], hooks: &HookTable) -> Result<Vec<Self>, ReadError> {
        let text = str::from_utf8(text).map_err(ReadError::NoText)?;
        let lines = text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty());
        lines.map(|(at, text)| Self::of_line(at + 1, text, hooks)).collect()
    }

    fn of_line(line: usize, text: &str, hooks: &HookTable) -> Result<Self, ReadError> {
        let call: Self = serde_json::from_str(text).map_err(|error| {
            let said = error.to_string();
            let reason = said.rsplit_once(" at line ").map_or(&*said, |(reason, _)| reason);
            ReadError::Line { line, reason: reason.to_owned() }
        })?;
        if call.recorded != FORM {
            return Err(ReadError::Form { line, form: call.recorded });
        }
        match call.hooks.iter().find(|hook| hooks.get(&hook.hook).is_none()) {
            Some(unknown) => Err(ReadError::Hook { line, hook: unknown.hook.clone() }),
            None => Ok(call),
        }
    }
}
