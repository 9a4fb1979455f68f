//! Gemini's `generateContent` and the model of a conversation.
//!
//! Gemini takes its members in two spellings (`functionCall`, `function_call`), and its own libraries use both; both
//! are read, the first is written.

use serde_json::{Map, Value, json};

use crate::{
    convert::{
        ConvertError,
        model::{
            Answer, Call, Choice, Format, Media, Part, Request, Role, Source, Thinking, Tool, ToolChoice,
            ToolResult,
        },
        read::{float, need, object, set, take, text, usage, words, wrong},
    },
    meter::{Finish, Usage},
};

const TO: &str = "Gemini";

/// Takes a member in either spelling.
fn either(from: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let mut other = String::with_capacity(name.len() + 4);
    for ch in name.chars() {
        if ch.is_ascii_uppercase() {
            other.push('_');
        }
        other.push(ch.to_ascii_lowercase());
    }
    let first = take(from, name);
    let second = take(from, &other);
    first.or(second)
}

fn either_map(from: &mut Map<String, Value>, name: &str) -> Result<Option<Map<String, Value>>, ConvertError> {
    either(from, name).map(|value| object(value, name)).transpose()
}

fn either_list(from: &mut Map<String, Value>, name: &str) -> Result<Vec<Map<String, Value>>, ConvertError> {
    match either(from, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items.into_iter().map(|item| object(item, name)).collect(),
        Some(one) => Ok(vec![object(one, name)?]),
    }
}

/// Numbers tool calls that have no id, which is usual here.
#[derive(Debug, Default)]
pub(super) struct Ids {
    stem: String,
    next: usize,
}

impl Ids {
    pub(super) fn of(stem: &str) -> Self {
        Self { stem: stem.to_owned(), next: 0 }
    }

    fn next(&mut self, name: &str) -> String {
        let n = self.next;
        self.next += 1;
        let dash = if self.stem.is_empty() { "" } else { "_" };
        format!("call{dash}{}_{n}_{name}", self.stem)
    }
}

/// Reads a request. The model and whether it streams stand in the path.
pub(crate) fn read_request(mut body: Map<String, Value>) -> Result<Request, ConvertError> {
    let mut request = Request { stream_usage: true, ..Request::default() };
    take(&mut body, "model");
    let mut ids = Ids::default();
    if let Some(mut system) = either_map(&mut body, "systemInstruction")? {
        for mut part in either_list(&mut system, "parts")? {
            request.system.extend(text(&mut part, "text")?);
        }
    }
    for mut content in either_list(&mut body, "contents")? {
        let role = match text(&mut content, "role")?.as_deref() {
            Some("model") => Role::Assistant,
            _ => Role::User,
        };
        let mut parts = Vec::new();
        for part in either_list(&mut content, "parts")? {
            parts.extend(read_part(part, &mut ids, Some(&request))?);
        }
        request.say(role, parts);
    }
    for mut tool in either_list(&mut body, "tools")? {
        for mut function in either_list(&mut tool, "functionDeclarations")? {
            let name = need(&mut function, "name")?;
            let described = text(&mut function, "description")?;
            let schema = either(&mut function, "parametersJsonSchema");
            let schema = schema.or(take(&mut function, "parameters").map(lower_types));
            request.tools.push(Tool { name, description: described, schema, strict: None });
        }
        if tool.values().any(|value| !value.is_null()) {
            return Err(ConvertError::NotCarried {
                what: "a tool that the vendor runs",
                to: "another vendor",
            });
        }
    }
    let config = either_map(&mut body, "toolConfig")?.unwrap_or_default();
    read_choice(config, &mut request)?;
    if let Some(config) = either_map(&mut body, "generationConfig")? {
        read_config(config, &mut request)?;
    }
    for name in ["safetySettings", "cachedContent", "labels"] {
        if either(&mut body, name).is_some() {
            request.drop(name);
        }
    }
    body.retain(|_, value| !value.is_null());
    request.extra = body;
    Ok(request)
}

/// Gemini's own schemas write types in capitals.
fn lower_types(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                match value {
                    Value::String(kind) if name == "type" => *kind = kind.to_ascii_lowercase(),
                    other => *other = lower_types(other.take()),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = lower_types(item.take())),
        _ => {}
    }
    schema
}

