//! One operation of a document: what calls it, and how it is shown as a tool.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::{
    parameter::{Parameter, Place},
    refs,
    schema::Schemas,
};

/// Longest id: what a tool's name may have.
const LONGEST_ID: usize = 128;

/// An operation that can be called.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its `operationId`.
    pub id: String,
    /// The HTTP method, in upper case.
    pub method: &'static str,
    /// The path as the document has it: `/pets/{petId}`.
    pub path: String,
    /// What it does, in short.
    pub summary: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Its parameters, those of its path first.
    pub parameters: Vec<Parameter>,
    /// The body of its requests.
    pub body: Option<Body>,
    defs: Map<String, Value>,
    hints: Hints,
}

/// The body of an operation's requests.
#[derive(Clone, Debug)]
pub struct Body {
    /// The argument that gives it.
    pub argument: String,
    /// Whether a call has to give it.
    pub required: bool,
    /// What it is.
    pub description: Option<String>,
    /// How it is written.
    pub media: Media,
    /// Its content type, as the document has it.
    pub content_type: String,
    /// What it may be, as JSON Schema.
    pub schema: Value,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// As JSON.
    Json,
    /// As a form, `application/x-www-form-urlencoded`.
    Form,
    /// As a text.
    Text,
}

/// What a client may take for granted of calls, as far as the method tells or the document says.
#[derive(Clone, Copy, Debug)]
struct Hints {
    read_only: bool,
    destructive: bool,
    idempotent: bool,
    open_world: bool,
}

impl Hints {
    fn of(method: &str, written: &Value) -> Self {
        let says =
            |key: &str, otherwise: bool| written.get(key).and_then(Value::as_bool).unwrap_or(otherwise);
        let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
        Self {
            read_only: says("x-mcp-read-only", reads),
            destructive: says("x-mcp-destructive", !reads),
            idempotent: says("x-mcp-idempotent", reads || matches!(method, "PUT" | "DELETE")),
            open_world: says("x-mcp-open-world", true),
        }
    }
}

/// Where an operation stands in its document.
pub(crate) struct Written<'d> {
    pub(crate) root: &'d Value,
    pub(crate) is_3_0: bool,
    pub(crate) method: &'static str,
    pub(crate) path: &'d str,
    /// Parameters of all operations of its path.
    pub(crate) shared: &'d [Value],
    pub(crate) operation: &'d Value,
}

