//! The command line as clap sees it: names, help, examples. What the commands do is elsewhere; the reference page of
//! the command line is generated from this.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

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
    /// List the hooks that plugins can run at
    Hooks(HooksArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
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
has it read its configuration anew.")]
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
    /// Where the gateway's configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Which gateway to tell.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
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
  mortise config check mortise.yaml
  mortise config check plugins/config.yaml --strict
  mortise config check --together base.yaml production.yaml
  mortise config check --format json plugins/*.yaml
  mortise config check plugins/my_plugin/plugin-manifest.yaml

All errors are shown at once, with file, line and the nearest allowed words. Nothing is started.")]
pub struct CheckArgs {
    /// Files: mortise.yaml, plugin files of the ContextForge format, manifests of plugins and indexes of them
    #[arg(required = true, value_name = "FILE")]
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

/// Commands about plugins.
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// List the plugins of a configuration, or of a running gateway
    List(ListArgs),
    /// Show one plugin in full, secrets hidden
    Show(ShowArgs),
    /// Show changes of the configuration: when, by whom, what, and what was refused
    History(HistoryArgs),
    /// List the kinds of plugin that are built in, or show one and its configuration
    Kinds(KindsArgs),
    /// Run one hook of one plugin on a payload and show what it does
    Test(TestArgs),
    /// Find plugins by tag, hook, author, language, tier or words
    Search(SearchArgs),
    /// List the plugins that are known, by the manifests in folders and index files
    Catalog(CatalogArgs),
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

/// List plugins.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins list
  mortise plugins list --config plugins/config.yaml
  mortise plugins list --url http://127.0.0.1:8081
  mortise plugins list --url local --format json")]
pub struct ListArgs {
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

/// Show one plugin.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins show pii
  mortise plugins show pii --url local")]
pub struct ShowArgs {
    /// Its name in the configuration
    pub name: String,
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

/// Show changes of the configuration.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins history
  mortise plugins history pii --limit 5
  mortise plugins history --url local --format json")]
pub struct HistoryArgs {
    /// Only what concerns this plugin
    pub name: Option<String>,
    /// How many, the newest first
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    pub limit: usize,
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

/// List kinds.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins kinds
  mortise plugins kinds pii_filter
  mortise plugins kinds pii_filter --format json")]
pub struct KindsArgs {
    /// One kind: its hooks, class paths and configuration keys
    pub name: Option<String>,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Run one hook of one plugin.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  echo '{\"name\": \"search\", \"args\": {\"q\": \"mail alice@example.com\"}}' > call.json
  mortise plugins test pii --hook tool_pre_invoke --payload call.json
  mortise plugins test pii --hook tool_pre_invoke --payload - --user bob@example.com --tenant acme < call.json

`mortise hooks NAME` shows the payload of a hook. The other plugins do not run, nor does a server.")]
pub struct TestArgs {
    /// Its name in the configuration
    pub name: String,
    /// The hook to run
    #[arg(long, value_name = "HOOK")]
    pub hook: String,
    /// File with the payload as JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub payload: PathBuf,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// User that the call acts for
    #[arg(long)]
    pub user: Option<String>,
    /// Tenant that the call belongs to
    #[arg(long)]
    pub tenant: Option<String>,
    /// Team of the user (may be repeated)
    #[arg(long = "team", value_name = "TEAM")]
    pub teams: Vec<String>,
    /// App that calls
    #[arg(long)]
    pub app: Option<String>,
    /// Virtual server, or upstream where there is none
    #[arg(long)]
    pub server: Option<String>,
    /// Upstream that the call goes to
    #[arg(long)]
    pub upstream: Option<String>,
    /// Content type of the request
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// Run it also where its conditions do not match the call
    #[arg(long)]
    pub ignore_conditions: bool,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How much time a plugin adds to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TierArg {
    /// Less than 1 ms
    High,
    /// Less than 10 ms
    Medium,
    /// Less than 100 ms
    Low,
}

/// Find plugins.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins search personal data
  mortise plugins search --tag security --hook tool_pre_invoke
  mortise plugins search --language python --tier high --dir plugins --format json

Looked through are the built-in plugins and the manifests in the configuration's plugin_dirs.")]
pub struct SearchArgs {
    /// Words, each of which is in the name, kind, description, author or tags
    #[arg(value_name = "TEXT")]
    pub text: Vec<String>,
    /// Tag that it has (may be repeated: it has each)
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Hook that it can run at
    #[arg(long, value_name = "HOOK")]
    pub hook: Option<String>,
    /// Part of its author's name
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Language it is written in
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
    /// How much time it adds to a call
    #[arg(long, value_enum)]
    pub tier: Option<TierArg>,
    /// Folder or index file to look through as well (may be repeated)
    #[arg(long = "dir", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// List the plugins that are known.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins catalog
  mortise plugins catalog plugins/ plugin-index.json
  mortise plugins catalog plugins/ --format json

A manifest that is wrong is told and left out.")]
pub struct CatalogArgs {
    /// Folders with manifests, or index files. Default: the configuration's plugin_dirs, and what is built in
    #[arg(value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
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