fn read_choice(mut config: Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    let Some(mut calling) = either_map(&mut config, "functionCallingConfig")? else { return Ok(()) };
    let names = match either(&mut calling, "allowedFunctionNames") {
        Some(Value::Array(names)) => names,
        _ => Vec::new(),
    };
    let mode = text(&mut calling, "mode")?.unwrap_or_default();
    request.choice = Some(match (mode.to_ascii_uppercase().as_str(), names.as_slice()) {
        ("NONE", _) => ToolChoice::None,
        ("ANY", [Value::String(name)]) => ToolChoice::One(name.clone()),
        ("ANY", _) => ToolChoice::Any,
        _ => ToolChoice::Auto,
    });
    Ok(())
}

fn read_config(mut config: Map<String, Value>, request: &mut Request) -> Result<(), ConvertError> {
    request.temperature = float(&mut config, "temperature")?;
    let mut number = |name: &str| either(&mut config, name);
    request.top_p = number("topP").and_then(|value| value.as_f64());
    request.top_k = number("topK").and_then(|value| value.as_f64()).map(|k| k as u64);
    request.max_tokens = number("maxOutputTokens").and_then(|value| value.as_u64());
    request.answers = number("candidateCount").and_then(|value| value.as_u64());
    request.presence_penalty = number("presencePenalty");
    request.frequency_penalty = number("frequencyPenalty");
    let stop = number("stopSequences");
    let mime = number("responseMimeType");
    let own_schema = number("responseSchema").map(lower_types);
    let schema = number("responseJsonSchema").or(own_schema);
    request.seed = take(&mut config, "seed");
    if let Some(stop) = stop {
        config.insert("stop".to_owned(), stop);
        request.stop = words(&mut config, "stop")?;
    }
    request.format = match (schema, mime.as_ref().and_then(Value::as_str)) {
        (Some(schema), _) => Some(Format::Schema { name: None, schema, strict: None }),
        (None, Some("application/json")) => Some(Format::Json),
        _ => None,
    };
    if let Some(mut thinking) = either_map(&mut config, "thinkingConfig")? {
        let level = either(&mut thinking, "thinkingLevel");
        let budget = either(&mut thinking, "thinkingBudget").and_then(|value| value.as_i64());
        request.thinking = match (budget, level.as_ref().and_then(Value::as_str)) {
            (Some(0), _) => Some(Thinking::Off),
            (Some(tokens), _) => Some(u64::try_from(tokens).map_or(Thinking::Adaptive, Thinking::Tokens)),
            (None, Some(word)) => Some(Thinking::Effort(match word.to_ascii_uppercase().as_str() {
                "LOW" | "MINIMAL" => crate::convert::model::Effort::Low,
                "MEDIUM" => crate::convert::model::Effort::Medium,
                _ => crate::convert::model::Effort::High,
            })),
            _ => None,
        };
    }
    let left: Vec<String> =
        config.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect();
    left.iter().for_each(|name| request.drop(&format!("generationConfig.{name}")));
    Ok(())
}

/// Reads a part. `before` is the request so far, in which results of tools find the call they answer.
pub(super) fn read_part(
    mut part: Map<String, Value>,
    ids: &mut Ids,
    before: Option<&Request>,
) -> Result<Option<Part>, ConvertError> {
    let signature = either(&mut part, "thoughtSignature").and_then(|value| value.as_str().map(str::to_owned));
    let thought = take(&mut part, "thought") == Some(Value::Bool(true));
    if let Some(text) = text(&mut part, "text")? {
        return Ok(Some(if thought { Part::Reasoning { text, signature } } else { Part::Text(text) }));
    }
    if let Some(mut call) = either_map(&mut part, "functionCall")? {
        let name = need(&mut call, "name")?;
        let id = text(&mut call, "id")?.unwrap_or_else(|| ids.next(&name));
        let arguments = take(&mut call, "args").unwrap_or_else(|| json!({}));
        return Ok(Some(Part::Call(Call { id, name, arguments, signature })));
    }
    if let Some(mut result) = either_map(&mut part, "functionResponse")? {
        let name = need(&mut result, "name")?;
        let called = || {
            let parts = before?.turns.iter().rev().flat_map(|turn| &turn.parts);
            parts.into_iter().find_map(|part| match part {
                Part::Call(call) if call.name == name => Some(call.id.clone()),
                _ => None,
            })
        };
        let id = text(&mut result, "id")?.or_else(called).unwrap_or(name);
        let response = take(&mut result, "response").unwrap_or_else(|| json!({}));
        let failed = response.get("error").is_some();
        let said =
            ["output", "result", "error"].iter().find_map(|name| response.get(*name).and_then(Value::as_str));
        let said = said.map_or_else(|| response.to_string(), str::to_owned);
        return Ok(Some(Part::Result(ToolResult { id, parts: vec![Part::Text(said)], failed })));
    }
    if let Some(mut data) = either_map(&mut part, "inlineData")? {
        let kind = either(&mut data, "mimeType").and_then(|value| value.as_str().map(str::to_owned));
        let kind = kind.ok_or_else(|| wrong("inlineData.mimeType", "a string"))?;
        let image = kind.starts_with("image/");
        let media = Media { source: Source::Data { kind, data: need(&mut data, "data")? }, name: None };
        return Ok(Some(if image { Part::Image(media) } else { Part::Document(media) }));
    }
    if let Some(mut file) = either_map(&mut part, "fileData")? {
        let kind = either(&mut file, "mimeType").and_then(|value| value.as_str().map(str::to_owned));
        let url = either(&mut file, "fileUri").and_then(|value| value.as_str().map(str::to_owned));
        let url = url.ok_or_else(|| wrong("fileData.fileUri", "a string"))?;
        let media = Media { source: Source::Url(url), name: None };
        let image = kind.is_none_or(|kind| kind.starts_with("image/"));
        return Ok(Some(if image { Part::Image(media) } else { Part::Document(media) }));
    }
    // A signature alone, or code that the vendor ran: nothing that another one could go on with.
    Ok(None)
}

