//! Parameters of operations: what they are called, and how a value is written where they stand.

use serde_json::{Map, Value};

use crate::{
    encode::encode,
    refs,
    request::ArgumentError,
    schema::{self, Schemas},
};

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
}

impl Place {
    /// Its word in documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Path, Self::Query, Self::Header, Self::Cookie].into_iter().find(|place| place.word() == word)
    }
}

/// How values with several parts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
    /// As JSON.
    Json,
}

/// A parameter of an operation.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in the document.
    pub name: String,
    /// The argument that gives its value: the name, with the place behind it where several have the same.
    pub argument: String,
    /// Where it stands.
    pub place: Place,
    /// Whether a call has to give it.
    pub required: bool,
    /// What it is.
    pub description: Option<String>,
    /// The type its schema names, if it names one.
    pub kind: Option<String>,
    /// An example of a value.
    pub example: Option<Value>,
    /// What it may be, as JSON Schema.
    pub schema: Value,
    style: Style,
    explode: bool,
}

/// Headers that documents cannot describe as parameters, and those that frame a message.
const NOT_PARAMETERS: [&str; 13] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Parameter {
    /// Reads one; `None` for those that are to be ignored.
    pub(crate) fn read<'d>(
        root: &'d Value,
        written: &'d Value,
        schemas: &mut Schemas<'d>,
    ) -> Result<Option<Self>, String> {
        let written = refs::resolve(root, written)?;
        let text = |key: &str| written.get(key).and_then(Value::as_str);
        let name = text("name").filter(|name| !name.is_empty()).ok_or("a parameter has no name")?;
        let place = text("in").and_then(Place::of);
        let place = place.ok_or_else(|| format!("the parameter `{name}` has no place that is known"))?;
        if place == Place::Header && NOT_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Ok(None);
        }
        if place == Place::Header && !name.bytes().all(is_token) {
            return Err(format!("the parameter `{name}` is no name of a header"));
        }
        let flag = |key: &str| written.get(key).and_then(Value::as_bool);
        let content =
            written.get("content").and_then(Value::as_object).and_then(|content| content.values().next());
        let raw_schema = content.map_or_else(|| written.get("schema"), |content| content.get("schema"));
        let style = match (content, text("style"), place) {
            (Some(_), ..) => Style::Json,
            (_, Some("label"), Place::Path) => Style::Label,
            (_, Some("matrix"), Place::Path) => Style::Matrix,
            (_, Some("spaceDelimited"), Place::Query) => Style::SpaceDelimited,
            (_, Some("pipeDelimited"), Place::Query) => Style::PipeDelimited,
            (_, Some("deepObject"), Place::Query) => Style::DeepObject,
            (_, _, Place::Path | Place::Header) => Style::Simple,
            (_, _, Place::Query | Place::Cookie) => Style::Form,
        };
        Ok(Some(Self {
            name: name.to_owned(),
            argument: name.to_owned(),
            place,
            required: place == Place::Path || flag("required").unwrap_or(false),
            description: text("description").map(str::to_owned),
            kind: raw_schema.and_then(|schema| schema::type_of(root, schema)).map(str::to_owned),
            example: written.get("example").cloned(),
            schema: raw_schema.map_or(Ok(Value::Bool(true)), |schema| schemas.convert(schema))?,
            style,
            explode: flag("explode").unwrap_or(style == Style::Form),
        }))
    }

    /// Writes a value into a path.
    pub(crate) fn in_path(&self, value: &Value) -> Result<String, ArgumentError> {
        let parts = Parts::of(value, self.style);
        for text in parts.texts() {
            // Some servers take what is encoded back before they look at the path.
            if text.split(['/', '\\']).any(|piece| matches!(piece, "." | "..")) {
                return Err(ArgumentError::Path {
                    argument: self.argument.clone(),
                    reason: "leads to another path",
                });
            }
        }
        let written = match self.style {
            Style::Label => format!(".{}", parts.joined(if self.explode { "." } else { "," }, self.explode)),
            Style::Matrix => self.matrix(&parts),
            _ => parts.joined(",", self.explode),
        };
        if written.is_empty() {
            return Err(ArgumentError::Path { argument: self.argument.clone(), reason: "is empty" });
        }
        Ok(written)
    }

    fn matrix(&self, parts: &Parts) -> String {
        let name = encode(&self.name);
        match parts {
            Parts::List(items) if self.explode => {
                items.iter().map(|item| format!(";{name}={}", encode(item))).collect()
            }
            Parts::Pairs(pairs) if self.explode => {
                pairs.iter().map(|(key, item)| format!(";{}={}", encode(key), encode(item))).collect()
            }
            parts => format!(";{name}={}", parts.joined(",", false)),
        }
    }

    /// Writes a value into a query, or a cookie: names and values, both encoded.
    pub(crate) fn in_query(&self, value: &Value, out: &mut Vec<(String, String)>) {
        let name = encode(&self.name);
        match (Parts::of(value, self.style), self.style) {
            (Parts::Pairs(pairs), Style::DeepObject) => {
                let pairs = pairs.iter();
                out.extend(pairs.map(|(key, item)| (encode(&format!("{}[{key}]", self.name)), encode(item))));
            }
            (Parts::List(items), _) if self.explode => {
                out.extend(items.iter().map(|item| (name.clone(), encode(item))));
            }
            (Parts::Pairs(pairs), Style::Form) if self.explode => {
                out.extend(pairs.iter().map(|(key, item)| (encode(key), encode(item))));
            }
            // Nothing is not the same as one empty text.
            (Parts::List(items), _) if items.is_empty() => {}
            (parts, style) => {
                let between = match style {
                    Style::SpaceDelimited => "%20",
                    Style::PipeDelimited => "%7C",
                    _ => ",",
                };
                out.push((name, parts.joined(between, false)));
            }
        }
    }

    /// Writes a value as that of a header.
    pub(crate) fn in_header(&self, value: &Value) -> Result<String, ArgumentError> {
        let written = Parts::of(value, self.style).plain(self.explode);
        if !written.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(ArgumentError::Header { argument: self.argument.clone() });
        }
        Ok(written)
    }

    /// A value of texts, as those who call with texts alone mean it: by the type its schema names.
    pub(crate) fn typed(&self, texts: &[String]) -> Value {
        let one = |text: &String| match self.kind.as_deref() {
            Some("integer" | "number" | "boolean" | "object") => {
                serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.as_str().into())
            }
            _ => text.as_str().into(),
        };
        match (self.kind.as_deref(), texts) {
            (Some("array"), [only]) if only.starts_with('[') => {
                serde_json::from_str(only).unwrap_or_else(|_| vec![Value::from(only.as_str())].into())
            }
            (Some("array"), texts) => texts.iter().map(|text| Value::from(text.as_str())).collect(),
            (_, [only]) => one(only),
            (_, texts) => texts.iter().map(one).collect(),
        }
    }
}

