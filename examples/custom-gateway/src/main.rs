//! The gateway, and one plugin more.

mod office_hours;

use std::process::ExitCode;

fn main() -> ExitCode {
    mortise::main_with(|builder| builder.kind(office_hours::kind()))
}
