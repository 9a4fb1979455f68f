//! Lists of models, in OpenAI's shape, of what the configuration names.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::table::{Llm, Llms};

/// Models that an LLM's configuration names without a pattern, and its default one.
fn named(llm: &Llm) -> impl Iterator<Item = &str> {
    let listed = llm.settings.models.iter().flatten().filter(|model| !model.contains('*'));
    listed.chain(&llm.settings.default_model).map(String::as_str)
}

/// Models of all LLMs that a caller may use, or of one of them.
pub(super) fn models(llms: &Llms, may_use: impl Fn(&str) -> bool, only: Option<&Llm>) -> Bytes {
    let usable = llms.all().iter().filter(|llm| may_use(&llm.name));
    let usable = usable.filter(|llm| only.is_none_or(|only| only.name == llm.name));
    let mut seen = BTreeSet::new();
    let mut data: Vec<Value> = Vec::new();
    for llm in usable {
        for model in named(llm).filter(|model| llm.has_model(model)) {
            if seen.insert(model.to_owned()) {
                data.push(json!({ "id": model, "object": "model", "created": 0, "owned_by": &*llm.name }));
            }
        }
    }
    json!({ "object": "list", "data": data }).to_string().into()
}

/// Whether the configuration says which models an LLM has.
pub(super) fn is_known(llm: &Llm) -> bool {
    llm.settings.models.as_ref().is_some_and(|models| !models.iter().any(|model| model.contains('*')))
}
