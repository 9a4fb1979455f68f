//! The executable `mcpplugins` of the documents: `mortise` under another name.
//!
//! `mortise` does the work and looks at the name it was started by, so this is only where it is: beside this program, or
//! on the path. A second whole program would be twice the size to install.

#![expect(clippy::print_stderr, reason = "the one thing this program may have to say")]

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("mortise"));
    let mortise = beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("mortise"));
    // Comes back only where that could not be started.
    let error = Command::new(&mortise).arg0("mcpplugins").args(std::env::args_os().skip(1)).exec();
    eprintln!("mcpplugins: cannot start {}: {error}", mortise.display());
    ExitCode::FAILURE
}