/// Whether a byte may stand in a header's name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A value taken apart into texts.
enum Parts {
    One(String),
    List(Vec<String>),
    Pairs(Vec<(String, String)>),
}

impl Parts {
    fn of(value: &Value, style: Style) -> Self {
        match value {
            _ if style == Style::Json => Self::One(value.to_string()),
            Value::Array(items) => Self::List(items.iter().map(text).collect()),
            Value::Object(fields) => Self::Pairs(pairs(fields)),
            scalar => Self::One(text(scalar)),
        }
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Self::One(one) => vec![one],
            Self::List(items) => items.iter().map(String::as_str).collect(),
            Self::Pairs(pairs) => {
                pairs.iter().flat_map(|(key, item)| [key.as_str(), item.as_str()]).collect()
            }
        }
    }

    /// The texts, encoded, with something between them.
    fn joined(&self, between: &str, explode: bool) -> String {
        match self {
            Self::One(one) => encode(one),
            Self::List(items) => items.iter().map(|item| encode(item)).collect::<Vec<_>>().join(between),
            Self::Pairs(pairs) => {
                let inner = if explode { "=" } else { between };
                let pairs = pairs.iter().map(|(key, item)| format!("{}{inner}{}", encode(key), encode(item)));
                pairs.collect::<Vec<_>>().join(between)
            }
        }
    }

    /// The texts as they are, with commas between them.
    fn plain(self, explode: bool) -> String {
        match self {
            Self::One(one) => one,
            Self::List(items) => items.join(","),
            Self::Pairs(pairs) => {
                let inner = if explode { "=" } else { "," };
                pairs.iter().map(|(key, item)| format!("{key}{inner}{item}")).collect::<Vec<_>>().join(",")
            }
        }
    }
}

pub(crate) fn pairs(fields: &Map<String, Value>) -> Vec<(String, String)> {
    let given = fields.iter().filter(|(_, value)| !value.is_null());
    given.map(|(key, value)| (key.clone(), text(value))).collect()
}

/// A value as a text: what has parts itself, as JSON.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
