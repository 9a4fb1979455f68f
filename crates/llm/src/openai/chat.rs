//! Chat completions and the model of a conversation.

use serde_json::{Map, Value, json};

use crate::{
    convert::{
        ConvertError,
        model::{
            Answer, Call, Choice, Effort, Format, Media, Part, Request, Role, Source, Thinking, Tool,
            ToolChoice, ToolResult, texts,
        },
        read::{
            arguments, flag, float, list, map, need, object, objects, set, take, text, usage, whole, words,
            wrong,
        },
    },
    meter::{Finish, Usage},
};

const TO: &str = "OpenAI chat completions";

/// Members that tune what other vendors do not have; they are left out and named.
const TUNING: [&str; 14] = [
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "store",
    "metadata",
    "service_tier",
    "prediction",
    "modalities",
    "verbosity",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "web_search_options",
    "include_reasoning",
];

/// Reads a request.
pub(crate) fn read_request(mut body: Map<String, Value>) -> Result<Request, ConvertError> {
    let mut request = Request { model: text(&mut body, "model")?.unwrap_or_default(), ..Request::default() };
    for message in objects(&mut body, "messages")? {
        read_message(message, &mut request)?;
    }
    if take(&mut body, "audio").is_some() {
        return Err(ConvertError::NotCarried { what: "audio", to: "another vendor" });
    }
    read_tools(&mut body, &mut request)?;
    let old_limit = whole(&mut body, "max_tokens")?;
    request.max_tokens = whole(&mut body, "max_completion_tokens")?.or(old_limit);
    request.temperature = float(&mut body, "temperature")?;
    request.top_p = float(&mut body, "top_p")?;
    request.stop = words(&mut body, "stop")?;
    request.seed = take(&mut body, "seed");
    request.frequency_penalty = take(&mut body, "frequency_penalty");
    request.presence_penalty = take(&mut body, "presence_penalty");
    request.answers = whole(&mut body, "n")?;
    request.user = text(&mut body, "user")?;
    request.stream = flag(&mut body, "stream")?.unwrap_or(false);
    let mut options = map(&mut body, "stream_options")?.unwrap_or_default();
    request.stream_usage = flag(&mut options, "include_usage")?.unwrap_or(false);
    request.thinking = text(&mut body, "reasoning_effort")?.map(|word| match word.as_str() {
        "none" | "minimal" => Thinking::Off,
        "low" => Thinking::Effort(Effort::Low),
        "medium" => Thinking::Effort(Effort::Medium),
        _ => Thinking::Effort(Effort::High),
    });
    request.format = read_format(&mut body)?;
    for name in TUNING {
        if take(&mut body, name).is_some() {
            request.drop(name);
        }
    }
    body.retain(|_, value| !value.is_null());
    request.extra = body;
    Ok(request)
}

fn read_format(body: &mut Map<String, Value>) -> Result<Option<Format>, ConvertError> {
    let Some(mut format) = map(body, "response_format")? else { return Ok(None) };
    Ok(match need(&mut format, "type")?.as_str() {
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let mut within = map(&mut format, "json_schema")?.unwrap_or_default();
            Some(Format::Schema {
                name: text(&mut within, "name")?,
                schema: take(&mut within, "schema").unwrap_or_else(|| json!({})),
                strict: flag(&mut within, "strict")?,
            })
        }
        _ => None,
    })
}

fn read_tools(body: &mut Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    let mut functions = objects(body, "functions")?;
    for mut tool in objects(body, "tools")? {
        match text(&mut tool, "type")?.as_deref() {
            Some("function") | None => {
                functions
                    .push(map(&mut tool, "function")?.ok_or_else(|| wrong("tools[].function", "an object"))?);
            }
            Some(_) => {
                return Err(ConvertError::NotCarried {
                    what: "a tool that is no function",
                    to: "another vendor",
                });
            }
        }
    }
    for mut function in functions {
        request.tools.push(Tool {
            name: need(&mut function, "name")?,
            description: text(&mut function, "description")?,
            schema: take(&mut function, "parameters"),
            strict: flag(&mut function, "strict")?,
        });
    }
    request.parallel_calls = flag(body, "parallel_tool_calls")?;
    let old = take(body, "function_call");
    request.choice = match take(body, "tool_choice").or(old) {
        None => None,
        Some(Value::String(word)) => Some(match word.as_str() {
            "none" => ToolChoice::None,
            "required" => ToolChoice::Any,
            _ => ToolChoice::Auto,
        }),
        Some(Value::Object(mut one)) => {
            let name = match map(&mut one, "function")? {
                Some(mut function) => need(&mut function, "name")?,
                None => need(&mut one, "name")?,
            };
            Some(ToolChoice::One(name))
        }
        Some(_) => return Err(wrong("tool_choice", "a word or an object")),
    };
    Ok(())
}

