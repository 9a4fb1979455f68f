//! The page of the command line, from its clap definition.

use clap::{Arg, Command};

use super::GENERATED;

/// Columns of the help text, whatever the terminal.
const WIDTH: usize = 100;

pub(crate) fn page() -> String {
    let mut command = settled(mortise::cli::command()).term_width(WIDTH);
    command.build();
    let mut page = format!("# Command line\n\n{GENERATED}\n<!-- Source: crates/mortise/src/cli.rs -->\n");
    section(&mut command, &mut page);
    page
}

/// Without what differs from machine to machine.
fn settled(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg: Arg| arg.hide_env_values(true));
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, settled))
}

fn section(command: &mut Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        section(sub, page);
    }
}
