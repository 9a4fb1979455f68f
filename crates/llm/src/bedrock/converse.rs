//! Bedrock's Converse and the model of a conversation.

use serde_json::{Map, Value, json};

use crate::{
    convert::{
        ConvertError,
        model::{
            Answer, Call, Choice, Format, Media, Part, Request, Role, Source, Thinking, Tool, ToolChoice,
            ToolResult,
        },
        read::{float, list, map, need, object, objects, set, take, text, usage, whole, words, wrong},
    },
    meter::{Finish, Usage},
};

const TO: &str = "Bedrock Converse";

/// Reads a request. The model and whether it streams stand in the path.
pub(crate) fn read_request(mut body: Map<String, Value>) -> Result<Request, ConvertError> {
    let mut request = Request { stream_usage: true, ..Request::default() };
    take(&mut body, "modelId");
    for mut block in objects(&mut body, "system")? {
        // Other blocks mark what may be cached.
        request.system.extend(text(&mut block, "text")?);
    }
    for mut message in objects(&mut body, "messages")? {
        let role = match need(&mut message, "role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return Err(wrong("messages[].role", "user or assistant")),
        };
        let mut parts = Vec::new();
        for block in objects(&mut message, "content")? {
            parts.extend(read_block(block)?);
        }
        request.say(role, parts);
    }
    if let Some(mut config) = map(&mut body, "inferenceConfig")? {
        request.max_tokens = whole(&mut config, "maxTokens")?;
        request.temperature = float(&mut config, "temperature")?;
        request.top_p = float(&mut config, "topP")?;
        request.stop = words(&mut config, "stopSequences")?;
    }
    if let Some(config) = map(&mut body, "toolConfig")? {
        read_tools(config, &mut request)?;
    }
    if let Some(mut extra) = map(&mut body, "additionalModelRequestFields")? {
        if let Some(mut thinking) = map(&mut extra, "thinking")? {
            request.thinking = whole(&mut thinking, "budget_tokens")?.map(Thinking::Tokens);
        }
        request.top_k = whole(&mut extra, "top_k")?;
        request.extra = extra;
    }
    let schema = body
        .get("outputConfig")
        .and_then(|config| config.pointer("/textFormat/structure/jsonSchema/schema"))
        .and_then(Value::as_str)
        .and_then(|schema| serde_json::from_str(schema).ok());
    request.format = schema.map(|schema| Format::Schema { name: None, schema, strict: None });
    let left: Vec<String> =
        body.into_iter().filter(|(name, _)| name != "outputConfig").map(|(name, _)| name).collect();
    left.iter().for_each(|name| request.drop(name));
    Ok(request)
}

fn read_tools(mut config: Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    for mut tool in objects(&mut config, "tools")? {
        let Some(mut spec) = map(&mut tool, "toolSpec")? else {
            if tool.contains_key("cachePoint") {
                continue;
            }
            return Err(ConvertError::NotCarried {
                what: "a tool that the vendor runs",
                to: "another vendor",
            });
        };
        let mut schema = map(&mut spec, "inputSchema")?.unwrap_or_default();
        request.tools.push(Tool {
            name: need(&mut spec, "name")?,
            description: text(&mut spec, "description")?,
            schema: take(&mut schema, "json"),
            strict: None,
        });
    }
    if let Some(mut choice) = map(&mut config, "toolChoice")? {
        request.choice = Some(match map(&mut choice, "tool")? {
            Some(mut tool) => ToolChoice::One(need(&mut tool, "name")?),
            None if choice.contains_key("any") => ToolChoice::Any,
            None => ToolChoice::Auto,
        });
    }
    Ok(())
}

