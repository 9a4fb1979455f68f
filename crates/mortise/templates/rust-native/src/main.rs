//! The gateway, and one plugin more.

mod plugin;

use std::process::ExitCode;

fn main() -> ExitCode {
    mortise::main_with(|builder| builder.kind(plugin::kind()))
}
