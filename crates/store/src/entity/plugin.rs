//! Plugins that are kept in the database instead of a file.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use super::{Entity, check_name, check_slug, check_text, unfit, words, yes};
use crate::{StoreError, changes::What, sql::Value};

/// A plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Unique name, over files and storage alike.
    pub name: String,
    /// The word of its paths, unique; for what it serves at `/plugins/{slug}`. Goes before one in its `config`.
    #[serde(default)]
    pub slug: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Which code, as `kind` of an entry in a file. Default `process`.
    #[serde(default = "process")]
    pub kind: String,
    /// Where its program is, with arguments: `file:///opt/plugins/echo`, `grpc://host:port`.
    #[serde(default, deserialize_with = "one_or_many")]
    pub command: Vec<String>,
    /// The hooks it runs at, by any of their names. An empty list, those it has.
    #[serde(default)]
    pub hook_types: Vec<String>,
    /// Its own configuration.
    #[serde(default)]
    pub config: Map<String, Json>,
    /// Lower runs first. Default 100.
    #[serde(default = "hundred")]
    pub order: i64,
    /// Whether it runs. Default true.
    #[serde(default = "yes")]
    pub active: bool,
    /// What the SHA-256 of its program must be, 64 hexadecimal digits. Looked at before each start.
    #[serde(default)]
    pub checksum: Option<String>,
    /// A namespace; empty for the global one.
    #[serde(default)]
    pub namespace: String,
    /// What it offers beside hooks: `custom_endpoint`, ….
    #[serde(default)]
    pub offers: Vec<String>,
    /// LLMs it is bound to, by name. An empty list, it runs everywhere.
    #[serde(default)]
    pub llms: Vec<String>,
    /// Further keys of an entry in a file: `mode`, `conditions`, `process`, ….
    #[serde(default)]
    pub entry: Map<String, Json>,
    /// Services of the gateway that were approved or (`false`) denied; null while nobody has decided.
    #[serde(default)]
    pub scopes_approved: Option<bool>,
    /// The services that were approved. Kept, so that a program that later asks for more does not get it.
    #[serde(default)]
    pub scopes: Vec<String>,
}

fn process() -> String {
    "process".to_owned()
}

/// A word alone is a list of one.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

fn hundred() -> i64 {
    100
}

impl Plugin {
    /// A plugin of this name and command, with the defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        Self {
            name: name.into(),
            slug: None,
            description: None,
            kind: process(),
            command,
            hook_types: Vec::new(),
            config: Map::new(),
            order: hundred(),
            active: true,
            checksum: None,
            namespace: String::new(),
            offers: Vec::new(),
            llms: Vec::new(),
            entry: Map::new(),
            scopes_approved: None,
            scopes: Vec::new(),
        }
    }
}

impl Entity for Plugin {
    const TABLE: &'static str = "plugins";
    const WORD: &'static str = "plugin";
    const CHANGE: Option<What> = Some(What::Plugin);

    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("name", self.name.as_str().into()),
            ("slug", Value::Text(self.slug.clone())),
            ("hook_type", self.hook_types.first().map_or("", String::as_str).into()),
            ("namespace", self.namespace.as_str().into()),
            ("words", words([Some(&*self.name), self.description.as_deref(), self.slug.as_deref()])),
            ("active", self.active.into()),
        ]
    }

    fn check(&self) -> Result<(), StoreError> {
        check_name(Self::WORD, "name", &self.name)?;
        // Numbers are how stored plugins are asked for.
        if self.name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unfit(
                Self::WORD,
                "name",
                "is no number: plugins are asked for by name and by number",
            ));
        }
        if let Some(slug) = &self.slug {
            check_slug(Self::WORD, slug)?;
        }
        check_text(Self::WORD, "description", self.description.as_deref())?;
        check_name(Self::WORD, "kind", &self.kind)?;
        check_text(Self::WORD, "namespace", Some(&self.namespace))?;
        let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.checksum.as_ref().is_some_and(|text| !is_digest(text)) {
            return Err(unfit(Self::WORD, "checksum", "is a SHA-256: 64 hexadecimal digits"));
        }
        Ok(())
    }
}
