//! `storage`: the database of what is not in files.

use std::path::{Path, PathBuf};

use mortise_framework::config::Node;
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
}

/// Validated [`StorageConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Where it is.
    pub place: Place,
    /// Whether the configuration says so. If not, it is made when something is first kept.
    pub given: bool,
}

/// Checks where the database is.
pub(super) fn settle(
    raw: Option<&StorageConfig>,
    node: Option<&Node>,
    directory: &Path,
    state_dir: &Path,
    found: &mut Findings<'_>,
) -> Storage {
    let usual = Place::File(state_dir.join(DEFAULT_NAME));
    let Some(url) = raw.and_then(|raw| raw.url.as_ref()) else {
        return Storage { place: usual, given: raw.is_some() };
    };
    let folder: PathBuf = place::folder(node.and_then(|node| node.get("url")), directory);
    let place = Place::parse(url.expose(), &folder).unwrap_or_else(|error| {
        found.error("storage.url", error.to_string());
        usual
    });
    Storage { place, given: true }
}
