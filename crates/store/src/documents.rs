//! Documents of data sources: texts with free data and a vector each, found by how near their vectors are, or by their
//! data.
//!
//! [`Documents`] is what data sources need of whoever keeps them. [`Store`] is one: vectors are bytes of a column, and a
//! search looks at all of a source, some hundred at a time, so that it holds no more than those and the best. That is
//! exact and takes as long as there are documents; a source therefore has a most of them. A database that knows vectors
//! is another one, with an index, behind the same trait.

use std::{cmp::Ordering, collections::BinaryHeap};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value as Json};

use crate::{
    Store, StoreError,
    error::Source,
    sql::{Row, Statement, Value},
};

/// Most numbers of a vector.
pub const MAX_DIMENSIONS: usize = 8_192;

/// Longest text of a document, in bytes.
pub const MAX_CONTENT: usize = 256 << 10;

/// Rows that are looked at together.
const AT_ONCE: i64 = 256;

/// Most documents that are added at once.
pub const MOST_AT_ONCE: usize = 100;

/// A document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its number; 0 for one that is not kept yet.
    pub id: i64,
    /// Its text.
    pub content: String,
    /// Free data.
    pub metadata: Map<String, Json>,
    /// Its vector; empty where that was not asked for.
    pub embedding: Vec<f32>,
}

/// A document that was found, and how near it is: 1 for the same direction, 0 for none in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// The document, without its vector.
    pub document: Document,
    /// The cosine of the angle between both vectors.
    pub score: f64,
}

/// Which documents are meant by their data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// Values by name. A value is met where the document has it, or a text that reads the same.
    pub wanted: Map<String, Json>,
    /// Whether one value is enough; otherwise all have to be met.
    pub any: bool,
}

impl Matching {
    /// Whether a document with this data is meant. Nothing that is wanted means all.
    #[must_use]
    pub fn holds(&self, metadata: &Map<String, Json>) -> bool {
        let mut met = self.wanted.iter().map(|(name, wanted)| {
            metadata.get(name).is_some_and(|value| value == wanted || text(value) == text(wanted))
        });
        if self.wanted.is_empty() {
            true
        } else if self.any {
            met.any(|met| met)
        } else {
            met.all(|met| met)
        }
    }
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whoever keeps documents.
pub trait Documents: Send + Sync {
    /// Adds up to [`MOST_AT_ONCE`] documents to a source, all or none; gives back their numbers. Those that are there
    /// already are not looked at: adding one twice keeps it twice.
    ///
    /// # Errors
    /// When a document cannot be kept, there are too many, the source would have more than `most`, or the database fails.
    fn add<'a>(
        &'a self,
        source: &'a str,
        documents: Vec<Document>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<i64>, StoreError>>;

    /// The `most` nearest documents of a source with a score of `at_least` or more, the nearest first. Those whose
    /// vectors have another number of dimensions are not looked at.
    ///
    /// # Errors
    /// When the database fails.
    fn nearest<'a>(
        &'a self,
        source: &'a str,
        embedding: &'a [f32],
        most: usize,
        at_least: f64,
    ) -> BoxFuture<'a, Result<Vec<Near>, StoreError>>;

    /// Documents of a source by their data, in the order they were added in: up to `most` after the first `skip`; and
    /// how many there are in all.
    ///
    /// # Errors
    /// When the database fails.
    fn matching<'a>(
        &'a self,
        source: &'a str,
        matching: &'a Matching,
        most: usize,
        skip: usize,
    ) -> BoxFuture<'a, Result<(Vec<Document>, usize), StoreError>>;

    /// Removes documents of a source by their data; gives back how many there were.
    ///
    /// # Errors
    /// When the database fails.
    fn remove<'a>(
        &'a self,
        source: &'a str,
        matching: &'a Matching,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
}

/// Whether a document can be kept.
fn check(document: &Document) -> Result<(), StoreError> {
    let unfit = |field, why: String| Err(StoreError::Unfit { what: "document", field, why });
    if document.content.len() > MAX_CONTENT || document.content.contains('\0') {
        return unfit("content", format!("has at most {MAX_CONTENT} bytes, and none of them 0"));
    }
    if document
        .metadata
        .iter()
        .any(|(name, value)| name.contains('\0') || value.to_string().contains("\\u0000"))
    {
        return unfit("metadata", "holds no character 0".to_owned());
    }
    let is_vector = !document.embedding.is_empty()
        && document.embedding.len() <= MAX_DIMENSIONS
        && document.embedding.iter().all(|number| number.is_finite());
    if !is_vector {
        return unfit("embedding", format!("is 1 to {MAX_DIMENSIONS} numbers"));
    }
    Ok(())
}

