//! Anthropic's messages and the model of a conversation.

use serde_json::{Map, Value, json};

use crate::{
    convert::{
        ConvertError,
        model::{
            Answer, Call, Choice, Format, Media, Part, Request, Role, Source, Thinking, Tool, ToolChoice,
            ToolResult,
        },
        read::{flag, float, list, map, need, object, objects, set, take, text, usage, whole, words, wrong},
    },
    meter::{Finish, Usage},
};

const TO: &str = "Anthropic messages";

/// What an answer may have where the client set no limit, as Anthropic wants one.
const DEFAULT_MAX_TOKENS: u64 = 8_192;

/// Reads a request.
pub(crate) fn read_request(mut body: Map<String, Value>) -> Result<Request, ConvertError> {
    let mut request = Request { model: text(&mut body, "model")?.unwrap_or_default(), ..Request::default() };
    match take(&mut body, "system") {
        None => {}
        Some(Value::String(text)) => request.system.push(text),
        Some(Value::Array(blocks)) => {
            for block in blocks {
                request.system.push(need(&mut object(block, "system[]")?, "text")?);
            }
        }
        Some(_) => return Err(wrong("system", "a string or a list")),
    }
    for mut message in objects(&mut body, "messages")? {
        let role = match need(&mut message, "role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => {
                let parts = read_content(take(&mut message, "content"))?;
                request.system.extend(crate::convert::model::texts(&parts).into_iter().map(str::to_owned));
                continue;
            }
            _ => return Err(wrong("messages[].role", "user or assistant")),
        };
        request.say(role, read_content(take(&mut message, "content"))?);
    }
    for mut tool in objects(&mut body, "tools")? {
        let named = text(&mut tool, "type")?;
        if named.is_some_and(|kind| kind != "custom") {
            return Err(ConvertError::NotCarried {
                what: "a tool that the vendor runs",
                to: "another vendor",
            });
        }
        request.tools.push(Tool {
            name: need(&mut tool, "name")?,
            description: text(&mut tool, "description")?,
            schema: take(&mut tool, "input_schema"),
            strict: flag(&mut tool, "strict")?,
        });
    }
    read_settings(&mut body, &mut request)?;
    for name in
        ["service_tier", "container", "context_management", "mcp_servers", "inference_geo", "cache_control"]
    {
        if take(&mut body, name).is_some() {
            request.drop(name);
        }
    }
    body.retain(|_, value| !value.is_null());
    request.extra = body;
    Ok(request)
}

fn read_settings(body: &mut Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    if let Some(mut choice) = map(body, "tool_choice")? {
        request.choice = Some(match need(&mut choice, "type")?.as_str() {
            "any" => ToolChoice::Any,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::One(need(&mut choice, "name")?),
            _ => ToolChoice::Auto,
        });
        request.parallel_calls = flag(&mut choice, "disable_parallel_tool_use")?.map(|disabled| !disabled);
    }
    request.max_tokens = whole(body, "max_tokens")?;
    request.temperature = float(body, "temperature")?;
    request.top_p = float(body, "top_p")?;
    request.top_k = whole(body, "top_k")?;
    request.stop = words(body, "stop_sequences")?;
    request.stream = flag(body, "stream")?.unwrap_or(false);
    request.stream_usage = true;
    if let Some(mut metadata) = map(body, "metadata")? {
        request.user = text(&mut metadata, "user_id")?;
    }
    if let Some(mut thinking) = map(body, "thinking")? {
        request.thinking = Some(match need(&mut thinking, "type")?.as_str() {
            "enabled" => Thinking::Tokens(whole(&mut thinking, "budget_tokens")?.unwrap_or(1_024)),
            "adaptive" => Thinking::Adaptive,
            _ => Thinking::Off,
        });
    }
    let format = match map(body, "output_config")? {
        Some(mut config) => map(&mut config, "format")?,
        None => None,
    };
    if let Some(mut format) = format.or(map(body, "output_format")?) {
        let schema = take(&mut format, "schema").unwrap_or_else(|| json!({}));
        request.format = Some(Format::Schema { name: None, schema, strict: Some(true) });
    }
    Ok(())
}

fn read_content(content: Option<Value>) -> Result<Vec<Part>, ConvertError> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(text)]),
        Some(Value::Array(blocks)) => {
            blocks.into_iter().map(|block| read_block(object(block, "content[]")?)).collect()
        }
        Some(_) => Err(wrong("messages[].content", "a string or a list")),
    }
}

