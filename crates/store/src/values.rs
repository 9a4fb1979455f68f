//! Values that plugins keep: bytes by name, for ever or for a while, in a namespace of each plugin's own.

use crate::{Store, StoreError, driver::Driver, now, sql::Statement, sql::Value};

/// Longest name of a value, in bytes.
pub const MAX_KEY: usize = 255;

/// Largest value, in bytes.
pub const MAX_VALUE: usize = 4 << 20;

/// Values of one plugin.
const MAX_KEYS: i64 = 10_000;

/// All of a plugin's values, in bytes.
const MAX_BYTES: i64 = 32 << 20;

/// Most names that are listed at once.
const MAX_LISTED: usize = 10_000;

/// The values of one plugin.
pub struct PluginValues<'s> {
    driver: &'s dyn Driver,
    plugin: &'s str,
}

impl Store {
    /// The values of a plugin, by its name.
    #[must_use]
    pub fn values_of<'s>(&'s self, plugin: &'s str) -> PluginValues<'s> {
        PluginValues { driver: &*self.driver, plugin }
    }

    /// Removes values whose time has come. Gives back how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_ended_values(&self) -> Result<u64, StoreError> {
        let text = "DELETE FROM plugin_values WHERE expires IS NOT NULL AND expires <= $1";
        let drop = Statement::new("removing values whose time has come", text).with(now());
        let done = self.driver.write(vec![drop]).await.map_err(|undone| undone.into_error("value"))?;
        Ok(done.first().map_or(0, |done| done.touched))
    }
}

impl PluginValues<'_> {
    /// The value of `key`, if it is set and its time has not come.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let text = "SELECT value FROM plugin_values \
                    WHERE plugin = $1 AND name = $2 AND (expires IS NULL OR expires > $3)";
        let ask = Statement::new("reading a plugin's value", text).with(self.plugin).with(key).with(now());
        let rows = self.driver.read(ask).await?;
        rows.first().map(|row| row.bytes(0).map(<[u8]>::to_vec)).transpose()
    }

    /// Sets a value, for ever or until a moment in milliseconds since 1970; says whether it is new.
    ///
    /// # Errors
    /// When name or value are too long, the plugin has written as much as it may, or the database fails.
    pub async fn set(&self, key: &str, value: &[u8], until: Option<i64>) -> Result<bool, StoreError> {
        if key.is_empty() || key.len() > MAX_KEY || key.contains('\0') {
            let why = format!("has 1 to {MAX_KEY} bytes, and none of them 0");
            return Err(StoreError::Unfit { what: "value", field: "key", why });
        }
        if value.len() > MAX_VALUE {
            let why = format!("has at most {MAX_VALUE} bytes");
            return Err(StoreError::Unfit { what: "value", field: "value", why });
        }
        let size = i64::try_from(value.len() + key.len()).unwrap_or(i64::MAX);
        self.make_room(key, size, now()).await?;
        let is_new = self.get(key).await?.is_none();
        let text = "INSERT INTO plugin_values (plugin, name, value, size, expires) VALUES ($1, $2, $3, $4, $5) \
                    ON CONFLICT (plugin, name) DO UPDATE SET \
                    value = excluded.value, size = excluded.size, expires = excluded.expires";
        let write = Statement::new("writing a plugin's value", text).with(self.plugin).with(key);
        let write = write.with(Value::Bytes(Some(value.to_vec()))).with(size).with(until);
        let done = self.driver.write(vec![write]).await;
        done.map(|_| is_new).map_err(|undone| undone.into_error("value"))
    }

    /// Removes a value; says whether it was there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete(&self, key: &str) -> Result<bool, StoreError> {
        let text = "DELETE FROM plugin_values WHERE plugin = $1 AND name = $2 RETURNING expires";
        let drop = Statement::new("removing a plugin's value", text).with(self.plugin).with(key);
        let done = self.driver.write(vec![drop]).await.map_err(|undone| undone.into_error("value"))?;
        match done.first().and_then(|done| done.rows.first()) {
            Some(row) => Ok(row.maybe_int(0)?.is_none_or(|end| end > now())),
            None => Ok(false),
        }
    }

    /// Names that begin with `prefix`, sorted, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        // Sorted and narrowed here: databases differ in what comes first.
        let text = "SELECT name FROM plugin_values WHERE plugin = $1 AND (expires IS NULL OR expires > $2)";
        let ask = Statement::new("listing a plugin's values", text).with(self.plugin).with(now());
        let rows = self.driver.read(ask).await?;
        let mut names = Vec::new();
        for row in &rows {
            let name = row.text(0)?;
            if name.starts_with(prefix) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        names.truncate(limit.min(MAX_LISTED));
        Ok(names)
    }

    /// Removes all values of the plugin. Gives back how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clear(&self) -> Result<u64, StoreError> {
        let text = "DELETE FROM plugin_values WHERE plugin = $1";
        let drop = Statement::new("removing a plugin's values", text).with(self.plugin);
        let done = self.driver.write(vec![drop]).await.map_err(|undone| undone.into_error("value"))?;
        Ok(done.first().map_or(0, |done| done.touched))
    }

    /// Whether a value of this size may be written.
    async fn make_room(&self, key: &str, size: i64, at: i64) -> Result<(), StoreError> {
        let text = "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM plugin_values \
                    WHERE plugin = $1 AND name <> $2 AND (expires IS NULL OR expires > $3)";
        let ask = Statement::new("counting a plugin's values", text).with(self.plugin).with(key).with(at);
        let rows = self.driver.read(ask).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        if row.int(0)? >= MAX_KEYS || row.int(1)?.saturating_add(size) > MAX_BYTES {
            return Err(StoreError::Full { keys: MAX_KEYS, bytes: MAX_BYTES });
        }
        Ok(())
    }
}

impl std::fmt::Debug for PluginValues<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginValues").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}