impl Documents for Store {
    fn add<'a>(
        &'a self,
        source: &'a str,
        documents: Vec<Document>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<i64>, StoreError>> {
        Box::pin(async move {
            documents.iter().try_for_each(check)?;
            if documents.len() > MOST_AT_ONCE {
                let why = format!("are at most {MOST_AT_ONCE} at once");
                return Err(StoreError::Unfit { what: "data source", field: "documents", why });
            }
            let ask =
                Statement::new("counting documents", "SELECT COUNT(*) FROM documents WHERE source = $1");
            let rows = self.driver.read(ask.with(source)).await?;
            let known = rows.first().map_or(Ok(0), |row| row.int(0))?;
            if usize::try_from(known).unwrap_or(0).saturating_add(documents.len()) > most {
                let why = format!("has at most {most}, and {known} are there");
                return Err(StoreError::Unfit { what: "data source", field: "documents", why });
            }
            let statements = documents.iter().map(|document| insert(source, document)).collect();
            let done = self.driver.write(statements).await.map_err(|undone| undone.into_error("document"))?;
            done.iter().map(|done| done.rows.first().map_or(Ok(0), |row| row.int(0))).collect()
        })
    }

    fn nearest<'a>(
        &'a self,
        source: &'a str,
        embedding: &'a [f32],
        most: usize,
        at_least: f64,
    ) -> BoxFuture<'a, Result<Vec<Near>, StoreError>> {
        Box::pin(async move {
            let best = self.best(source, embedding, most, at_least).await?;
            let mut found = Vec::with_capacity(best.len());
            for Candidate { score, id } in best {
                let text = "SELECT id, content, metadata FROM documents WHERE id = $1";
                let rows = self.driver.read(Statement::new("reading documents", text).with(id)).await?;
                // One that was removed in the meantime is not there.
                if let Some(row) = rows.first() {
                    found.push(Near { document: document(row)?, score });
                }
            }
            Ok(found)
        })
    }

    fn matching<'a>(
        &'a self,
        source: &'a str,
        matching: &'a Matching,
        most: usize,
        skip: usize,
    ) -> BoxFuture<'a, Result<(Vec<Document>, usize), StoreError>> {
        Box::pin(async move {
            let (mut found, mut total, mut after) = (Vec::new(), 0, 0);
            loop {
                let rows = self.page(source, after).await?;
                for row in &rows {
                    let document = document(row)?;
                    after = document.id;
                    if matching.holds(&document.metadata) {
                        if total >= skip && found.len() < most {
                            found.push(document);
                        }
                        total += 1;
                    }
                }
                if rows.len() < usize::try_from(AT_ONCE).unwrap_or(0) {
                    return Ok((found, total));
                }
            }
        })
    }

    fn remove<'a>(
        &'a self,
        source: &'a str,
        matching: &'a Matching,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let (mut removed, mut after) = (0, 0);
            loop {
                let rows = self.page(source, after).await?;
                let mut statements = Vec::new();
                for row in &rows {
                    let document = document(row)?;
                    after = document.id;
                    if matching.holds(&document.metadata) {
                        let text = "DELETE FROM documents WHERE id = $1";
                        statements.push(Statement::new("removing documents", text).with(document.id));
                    }
                }
                if !statements.is_empty() {
                    let done = self.driver.write(statements).await;
                    let done = done.map_err(|undone| undone.into_error("document"))?;
                    removed += done.iter().map(|done| done.touched).sum::<u64>();
                }
                if rows.len() < usize::try_from(AT_ONCE).unwrap_or(0) {
                    return Ok(removed);
                }
            }
        })
    }
}

