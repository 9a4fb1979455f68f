//! `datasources`: collections of texts that are searched by what they mean.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Config,
    check::known,
    place::{self, Findings},
};

/// A collection of texts, searched at `/datasource/{slug}`. The key of the entry is the slug. Its documents are kept in
/// the gateway's storage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatasourceConfig {
    /// Its name for people.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The LLM that texts become vectors by, a name of `llms`. Without one it is searched by vectors and data alone.
    pub llm: Option<String>,
    /// The model for that. Default: the LLM's own.
    pub model: Option<String>,
    /// Most documents it may hold. A search looks at all of them. Default 10000.
    #[schemars(range(min = 1))]
    pub max_documents: usize,
    /// Whether it is used at all. Default true.
    pub enabled: bool,
}

impl Default for DatasourceConfig {
    fn default() -> Self {
        Self { name: None, description: None, llm: None, model: None, max_documents: 10_000, enabled: true }
    }
}

/// Validated [`DatasourceConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datasource {
    /// Its slug.
    pub slug: String,
    /// The LLM that texts become vectors by.
    pub llm: Option<String>,
    /// The model for that.
    pub model: Option<String>,
    /// Most documents it may hold.
    pub max_documents: usize,
}

/// Checks them all; those that are not enabled are left out.
pub(super) fn settle(config: &Config, found: &mut Findings<'_>) -> Vec<Datasource> {
    let mut sources = Vec::new();
    for (slug, raw) in &config.datasources {
        let path = place::key("datasources", slug);
        if let Some(llm) = &raw.llm {
            known("LLM", llm, config.llms.keys(), &place::key(&path, "llm"), found);
        } else if raw.model.is_some() {
            found.key_error(&path, "model", "a model is of an LLM, and none is named").help =
                Some("name one of `llms` as `llm`".into());
        }
        if raw.enabled {
            sources.push(Datasource {
                slug: slug.clone(),
                llm: raw.llm.clone(),
                model: raw.model.clone(),
                max_documents: raw.max_documents,
            });
        }
    }
    sources
}
