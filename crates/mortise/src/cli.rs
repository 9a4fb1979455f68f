//! The command line as clap sees it: names, help, examples. What the commands do is elsewhere; the reference page of
//! the command line is generated from this.

mod kept;
mod observe;
mod plugin_author;
#[cfg(feature = "serve")]
mod plugin_serve;
mod plugins;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub use kept::{
    ApproveArgs, AppsCommand, KeptCreateArgs, KeptListArgs, KeptOneArgs, KeptUpdateArgs, LlmsCommand,
    PricesCommand, SpendingArgs, TokensCommand, TokensListArgs,
};
pub use observe::{ExplainArgs, RecordArgs, ReplayArgs, TopArgs};
#[cfg(feature = "external")]
pub use plugin_author::PluginTestArgs;
pub use plugin_author::{BootstrapArgs, McpPlugins, McpPluginsCommand, PluginDevArgs, PluginNewArgs};
#[cfg(feature = "serve")]
pub use plugin_serve::{PluginServeArgs, ServeTransport};
pub use plugins::{
    CatalogArgs, DisableArgs, EnableArgs, HistoryArgs, KindsArgs, ListArgs, PluginsCommand, ReloadPluginArgs,
    ResetArgs, SearchArgs, SetArgs, ShowArgs, StatsArgs, TestArgs, TierArg, WhichArgs,
};

/// Exit codes, shown with every help.
const EXIT_CODES: &str = "Exit codes: 0 all well; 1 the configuration is wrong or it could not be done; \
    2 the command line is wrong; 3 a tested plugin blocked the call";

/// A gateway between AI agents and the tools and models they use, extended with plugins.
#[derive(Debug, Parser)]
#[command(
    name = "mortise",
    version,
    arg_required_else_help = true,
    propagate_version = false,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway
    Serve(ServeArgs),
    /// Have the running gateway read its configuration anew
    Reload(ReloadArgs),
    /// Check configuration files, or print their schema
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// List, show and test plugins
    #[command(subcommand, arg_required_else_help = true)]
    Plugins(PluginsCommand),
    /// Apps that the running gateway keeps in storage
    #[command(subcommand, arg_required_else_help = true)]
    Apps(AppsCommand),
    /// Tokens of these apps
    #[command(subcommand, arg_required_else_help = true)]
    Tokens(TokensCommand),
    /// LLMs that the running gateway keeps in storage
    #[command(subcommand, arg_required_else_help = true)]
    Llms(LlmsCommand),
    /// Prices of models that the running gateway keeps in storage
    #[command(subcommand, arg_required_else_help = true)]
    Prices(PricesCommand),
    /// Show what apps have spent on LLMs, by day
    Spending(SpendingArgs),
    /// Work on plugins of one's own: make, run, test and serve them
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(PluginCommand),
    /// Explain a call: which plugins ran, how long, what each changed, who blocked it
    Explain(ExplainArgs),
    /// Watch the calls, plugins and upstreams of the running gateway
    Top(TopArgs),
    /// Record inputs of hooks from the running gateway
    Record(RecordArgs),
    /// Run recorded inputs through another configuration and show what it would decide otherwise
    Replay(ReplayArgs),
    /// Show which plugins would run where, and fail where one that is required would not
    Coverage(CoverageArgs),
    /// List the hooks that plugins can run at
    Hooks(HooksArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Commands about plugins of one's own.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a plugin from a template
    New(PluginNewArgs),
    /// Run a plugin while it is written: built, run behind a gateway, and both anew with every change
    Dev(PluginDevArgs),
    /// Hold a plugin server against the contract: hooks, errors, time, size, many calls at once
    #[cfg(feature = "external")]
    Test(PluginTestArgs),
    /// Serve plugins of this build to gateways elsewhere, over MCP, gRPC or a Unix socket
    #[cfg(feature = "serve")]
    Serve(PluginServeArgs),
    /// Serve tools to try plugins on, over MCP on standard input and output
    DemoTools,
}

/// Files, variables and flags that a configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration file (may be repeated; later files win). A plugin file of the ContextForge format is recognised.
    /// Default: mortise.yaml, if it is there
    #[arg(short = 'c', long = "config", env = "MORTISE_CONFIG", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Set one value over files and variables, for example --set limits.max_argument_bytes=50000
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Treat unknown keys of plugin files as errors too
    #[arg(long)]
    pub strict: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// How results look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Run the gateway.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise serve
  mortise serve --config mortise.yaml --port 9000
  mortise serve --config base.yaml --config production.yaml --log-format json
  MORTISE_LISTEN__DRAIN_TIMEOUT=5 mortise serve