fn read_message(mut message: Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    let role = need(&mut message, "role")?;
    let content = take(&mut message, "content");
    match role.as_str() {
        "system" | "developer" => {
            let parts = read_content(content)?;
            request.system.extend(texts(&parts).into_iter().map(str::to_owned));
        }
        "user" => request.say(Role::User, read_content(content)?),
        "tool" | "function" => {
            let id = match text(&mut message, "tool_call_id")? {
                Some(id) => id,
                None => need(&mut message, "name")?,
            };
            let result = ToolResult { id, parts: read_content(content)?, failed: false };
            request.say(Role::User, vec![Part::Result(result)]);
        }
        "assistant" => {
            let mut parts = read_thoughts(&mut message)?;
            parts.extend(read_content(content)?);
            parts.extend(text(&mut message, "refusal")?.map(Part::Text));
            parts.extend(read_calls(&mut message)?);
            request.say(Role::Assistant, parts);
        }
        _ => return Err(wrong("messages[].role", "system, developer, user, assistant or tool")),
    }
    Ok(())
}

/// Thoughts, as several compatible vendors put them into messages: with their signatures where they have some.
fn read_thoughts(message: &mut Map<String, Value>) -> Result<Vec<Part>, ConvertError> {
    let plain = text(message, "reasoning_content")?;
    let plain = match text(message, "reasoning")? {
        Some(other) => plain.or(Some(other)),
        None => plain,
    };
    let mut parts = Vec::new();
    for mut detail in objects(message, "reasoning_details")? {
        match text(&mut detail, "type")?.as_deref() {
            Some("reasoning.text") => parts.push(Part::Reasoning {
                text: text(&mut detail, "text")?.unwrap_or_default(),
                signature: text(&mut detail, "signature")?,
            }),
            Some("reasoning.encrypted") => parts.extend(text(&mut detail, "data")?.map(Part::Redacted)),
            _ => {}
        }
    }
    if parts.is_empty() {
        parts.extend(plain.map(|text| Part::Reasoning { text, signature: None }));
    }
    Ok(parts)
}

