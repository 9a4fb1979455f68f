//! The command line as clap sees it: names, help, examples. What the commands do is elsewhere; the reference page of
//! the command line is generated from this.

mod observe;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub use observe::{ExplainArgs, RecordArgs, ReplayArgs, TopArgs};

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
    /// Switch a plugin of the running gateway on, or all
    Enable(EnableArgs),
    /// Switch a plugin of the running gateway off, or all; kept over a restart
    Disable(DisableArgs),
    /// Change mode, priority or configuration of a plugin of the running gateway; kept over a restart
    Set(SetArgs),
    /// Leave a plugin of the running gateway to its configuration again, or all
    Reset(ResetArgs),
    /// Have the running gateway read the entry of a plugin anew, and start it anew
    Reload(ReloadPluginArgs),
    /// Show what the plugins of the running gateway counted
    Stats(StatsArgs),
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

/// List plugins.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins list
  mortise plugins list --config plugins/config.yaml
  mortise plugins list --url http://127.0.0.1:8081
  mortise plugins list --url local --format json")]
pub struct ListArgs {
    /// Which configuration, or which gateway, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Show one plugin.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins show pii
  mortise plugins show pii --url local")]
pub struct ShowArgs {
    /// Its name in the configuration
    pub name: String,
    /// Which configuration, or which gateway, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// One plugin, or all of them.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct WhichArgs {
    /// Its name in the configuration
    pub name: Option<String>,
    /// All plugins
    #[arg(long)]
    pub all: bool,
}

/// Switch plugins on.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins enable pii
  mortise plugins enable --all
  mortise plugins enable pii --url https://gateway.example.com

A plugin whose configured mode is `disabled` runs as `enforce` then, or as `plugins set --mode` says. --all ends what
`disable --all` or SIGUSR1 began; plugins that are switched off one by one stay so. SIGUSR2 does the same as --all.")]
pub struct EnableArgs {
    /// Which.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Switch plugins off.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins disable pii
  mortise plugins disable --all

A plugin that is switched off runs nowhere, in no binding either. With --all calls pass unguarded; /ready and
mortise_plugins_enabled say so. Kept over a restart. SIGUSR1 does the same as --all.")]
pub struct DisableArgs {
    /// Which.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Change a plugin.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins set pii --mode permissive
  mortise plugins set pii detect_email=false --priority 5
  mortise plugins set words 'words=[a, b]' limits.low=null
  mortise plugins set words --from words.yaml

What is set lies over the configuration: maps merge, lists and single values are replaced, null takes a key away. It is
checked as the configuration is; refused, all reasons are shown, exit code 1, and what was in force stays. What was set
before stays set; `mortise plugins reset` ends all of it.")]
pub struct SetArgs {
    /// Its name in the configuration
    pub name: String,
    /// Keys of its configuration, for example detect_email=false or limits.low=3; the value is YAML
    #[arg(value_name = "KEY=VALUE")]
    pub keys: Vec<String>,
    /// Mode: enforce, enforce_ignore_error, permissive, disabled, sequential, transform, audit, concurrent or
    /// fire_and_forget
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Priority; lower runs first
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// File with keys of its configuration, YAML or JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Leave plugins to their configuration.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins reset pii
  mortise plugins reset --all

--all ends everything that `set`, `enable` and `disable` did.")]
pub struct ResetArgs {
    /// Which.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Start a plugin anew.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins reload pii

The same as `mortise reload --plugin pii`.")]
pub struct ReloadPluginArgs {
    /// Its name in the configuration
    pub name: String,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Show counters.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugins stats
  mortise plugins stats --format json
  mortise plugins stats --reset

--reset begins anew and shows what was counted until then. Metrics go on as they were.")]
pub struct StatsArgs {
    /// Begin to count anew
    #[arg(long)]
    pub reset: bool,
    /// Which gateway to ask, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
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
    /// Which configuration, or which gateway, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
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
    /// Which configuration, and how the result looks.
    #[command(flatten)]
    pub source: FileArgs,
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
    /// Which configuration, and how the result looks.
    #[command(flatten)]
    pub source: FileArgs,
}

/// Show which plugins would run where.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise coverage
  mortise coverage --as app=ci,tenant=acme
  mortise coverage --uncovered
  mortise coverage --url http://127.0.0.1:8081 --format json

Each tool, prompt and resource of the running gateway, by hook. What a plugin does for some callers only is said to
depend on the caller; --as says who calls. Exit code 1 where a plugin whose binding says `required: true` would not run
in its scope, or where an upstream has never said what it has: for use in CI.")]
pub struct CoverageArgs {
    /// Who calls: app=NAME, user=NAME, tenant=NAME, team=NAME. Of a configured app the rest is known. An empty name
    /// says that there is none
    #[arg(long = "as", value_name = "KEY=NAME", value_delimiter = ',')]
    pub who: Vec<String>,
    /// Only hooks where no plugin runs for all calls
    #[arg(long)]
    pub uncovered: bool,
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
