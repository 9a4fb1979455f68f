//! Arguments of the commands that look at calls: explain, top, record, replay.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigArgs, Format, RemoteArgs, SourceArgs};

/// Explain a call.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise explain 5f0c2a7d9b3e41c60000000000000042
  mortise explain --last
  mortise explain --last --tool search --blocked
  mortise explain
  mortise explain --plugin pii --since 5m --format json

The id of a request stands in the header x-request-id of its answer; a client may choose it by sending that header.
Without an id the last calls are listed. Kept are as many as explain.keep says of those at which something happened, and
an eighth of that per worker of those that passed untouched. Text that plugins changed is shown only with
explain.show_text.")]
pub struct ExplainArgs {
    /// Id of the request; without it the last calls are listed
    #[arg(value_name = "REQUEST-ID")]
    pub id: Option<String>,
    /// Explain the last call, of those that the filters leave
    #[arg(long, conflicts_with = "id")]
    pub last: bool,
    /// Only calls for which this plugin ran
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub plugin: Option<String>,
    /// Only calls that a plugin blocked
    #[arg(long, conflicts_with = "id")]
    pub blocked: bool,
    /// Only calls of this tool, prompt or resource; * at an end stands for anything
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub tool: Option<String>,
    /// Only calls since then: 30s, 5m, 2h ago, or a moment such as 2026-11-21T08:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "id")]
    pub since: Option<String>,
    /// How many calls are listed
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    pub limit: usize,
    /// Which gateway to ask, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Watch calls.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise top
  mortise top --interval 5
  mortise top --once
  mortise top --once --format json
  mortise top --url https://gateway.example.com --token \"$MORTISE_TOKEN\"

Calls and their outcomes are counted between two looks. Latencies are those of the last calls that the gateway keeps
(explain.keep). Where standard output is no terminal, one look is shown. Ctrl-C ends.")]
pub struct TopArgs {
    /// Seconds between two looks
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    /// Show one look and end
    #[arg(long)]
    pub once: bool,
    /// Which gateway to ask, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Record calls.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise record --out calls.jsonl
  mortise record --out calls.jsonl --calls 200 --seconds 30 --tool 'search*'
  mortise record --out - --calls 1 | head
  mortise record --out calls.jsonl --raw

What plugins were shown at hooks of tools, prompts and resources is written, one call a line, with what they decided.
E-mail addresses, card numbers, keys and the like are replaced by made-up ones of the same kind, so that plugins that
look for them find them again; --raw keeps what came, and the file is then as secret as the calls. `mortise replay`
runs the file through another configuration.")]
pub struct RecordArgs {
    /// File to write; - writes to standard output
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Most calls
    #[arg(long, default_value_t = 1_000, value_name = "NUMBER")]
    pub calls: usize,
    /// Longest time
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub seconds: u64,
    /// Largest file, in MiB
    #[arg(long, default_value_t = 256, value_name = "MIB")]
    pub max_size: u64,
    /// Only calls of this tool, prompt or resource; * at an end stands for anything
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
    /// Keep personal data and secrets
    #[arg(long)]
    pub raw: bool,
    /// Overwrite the file, if it is there
    #[arg(long)]
    pub force: bool,
    /// Where the gateway's configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Which gateway to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Replay recorded calls.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise replay calls.jsonl --with new.yaml
  mortise replay calls.jsonl --with new.yaml --against mortise.yaml
  mortise replay calls.jsonl --with new.yaml --fail-on-difference --format json

No gateway is needed and no upstream is called: the recorded inputs run through the hooks of the plugins of the
configuration. What differs from what was decided then is shown; with --against, what differs from what that
configuration decides on the same inputs, which is the better comparison for a recording that was masked and for
plugins that count or remember. Exit code 1 with --fail-on-difference if anything differs.")]
pub struct ReplayArgs {
    /// The recording; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Configuration to try (may be repeated; later files win)
    #[arg(long, required = true, value_name = "FILE")]
    pub with: Vec<PathBuf>,
    /// Configuration to compare with instead of what was decided then (may be repeated; later files win)
    #[arg(long, value_name = "FILE")]
    pub against: Vec<PathBuf>,
    /// Show also calls in which nothing differs
    #[arg(long)]
    pub all: bool,
    /// Exit with code 1 if anything differs
    #[arg(long)]
    pub fail_on_difference: bool,
    /// How the result looks
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