fn read_block(mut block: Map<String, Value>) -> Result<Option<Part>, ConvertError> {
    if let Some(text) = text(&mut block, "text")? {
        return Ok(Some(Part::Text(text)));
    }
    if let Some(mut image) = map(&mut block, "image")? {
        let format = need(&mut image, "format")?;
        return Ok(Some(Part::Image(Media {
            source: read_source(&mut image, format!("image/{format}"))?,
            name: None,
        })));
    }
    if let Some(mut document) = map(&mut block, "document")? {
        let format = need(&mut document, "format")?;
        let name = text(&mut document, "name")?;
        let source = read_source(&mut document, document_kind(&format))?;
        return Ok(Some(Part::Document(Media { source, name })));
    }
    if let Some(mut call) = map(&mut block, "toolUse")? {
        return Ok(Some(Part::Call(Call {
            id: need(&mut call, "toolUseId")?,
            name: need(&mut call, "name")?,
            arguments: take(&mut call, "input").unwrap_or_else(|| json!({})),
            signature: None,
        })));
    }
    if let Some(mut result) = map(&mut block, "toolResult")? {
        let failed = text(&mut result, "status")?.is_some_and(|status| status == "error");
        let id = need(&mut result, "toolUseId")?;
        let mut parts = Vec::new();
        for mut block in objects(&mut result, "content")? {
            match take(&mut block, "json") {
                Some(json) => parts.push(Part::Text(json.to_string())),
                None => parts.extend(read_block(block)?),
            }
        }
        return Ok(Some(Part::Result(ToolResult { id, parts, failed })));
    }
    if let Some(mut thoughts) = map(&mut block, "reasoningContent")? {
        if let Some(data) = text(&mut thoughts, "redactedContent")? {
            return Ok(Some(Part::Redacted(data)));
        }
        let mut within = map(&mut thoughts, "reasoningText")?.unwrap_or_default();
        let (text, signature) =
            (text(&mut within, "text")?.unwrap_or_default(), text(&mut within, "signature")?);
        return Ok(Some(Part::Reasoning { text, signature }));
    }
    if block.contains_key("cachePoint") {
        return Ok(None);
    }
    Err(ConvertError::NotCarried { what: "a block of unknown type", to: "another vendor" })
}

fn read_source(media: &mut Map<String, Value>, kind: String) -> Result<Source, ConvertError> {
    let mut source = map(media, "source")?.unwrap_or_default();
    match text(&mut source, "bytes")? {
        Some(data) => Ok(Source::Data { kind, data }),
        None => Err(ConvertError::NotCarried { what: "a file in S3", to: "another vendor" }),
    }
}

fn document_kind(format: &str) -> String {
    match format {
        "txt" => "text/plain".to_owned(),
        "md" => "text/markdown".to_owned(),
        "csv" | "html" => format!("text/{format}"),
        other => format!("application/{other}"),
    }
}

/// Writes a request.
pub(crate) fn write_request(request: &mut Request) -> Result<Map<String, Value>, ConvertError> {
    if request.answers.is_some_and(|n| n > 1) {
        return Err(ConvertError::NotCarried { what: "several answers to one request (`n`)", to: TO });
    }
    let mut body = Map::new();
    if !request.system.is_empty() {
        let blocks: Vec<Value> = request.system.iter().map(|text| json!({ "text": text })).collect();
        body.insert("system".to_owned(), blocks.into());
    }
    let mut messages = Vec::new();
    for turn in &request.turns {
        let mut blocks = Vec::new();
        for part in &turn.parts {
            blocks.extend(write_block(part, true)?);
        }
        if !blocks.is_empty() {
            let role = if turn.role == Role::User { "user" } else { "assistant" };
            messages.push(json!({ "role": role, "content": blocks }));
        }
    }
    body.insert("messages".to_owned(), messages.into());
    let mut config = Map::new();
    set(&mut config, "maxTokens", request.max_tokens);
    set(&mut config, "temperature", request.temperature.map(|t| t.min(1.0)));
    set(&mut config, "topP", request.top_p);
    if !request.stop.is_empty() {
        set(&mut config, "stopSequences", Some(request.stop.clone()));
    }
    let mut extra = std::mem::take(&mut request.extra);
    set(&mut extra, "top_k", request.top_k);
    if let Some(budget) = request.thinking.and_then(Thinking::budget) {
        extra.insert("thinking".to_owned(), json!({ "type": "enabled", "budget_tokens": budget }));
        let limit = request.max_tokens.unwrap_or(4_096).saturating_add(budget);
        config.insert("maxTokens".to_owned(), limit.into());
        config.remove("temperature");
        config.remove("topP");
    }
    set(&mut body, "inferenceConfig", Some(config).filter(|config| !config.is_empty()));
    set(&mut body, "additionalModelRequestFields", Some(extra).filter(|extra| !extra.is_empty()));
    set(&mut body, "toolConfig", write_tools(request));
    match request.format.take() {
        Some(Format::Schema { name, schema, .. }) => {
            let name = name.unwrap_or_else(|| "answer".to_owned());
            let json_schema = json!({ "name": name, "schema": schema.to_string() });
            let format = json!({ "type": "json_schema", "structure": { "jsonSchema": json_schema } });
            body.insert("outputConfig".to_owned(), json!({ "textFormat": format }));
        }
        Some(Format::Json) => request.drop("response_format"),
        None => {}
    }
    for (name, there) in [
        ("seed", request.seed.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some()),
        ("presence_penalty", request.presence_penalty.is_some()),
        ("user", request.user.is_some()),
        ("parallel_tool_calls", request.parallel_calls.is_some()),
    ] {
        if there {
            request.drop(name);
        }
    }
    Ok(body)
}

