//! What each command does.

mod catalog;
mod change;
mod check;
mod coverage;
mod demo_tools;
mod explain;
mod history;
mod hooks;
mod kept;
mod kinds;
mod listing;
mod manifest;
mod plugin_dev;
pub(crate) mod plugin_new;
#[cfg(feature = "serve")]
mod plugin_serve;
#[cfg(feature = "external")]
mod plugin_test;
mod project;
mod record;
mod reload;
mod remote;
mod replay;
mod serve;
mod stats;
pub(crate) mod templates;
mod test;
mod top;

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use mortise_framework::config::{Environment, Errors, Override};
use mortise_gateway::config::{LoadOptions, Settled};

use crate::{
    Assembly, Exit,
    cli::{self, Command, ConfigArgs, ConfigCommand, PluginsCommand},
    output::Output,
};

/// Runs a command.
pub(crate) fn run(command: Command, assembly: Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Serve(args) => serve::serve(&args, assembly, output),
        Command::Reload(args) => reload::reload(&args, &assembly, output),
        Command::Config(ConfigCommand::Check(args)) => check::check(&args, &assembly, output),
        Command::Config(ConfigCommand::Schema(args)) => {
            let schema = if args.plugins_file {
                schemars::schema_for!(mortise_framework::config::RawPluginsFile)
            } else if args.manifest {
                schemars::schema_for!(mortise_plugin_api::Manifest)
            } else {
                mortise_gateway::config::schema()
            };
            output.json(schema.as_value());
            Ok(Exit::Ok)
        }
        Command::Plugins(PluginsCommand::List(args)) => listing::list(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Show(args)) => listing::show(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Create(args)) => kept::create_plugin(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Update(args)) => kept::update_plugin(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Delete(args)) => kept::delete_plugin(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Approve(args)) => kept::approve(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Health(args)) => kept::health(&args, &assembly, output),
        Command::Plugins(PluginsCommand::ConfigSchema(args)) => kept::config_schema(&args, &assembly, output),
        Command::Apps(command) => kept::apps(&command, &assembly, output),
        Command::Tokens(command) => kept::tokens(&command, &assembly, output),
        Command::Llms(command) => kept::llms(&command, &assembly, output),
        Command::Prices(command) => kept::prices(&command, &assembly, output),
        Command::Spending(args) => kept::spending(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Enable(args)) => change::enable(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Disable(args)) => change::disable(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Set(args)) => change::set(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Reset(args)) => change::reset(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Reload(args)) => reload::plugin(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Stats(args)) => stats::stats(&args, &assembly, output),
        Command::Plugins(PluginsCommand::History(args)) => history::history(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Kinds(args)) => kinds::kinds(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Test(args)) => test::test(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Search(args)) => catalog::search(&args, &assembly, output),
        Command::Plugins(PluginsCommand::Catalog(args)) => catalog::catalog(&args, &assembly, output),
        Command::Plugin(cli::PluginCommand::New(args)) => plugin_new::new(&args, output),
        Command::Plugin(cli::PluginCommand::Dev(args)) => plugin_dev::dev(&args, output),
        Command::Plugin(cli::PluginCommand::DemoTools) => demo_tools::serve(),
        #[cfg(feature = "external")]
        Command::Plugin(cli::PluginCommand::Test(args)) => plugin_test::test(&args, &assembly, output),
        #[cfg(feature = "serve")]
        Command::Plugin(cli::PluginCommand::Serve(args)) => plugin_serve::serve(&args, &assembly, output),
        Command::Explain(args) => explain::explain(&args, &assembly, output),
        Command::Top(args) => top::top(&args, &assembly, output),
        Command::Record(args) => record::record(&args, &assembly, output),
        Command::Replay(args) => replay::replay(&args, &assembly, output),
        Command::Coverage(args) => coverage::coverage(&args, &assembly, output),
        Command::Hooks(args) => hooks::hooks(&args, assembly.framework.hooks(), output),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut cli::command(), "mortise", &mut script);
            output.line(String::from_utf8_lossy(&script).trim_end());
            Ok(Exit::Ok)
        }
    }
}

/// Why a configuration is not there.
enum NotSettled {
    Errors(Errors),
    Other(anyhow::Error),
}

impl From<Errors> for NotSettled {
    fn from(errors: Errors) -> Self {
        Self::Errors(errors)
    }
}

impl NotSettled {
    /// Tells of it.
    fn tell(self, output: &mut Output) -> anyhow::Result<Exit> {
        match self {
            Self::Errors(errors) => {
                output.errors(&errors);
                Ok(Exit::Failed)
            }
            Self::Other(error) => Err(error),
        }
    }
}

/// Loading from files, variables and flags, as the command line says.
fn options(args: &ConfigArgs) -> Result<LoadOptions, NotSettled> {
    let mut options = LoadOptions::new(".", Environment::from_process());
    options.strict = args.strict;
    let mut errors = Vec::new();
    for file in &args.files {
        if let Err(found) = options.add_file(file) {
            errors.extend(found.into_list());
        }
    }
    for set in &args.set {
        let (key, value) = set.split_once('=').ok_or_else(|| {
            NotSettled::Other(anyhow!(
                "`--set {set}` has no `=`: write --set limits.max_argument_bytes=50000"
            ))
        })?;
        match Override::from_flag("--set", key.trim(), value) {
            Ok(value) => options.overrides.push(value),
            Err(error) => errors.push(error),
        }
    }
    match Errors::from_list(errors) {
        Some(errors) => Err(errors.into()),
        None => Ok(options),
    }
}

/// The configuration that the command line means.
fn settle(args: &ConfigArgs, assembly: &Assembly) -> Result<Settled, NotSettled> {
    Ok(Settled::load(&options(args)?, &assembly.framework)?)
}

/// Runs a future of a command that is no server.
fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("cannot start the asynchronous runtime")?.block_on(future))
}

/// A file's text, or standard input's for `-`.
fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    if path.as_os_str() == "-" {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::bail!("cannot read {}: there is no such file", path.display())
        }
        read => read.with_context(|| format!("cannot read {}", path.display())),
    }
}
