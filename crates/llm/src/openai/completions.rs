//! OpenAI's older completions, as a conversation of one turn.

use serde_json::{Map, Value, json};

use super::chat::{word, write_usage};
use crate::convert::{
    ConvertError,
    model::{Answer, Part, Request, Role, texts},
    read::{take, wrong},
};

/// Reads a request: its prompt is what the user says.
pub(crate) fn read_request(mut body: Map<String, Value>) -> Result<Request, ConvertError> {
    let prompt = match take(&mut body, "prompt") {
        Some(Value::String(text)) => text,
        Some(Value::Array(mut prompts)) if prompts.len() == 1 => match prompts.pop() {
            Some(Value::String(text)) => text,
            _ => return Err(wrong("prompt", "text; tokens are not carried over")),
        },
        Some(Value::Array(_)) => {
            return Err(ConvertError::NotCarried {
                what: "several prompts in one request",
                to: "another vendor",
            });
        }
        _ => return Err(wrong("prompt", "a string")),
    };
    for name in ["suffix", "echo", "best_of"] {
        if take(&mut body, name).is_some_and(|value| value != json!(false) && value != json!(1)) {
            return Err(ConvertError::NotCarried { what: "`suffix`, `echo` or `best_of`", to: "a chat" });
        }
    }
    let mut request = super::chat::read_request(body)?;
    request.say(Role::User, vec![Part::Text(prompt)]);
    Ok(request)
}

/// Writes an answer.
pub(crate) fn write_answer(answer: &Answer) -> Value {
    let choices: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            json!({
                "index": index, "text": texts(&choice.parts).concat(), "logprobs": null,
                "finish_reason": choice.finish.as_ref().map_or("stop", word)
            })
        })
        .collect();
    let mut body = json!({
        "id": answer.id, "object": "text_completion", "created": answer.created.unwrap_or(0),
        "model": answer.model, "choices": choices
    });
    if let Some(usage) = answer.usage {
        body["usage"] = write_usage(usage);
    }
    body
}
