//! For authors of plugins: `mortise plugin new`, `test`, `dev` and `demo-tools`, and `mcpplugins bootstrap`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};

use super::{Format, LogFormat};
use crate::command::templates;

/// Make a plugin of one's own from a template.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugin new word-filter
  mortise plugin new word-filter --template typescript-external
  mortise plugin new word-filter --template rust-external --mortise-source ~/mortise
  mortise plugin new word-filter --destination plugins/word-filter --author 'Ann <ann@example.com>'

What is made takes a word out of what tools answer and blocks listed tools, with tests, a Makefile (install-dev, test,
build, start), a container file and a manifest: something that works, to be changed. Nothing is ever overwritten.")]
pub struct PluginNewArgs {
    /// Its name: letters, digits, `-` and `_`
    pub name: String,
    /// What it is written in, and where it runs
    #[arg(short, long, default_value = templates::DEFAULT, value_parser = PossibleValuesParser::new(templates::values()))]
    pub template: String,
    /// Folder to make; it must be new or empty. Default: the name
    #[arg(short, long, value_name = "DIR")]
    pub destination: Option<PathBuf>,
    /// What it does, in one sentence
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Who writes it. Default: the user
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Checkout of Mortise that templates in Rust build on. Default: the one this program was built in
    #[arg(long, env = "MORTISE_SOURCE", value_name = "DIR")]
    pub mortise_source: Option<PathBuf>,
    /// Only say which files would be made
    #[arg(long)]
    pub dry_run: bool,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Hold a plugin server against the contract.
#[cfg(feature = "external")]
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugin test                                       # the project in this folder, over stdio
  mortise plugin test http://127.0.0.1:8000/mcp
  mortise plugin test grpc://127.0.0.1:50051 --plugin Guard
  mortise plugin test unix:/run/plugins.sock --plugin Guard
  mortise plugin test --plugin Guard --command python -m my_plugin
  mortise plugin test http://127.0.0.1:8000/mcp --format json

Every hook that the server claims is called, with what gateways send; then payloads that are none, hooks and plugins it
does not have, calls that are given up, a large payload, many calls at once, and connecting anew. The payloads are
invented; what the plugin does with them it does. Exit code 0 where the server keeps the contract, 1 where it does not;
warnings do not count.")]
pub struct PluginTestArgs {
    /// URL of the server (http, https, ws, wss, grpc, unix), or folder of a project with a Makefile
    #[arg(value_name = "TARGET", conflicts_with = "command")]
    pub target: Option<String>,
    /// Command that serves it over standard input and output; takes the rest of the line
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "PROGRAM")]
    pub command: Vec<String>,
    /// Name of the plugin. Default: the manifest's, or the server's only one
    #[arg(long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Only these hooks. Default: those the server claims
    #[arg(long = "hook", value_name = "HOOK", value_delimiter = ',')]
    pub hooks: Vec<String>,
    /// Which generation is spoken over MCP. Default: each that the server has
    #[arg(long, value_name = "GENERATION", value_parser = ["invoke_hook", "tool_per_hook"])]
    pub dialect: Option<String>,
    /// HTTP header sent with each request, for example Authorization: Bearer x (may be repeated)
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Unix socket at which the HTTP server of the URL listens
    #[arg(long, value_name = "PATH")]
    pub uds: Option<PathBuf>,
    /// Longest time that an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub timeout: f64,
    /// Size of the large payload, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 900_000)]
    pub large: usize,
    /// How many calls are made at once
    #[arg(long, value_name = "NUMBER", default_value_t = 32)]
    pub concurrency: usize,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Run a plugin while it is written.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugin dev
  mortise plugin dev word-filter --call echo --args '{\"message\": \"a secret\"}'
  mortise plugin dev --upstream http://127.0.0.1:9101/mcp
  mortise plugin dev --into plugins/config.yaml
  mortise plugin dev --debug 5678

