//! What the services answer, by their published contracts.

use serde_json::{Value, json};

use super::Asked;

const CATEGORIES: [&str; 5] = ["hate", "violence", "self-harm", "sexual", "harassment"];

fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"error": {"message": message, "type": "invalid_request_error"}}))
}

/// OpenAI's moderation endpoint: `input` is a text or a list of them.
pub(super) fn moderation(asked: &Asked) -> (u16, Value) {
    if asked.method != http::Method::POST || asked.path != "/v1/moderations" {
        return error(404, "no such endpoint");
    }
    let texts: Vec<&str> = match &asked.body["input"] {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => return error(400, "input is required"),
    };
    let results: Vec<Value> = texts
        .into_iter()
        .map(|text| {
            let score = if text.contains("slightly") { 0.4 } else { 0.9 };
            let score = |name: &str| if text.contains(name) { score } else { 0.01 };
            let of = |value: &dyn Fn(&str) -> Value| -> Value {
                CATEGORIES.iter().map(|name| ((*name).to_owned(), value(name))).collect()
            };
            json!({
                "flagged": CATEGORIES.iter().any(|name| score(name) > 0.5),
                "categories": of(&|name| json!(score(name) > 0.5)),
                "category_scores": of(&|name| json!(score(name))),
            })
        })
        .collect();
    (200, json!({"id": "modr-1", "model": asked.body["model"], "results": results}))
}

/// A chat completion of a Llama Guard.
pub(super) fn llama_guard(asked: &Asked) -> (u16, Value) {
    if asked.method != http::Method::POST || asked.path != "/v1/chat/completions" {
        return error(404, "no such endpoint");
    }
    let turns = asked.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(text) = turns.last().and_then(|turn| turn["content"].as_str()) else {
        return error(400, "messages are required");
    };
    let hazard = text.split_once("hazard ").map(|(_, rest)| rest);
    let code: String = hazard.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    let said = if code.is_empty() { "\n\nsafe".to_owned() } else { format!("\n\nunsafe\nS{code}") };
    let choice =
        json!({"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"});
    let model = &asked.body["model"];
    (200, json!({"id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice]}))
}

/// The data API of an Open Policy Agent: what is not defined has no result.
pub(super) fn opa(asked: &Asked) -> (u16, Value) {
    let Some(path) = asked.path.strip_prefix("/v1/data/") else { return (404, json!({"code": "not_found"})) };
    let input = &asked.body["input"];
    let deletes = input["subject"].as_str().is_some_and(|subject| subject.starts_with("delete"));
    let teams = input["caller"]["teams"].as_array().map(Vec::as_slice).unwrap_or_default();
    let allow = !deletes || teams.iter().any(|team| team == "platform");
    match path {
        "test/allow" => (200, json!({"result": allow})),
        "test/decision" => {
            (200, json!({"result": {"allow": allow, "reason": "deleting is for the platform team"}}))
        }
        _ => (200, json!({})),
    }
}

/// A guardrail by Mortise's contract.
pub(super) fn guardrail(asked: &Asked) -> (u16, Value) {
    if asked.body["version"] != 1 {
        return error(400, "version 1 of the contract is spoken here");
    }
    let texts = asked.body["texts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut replacements = Vec::new();
    for text in texts {
        let said = text["text"].as_str().unwrap_or_default();
        if said.contains("forbidden") {
            let violation = json!({"code": "FORBIDDEN_WORD", "reason": "A forbidden word", "details": {"text": text["id"]}});
            return (200, json!({"verdict": "block", "violation": violation}));
        }
        for (at, word) in said.match_indices("secret") {
            // Positions count characters.
            let start = said.get(..at).unwrap_or_default().chars().count();
            let end = start + word.chars().count();
            replacements.push(json!({"id": text["id"], "start": start, "end": end, "text": "******"}));
        }
    }
    if replacements.is_empty() {
        return (200, json!({"verdict": "pass"}));
    }
    (200, json!({"verdict": "change", "replacements": replacements}))
}
