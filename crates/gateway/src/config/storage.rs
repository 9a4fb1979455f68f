//! `storage`: the database of what is not in files.

use std::path::{Path, PathBuf};

use mortise_framework::config::{Node, OneOrMany};
use mortise_store::Place;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Secret,
    place::{self, Findings},
};

/// Name of the database in the state folder.
const DEFAULT_NAME: &str = "store.db";

/// The database of apps, tokens, plugins and LLMs that are not in files, of plugins' values, and of records. Once this
/// section is there, callers need a token, be there any or none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Where it is: `sqlite:PATH` for a file (relative to the file this is written in), or
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, which several gateways may share. Not given, `store.db` in the
    /// state folder.
    pub url: Option<Secret>,
    /// Of the plugins and LLMs that are kept there, this gateway has those of this namespace, and those of none. Not
    /// given, only those of none.
    pub namespace: String,
    /// Which records of calls to LLMs are kept there.
    pub records: RecordsConfig,
}

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// What a call took: model, tokens, cost, time.
    Analytics,
    /// What was spent, added up by day, app and LLM.
    BudgetUsage,
    /// A request and its answer, with their bodies.
    ProxyLog,
}

/// Which records of calls to LLMs are kept in the database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordsConfig {
    /// Kinds that are kept. Default `analytics` and `budget_usage`; `proxy_log` holds what was said.
    pub keep: Vec<RecordKind>,
    /// Days after which records are removed. What was spent stays. Default 30.
    #[schemars(range(min = 1, max = 36500))]
    pub days: u32,
    /// Plugins that take records in the database's place: what one of them has taken is not kept here. What app or LLM
    /// with a budget spends is added up nevertheless.
    pub replaced_by: OneOrMany<String>,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        let keep = vec![RecordKind::Analytics, RecordKind::BudgetUsage];
        Self { keep, days: 30, replaced_by: OneOrMany::default() }
    }
}

/// Validated [`RecordsConfig`]; without a database in the configuration nothing is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Whether what calls took is kept.
    pub analytics: bool,
    /// Whether what was spent is added up, also without a budget.
    pub budget_usage: bool,
    /// Whether requests and answers are kept.
    pub proxy_log: bool,
    /// Days after which records are removed.
    pub days: u32,
    /// Plugins that take records in the database's place.
    pub replaced_by: Vec<String>,
}

impl Records {
    fn of(raw: &RecordsConfig) -> Self {
        let keeps = |kind| raw.keep.contains(&kind);
        Self {
            analytics: keeps(RecordKind::Analytics),
            budget_usage: keeps(RecordKind::BudgetUsage),
            proxy_log: keeps(RecordKind::ProxyLog),
            days: raw.days.max(1),
            replaced_by: raw.replaced_by.clone().into_vec(),
        }
    }
}

/// Validated [`StorageConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Where it is.
    pub place: Place,
    /// Whether the configuration says so. If not, it is made when something is first kept.
    pub given: bool,
    /// The namespace of this gateway; empty for none.
    pub namespace: String,
    /// Which records are kept.
    pub records: Records,
}

/// The database where nobody says where it is.
pub(super) fn usual(state_dir: &Path) -> PathBuf {
    state_dir.join(DEFAULT_NAME)
}

/// Checks where the database is.
pub(super) fn settle(
    raw: Option<&StorageConfig>,
    node: Option<&Node>,
    directory: &Path,
    state_dir: &Path,
    found: &mut Findings<'_>,
) -> Storage {
    let usual = Place::File(usual(state_dir));
    let records = raw.map(|raw| Records::of(&raw.records)).unwrap_or_default();
    let namespace = raw.map(|raw| raw.namespace.clone()).unwrap_or_default();
    let Some(url) = raw.and_then(|raw| raw.url.as_ref()) else {
        return Storage { place: usual, given: raw.is_some(), namespace, records };
    };
    let folder: PathBuf = place::folder(node.and_then(|node| node.get("url")), directory);
    let place = Place::parse(url.expose(), &folder).unwrap_or_else(|error| {
        found.error("storage.url", error.to_string());
        usual
    });
    Storage { place, given: true, namespace, records }
}
