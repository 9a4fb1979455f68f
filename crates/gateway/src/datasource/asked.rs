//! What is asked of a data source, and how it answers.

use mortise_store::documents::{Document, Matching, Near};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Most documents of an answer.
const MOST: usize = 100;

/// Most texts that are embedded, or documents that are added, at once.
pub(super) const MOST_TEXTS: usize = 100;

/// A search by a text.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    pub(super) query: String,
    #[serde(default = "three")]
    n: usize,
}

/// A search by a vector.
#[derive(Debug, Deserialize)]
pub(super) struct ByVector {
    #[serde(default)]
    pub(super) embedding: Vec<f32>,
    #[serde(default = "ten")]
    n: usize,
    #[serde(default)]
    similarity_threshold: f64,
}

/// A search by data.
#[derive(Debug, Deserialize)]
pub(super) struct ByData {
    #[serde(default)]
    filter: Map<String, Value>,
    #[serde(default)]
    filter_mode: String,
    #[serde(default = "ten")]
    limit: usize,
    #[serde(default)]
    pub(super) offset: usize,
}

/// Texts to be embedded.
#[derive(Debug, Deserialize)]
pub(super) struct Texts {
    #[serde(default)]
    pub(super) texts: Vec<String>,
}

/// Documents to be added.
#[derive(Debug, Deserialize)]
pub(super) struct Added {
    #[serde(default)]
    pub(super) documents: Vec<Given>,
}

/// A document to be added; without a vector it is embedded.
#[derive(Debug, Deserialize)]
pub(super) struct Given {
    pub(super) content: String,
    #[serde(default)]
    pub(super) metadata: Map<String, Value>,
    #[serde(default)]
    pub(super) embedding: Option<Vec<f32>>,
}

const fn three() -> usize {
    3
}

const fn ten() -> usize {
    10
}

impl Query {
    pub(super) fn most(&self) -> usize {
        self.n.min(MOST)
    }
}

impl ByVector {
    pub(super) fn most(&self) -> usize {
        self.n.min(MOST)
    }

    /// The lowest score that counts.
    pub(super) fn at_least(&self) -> f64 {
        if self.similarity_threshold > 0.0 { self.similarity_threshold } else { f64::NEG_INFINITY }
    }
}

impl ByData {
    pub(super) fn most(&self) -> usize {
        self.limit.min(MOST)
    }

    /// Which documents are meant.
    ///
    /// # Errors
    /// A mode that is none.
    pub(super) fn matching(&self) -> Result<Matching, String> {
        let any = match self.filter_mode.to_ascii_uppercase().as_str() {
            "" | "AND" => false,
            "OR" => true,
            _ => return Err("`filter_mode` is `AND` or `OR`".to_owned()),
        };
        Ok(Matching { wanted: self.filter.clone(), any })
    }

    /// Whether nothing is said of which are meant.
    pub(super) fn is_empty(&self) -> bool {
        self.filter.is_empty()
    }
}

/// Documents as they are answered, the nearest first.
pub(super) fn found(near: &[Near]) -> Value {
    json!({ "documents": near.iter().map(|near| shown(&near.document, near.score)).collect::<Vec<_>>() })
}

/// Documents that were found by their data.
pub(super) fn matched(documents: &[Document], total: usize) -> Value {
    let documents: Vec<Value> = documents.iter().map(|document| shown(document, 0.0)).collect();
    json!({ "documents": documents, "total_count": total })
}

fn shown(document: &Document, score: f64) -> Value {
    json!({ "PageContent": document.content, "Metadata": document.metadata, "Score": score })
}