fn write_tools(request: &mut Request) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    if request.choice == Some(ToolChoice::None) {
        // There is no word for it. Without tools none is called; but where some were, their description is asked for.
        if !request.has_calls() {
            return None;
        }
        request.drop("tool_choice");
    }
    let tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            let schema = tool.schema.clone().unwrap_or_else(|| json!({ "type": "object" }));
            let mut spec = json!({ "name": tool.name, "inputSchema": { "json": schema } });
            if let Some(description) = &tool.description {
                spec["description"] = description.clone().into();
            }
            json!({ "toolSpec": spec })
        })
        .collect();
    let mut config = json!({ "tools": tools });
    match &request.choice {
        Some(ToolChoice::Any) => config["toolChoice"] = json!({ "any": {} }),
        Some(ToolChoice::One(name)) => config["toolChoice"] = json!({ "tool": { "name": name } }),
        Some(ToolChoice::Auto) => config["toolChoice"] = json!({ "auto": {} }),
        Some(ToolChoice::None) | None => {}
    }
    Some(config)
}

fn write_block(part: &Part, in_request: bool) -> Result<Option<Value>, ConvertError> {
    Ok(Some(match part {
        Part::Text(text) if text.is_empty() => return Ok(None),
        Part::Text(text) => json!({ "text": text }),
        Part::Image(media) => json!({ "image": write_media(media, "an image by its address")? }),
        Part::Document(media) => {
            let mut document = write_media(media, "a document by its address")?;
            // Bedrock takes no dots in names.
            let name = media.name.as_deref().unwrap_or("document").replace(['.', '/', '\\', ':'], " ");
            document["name"] = name.into();
            json!({ "document": document })
        }
        Part::Call(call) => {
            json!({ "toolUse": { "toolUseId": call.id, "name": call.name, "input": call.arguments } })
        }
        Part::Result(result) => {
            let mut content = Vec::new();
            for part in &result.parts {
                content.extend(write_block(part, in_request)?);
            }
            let status = if result.failed { "error" } else { "success" };
            json!({ "toolResult": { "toolUseId": result.id, "content": content, "status": status } })
        }
        Part::Reasoning { signature: None, .. } if in_request => return Ok(None),
        Part::Reasoning { text, signature } => {
            let mut within = json!({ "text": text });
            if let Some(signature) = signature {
                within["signature"] = signature.clone().into();
            }
            json!({ "reasoningContent": { "reasoningText": within } })
        }
        Part::Redacted(data) => json!({ "reasoningContent": { "redactedContent": data } }),
    }))
}

fn write_media(media: &Media, what: &'static str) -> Result<Value, ConvertError> {
    let Source::Data { kind, data } = &media.source else {
        return Err(ConvertError::NotCarried { what, to: TO });
    };
    let format = match kind.as_str() {
        "text/plain" => "txt",
        "text/markdown" => "md",
        "image/jpg" => "jpeg",
        other => other.rsplit('/').next().unwrap_or(other),
    };
    Ok(json!({ "format": format, "source": { "bytes": data } }))
}

/// Reads an answer.
pub(crate) fn read_answer(mut body: Map<String, Value>) -> Result<Answer, ConvertError> {
    let usage = body.get("usage").and_then(usage);
    let finish = text(&mut body, "stopReason")?.map(|word| Finish::of(&word));
    let mut output = map(&mut body, "output")?.unwrap_or_default();
    let mut message = map(&mut output, "message")?.unwrap_or_default();
    let mut parts = Vec::new();
    for block in list(&mut message, "content")? {
        parts.extend(read_block(object(block, "content[]")?)?);
    }
    let choices = vec![Choice { parts, finish, stop_sequence: None }];
    Ok(Answer { id: String::new(), model: String::new(), created: None, choices, usage })
}

/// Writes an answer; of several alternatives the first.
pub(crate) fn write_answer(answer: &Answer) -> Value {
    let choice = answer.choices.first();
    let blocks: Vec<Value> = choice
        .map(|choice| {
            choice.parts.iter().filter_map(|part| write_block(part, false).ok().flatten()).collect()
        })
        .unwrap_or_default();
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    json!({
        "output": { "message": { "role": "assistant", "content": blocks } },
        "stopReason": finish.map_or("end_turn", word),
        "usage": write_usage(answer.usage.unwrap_or_default()), "metrics": { "latencyMs": 0 }
    })
}

/// Bedrock's word for why a model stopped.
pub(super) fn word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Other(_) => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "content_filtered",
    }
}

pub(super) fn write_usage(usage: Usage) -> Value {
    let cached = usage.cache_read.saturating_add(usage.cache_write);
    json!({
        "inputTokens": usage.input.saturating_sub(cached), "outputTokens": usage.output,
        "totalTokens": usage.total(), "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write
    })
}