fn read_block(mut block: Map<String, Value>) -> Result<Part, ConvertError> {
    match need(&mut block, "type")?.as_str() {
        "text" => Ok(Part::Text(need(&mut block, "text")?)),
        "image" => Ok(Part::Image(Media { source: read_source(&mut block)?, name: None })),
        "document" => {
            let mut source = map(&mut block, "source")?.unwrap_or_default();
            if source.get("type").is_some_and(|kind| kind == "text") {
                return Ok(Part::Text(need(&mut source, "data")?));
            }
            block.insert("source".to_owned(), source.into());
            let name = text(&mut block, "title")?;
            Ok(Part::Document(Media { source: read_source(&mut block)?, name }))
        }
        "tool_use" => Ok(Part::Call(Call {
            id: need(&mut block, "id")?,
            name: need(&mut block, "name")?,
            arguments: take(&mut block, "input").unwrap_or_else(|| json!({})),
            signature: None,
        })),
        "tool_result" => Ok(Part::Result(ToolResult {
            id: need(&mut block, "tool_use_id")?,
            failed: flag(&mut block, "is_error")?.unwrap_or(false),
            parts: read_content(take(&mut block, "content"))?,
        })),
        "thinking" => Ok(Part::Reasoning {
            text: text(&mut block, "thinking")?.unwrap_or_default(),
            signature: text(&mut block, "signature")?.filter(|signature| !signature.is_empty()),
        }),
        "redacted_thinking" => Ok(Part::Redacted(need(&mut block, "data")?)),
        _ => Err(ConvertError::NotCarried { what: "a block of unknown type", to: "another vendor" }),
    }
}

fn read_source(block: &mut Map<String, Value>) -> Result<Source, ConvertError> {
    let mut source = map(block, "source")?.ok_or_else(|| wrong("source", "an object"))?;
    match need(&mut source, "type")?.as_str() {
        "base64" => {
            Ok(Source::Data { kind: need(&mut source, "media_type")?, data: need(&mut source, "data")? })
        }
        "url" => Ok(Source::Url(need(&mut source, "url")?)),
        _ => Err(ConvertError::NotCarried { what: "a file by its id", to: "another vendor" }),
    }
}

/// Writes a request.
pub(crate) fn write_request(request: &mut Request) -> Result<Map<String, Value>, ConvertError> {
    if request.answers.is_some_and(|n| n > 1) {
        return Err(ConvertError::NotCarried { what: "several answers to one request (`n`)", to: TO });
    }
    let mut body = std::mem::take(&mut request.extra);
    body.insert("model".to_owned(), request.model.clone().into());
    set(&mut body, "system", Some(request.system.join("\n\n")).filter(|system| !system.is_empty()));
    let turns: Vec<Value> = request.turns.iter().filter_map(write_turn).collect();
    body.insert("messages".to_owned(), turns.into());
    write_tools(request, &mut body);
    let limit = request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    let budget = request.thinking.and_then(Thinking::budget).map(|budget| budget.max(1_024));
    if let Some(budget) = budget {
        body.insert("thinking".to_owned(), json!({ "type": "enabled", "budget_tokens": budget }));
        // Thoughts count towards the limit here, and a client that knows nothing of them meant the answer.
        body.insert("max_tokens".to_owned(), limit.saturating_add(budget).into());
        if request.temperature.take().is_some_and(|t| t < 1.0) || request.top_k.take().is_some() {
            request.drop("temperature");
        }
    } else {
        body.insert("max_tokens".to_owned(), limit.into());
    }
    // Anthropic's scale ends at 1.
    set(&mut body, "temperature", request.temperature.map(|t| t.min(1.0)));
    set(&mut body, "top_p", request.top_p.filter(|_| budget.is_none()));
    set(&mut body, "top_k", request.top_k);
    if !request.stop.is_empty() {
        set(&mut body, "stop_sequences", Some(request.stop.clone()));
    }
    set(&mut body, "metadata", request.user.take().map(|user| json!({ "user_id": user })));
    match request.format.take() {
        Some(Format::Schema { schema, .. }) => {
            let format = json!({ "format": { "type": "json_schema", "schema": schema } });
            body.insert("output_config".to_owned(), format);
        }
        Some(Format::Json) => request.drop("response_format"),
        None => {}
    }
    for (name, there) in [
        ("seed", request.seed.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some()),
        ("presence_penalty", request.presence_penalty.is_some()),
    ] {
        if there {
            request.drop(name);
        }
    }
    if request.stream {
        body.insert("stream".to_owned(), true.into());
    }
    Ok(body)
}

