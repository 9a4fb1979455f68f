//! What a plugin depends on: other plugins, and packages of its own language.
//!
//! Manifests have one list for both, in the form of Python requirements. `plugin:NAME` says that a plugin is meant.
//! Without it a host takes the name for a plugin's where it knows such a plugin, and else for a package's, which is for
//! the plugin's own environment to bring.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::range::{RangeError, VersionRange};

/// How a dependency was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// `plugin:NAME`: a plugin.
    Plugin,
    /// A name with or without a range: a plugin's, where there is one of that name.
    Unsaid,
    /// Something that only a package can be: with extras, markers, an address, or versions of another scheme.
    Package,
}

/// One dependency: `spacy>=3.4.0`, `plugin:pii-filter>=1.0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Dependency {
    text: Box<str>,
    /// Name of the plugin or package.
    pub name: Box<str>,
    /// Versions that will do.
    pub range: VersionRange,
    /// What it names.
    pub needed: Needed,
}

/// Why a text is no dependency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DependencyError {
    /// No name.
    #[error("a dependency needs a name; write `NAME`, `NAME>=1.0` or `plugin:NAME>=1.0`")]
    Name,
    /// A plugin with a range that is none.
    #[error("the versions of the plugin cannot be read: {0}")]
    Range(RangeError),
}

impl Dependency {
    /// Whether a plugin of this name is meant, whatever the case of its letters and what stands between its words.
    #[must_use]
    pub fn names(&self, plugin: &str) -> bool {
        *self.name == *plugin || slug(&self.name) == slug(plugin)
    }

    /// Reads what can only be a plugin, as in a configuration's entry: `NAME` or `NAME>=1.0`, with or without
    /// `plugin:`.
    ///
    /// # Errors
    /// When there is no name, or the range is none.
    pub fn on_plugin(text: &str) -> Result<Self, DependencyError> {
        let text = text.trim();
        let name = text.strip_prefix("plugin:").unwrap_or(text);
        let read: Self = format!("plugin:{name}").parse()?;
        Ok(Self { text: text.into(), ..read })
    }
}

impl FromStr for Dependency {
    type Err = DependencyError;

    fn from_str(text: &str) -> Result<Self, DependencyError> {
        let text = text.trim();
        let (written, plugin) = match text.strip_prefix("plugin:") {
            Some(rest) => (rest.trim(), true),
            None => (text, false),
        };
        if !plugin && written.starts_with('@') {
            // A scoped package of npm.
            return Ok(Self::package(text, written));
        }
        let end = written.find(['<', '>', '=', '!', '~', '^', ';', '@', '[', '(']).unwrap_or(written.len());
        let (name, range) = written.split_at(end);
        let name = name.trim();
        if name.is_empty() {
            return Err(DependencyError::Name);
        }
        let needed = if plugin { Needed::Plugin } else { Needed::Unsaid };
        match range.parse() {
            Ok(range) => Ok(Self { text: text.into(), name: name.into(), range, needed }),
            Err(error) if plugin => Err(DependencyError::Range(error)),
            Err(_) => Ok(Self::package(text, name)),
        }
    }
}

impl Dependency {
    fn package(text: &str, name: &str) -> Self {
        let range = VersionRange::any();
        Self { text: text.into(), name: name.into(), range, needed: Needed::Package }
    }
}

impl TryFrom<String> for Dependency {
    type Error = DependencyError;

    fn try_from(text: String) -> Result<Self, DependencyError> {
        text.parse()
    }
}

impl From<Dependency> for String {
    fn from(value: Dependency) -> Self {
        value.text.into()
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A name as it is compared: lower case, with one `-` between its words.
#[must_use]
pub fn slug(name: &str) -> String {
    let words = name.split([' ', '-', '_', '.', '\t']).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}