Builds the project (`make compile`, where it has that), runs it (`make start`) behind a gateway of its own, and does so
anew whenever a file of it changes. What does not build leaves the one before running. With --into the plugin is put
into a file that a running gateway watches, and taken out at the end. Ctrl-C ends everything that was started.")]
pub struct PluginDevArgs {
    /// Folder of the project
    #[arg(default_value = ".", value_name = "DIR")]
    pub folder: PathBuf,
    /// Configuration or plugin file that a running gateway watches: the plugin is entered there while this runs
    #[arg(long, value_name = "FILE")]
    pub into: Option<PathBuf>,
    /// Port of the gateway that is started; 0 takes any free one
    #[arg(short, long, default_value_t = 8081, value_name = "PORT", conflicts_with = "into")]
    pub port: u16,
    /// Server behind the gateway that is started: a URL, or a command. Default: a demo server
    #[arg(long, value_name = "URL|COMMAND", conflicts_with = "into")]
    pub upstream: Option<String>,
    /// Call this tool through the gateway after each start, and show what comes of it
    #[arg(long, value_name = "TOOL", conflicts_with = "into")]
    pub call: Option<String>,
    /// Arguments of that call, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "call")]
    pub args: String,
    /// End after the first call, with exit code 1 where it could not be made
    #[arg(long, requires = "call")]
    pub once: bool,
    /// Have the plugin wait at this port for a debugger (the DEBUG of its Makefile)
    #[arg(long, value_name = "PORT")]
    pub debug: Option<u16>,
    /// How the plugin is built, instead of make compile
    #[arg(long, value_name = "COMMAND")]
    pub build: Option<String>,
    /// How the plugin is started, instead of make start. It is given PLUGINS_TRANSPORT, PLUGINS_SERVER_HOST and
    /// PLUGINS_SERVER_PORT
    #[arg(long, value_name = "COMMAND")]
    pub start: Option<String>,
    /// How log lines look
    #[arg(long, env = "MORTISE_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// The command line of the executable `mcpplugins`, as the documents of the format have it.
#[derive(Debug, Parser)]
#[command(
    name = "mcpplugins",
    version,
    about = "Makes plugins from templates",
    arg_required_else_help = true
)]
pub struct McpPlugins {
    /// What to do.
    #[command(subcommand)]
    pub command: McpPluginsCommand,
}

/// Commands of `mcpplugins`.
#[derive(Debug, Subcommand)]
pub enum McpPluginsCommand {
    /// Make a plugin of one's own from a template
    Bootstrap(BootstrapArgs),
}

/// Make a plugin of one's own from a template.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcpplugins bootstrap --destination ./my-security-plugin
  mcpplugins bootstrap --destination ./my-plugin --template_type native

The same as mortise plugin new, with the names of the documents. Templates are built in; nothing is asked.")]
pub struct BootstrapArgs {
    /// Folder to make; the plugin is named after it
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub destination: PathBuf,
    /// `native` (a Python class), `isolated` (the same, with packages of its own), `external` (a server, in Python), or a
    /// template of mortise plugin new
    #[arg(
        short = 't',
        long = "template_type",
        visible_alias = "template-type",
        default_value = "external",
        value_name = "TYPE"
    )]
    pub template_type: String,
    /// Not supported: templates are built in
    #[arg(short = 'u', long = "template_url", visible_alias = "template-url", value_name = "URL")]
    pub template_url: Option<String>,
    /// Ignored: templates are built in
    #[arg(short = 'r', long = "vcs_ref", visible_alias = "vcs-ref", value_name = "REF")]
    pub vcs_ref: Option<String>,
    /// Ignored: nothing is asked
    #[arg(long = "no_input", visible_aliases = ["no-input", "defaults"])]
    pub no_input: bool,
    /// Ignored: nothing is asked
    #[arg(long = "answers_file", visible_alias = "answers-file", value_name = "FILE")]
    pub answers_file: Option<PathBuf>,
    /// Only say which files would be made
    #[arg(long = "dry_run", visible_alias = "dry-run")]
    pub dry_run: bool,
}
