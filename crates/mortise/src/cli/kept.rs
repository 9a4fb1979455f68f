//! Commands about what a running gateway keeps in storage: `mortise apps`, `tokens`, `llms`, `prices`, and the plugins
//! that are in no file.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SourceArgs;

/// Commands about apps that are kept in storage.
#[derive(Debug, Subcommand)]
pub enum AppsCommand {
    /// List apps
    #[command(after_help = "Examples:
  mortise apps list
  mortise apps list --search acme --limit 100
  mortise apps list --format json --url https://gateway.example.com")]
    List(KeptListArgs),
    /// Show one app
    #[command(after_help = "Examples:
  mortise apps show ci
  mortise apps show 17 --format json")]
    Show(KeptOneArgs),
    /// Make an app
    #[command(after_help = "Examples:
  mortise apps create ci owner=ci@example.com
  mortise apps create support 'servers=[support]' 'llms=[gpt]' monthly_budget=100 metadata.team=blue
  mortise apps create ci --from app.yaml

From the first app on, callers need a token; `mortise tokens create ci` makes one.")]
    Create(KeptCreateArgs),
    /// Change fields of an app; in force at once
    #[command(after_help = "Examples:
  mortise apps update ci monthly_budget=50
  mortise apps update ci active=false
  mortise apps update ci servers=null")]
    Update(KeptUpdateArgs),
    /// Remove an app with its tokens
    #[command(after_help = "Examples:
  mortise apps delete ci")]
    Delete(KeptOneArgs),
}

/// Commands about tokens of apps that are kept in storage.
#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// List tokens, without what lets anybody in
    #[command(after_help = "Examples:
  mortise tokens list
  mortise tokens list --app ci")]
    List(TokensListArgs),
    /// Show one token, without what lets anybody in
    #[command(after_help = "Examples:
  mortise tokens show 17")]
    Show(KeptOneArgs),
    /// Make a token for an app. It is shown once
    #[command(after_help = "Examples:
  mortise tokens create ci
  mortise tokens create ci name=laptop expires=2027-01-31 'scopes=[read]'
  TOKEN=$(mortise tokens create ci)

The token goes to standard output, everything else to standard error. Only its SHA-256 is kept.")]
    Create(KeptCreateArgs),
    /// Change name, scopes or end of a token, or whether it lets anybody in
    #[command(after_help = "Examples:
  mortise tokens update 17 active=false
  mortise tokens update 17 expires=2027-01-31")]
    Update(KeptUpdateArgs),
    /// Remove a token: it lets nobody in any more
    #[command(
        after_help = "Examples:
  mortise tokens revoke 17",
        visible_alias = "delete"
    )]
    Revoke(KeptOneArgs),
}

/// Commands about LLMs that are kept in storage.
#[derive(Debug, Subcommand)]
pub enum LlmsCommand {
    /// List LLMs
    #[command(after_help = "Examples:
  mortise llms list
  mortise llms list --format json")]
    List(KeptListArgs),
    /// Show one LLM
    #[command(after_help = "Examples:
  mortise llms show gpt")]
    Show(KeptOneArgs),
    /// Make an LLM
    #[command(after_help = "Examples:
  mortise llms create gpt vendor=openai 'api_key=${OPENAI_API_KEY}' 'models=[gpt-*]'
  mortise llms create claude vendor=anthropic 'api_key=${file:/run/secrets/anthropic}'

The key itself is never kept: it is looked up where the gateway runs.")]
    Create(KeptCreateArgs),
    /// Change fields of an LLM
    #[command(after_help = "Examples:
  mortise llms update gpt default_model=gpt-4o
  mortise llms update gpt active=false")]
    Update(KeptUpdateArgs),
    /// Remove an LLM
    #[command(after_help = "Examples:
  mortise llms delete gpt")]
    Delete(KeptOneArgs),
}

/// Commands about prices of models that are kept in storage.
#[derive(Debug, Subcommand)]
pub enum PricesCommand {
    /// List prices
    #[command(after_help = "Examples:
  mortise prices list
  mortise prices list --search gpt-5")]
    List(KeptListArgs),
    /// Show one price
    #[command(after_help = "Examples:
  mortise prices show 17")]
    Show(KeptOneArgs),
    /// Make a price, for a model from a day on
    #[command(after_help = "Examples:
  mortise prices create 'gpt-5*' vendor=openai input=0.00000125 output=0.00001
  mortise prices create 'gpt-5*' vendor=openai input=0.000001 output=0.000008 valid_from=2027-02-01

Prices are for one token. `*` in a model, or as vendor, stands for anything. Prices that an LLM has in a file go before
these.")]
    Create(KeptCreateArgs),
    /// Change fields of a price; calls that end from now on cost that
    #[command(after_help = "Examples:
  mortise prices update 17 output=0.000009
  mortise prices update 17 cache_read=null")]
    Update(KeptUpdateArgs),
    /// Remove a price
    #[command(after_help = "Examples:
  mortise prices delete 17")]
    Delete(KeptOneArgs),
}

/// Show what apps have spent on LLMs.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise spending
  mortise spending --app ci --from 2027-01-01 --to 2027-01-31
  mortise spending --llm gpt --format json")]
pub struct SpendingArgs {
    /// Only what this app spent
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// Only what was spent on this LLM
    #[arg(long, value_name = "LLM")]
    pub llm: Option<String>,
    /// The first day, in UTC [default: the first of this month]
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// The last day, in UTC [default: today]
    #[arg(long, value_name = "DAY")]
    pub to: Option<String>,
    /// Which gateway to ask, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// List what is kept.
#[derive(Args, Debug)]
pub struct KeptListArgs {
    /// Only what has this in its name or another text
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Only what is active, or (`false`) what is not
    #[arg(long, value_name = "BOOL")]
    pub active: Option<bool>,
    /// Which page, from 1
    #[arg(long, default_value_t = 1)]
    pub page: u32,
    /// How many a page holds, 1 to 100
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
    /// Which gateway to ask, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// List tokens.
#[derive(Args, Debug)]
pub struct TokensListArgs {
    /// Only tokens of this app, by name or number
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// How the list is narrowed.
    #[command(flatten)]
    pub list: KeptListArgs,
}

/// One of what is kept.
#[derive(Args, Debug)]
pub struct KeptOneArgs {
    /// Its name or number
    pub which: String,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Make something that is kept.
#[derive(Args, Debug)]
pub struct KeptCreateArgs {
    /// Its name; of a token, the app it is for; of a price, the model
    pub name: String,
    /// Fields, for example owner=ci@example.com or metadata.team=blue; the value is YAML
    #[arg(value_name = "KEY=VALUE")]
    pub keys: Vec<String>,
    /// File with fields, YAML or JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Change something that is kept.
#[derive(Args, Debug)]
pub struct KeptUpdateArgs {
    /// Its name or number
    pub which: String,
    /// Fields, for example active=false; the value is YAML, null takes a field back to its default
    #[arg(value_name = "KEY=VALUE")]
    pub keys: Vec<String>,
    /// File with fields, YAML or JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Approve what a plugin asks for.
#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// Its name or number
    pub which: String,
    /// Only these services, for example kv.readwrite (may be repeated). Default: all that it asks for
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Deny them instead
    #[arg(long, conflicts_with = "scopes")]
    pub deny: bool,
    /// Which gateway to tell, and how the result looks.
    #[command(flatten)]
    pub source: SourceArgs,
}