Any key of the configuration can be given as a variable: MORTISE_A__B sets a.b. MORTISE_LOG
(or RUST_LOG) says what is logged: info, debug, mortise_gateway=trace. SIGTERM and SIGINT end
the gateway once the requests in progress are answered; a second one ends it at once. SIGHUP
has it read its configuration anew, SIGUSR1 switches all plugins off and SIGUSR2 on.")]
pub struct ServeArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// IP address to listen on, or `localhost`, instead of that of listen.address
    #[arg(long, env = "MORTISE_HOST", value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port to listen on instead of that of listen.address; 0 takes any free one
    #[arg(short, long, env = "MORTISE_PORT", value_name = "PORT")]
    pub port: Option<u16>,
    /// Write the gateway's URL to this file once it is ready, and remove it at the end
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// How log lines look
    #[arg(long, env = "MORTISE_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Have the running gateway read its configuration anew.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise reload
  mortise reload --plugin pii
  mortise reload --url http://127.0.0.1:8081

The gateway reads the files it was started with; those given here only tell where it keeps its state. A configuration
with errors is refused with all of them, exit code 1, and the one in force stays. SIGHUP does the same, and a gateway
watches its files by itself unless `watch: false` is configured.")]
pub struct ReloadArgs {
    /// Read only the entry of this plugin anew, and start it anew
    #[arg(long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Commands about configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check files and say which plugins run and which wait for something
    Check(CheckArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema(SchemaArgs),
}

/// Check files.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise config check
  mortise config check mortise.yaml
  mortise config check plugins/config.yaml --strict
  mortise config check --together base.yaml production.yaml
  mortise config check --format json plugins/*.yaml
  mortise config check plugins/my_plugin/plugin-manifest.yaml

All errors are shown at once, with file, line and the nearest allowed words. Nothing is started.")]
pub struct CheckArgs {
    /// Files: mortise.yaml, plugin files of the ContextForge format, manifests of plugins and indexes of them. Default:
    /// mortise.yaml, else plugins/config.yaml
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Check the files as one configuration, later over earlier, instead of each by itself
    #[arg(long)]
    pub together: bool,
    /// Treat unknown keys of plugin files as errors too
    #[arg(long)]
    pub strict: bool,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Print a schema.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise config schema > mortise.schema.json
  mortise config schema --plugins-file
  mortise config schema --manifest")]
pub struct SchemaArgs {
    /// The schema of plugin files (plugins/config.yaml) instead of mortise.yaml's
    #[arg(long)]
    pub plugins_file: bool,
    /// The schema of manifests (plugin-manifest.yaml)
    #[arg(long, conflicts_with = "plugins_file")]
    pub manifest: bool,
}

/// A running gateway to ask instead of reading files.
#[derive(Args, Clone, Debug, Default)]
pub struct RemoteArgs {
    /// Ask the gateway that runs at this URL instead of reading files; `local` means the one that runs with the
    /// configuration's state_dir
    #[arg(long, env = "MORTISE_URL", value_name = "URL")]
    pub url: Option<String>,
    /// Admin token for it. Default: the credential it left in its state_dir, where that can be read
    #[arg(long, env = "MORTISE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// What a command reads from files, and how it shows the result.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What a command reads from files or asks a running gateway, and how it shows the result.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Which gateway to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Show which plugins would run where.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise coverage
  mortise coverage --as app=ci,tenant=acme
  mortise coverage --uncovered
  mortise coverage --url http://127.0.0.1:8081 --format json
  mortise coverage --offline --config new.yaml
  mortise coverage --offline --config new.yaml --tool search@docs --tool read@files

Each tool, prompt and resource of the running gateway, by hook. What a plugin does for some callers only is said to
depend on the caller; --as says who calls. Exit code 1 where a plugin whose binding says `required: true` would not run
in its scope, or where an upstream has never said what it has: for use in CI.

With --offline the configuration itself is judged and no gateway is needed: its plugins are started, its upstreams are
asked once what they have, and all of them are stopped again. With --tool no upstream is connected to.")]
pub struct CoverageArgs {
    /// Who calls: app=NAME, user=NAME, tenant=NAME, team=NAME. Of a configured app the rest is known. An empty name
    /// says that there is none
    #[arg(long = "as", value_name = "KEY=NAME", value_delimiter = ',')]
    pub who: Vec<String>,
    /// Only hooks where no plugin runs for all calls
    #[arg(long)]
    pub uncovered: bool,
    /// Judge the configuration without a gateway that runs with it
    #[arg(long)]
    pub offline: bool,
    /// A tool that an upstream is taken to have, instead of asking them: NAME, or NAME@UPSTREAM where there are several
    /// (may be repeated)
    #[arg(long = "tool", value_name = "NAME", value_delimiter = ',', requires = "offline")]
    pub tools: Vec<String>,
    /// How long upstreams are waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "offline")]
    pub wait: u64,
    /// Where the gateway's configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Which gateway to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// List hooks.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise hooks
  mortise hooks tool_pre_invoke
  mortise hooks tool_pre_invoke --format json")]
pub struct HooksArgs {
    /// One hook: its payload and what a plugin may change
    pub name: Option<String>,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Print a completion script.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise completions bash > /etc/bash_completion.d/mortise
  mortise completions zsh > ~/.zfunc/_mortise")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// The whole command line, for completions and the reference page.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_holds_together() {
        super::command().debug_assert();
    }
}