fn read_calls(message: &mut Map<String, Value>) -> Result<Vec<Part>, ConvertError> {
    let mut parts = Vec::new();
    for mut call in objects(message, "tool_calls")? {
        let id = text(&mut call, "id")?.unwrap_or_default();
        let signature = call
            .get("extra_content")
            .and_then(|extra| extra.pointer("/google/thought_signature"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let mut function = map(&mut call, "function")?.unwrap_or_default();
        let name = need(&mut function, "name")?;
        let json = text(&mut function, "arguments")?.unwrap_or_default();
        let arguments = arguments(&json, "messages[].tool_calls[].function.arguments")?;
        parts.push(Part::Call(Call { id, name, arguments, signature }));
    }
    if let Some(mut call) = map(message, "function_call")? {
        let name = need(&mut call, "name")?;
        let arguments =
            arguments(&text(&mut call, "arguments")?.unwrap_or_default(), "function_call.arguments")?;
        parts.push(Part::Call(Call { id: name.clone(), name, arguments, signature: None }));
    }
    Ok(parts)
}

fn read_content(content: Option<Value>) -> Result<Vec<Part>, ConvertError> {
    let items = match content {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => return Ok(vec![Part::Text(text)]),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(wrong("messages[].content", "a string or a list")),
    };
    items.into_iter().map(|item| read_part(object(item, "messages[].content[]")?)).collect()
}

fn read_part(mut part: Map<String, Value>) -> Result<Part, ConvertError> {
    match need(&mut part, "type")?.as_str() {
        "text" | "input_text" | "output_text" => Ok(Part::Text(need(&mut part, "text")?)),
        "refusal" => Ok(Part::Text(need(&mut part, "refusal")?)),
        "image_url" => {
            let url = match take(&mut part, "image_url") {
                Some(Value::Object(mut image)) => need(&mut image, "url")?,
                Some(Value::String(url)) => url,
                _ => return Err(wrong("image_url", "an object with `url`")),
            };
            Ok(Part::Image(Media { source: Source::of_url(&url), name: None }))
        }
        "file" => {
            let mut file = map(&mut part, "file")?.unwrap_or_default();
            let Some(data) = text(&mut file, "file_data")? else {
                return Err(ConvertError::NotCarried { what: "a file by its id", to: "another vendor" });
            };
            let source = match Source::of_url(&data) {
                Source::Url(data) => Source::Data { kind: "application/pdf".to_owned(), data },
                data => data,
            };
            Ok(Part::Document(Media { source, name: text(&mut file, "filename")? }))
        }
        "input_audio" => Err(ConvertError::NotCarried { what: "audio", to: "another vendor" }),
        _ => Err(ConvertError::NotCarried { what: "a part of unknown type", to: "another vendor" }),
    }
}

/// Writes a request.
pub(crate) fn write_request(request: &mut Request) -> Result<Map<String, Value>, ConvertError> {
    let mut body = std::mem::take(&mut request.extra);
    body.insert("model".to_owned(), request.model.clone().into());
    let mut messages: Vec<Value> =
        request.system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
    for turn in &request.turns {
        match turn.role {
            Role::User => write_user(&turn.parts, &mut messages)?,
            Role::Assistant => messages.push(write_assistant(&turn.parts, true)),
        }
    }
    body.insert("messages".to_owned(), messages.into());
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request.tools.iter().map(write_tool).collect();
        body.insert("tools".to_owned(), tools.into());
    }
    let choice = request.choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Any => json!("required"),
        ToolChoice::One(name) => json!({ "type": "function", "function": { "name": name } }),
    });
    set(&mut body, "tool_choice", choice);
    set(&mut body, "parallel_tool_calls", request.parallel_calls);
    set(&mut body, "max_completion_tokens", request.max_tokens);
    set(&mut body, "temperature", request.temperature);
    set(&mut body, "top_p", request.top_p);
    if request.top_k.is_some() {
        request.drop("top_k");
    }
    match request.stop.as_slice() {
        [] => {}
        [one] => set(&mut body, "stop", Some(one.clone())),
        several => set(&mut body, "stop", Some(several.to_vec())),
    }
    set(&mut body, "seed", request.seed.take());
    set(&mut body, "frequency_penalty", request.frequency_penalty.take());
    set(&mut body, "presence_penalty", request.presence_penalty.take());
    set(&mut body, "n", request.answers.filter(|n| *n != 1));
    set(&mut body, "user", request.user.take());
    set(&mut body, "reasoning_effort", request.thinking.map(Thinking::effort));
    set(&mut body, "response_format", request.format.take().map(write_format));
    if request.stream {
        body.insert("stream".to_owned(), true.into());
        body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
    Ok(body)
}

fn write_format(format: Format) -> Value {
    match format {
        Format::Json => json!({ "type": "json_object" }),
        Format::Schema { name, schema, strict } => {
            let name = name.unwrap_or_else(|| "answer".to_owned());
            let mut within = json!({ "name": name, "schema": schema });
            if let Some(strict) = strict {
                within["strict"] = strict.into();
            }
            json!({ "type": "json_schema", "json_schema": within })
        }
    }
}

fn write_tool(tool: &Tool) -> Value {
    let mut function = Map::new();
    set(&mut function, "name", Some(tool.name.clone()));
    set(&mut function, "description", tool.description.clone());
    set(&mut function, "parameters", tool.schema.clone());
    set(&mut function, "strict", tool.strict);
    json!({ "type": "function", "function": function })
}

