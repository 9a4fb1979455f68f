//! OpenAI's responses, as clients ask for them, and the model of a conversation.
//!
//! One way only: what a client of this API asks and is told. Towards a vendor that speaks it nothing needs converting.

use serde_json::{Map, Value, json};

use crate::{
    convert::{
        ConvertError,
        model::{
            Answer, Call, Effort, Format, Media, Part, Request, Role, Source, Thinking, Tool, ToolChoice,
            ToolResult, texts,
        },
        read::{arguments, flag, float, map, need, object, objects, take, text, whole, wrong},
    },
    meter::{Finish, Usage},
};

/// What an earlier answer is meant by, which only OpenAI keeps.
const KEPT: [(&str, &str); 3] = [
    ("previous_response_id", "an earlier response by its id"),
    ("conversation", "a conversation by its id"),
    ("prompt", "a prompt by its id"),
];

/// Members that tune what other vendors do not have; they are left out and named.
const TUNING: [&str; 14] = [
    "store",
    "include",
    "truncation",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "stream_options",
    "top_logprobs",
    "max_tool_calls",
    "context_management",
    "background",
    "moderation",
];

/// Reads a request.
pub(crate) fn read_request(mut body: Map<String, Value>) -> Result<Request, ConvertError> {
    for (name, what) in KEPT {
        if take(&mut body, name).is_some() {
            return Err(ConvertError::NotCarried { what, to: "another vendor" });
        }
    }
    if body.get("background") == Some(&Value::Bool(true)) {
        return Err(ConvertError::NotCarried { what: "a response in the background", to: "another vendor" });
    }
    let mut request = Request {
        model: text(&mut body, "model")?.unwrap_or_default(),
        stream_usage: true,
        ..Request::default()
    };
    request.system.extend(text(&mut body, "instructions")?);
    match take(&mut body, "input") {
        Some(Value::String(said)) => request.say(Role::User, vec![Part::Text(said)]),
        Some(Value::Array(items)) => {
            for item in items {
                read_item(object(item, "input[]")?, &mut request)?;
            }
        }
        _ => return Err(wrong("input", "a string or a list")),
    }
    read_tools(&mut body, &mut request)?;
    request.max_tokens = whole(&mut body, "max_output_tokens")?;
    request.temperature = float(&mut body, "temperature")?;
    request.top_p = float(&mut body, "top_p")?;
    request.user = text(&mut body, "user")?;
    request.stream = flag(&mut body, "stream")?.unwrap_or(false);
    if let Some(mut reasoning) = map(&mut body, "reasoning")? {
        request.thinking = text(&mut reasoning, "effort")?.map(|word| match word.as_str() {
            "none" | "minimal" => Thinking::Off,
            "low" => Thinking::Effort(Effort::Low),
            "medium" => Thinking::Effort(Effort::Medium),
            _ => Thinking::Effort(Effort::High),
        });
    }
    if let Some(mut written) = map(&mut body, "text")?
        && let Some(mut format) = map(&mut written, "format")?
    {
        request.format = match need(&mut format, "type")?.as_str() {
            "json_object" => Some(Format::Json),
            "json_schema" => Some(Format::Schema {
                name: text(&mut format, "name")?,
                schema: take(&mut format, "schema").unwrap_or_else(|| json!({})),
                strict: flag(&mut format, "strict")?,
            }),
            _ => None,
        };
    }
    for name in TUNING {
        if take(&mut body, name).is_some() {
            request.drop(name);
        }
    }
    body.retain(|_, value| !value.is_null());
    request.extra = body;
    Ok(request)
}

fn read_tools(body: &mut Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    for mut tool in objects(body, "tools")? {
        if need(&mut tool, "type")? != "function" {
            return Err(ConvertError::NotCarried {
                what: "a tool that is no function",
                to: "another vendor",
            });
        }
        request.tools.push(Tool {
            name: need(&mut tool, "name")?,
            description: text(&mut tool, "description")?,
            schema: take(&mut tool, "parameters"),
            strict: flag(&mut tool, "strict")?,
        });
    }
    request.parallel_calls = flag(body, "parallel_tool_calls")?;
    request.choice = match take(body, "tool_choice") {
        None => None,
        Some(Value::String(word)) => Some(match word.as_str() {
            "none" => ToolChoice::None,
            "required" => ToolChoice::Any,
            _ => ToolChoice::Auto,
        }),
        Some(Value::Object(mut one)) => Some(ToolChoice::One(need(&mut one, "name")?)),
        Some(_) => return Err(wrong("tool_choice", "a word or an object")),
    };
    Ok(())
}

fn read_item(mut item: Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    match text(&mut item, "type")?.as_deref() {
        None | Some("message") => {
            let role = need(&mut item, "role")?;
            let parts = read_content(take(&mut item, "content"))?;
            match role.as_str() {
                "system" | "developer" => request.system.extend(texts(&parts).into_iter().map(str::to_owned)),
                "assistant" => request.say(Role::Assistant, parts),
                _ => request.say(Role::User, parts),
            }
        }
        Some("function_call") => {
            let json = text(&mut item, "arguments")?.unwrap_or_default();
            let call = Call {
                id: need(&mut item, "call_id")?,
                name: need(&mut item, "name")?,
                arguments: arguments(&json, "input[].arguments")?,
                signature: None,
            };
            request.say(Role::Assistant, vec![Part::Call(call)]);
        }
        Some("function_call_output") => {
            let id = need(&mut item, "call_id")?;
            let parts = read_content(take(&mut item, "output"))?;
            request.say(Role::User, vec![Part::Result(ToolResult { id, parts, failed: false })]);
        }
        Some("reasoning") => {
            let mut said = String::new();
            for mut part in objects(&mut item, "summary")? {
                said.push_str(&text(&mut part, "text")?.unwrap_or_default());
            }
            let signature = text(&mut item, "encrypted_content")?;
            request.say(Role::Assistant, vec![Part::Reasoning { text: said, signature }]);
        }
        Some(_) => {
            return Err(ConvertError::NotCarried { what: "an item of unknown type", to: "another vendor" });
        }
    }
    Ok(())
}

