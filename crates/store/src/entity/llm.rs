//! LLMs that are kept in the database instead of a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Entity, check_amount, check_name, check_slug, check_text, slug_of, words, yes};
use crate::{StoreError, changes::What, sql::Value};

/// An LLM and where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Llm {
    /// Unique name.
    pub name: String,
    /// The word of its paths, unique. Not given, its name in lower case with dashes.
    #[serde(default)]
    pub slug: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Whose API it speaks: `openai`, `anthropic`, ….
    pub vendor: String,
    /// Base URL of the API. Not given, the vendor's own.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Where the vendor's key is, as values of files refer to it: `${OPENAI_API_KEY}` or `${file:/run/secrets/key}`.
    /// Never the key.
    #[serde(default)]
    pub api_key: Option<String>,
    /// Models that may be asked for; `*` stands for anything. Not given, all.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// The model of a request that names none.
    #[serde(default)]
    pub default_model: Option<String>,
    /// Plugins that run for it, in this order, by name.
    #[serde(default)]
    pub plugins: Vec<String>,
    /// Money all apps together may spend on it per month.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub monthly_budget: Option<f64>,
    /// Calls per minute, of all apps together.
    #[serde(default)]
    pub rate_limit: Option<u64>,
    /// Tokens per minute, in and out, of all apps together.
    #[serde(default)]
    pub token_limit: Option<u64>,
    /// A namespace; empty for the global one.
    #[serde(default)]
    pub namespace: String,
    /// Whether it is served. Default true.
    #[serde(default = "yes")]
    pub active: bool,
    /// Further keys of an LLM in a file.
    #[serde(default)]
    pub entry: Map<String, Json>,
    /// Free data.
    #[serde(default)]
    pub metadata: Map<String, Json>,
}

impl Llm {
    /// An LLM of this name and vendor, with the defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, vendor: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            slug: None,
            description: None,
            vendor: vendor.into(),
            endpoint: None,
            api_key: None,
            models: None,
            default_model: None,
            plugins: Vec::new(),
            monthly_budget: None,
            rate_limit: None,
            token_limit: None,
            namespace: String::new(),
            active: true,
            entry: Map::new(),
            metadata: Map::new(),
        }
    }

    /// The word of its paths.
    #[must_use]
    pub fn slug(&self) -> String {
        self.slug.clone().unwrap_or_else(|| slug_of(&self.name))
    }
}

impl Entity for Llm {
    const TABLE: &'static str = "llms";
    const WORD: &'static str = "LLM";
    const CHANGE: Option<What> = Some(What::Llm);

    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("name", self.name.as_str().into()),
            ("slug", self.slug().into()),
            ("vendor", self.vendor.as_str().into()),
            ("namespace", self.namespace.as_str().into()),
            ("words", words([Some(&*self.name), self.description.as_deref(), Some(&*self.vendor)])),
            ("active", self.active.into()),
        ]
    }

    fn check(&self) -> Result<(), StoreError> {
        check_name(Self::WORD, "name", &self.name)?;
        check_name(Self::WORD, "vendor", &self.vendor)?;
        check_slug(Self::WORD, &self.slug())?;
        for (field, text) in [
            ("description", &self.description),
            ("endpoint", &self.endpoint),
            ("default_model", &self.default_model),
        ] {
            check_text(Self::WORD, field, text.as_deref())?;
        }
        check_amount(Self::WORD, "monthly_budget", self.monthly_budget)?;
        let refers = |key: &String| key.starts_with("${") && key.ends_with('}') && key.len() > 3;
        if self.api_key.as_ref().is_some_and(|key| !refers(key)) {
            let why = "refers to a variable or a file, `${NAME}` or `${file:PATH}`: keys are not kept here";
            return Err(super::unfit(Self::WORD, "api_key", why));
        }
        Ok(())
    }
}
