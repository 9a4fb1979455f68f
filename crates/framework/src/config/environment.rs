//! The environment variables a configuration may look at.
//!
//! Handed in as a map instead of read from the process, so that a test says what is there and two gateways in one
//! process can differ. A `.env` file lies below: what the real environment has, wins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::Notice;
use super::dotenv;
use super::stores::SecretStore;

/// Environment variables by name. Its debug output shows names only.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Those that a `.env` file gave.
    from_file: BTreeSet<String>,
    /// By scheme.
    stores: BTreeMap<&'static str, Arc<dyn SecretStore>>,
}

impl Environment {
    /// An environment of exactly these variables.
    #[must_use]
    pub fn new<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { variables, ..Self::default() }
    }

    /// The environment of this process; variables that are not UTF-8 are left out.
    #[must_use]
    pub fn from_process() -> Self {
        Self::new(
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )
    }

    /// Adds the variables of the `.env` file in `directory` that are not set yet, in the place of those that an
    /// earlier look at such a file added, and tells of lines it could not read. A file that is not there adds nothing.
    pub fn add_dotenv(&mut self, directory: &Path) -> Vec<Notice> {
        for name in std::mem::take(&mut self.from_file) {
            self.variables.remove(&name);
        }
        let (variables, notices) = dotenv::read(&directory.join(".env"));
        for (name, value) in variables {
            if !self.variables.contains_key(&name) {
                self.from_file.insert(name.clone());
                self.variables.insert(name, value);
            }
        }
        notices
    }

    /// The same with a store that `${SCHEME:...}` is looked up in, in the place of one of that scheme.
    #[must_use]
    pub fn with_store(mut self, scheme: &'static str, store: Arc<dyn SecretStore>) -> Self {
        self.stores.insert(scheme, store);
        self
    }

    /// The store of a scheme.
    #[must_use]
    pub fn store(&self, scheme: &str) -> Option<&dyn SecretStore> {
        self.stores.get(scheme).map(|store| &**store)
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The value of a variable, where an empty one counts as not set.
    #[must_use]
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// All variables in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
