//! The endpoint's questions and answers: `input` and `model` there, `results` here, one for each text, in order.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::service::pieces::Piece;

/// Most texts in one request.
const MOST_TEXTS: usize = 32;
/// Most bytes of text in one request, unless a single text is longer.
const MOST_BYTES: usize = 65_536;

/// What is answered.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) results: Vec<Judged>,
}

/// What is said of one text. Values of categories may be null, where a model does not know them.
#[derive(Deserialize)]
pub(super) struct Judged {
    pub(super) flagged: bool,
    #[serde(default)]
    pub(super) categories: BTreeMap<String, Option<bool>>,
    #[serde(default)]
    pub(super) category_scores: BTreeMap<String, Option<f64>>,
}

/// A question about these texts.
pub(super) fn question(model: &str, texts: &[&str]) -> Bytes {
    let mut question = json!({ "input": texts });
    if !model.is_empty() {
        question["model"] = Value::from(model);
    }
    question.to_string().into()
}

/// Positions of texts, so many together as one request takes.
pub(super) fn batches(open: &[usize], pieces: &[Piece]) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for at in open {
        let size = pieces.get(*at).map_or(0, |piece| piece.text.len());
        match batches.last_mut() {
            Some(batch) if batch.len() < MOST_TEXTS && bytes + size <= MOST_BYTES => batch.push(*at),
            _ => {
                batches.push(vec![*at]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    batches
}