impl Operation {
    /// Reads one, or says why it cannot be called.
    pub(crate) fn read(id: &str, written: &Written<'_>) -> Result<Self, String> {
        let Written { root, is_3_0, method, path, shared, operation } = *written;
        if id.len() > LONGEST_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("its id is no name: up to {LONGEST_ID} visible characters of ASCII"));
        }
        let mut schemas = Schemas::new(root, is_3_0);
        let own = operation.get("parameters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut parameters: Vec<Parameter> = Vec::new();
        for written in own.iter().chain(shared) {
            let Some(parameter) = Parameter::read(root, written, &mut schemas)? else { continue };
            // What the operation says itself comes first and counts.
            let is_known = |known: &Parameter| known.name == parameter.name && known.place == parameter.place;
            if !parameters.iter().any(is_known) {
                parameters.push(parameter);
            }
        }
        parameters.sort_by_key(|parameter| parameter.place as u8);
        check_path(path, &parameters)?;
        let body = match operation.get("requestBody") {
            Some(body) => Body::read(root, body, &mut schemas)?,
            None => None,
        };
        let text = |key: &str| {
            let text = operation.get(key).and_then(Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let mut operation = Self {
            id: id.to_owned(),
            method,
            path: path.to_owned(),
            summary: text("summary"),
            description: text("description"),
            parameters,
            body,
            defs: schemas.into_defs(),
            hints: Hints::of(method, operation),
        };
        operation.name_arguments();
        Ok(operation)
    }

    /// Gives every parameter, and the body, an argument of its own.
    fn name_arguments(&mut self) {
        let mut taken: HashSet<String> = HashSet::new();
        for parameter in &mut self.parameters {
            let mut argument = parameter.name.clone();
            while !taken.insert(argument.clone()) {
                argument = format!("{argument}_{}", parameter.place.word());
            }
            parameter.argument = argument;
        }
        if let Some(body) = &mut self.body {
            let mut argument = "body".to_owned();
            while !taken.insert(argument.clone()) {
                argument = format!("request_{argument}");
            }
            body.argument = argument;
        }
    }

    /// What its arguments may be, as JSON Schema.
    #[must_use]
    pub fn input_schema(&self) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let mut add = |argument: &str, schema: &Value, description: Option<&String>, needed: bool| {
            properties.insert(argument.to_owned(), described(schema, description));
            if needed {
                required.push(Value::from(argument));
            }
        };
        for parameter in &self.parameters {
            let description = parameter.description.as_ref();
            add(&parameter.argument, &parameter.schema, description, parameter.required);
        }
        if let Some(body) = &self.body {
            add(&body.argument, &body.schema, body.description.as_ref(), body.required);
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        schema.insert("additionalProperties".to_owned(), false.into());
        if !self.defs.is_empty() {
            schema.insert("$defs".to_owned(), self.defs.clone().into());
        }
        schema.into()
    }

    /// It as a tool of the Model Context Protocol.
    #[must_use]
    pub fn tool(&self) -> Value {
        let title = self.summary.clone().unwrap_or_else(|| format!("{} {}", self.method, self.path));
        let description = self.description.as_ref().or(self.summary.as_ref());
        let description = description.cloned().unwrap_or_else(|| title.clone());
        json!({
            "name": self.id,
            "title": title,
            "description": description,
            "inputSchema": self.input_schema(),
            "annotations": {
                "readOnlyHint": self.hints.read_only,
                "destructiveHint": self.hints.destructive,
                "idempotentHint": self.hints.idempotent,
                "openWorldHint": self.hints.open_world,
            },
        })
    }
}

/// A schema with a description, where it has none of its own.
fn described(schema: &Value, description: Option<&String>) -> Value {
    let mut schema = match schema {
        Value::Object(schema) => schema.clone(),
        // `true`: anything.
        _ => Map::new(),
    };
    if let Some(description) = description
        && !schema.contains_key("description")
    {
        schema.insert("description".to_owned(), description.as_str().into());
    }
    schema.into()
}

/// Every `{name}` of a path has its parameter, and every parameter of a path its place.
fn check_path(path: &str, parameters: &[Parameter]) -> Result<(), String> {
    let names = names_in(path)?;
    let known: Vec<&str> = parameters
        .iter()
        .filter(|parameter| parameter.place == Place::Path)
        .map(|parameter| parameter.name.as_str())
        .collect();
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!("its path has `{{{name}}}`, and no parameter says what that is"));
    }
    if let Some(name) = known.iter().find(|name| !names.contains(name)) {
        return Err(format!("its parameter `{name}` has no place in the path"));
    }
    Ok(())
}

/// The names in braces.
fn names_in(path: &str) -> Result<Vec<&str>, String> {
    if path.contains(['?', '#', '\\']) || path.split('/').any(|piece| matches!(piece, "." | "..")) {
        return Err("its path is no path".to_owned());
    }
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((before, inside)) = rest.split_once('{') {
        let (name, after) = inside.split_once('}').ok_or("its path has a brace without its other")?;
        if before.contains('}') || name.is_empty() || name.contains('{') {
            return Err("its path has a brace without its other".to_owned());
        }
        names.push(name);
        rest = after;
    }
    if rest.contains('}') {
        return Err("its path has a brace without its other".to_owned());
    }
    Ok(names)
}

impl Body {
    /// Reads the body of requests; `None` where there is one that may be left away and cannot be written.
    fn read<'d>(
        root: &'d Value,
        written: &'d Value,
        schemas: &mut Schemas<'d>,
    ) -> Result<Option<Self>, String> {
        let written = refs::resolve(root, written)?;
        let required = written.get("required").and_then(Value::as_bool).unwrap_or(false);
        let Some(content) = written.get("content").and_then(Value::as_object) else { return Ok(None) };
        let best = [Media::Json, Media::Form, Media::Text].into_iter().find_map(|media| {
            let found = content.iter().find(|(content_type, _)| Media::of(content_type) == Some(media));
            found.map(|(content_type, described)| (media, content_type, described))
        });
        let Some((media, content_type, described)) = best else {
            let types: Vec<&str> = content.keys().map(String::as_str).collect();
            let why = format!("its body is of a type that cannot be written: {}", types.join(", "));
            return if required { Err(why) } else { Ok(None) };
        };
        let schema =
            described.get("schema").map_or(Ok(Value::Bool(true)), |schema| schemas.convert(schema))?;
        let content_type = if content_type.contains('*') { media.usual() } else { content_type.as_str() };
        Ok(Some(Self {
            argument: String::new(),
            required,
            description: written.get("description").and_then(Value::as_str).map(str::to_owned),
            media,
            content_type: content_type.to_owned(),
            schema,
        }))
    }
}

impl Media {
    fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "*/*" | "application/*" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            text if text.starts_with("text/") => Some(Self::Text),
            other => other.ends_with("+json").then_some(Self::Json),
        }
    }

    const fn usual(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Text => "text/plain",
        }
    }
}
