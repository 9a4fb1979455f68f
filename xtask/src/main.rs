//! Chores of the workspace, run as `cargo xtask NAME`.
//!
//! - `gen` writes what is generated from types and tables (schemas, reference pages); `gen --check` tells what would
//!   change and fails if anything would.
//! - `check-deps` holds the direction of dependencies between the rooms, the owners of heavy dependencies, and that
//!   every crate takes lints and versions from the workspace.
//! - `bench` builds the benches optimised and runs them.

mod deps;
mod generated;
mod reference;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Chores of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Write the generated files: contracts/openapi, contracts/schema and docs/reference
    Gen {
        /// Write nothing; fail if a file would change
        #[arg(long)]
        check: bool,
    },
    /// Check the direction of dependencies, owners of heavy ones, and workspace lints and versions
    CheckDeps,
    /// Build the benches optimised and run them with these words
    Bench {
        /// For the benches
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

fn main() -> ExitCode {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let result = match Cli::parse().chore {
        Chore::Gen { check } => generated::run(&root, check),
        Chore::CheckDeps => deps::run(&root),
        Chore::Bench { words } => bench(&root, &words),
    };
    match result {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for problem in problems {
                say(&problem);
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn bench(root: &Path, words: &[String]) -> anyhow::Result<Vec<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["run", "--release", "--package", "mortise-benches", "--"]).args(words).current_dir(root);
    let status = command.status().context("running the benches")?;
    Ok(if status.success() { Vec::new() } else { vec![format!("the benches ended with {status}")] })
}

/// Writes a line for whoever runs the chore.
#[expect(clippy::print_stderr, reason = "a chore speaks to the terminal")]
fn say(line: &str) {
    eprintln!("{line}");
}