/// Writes a request.
pub(crate) fn write_request(request: &mut Request) -> Result<Map<String, Value>, ConvertError> {
    let mut body = std::mem::take(&mut request.extra);
    if !request.system.is_empty() {
        let parts: Vec<Value> = request.system.iter().map(|text| json!({ "text": text })).collect();
        body.insert("systemInstruction".to_owned(), json!({ "parts": parts }));
    }
    let mut contents = Vec::new();
    for turn in &request.turns {
        let mut parts = Vec::new();
        for part in &turn.parts {
            parts.extend(write_part(part, Some(request))?);
        }
        if !parts.is_empty() {
            let role = if turn.role == Role::User { "user" } else { "model" };
            contents.push(json!({ "role": role, "parts": parts }));
        }
    }
    body.insert("contents".to_owned(), contents.into());
    if !request.tools.is_empty() {
        let functions: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                let mut function = Map::new();
                set(&mut function, "name", Some(tool.name.clone()));
                set(&mut function, "description", tool.description.clone());
                set(&mut function, "parametersJsonSchema", tool.schema.clone());
                function.into()
            })
            .collect();
        body.insert("tools".to_owned(), json!([{ "functionDeclarations": functions }]));
    }
    let calling = request.choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Any => json!({ "mode": "ANY" }),
        ToolChoice::One(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    });
    set(&mut body, "toolConfig", calling.map(|calling| json!({ "functionCallingConfig": calling })));
    let config = write_config(request);
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), config.into());
    }
    if request.user.is_some() {
        request.drop("user");
    }
    if request.parallel_calls.is_some() {
        request.drop("parallel_tool_calls");
    }
    Ok(body)
}

fn write_config(request: &mut Request) -> Map<String, Value> {
    let mut config = Map::new();
    set(&mut config, "temperature", request.temperature);
    set(&mut config, "topP", request.top_p);
    set(&mut config, "topK", request.top_k);
    set(&mut config, "maxOutputTokens", request.max_tokens);
    set(&mut config, "candidateCount", request.answers.filter(|n| *n != 1));
    set(&mut config, "seed", request.seed.take());
    set(&mut config, "presencePenalty", request.presence_penalty.take());
    set(&mut config, "frequencyPenalty", request.frequency_penalty.take());
    if !request.stop.is_empty() {
        set(&mut config, "stopSequences", Some(request.stop.clone()));
    }
    if let Some(format) = request.format.take() {
        set(&mut config, "responseMimeType", Some("application/json"));
        if let Format::Schema { schema, .. } = format {
            config.insert("responseJsonSchema".to_owned(), schema);
        }
    }
    let thinking = request.thinking.map(|thinking| match thinking {
        Thinking::Off => json!({ "thinkingBudget": 0 }),
        Thinking::Adaptive => json!({ "thinkingBudget": -1, "includeThoughts": true }),
        other => json!({ "thinkingBudget": other.budget(), "includeThoughts": true }),
    });
    set(&mut config, "thinkingConfig", thinking);
    config
}