fn write_tools(request: &Request, body: &mut Map<String, Value>) {
    if request.tools.is_empty() {
        return;
    }
    let tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            let mut written = Map::new();
            set(&mut written, "name", Some(tool.name.clone()));
            set(&mut written, "description", tool.description.clone());
            let schema = tool.schema.clone().unwrap_or_else(|| json!({ "type": "object" }));
            written.insert("input_schema".to_owned(), schema);
            set(&mut written, "strict", tool.strict);
            written.into()
        })
        .collect();
    body.insert("tools".to_owned(), tools.into());
    let mut choice = match &request.choice {
        None if request.parallel_calls.is_none() => return,
        None | Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::None) => json!({ "type": "none" }),
        Some(ToolChoice::Any) => json!({ "type": "any" }),
        Some(ToolChoice::One(name)) => json!({ "type": "tool", "name": name }),
    };
    if let Some(parallel) = request.parallel_calls.filter(|_| request.choice != Some(ToolChoice::None)) {
        choice["disable_parallel_tool_use"] = (!parallel).into();
    }
    body.insert("tool_choice".to_owned(), choice);
}

fn write_turn(turn: &crate::convert::model::Turn) -> Option<Value> {
    // Anthropic wants results of tools before anything else of the turn, and thoughts only with their signature.
    let first = |part: &&Part| matches!(part, Part::Result(_));
    let parts = turn.parts.iter().filter(first).chain(turn.parts.iter().filter(|part| !first(part)));
    let blocks: Vec<Value> = parts.filter_map(|part| write_block(part, true)).collect();
    let role = if turn.role == Role::User { "user" } else { "assistant" };
    (!blocks.is_empty()).then(|| json!({ "role": role, "content": blocks }))
}

fn write_block(part: &Part, in_request: bool) -> Option<Value> {
    Some(match part {
        // Anthropic refuses empty texts.
        Part::Text(text) if text.is_empty() => return None,
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image(media) => json!({ "type": "image", "source": write_source(&media.source) }),
        Part::Document(media) => {
            let mut block = json!({ "type": "document", "source": write_source(&media.source) });
            if let Some(name) = &media.name {
                block["title"] = name.clone().into();
            }
            block
        }
        Part::Call(call) => {
            json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments })
        }
        Part::Result(result) => {
            let content: Vec<Value> =
                result.parts.iter().filter_map(|part| write_block(part, in_request)).collect();
            let mut block = json!({ "type": "tool_result", "tool_use_id": result.id, "content": content });
            if result.failed {
                block["is_error"] = true.into();
            }
            block
        }
        Part::Reasoning { signature: None, .. } if in_request => return None,
        Part::Reasoning { text, signature } => {
            let signature = signature.as_deref().unwrap_or_default();
            json!({ "type": "thinking", "thinking": text, "signature": signature })
        }
        Part::Redacted(data) => json!({ "type": "redacted_thinking", "data": data }),
    })
}

fn write_source(source: &Source) -> Value {
    match source {
        Source::Data { kind, data } => json!({ "type": "base64", "media_type": kind, "data": data }),
        Source::Url(url) => json!({ "type": "url", "url": url }),
    }
}

/// Reads an answer.
pub(crate) fn read_answer(mut body: Map<String, Value>) -> Result<Answer, ConvertError> {
    let usage = body.get("usage").and_then(usage);
    let blocks = list(&mut body, "content")?;
    let parts: Result<Vec<Part>, ConvertError> =
        blocks.into_iter().map(|block| read_block(object(block, "content[]")?)).collect();
    let finish = text(&mut body, "stop_reason")?.map(|word| Finish::of(&word));
    let stop_sequence = text(&mut body, "stop_sequence")?;
    Ok(Answer {
        id: text(&mut body, "id")?.unwrap_or_default(),
        model: text(&mut body, "model")?.unwrap_or_default(),
        created: None,
        choices: vec![Choice { parts: parts?, finish, stop_sequence }],
        usage,
    })
}

/// Writes an answer; of several alternatives the first.
pub(crate) fn write_answer(answer: &Answer) -> Value {
    let choice = answer.choices.first();
    let blocks: Vec<Value> = choice
        .map(|choice| choice.parts.iter().filter_map(|part| write_block(part, false)).collect())
        .unwrap_or_default();
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    let stop_sequence = choice.and_then(|choice| choice.stop_sequence.clone());
    json!({
        "id": answer.id, "type": "message", "role": "assistant", "model": answer.model, "content": blocks,
        "stop_reason": match &stop_sequence { Some(_) => "stop_sequence", None => finish.map_or("end_turn", word) },
        "stop_sequence": stop_sequence, "usage": write_usage(answer.usage.unwrap_or_default())
    })
}

/// Anthropic's word for why a model stopped.
pub(super) fn word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Other(_) => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}

pub(super) fn write_usage(usage: Usage) -> Value {
    let cached = usage.cache_read.saturating_add(usage.cache_write);
    json!({
        "input_tokens": usage.input.saturating_sub(cached), "output_tokens": usage.output,
        "cache_read_input_tokens": usage.cache_read, "cache_creation_input_tokens": usage.cache_write
    })
}
