//! The `mortise` command, for tests that run it beside a stand.

use std::process::ExitCode;

fn main() -> ExitCode {
    mortise::main_with(|builder| builder)
}