/// Writes a part; `before` is the request it is of, in which results find the name of the tool they are of.
fn write_part(part: &Part, before: Option<&Request>) -> Result<Vec<Value>, ConvertError> {
    let media = |media: &Media, kind: &str| match &media.source {
        Source::Data { kind, data } => json!({ "inlineData": { "mimeType": kind, "data": data } }),
        Source::Url(url) => json!({ "fileData": { "mimeType": kind, "fileUri": url } }),
    };
    Ok(vec![match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Image(image) => media(image, "image/*"),
        Part::Document(document) => media(document, "application/pdf"),
        Part::Call(call) => {
            let mut part = json!({ "functionCall": {
                "id": call.id, "name": call.name, "args": call.arguments
            } });
            if let Some(signature) = &call.signature {
                part["thoughtSignature"] = signature.clone().into();
            }
            part
        }
        Part::Result(result) => {
            let name = before.and_then(|request| request.tool_name(&result.id)).unwrap_or(&result.id);
            if result.parts.iter().any(|part| !matches!(part, Part::Text(_))) {
                return Err(ConvertError::NotCarried { what: "a tool result that is no text", to: TO });
            }
            let said = result.text();
            let response = match serde_json::from_str::<Value>(&said) {
                Ok(Value::Object(object)) if !result.failed => object.into(),
                _ if result.failed => json!({ "error": said }),
                _ => json!({ "output": said }),
            };
            json!({ "functionResponse": { "id": result.id, "name": name, "response": response } })
        }
        Part::Reasoning { text, signature } => {
            let mut part = json!({ "text": text, "thought": true });
            if let Some(signature) = signature {
                part["thoughtSignature"] = signature.clone().into();
            }
            part
        }
        Part::Redacted(_) => return Ok(Vec::new()),
    }])
}

/// Reads an answer.
pub(crate) fn read_answer(mut body: Map<String, Value>) -> Result<Answer, ConvertError> {
    let id = text(&mut body, "responseId")?.unwrap_or_default();
    let mut ids = Ids::of(&id);
    let mut answer = Answer {
        model: text(&mut body, "modelVersion")?.unwrap_or_default(),
        created: None,
        choices: Vec::new(),
        usage: body.get("usageMetadata").and_then(usage),
        id,
    };
    for mut candidate in either_list(&mut body, "candidates")? {
        let mut parts = Vec::new();
        let mut content = either_map(&mut candidate, "content")?.unwrap_or_default();
        for part in either_list(&mut content, "parts")? {
            parts.extend(read_part(part, &mut ids, None)?);
        }
        let word = text(&mut candidate, "finishReason")?;
        let finish = word.map(|word| finish(&word, parts.iter().any(|part| matches!(part, Part::Call(_)))));
        answer.choices.push(Choice { parts, finish, stop_sequence: None });
    }
    let blocked = body.get("promptFeedback").and_then(|feedback| feedback.get("blockReason"));
    if answer.choices.is_empty() && blocked.is_some() {
        let finish = Some(Finish::ContentFilter);
        answer.choices.push(Choice { parts: Vec::new(), finish, stop_sequence: None });
    }
    Ok(answer)
}

/// Gemini stops to have a tool called as it stops at the end.
pub(super) fn finish(word: &str, calls: bool) -> Finish {
    match Finish::of(word) {
        Finish::Stop if calls => Finish::ToolCalls,
        finish => finish,
    }
}

/// Writes an answer.
pub(crate) fn write_answer(answer: &Answer) -> Value {
    let candidates: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let parts = choice.parts.iter().flat_map(|part| write_part(part, None).unwrap_or_default());
            let parts: Vec<Value> = parts.collect();
            json!({
                "content": { "role": "model", "parts": parts }, "index": index,
                "finishReason": choice.finish.as_ref().map_or("STOP", word)
            })
        })
        .collect();
    let mut body = json!({ "candidates": candidates, "modelVersion": answer.model, "responseId": answer.id });
    if let Some(usage) = answer.usage {
        body["usageMetadata"] = write_usage(usage);
    }
    body
}

/// Gemini's word for why a model stopped.
pub(super) fn word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Other(_) => "OTHER",
    }
}

pub(super) fn write_usage(usage: Usage) -> Value {
    json!({
        "promptTokenCount": usage.input, "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "thoughtsTokenCount": usage.reasoning, "cachedContentTokenCount": usage.cache_read,
        "totalTokenCount": usage.total()
    })
}
