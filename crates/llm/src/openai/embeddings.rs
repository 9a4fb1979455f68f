//! OpenAI's embeddings, and Gemini's.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::convert::{
    ConvertError, Options, Request,
    read::{take, text, whole, words, wrong},
};

/// Converts a request for embeddings to Gemini's `batchEmbedContents`.
pub(crate) fn request(mut body: Map<String, Value>, model: &str) -> Result<Request, ConvertError> {
    let base64 = text(&mut body, "encoding_format")?.is_some_and(|format| format == "base64");
    let size = whole(&mut body, "dimensions")?;
    let inputs = words(&mut body, "input")?;
    if inputs.is_empty() {
        return Err(wrong("input", "text"));
    }
    let requests: Vec<Value> = inputs
        .into_iter()
        .map(|input| {
            let mut one =
                json!({ "model": format!("models/{model}"), "content": { "parts": [{ "text": input }] } });
            if let Some(size) = size {
                one["outputDimensionality"] = size.into();
            }
            one
        })
        .collect();
    let dropped = take(&mut body, "user").map(|_| "user".to_owned()).into_iter().collect();
    let body = json!({ "requests": requests }).to_string().into();
    Ok(Request { body, stream: false, stream_usage: false, base64, dropped })
}

/// Converts Gemini's answer. It counts no tokens.
pub(crate) fn answer(body: &Map<String, Value>, options: &Options<'_>) -> Result<Bytes, ConvertError> {
    let embeddings = body
        .get("embeddings")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("embeddings", "a list"))?
        .iter()
        .enumerate()
        .map(|(index, one)| {
            let vector = if options.base64 { packed(&one["values"]) } else { one["values"].clone() };
            json!({ "object": "embedding", "index": index, "embedding": vector })
        })
        .collect::<Vec<_>>();
    let usage = json!({ "prompt_tokens": 0, "total_tokens": 0 });
    let body = json!({ "object": "list", "data": embeddings, "model": options.model, "usage": usage });
    Ok(body.to_string().into())
}

/// A vector as base64 of little-endian floats, which OpenAI's libraries ask for unless told otherwise.
fn packed(vector: &Value) -> Value {
    let floats = vector.as_array().into_iter().flatten().map(|n| n.as_f64().unwrap_or(0.0) as f32);
    let bytes: Vec<u8> = floats.flat_map(f32::to_le_bytes).collect();
    STANDARD.encode(bytes).into()
}
