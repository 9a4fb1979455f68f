//! Plugin servers over gRPC: the `grpc:` block of an entry.

use mortise_framework::config::PluginEntry;
use mortise_plugin_api::BuildError;
use serde_json::{Map, Value};

use crate::link::Link;

/// Makes the link that the block of an entry describes. Pure: connects nothing.
pub(crate) fn link(entry: &PluginEntry, block: &Map<String, Value>) -> Result<Box<dyn Link>, BuildError> {
    let _ = (entry, block);
    Err(BuildError::new("grpc", "is a transport that this version does not have"))
}