/// A user's turn is several messages here: results of tools have one each, and come first.
fn write_user(parts: &[Part], messages: &mut Vec<Value>) -> Result<(), ConvertError> {
    let mut content = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => content.push(json!({ "type": "text", "text": text })),
            Part::Image(media) => {
                content.push(json!({ "type": "image_url", "image_url": { "url": media.source.to_url() } }));
            }
            Part::Document(Media { source: Source::Url(_), .. }) => {
                return Err(ConvertError::NotCarried { what: "a document by its address", to: TO });
            }
            Part::Document(media) => {
                let name = media.name.clone().unwrap_or_else(|| "document.pdf".to_owned());
                let file = json!({ "filename": name, "file_data": media.source.to_url() });
                content.push(json!({ "type": "file", "file": file }));
            }
            Part::Result(result) => {
                if result.parts.iter().any(|part| !matches!(part, Part::Text(_))) {
                    return Err(ConvertError::NotCarried { what: "a tool result that is no text", to: TO });
                }
                messages.push(json!({ "role": "tool", "tool_call_id": result.id, "content": result.text() }));
            }
            Part::Call(_) | Part::Reasoning { .. } | Part::Redacted(_) => {}
        }
    }
    match content.as_slice() {
        [] => {}
        [one] if one["type"] == "text" => messages.push(json!({ "role": "user", "content": one["text"] })),
        _ => messages.push(json!({ "role": "user", "content": content })),
    }
    Ok(())
}

/// An assistant's message, in a request or in an answer.
fn write_assistant(parts: &[Part], in_request: bool) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    let said = texts(parts).concat();
    message.insert("content".to_owned(), if said.is_empty() { Value::Null } else { said.into() });
    if !in_request {
        message.insert("refusal".to_owned(), Value::Null);
    }
    let mut thoughts = String::new();
    let mut details = Vec::new();
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Reasoning { text, signature } => {
                thoughts.push_str(text);
                if signature.is_some() {
                    details.push(json!({ "type": "reasoning.text", "text": text, "signature": signature }));
                }
            }
            Part::Redacted(data) => details.push(json!({ "type": "reasoning.encrypted", "data": data })),
            Part::Call(call) => calls.push(write_call(call)),
            _ => {}
        }
    }
    set(&mut message, "reasoning_content", Some(thoughts).filter(|thoughts| !thoughts.is_empty()));
    set(&mut message, "reasoning_details", Some(details).filter(|details| !details.is_empty()));
    set(&mut message, "tool_calls", Some(calls).filter(|calls| !calls.is_empty()));
    message.into()
}

pub(super) fn write_call(call: &Call) -> Value {
    let mut written = json!({
        "id": call.id, "type": "function",
        "function": { "name": call.name, "arguments": call.arguments.to_string() }
    });
    if let Some(signature) = &call.signature {
        written["extra_content"] = json!({ "google": { "thought_signature": signature } });
    }
    written
}

/// Reads an answer.
pub(crate) fn read_answer(mut body: Map<String, Value>) -> Result<Answer, ConvertError> {
    let mut answer = Answer {
        id: text(&mut body, "id")?.unwrap_or_default(),
        model: text(&mut body, "model")?.unwrap_or_default(),
        created: take(&mut body, "created").and_then(|value| value.as_u64()),
        choices: Vec::new(),
        usage: body.get("usage").and_then(usage),
    };
    for choice in list(&mut body, "choices")? {
        let mut choice = object(choice, "choices[]")?;
        let finish = text(&mut choice, "finish_reason")?.map(|word| Finish::of(&word));
        let mut message = map(&mut choice, "message")?.unwrap_or_default();
        let content = take(&mut message, "content");
        let mut parts = read_thoughts(&mut message)?;
        parts.extend(
            read_content(content)?.into_iter().filter(|part| !matches!(part, Part::Text(t) if t.is_empty())),
        );
        parts.extend(text(&mut message, "refusal")?.map(Part::Text));
        parts.extend(read_calls(&mut message)?);
        answer.choices.push(Choice { parts, finish, stop_sequence: None });
    }
    Ok(answer)
}

/// Writes an answer.
pub(crate) fn write_answer(answer: &Answer) -> Value {
    let choices: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            json!({
                "index": index, "message": write_assistant(&choice.parts, false), "logprobs": null,
                "finish_reason": choice.finish.as_ref().map_or("stop", word)
            })
        })
        .collect();
    let mut body = json!({
        "id": answer.id, "object": "chat.completion", "created": answer.created.unwrap_or(0),
        "model": answer.model, "choices": choices
    });
    if let Some(usage) = answer.usage {
        body["usage"] = write_usage(usage);
    }
    body
}

/// OpenAI's word for why a model stopped. Its libraries know no others.
pub(super) fn word(finish: &Finish) -> &str {
    match finish {
        Finish::Other(_) => "stop",
        finish => finish.word(),
    }
}

pub(super) fn write_usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total(),
        "prompt_tokens_details": { "cached_tokens": usage.cache_read },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning }
    })
}