impl Store {
    /// The `most` nearest, the nearest first. Holds no more than these and what is looked at together.
    async fn best(
        &self,
        source: &str,
        embedding: &[f32],
        most: usize,
        at_least: f64,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut best: BinaryHeap<Candidate> = BinaryHeap::new();
        if most == 0 {
            return Ok(Vec::new());
        }
        let length = length(embedding);
        let dimensions = i64::try_from(embedding.len()).unwrap_or(i64::MAX);
        let mut after = 0;
        loop {
            let text = "SELECT id, embedding FROM documents \
                        WHERE source = $1 AND dimensions = $2 AND id > $3 ORDER BY id LIMIT $4";
            let ask = Statement::new("searching documents", text).with(source).with(dimensions);
            let rows = self.driver.read(ask.with(after).with(AT_ONCE)).await?;
            for row in &rows {
                after = row.int(0)?;
                let score = cosine(embedding, length, row.bytes(1)?);
                if score >= at_least {
                    best.push(Candidate { score, id: after });
                    if best.len() > most {
                        best.pop();
                    }
                }
            }
            if rows.len() < usize::try_from(AT_ONCE).unwrap_or(0) {
                return Ok(best.into_sorted_vec());
            }
        }
    }

    async fn page(&self, source: &str, after: i64) -> Result<Vec<Row>, StoreError> {
        let text = "SELECT id, content, metadata FROM documents \
                    WHERE source = $1 AND id > $2 ORDER BY id LIMIT $3";
        let ask = Statement::new("reading documents", text).with(source).with(after).with(AT_ONCE);
        self.driver.read(ask).await
    }
}

fn insert(source: &str, document: &Document) -> Statement {
    let text = "INSERT INTO documents (source, content, metadata, dimensions, embedding) \
                VALUES ($1, $2, $3, $4, $5) RETURNING id";
    let metadata = Json::Object(document.metadata.clone()).to_string();
    let dimensions = i64::try_from(document.embedding.len()).unwrap_or(i64::MAX);
    let bytes = document.embedding.iter().flat_map(|number| number.to_le_bytes()).collect();
    let insert = Statement::new("keeping documents", text).with(source).with(document.content.as_str());
    insert.with(metadata).with(dimensions).with(Value::Bytes(Some(bytes)))
}

/// Number, content and metadata of a row.
fn document(row: &Row) -> Result<Document, StoreError> {
    let metadata = serde_json::from_str(row.text(2)?);
    let metadata =
        metadata.map_err(|error| StoreError::Garbled { what: "document", source: Source::from(error) })?;
    Ok(Document { id: row.int(0)?, content: row.text(1)?.to_owned(), metadata, embedding: Vec::new() })
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|number| f64::from(*number) * f64::from(*number)).sum::<f64>().sqrt()
}

/// The cosine of the angle between a vector, whose length is known, and one that is bytes.
fn cosine(one: &[f32], length: f64, other: &[u8]) -> f64 {
    let (mut product, mut square) = (0.0, 0.0);
    for (one, bytes) in one.iter().zip(other.as_chunks::<4>().0) {
        let other = f64::from(f32::from_le_bytes(*bytes));
        product += f64::from(*one) * other;
        square += other * other;
    }
    let lengths = length * f64::sqrt(square);
    if lengths > 0.0 { (product / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

/// A document that may be among the best. The greatest is the one to give up first: the farthest, then the latest.
struct Candidate {
    score: f64,
    id: i64,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nearness_is_the_cosine_and_nothing_is_near_to_nothing() {
        let bytes =
            |vector: &[f32]| vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let near = |one: &[f32], other: &[f32]| cosine(one, length(one), &bytes(other));
        assert!((near(&[1.0, 0.0], &[5.0, 0.0]) - 1.0).abs() < 1e-9);
        assert!((near(&[1.0, 1.0], &[1.0, 0.0]) - 0.5_f64.sqrt()).abs() < 1e-6);
        assert!((near(&[1.0, 0.0], &[-1.0, 0.0]) + 1.0).abs() < 1e-9);
        assert!(near(&[0.0, 0.0], &[1.0, 0.0]).abs() < 1e-9);
    }

    #[test]
    fn data_is_met_by_value_or_by_how_it_reads() {
        let map = |value: Json| value.as_object().unwrap().clone();
        let has = map(json!({ "page": 7, "kind": "manual" }));
        let meets = |wanted: Json, any| Matching { wanted: map(wanted), any }.holds(&has);
        assert!(meets(json!({}), false) && meets(json!({}), true));
        assert!(meets(json!({ "page": 7 }), false) && meets(json!({ "page": "7" }), false));
        assert!(!meets(json!({ "page": 7, "kind": "other" }), false));
        assert!(meets(json!({ "page": 7, "kind": "other" }), true));
        assert!(!meets(json!({ "no": null }), true));
    }
}