fn read_content(content: Option<Value>) -> Result<Vec<Part>, ConvertError> {
    let items = match content {
        None => return Ok(Vec::new()),
        Some(Value::String(said)) => return Ok(vec![Part::Text(said)]),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(wrong("content", "a string or a list")),
    };
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        let mut item = object(item, "content[]")?;
        parts.push(match need(&mut item, "type")?.as_str() {
            "input_text" | "output_text" | "text" => Part::Text(need(&mut item, "text")?),
            "refusal" => Part::Text(need(&mut item, "refusal")?),
            "input_image" => {
                let url = text(&mut item, "image_url")?
                    .ok_or(ConvertError::NotCarried { what: "a file by its id", to: "another vendor" })?;
                Part::Image(Media { source: Source::of_url(&url), name: None })
            }
            "input_file" => {
                let name = text(&mut item, "filename")?;
                let source = match (text(&mut item, "file_data")?, text(&mut item, "file_url")?) {
                    (Some(data), _) => match Source::of_url(&data) {
                        Source::Url(data) => Source::Data { kind: "application/pdf".to_owned(), data },
                        data => data,
                    },
                    (None, Some(url)) => Source::Url(url),
                    (None, None) => {
                        return Err(ConvertError::NotCarried {
                            what: "a file by its id",
                            to: "another vendor",
                        });
                    }
                };
                Part::Document(Media { source, name })
            }
            _ => {
                return Err(ConvertError::NotCarried {
                    what: "a part of unknown type",
                    to: "another vendor",
                });
            }
        });
    }
    Ok(parts)
}

/// Writes an answer.
pub(crate) fn write_answer(answer: &Answer) -> Value {
    let choice = answer.choices.first();
    let mut items = Vec::new();
    let mut said = Vec::new();
    for part in choice.map(|choice| choice.parts.as_slice()).unwrap_or_default() {
        match part {
            Part::Text(text) => said.push(output_text(text)),
            Part::Reasoning { text, signature } => {
                items.push(reasoning(items.len(), text, signature.as_deref()));
            }
            _ => {}
        }
    }
    if !said.is_empty() {
        items.push(message(items.len(), &said, "completed"));
    }
    for part in choice.map(|choice| choice.parts.as_slice()).unwrap_or_default() {
        if let Part::Call(call) = part {
            items.push(function_call(items.len(), call, &call.arguments.to_string(), "completed"));
        }
    }
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    let head = Head { id: &answer.id, model: &answer.model, created: answer.created.unwrap_or(0) };
    response(&head, &items, finish, answer.usage)
}

/// What every response says of itself.
pub(super) struct Head<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) created: u64,
}

/// A response that is over, for this reason.
pub(super) fn response(
    head: &Head<'_>,
    items: &[Value],
    finish: Option<&Finish>,
    usage: Option<Usage>,
) -> Value {
    let mut body = begun(head);
    let why = match finish {
        Some(Finish::Length) => Some("max_output_tokens"),
        Some(Finish::ContentFilter) => Some("content_filter"),
        _ => None,
    };
    body["status"] = if why.is_some() { "incomplete" } else { "completed" }.into();
    body["incomplete_details"] = why.map_or(Value::Null, |why| json!({ "reason": why }));
    body["output"] = items.into();
    body["usage"] = usage.map_or(Value::Null, |usage| {
        json!({
            "input_tokens": usage.input, "input_tokens_details": { "cached_tokens": usage.cache_read },
            "output_tokens": usage.output, "output_tokens_details": { "reasoning_tokens": usage.reasoning },
            "total_tokens": usage.total()
        })
    });
    body
}

/// A response of which nothing has been said.
pub(super) fn begun(head: &Head<'_>) -> Value {
    let id = if head.id.starts_with("resp_") { head.id.to_owned() } else { format!("resp_{}", head.id) };
    json!({
        "id": id, "object": "response", "created_at": head.created, "status": "in_progress", "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {}, "model": head.model, "output": [],
        "parallel_tool_calls": true, "temperature": null, "tool_choice": "auto", "tools": [], "top_p": null,
        "usage": null
    })
}

pub(super) fn output_text(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

pub(super) fn message(number: usize, content: &[Value], status: &str) -> Value {
    json!({
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "status": status,
        "content": content
    })
}

pub(super) fn reasoning(number: usize, text: &str, signature: Option<&str>) -> Value {
    let summary = if text.is_empty() { json!([]) } else { json!([{ "type": "summary_text", "text": text }]) };
    let mut item = json!({ "id": format!("rs_{number}"), "type": "reasoning", "summary": summary });
    if let Some(signature) = signature {
        item["encrypted_content"] = signature.into();
    }
    item
}

pub(super) fn function_call(number: usize, call: &Call, arguments: &str, status: &str) -> Value {
    json!({
        "id": format!("fc_{number}"), "type": "function_call", "status": status, "call_id": call.id,
        "name": call.name, "arguments": arguments
    })
}
