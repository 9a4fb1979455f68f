//! Commands about plugins: `mortise plugins …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    ApproveArgs, ConfigArgs, FileArgs, Format, KeptCreateArgs, KeptOneArgs, KeptUpdateArgs, SourceArgs,
};

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
    /// Make a plugin that the running gateway keeps in storage, and start it
    #[command(after_help = "Examples:
  mortise plugins create echo command=file:///opt/plugins/echo slug=echo
  mortise plugins create guard 'command=[file:///opt/plugins/guard]' 'hook_types=[pre_auth]' config.limit=5
  mortise plugins create guard kind=builtin.pii_filter 'hook_types=[tool_pre_invoke]'

A plugin of a file is changed in its file. What a program asks of the gateway is given once it is approved:
`mortise plugins approve echo`.")]
    Create(KeptCreateArgs),
    /// Change fields of a plugin that the running gateway keeps in storage
    #[command(after_help = "Examples:
  mortise plugins update echo order=5
  mortise plugins update echo command=file:///opt/plugins/echo-2
  mortise plugins update echo --from echo.yaml

A field that is given replaces all of the old one. `mortise plugins set` changes single keys, and lies over this.")]
    Update(KeptUpdateArgs),
    /// End a plugin that the running gateway keeps in storage, and remove it
    #[command(after_help = "Examples:
  mortise plugins delete echo")]
    Delete(KeptOneArgs),
    /// Approve the services of the gateway that a plugin in storage asks for, or deny them
    #[command(after_help = "Examples:
  mortise plugins approve echo
  mortise plugins approve echo --scope kv.readwrite
  mortise plugins approve echo --deny")]
    Approve(ApproveArgs),
    /// Ask whether a plugin of the running gateway is well; 1 where it is not
    #[command(after_help = "Examples:
  mortise plugins health echo
  mortise plugins health echo --url https://gateway.example.com --format json")]
    Health(KeptOneArgs),
    /// Show the JSON Schema of a plugin's own configuration, as the running gateway knows it; null where it tells none
    #[command(after_help = "Examples:
  mortise plugins config-schema echo
  mortise plugins config-schema pii | jq .properties")]
    ConfigSchema(KeptOneArgs),
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
