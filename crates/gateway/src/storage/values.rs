//! Values of plugins, kept over restarts.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mortise_mcp_transport::chain::Chain;
use mortise_plugin_api::{Fut, PluginError, host::KeyValue};
use mortise_store::StoreError;
use serde_json::Map;

use super::{Storage, StorageError};

/// The values of one plugin.
#[derive(Debug)]
pub struct StoredValues {
    storage: Arc<Storage>,
    plugin: Arc<str>,
}

impl StoredValues {
    /// Of a plugin, by its name.
    #[must_use]
    pub fn new(storage: Arc<Storage>, plugin: Arc<str>) -> Self {
        Self { storage, plugin }
    }
}

impl KeyValue for StoredValues {
    fn get<'a>(&'a self, key: &'a str) -> Fut<'a, Result<Option<Bytes>, PluginError>> {
        let (plugin, key) = (self.plugin.clone(), key.to_owned());
        Box::pin(async move {
            let read =
                self.storage.read(|store| async move { store.values_of(&plugin).get(&key).await }).await;
            read.map(|value| value.flatten().map(Bytes::from)).map_err(told)
        })
    }

    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Fut<'a, Result<(), PluginError>> {
        let (plugin, key) = (self.plugin.clone(), key.to_owned());
        Box::pin(async move {
            let until = ttl.map(moment);
            let write = move |store: mortise_store::Store| async move {
                store.values_of(&plugin).set(&key, &value, until).await
            };
            self.storage.write(write).await.map(drop).map_err(told)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Fut<'a, Result<(), PluginError>> {
        let (plugin, key) = (self.plugin.clone(), key.to_owned());
        Box::pin(async move {
            let drop =
                move |store: mortise_store::Store| async move { store.values_of(&plugin).delete(&key).await };
            self.storage.read(drop).await.map(|_| ()).map_err(told)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> Fut<'a, Result<Vec<String>, PluginError>> {
        let (plugin, prefix) = (self.plugin.clone(), prefix.to_owned());
        Box::pin(async move {
            let list = move |store: mortise_store::Store| async move {
                store.values_of(&plugin).list(&prefix, limit).await
            };
            self.storage.read(list).await.map(Option::unwrap_or_default).map_err(told)
        })
    }
}

/// The moment after a while, in milliseconds since 1970.
fn moment(ttl: Duration) -> i64 {
    let end = SystemTime::now().checked_add(ttl);
    let since = end.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(i64::MAX)
}

/// What a failure means to a plugin.
#[expect(clippy::needless_pass_by_value, reason = "what a failure is mapped by")]
fn told(error: StorageError) -> PluginError {
    match &error {
        StorageError::Store(said) if said.is_the_askers() => {
            let code = if matches!(said, StoreError::Full { .. }) { "KV_FULL" } else { "KV_REFUSED" };
            PluginError::Failed { message: said.to_string(), code: code.to_owned(), details: Map::new() }
        }
        StorageError::TooSlow => PluginError::Timeout(super::PATIENCE),
        _ => PluginError::Unavailable(Chain(&error).to_string()),
    }
}
