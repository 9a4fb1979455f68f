//! Opening a session (`initialize`), as a server towards clients and as a client towards upstreams.
//!
//! Capabilities stay JSON objects: the gateway offers the union of what its upstreams offer, known to it or not.
//! The revision without sessions has no `initialize`; see [`crate::stateless`].

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::raw::{Raw, RawError, write_string};
use crate::version::Version;

#[cfg(test)]
mod tests;

/// The most bytes of instructions that are merged; more is cut at an upstream's boundary.
pub const MAX_INSTRUCTIONS: usize = 64 * 1024;

/// What a client says in `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The revision it asks for, known or not.
    pub protocol_version: String,
    /// Its capabilities, an object.
    pub capabilities: Raw,
    /// Who it says it is, an object.
    pub client_info: Option<Raw>,
}

impl ClientHello {
    /// Reads the parameters of `initialize`. A client without capabilities counts as one with none.
    ///
    /// # Errors
    /// [`RawError`] where the parameters are no object, `protocolVersion` is missing or no string, or a member is
    /// ambiguous or no object.
    pub fn parse(params: Option<&Raw>) -> Result<Self, RawError> {
        let object = params.ok_or(RawError::Missing { name: "params" })?.object()?;
        Ok(Self {
            protocol_version: required_version(object.get_str("protocolVersion")?)?,
            capabilities: member(params, "capabilities")?.unwrap_or(Raw::EMPTY_OBJECT),
            client_info: member(params, "clientInfo")?,
        })
    }

    /// The revision to answer with.
    #[must_use]
    pub fn negotiate(&self) -> Version {
        Version::negotiate(&self.protocol_version)
    }

    /// Whether the client answers requests of a server's: for a model's words, a person's, or its roots.
    #[must_use]
    pub fn can_be_asked(&self) -> bool {
        let has = |name| matches!(member(Some(&self.capabilities), name), Ok(Some(_)));
        ["roots", "sampling", "elicitation"].into_iter().any(has)
    }
}

/// What an upstream answers to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello {
    /// The revision it speaks.
    pub protocol_version: String,
    /// Its capabilities, an object.
    pub capabilities: Raw,
    /// Who it says it is, an object.
    pub server_info: Option<Raw>,
    /// How it wants to be used.
    pub instructions: Option<String>,
}

impl ServerHello {
    /// Reads the result of `initialize`.
    ///
    /// # Errors
    /// [`RawError`] where the result is no object, `protocolVersion` is missing or no string, or a member is
    /// ambiguous or of the wrong type.
    pub fn parse(result: &Raw) -> Result<Self, RawError> {
        let object = result.object()?;
        let instructions = match object.get("instructions")? {
            Some(value) if value.get() == "null" => None,
            _ => object.get_str("instructions")?.map(Cow::into_owned),
        };
        Ok(Self {
            protocol_version: required_version(object.get_str("protocolVersion")?)?,
            capabilities: member(Some(result), "capabilities")?.unwrap_or(Raw::EMPTY_OBJECT),
            server_info: member(Some(result), "serverInfo")?,
            instructions,
        })
    }

    /// Whether it offers a family of things: `tools`, `prompts`, `resources`, `completions`, `logging`.
    #[must_use]
    pub fn offers(&self, family: &str) -> bool {
        let found = self.capabilities.object().and_then(|object| object.get(family));
        matches!(found, Ok(Some(value)) if !matches!(value.get(), "null" | "false"))
    }
}

fn required_version(version: Option<Cow<'_, str>>) -> Result<String, RawError> {
    version.map(Cow::into_owned).ok_or(RawError::Missing { name: "protocolVersion" })
}

/// A member that is an object; `null` counts as absent. Copied: it outlives the message by far.
fn member(object: Option<&Raw>, name: &'static str) -> Result<Option<Raw>, RawError> {
    let Some(object) = object else { return Ok(None) };
    match object.object()?.get(name)? {
        Some(value) if value.get().starts_with('{') => Ok(Some(Raw::parse(value.get().to_owned())?)),
        Some(value) if value.get() != "null" => Err(RawError::wrong_type(name, "an object")),
        _ => Ok(None),
    }
}

/// A `serverInfo` or `clientInfo`.
#[must_use]
pub fn implementation(name: &str, version: &str) -> Raw {
    let mut out = b"{\"name\":".to_vec();
    write_string(&mut out, name);
    out.extend_from_slice(b",\"version\":");
    write_string(&mut out, version);
    out.push(b'}');
    Raw::trusted(out)
}

/// The result of `initialize` towards a client.
#[must_use]
pub fn result(version: Version, capabilities: &Raw, server_info: &Raw, instructions: Option<&str>) -> Raw {
    let mut out = opening(version, capabilities);
    out.extend_from_slice(b",\"serverInfo\":");
    out.extend_from_slice(server_info.as_bytes());
    if let Some(instructions) = instructions {
        out.extend_from_slice(b",\"instructions\":");
        write_string(&mut out, instructions);
    }
    out.push(b'}');
    Raw::trusted(out)
}

/// The parameters of `initialize` towards an upstream. Without capabilities the upstream must not ask anything
/// of the client.
#[must_use]
pub fn params(version: Version, capabilities: Option<&Raw>, client_info: &Raw) -> Raw {
    let mut out = opening(version, capabilities.unwrap_or(&Raw::EMPTY_OBJECT));
    out.extend_from_slice(b",\"clientInfo\":");
    out.extend_from_slice(client_info.as_bytes());
    out.push(b'}');
    Raw::trusted(out)
}

fn opening(version: Version, capabilities: &Raw) -> Vec<u8> {
    let mut out = b"{\"protocolVersion\":".to_vec();
    write_string(&mut out, version.as_str());
    out.extend_from_slice(b",\"capabilities\":");
    out.extend_from_slice(capabilities.as_bytes());
    out
}

/// The union of capabilities. Objects are merged member by member, `true` wins over `false`, anything else is
/// the first one's. What is no object is left out; a single one stays as it was written.
#[must_use]
pub fn merge_capabilities<'a>(all: impl IntoIterator<Item = &'a Raw>) -> Raw {
    let mut all = all.into_iter().filter(|raw| raw.is_object());
    let Some(first) = all.next() else {
        return Raw::EMPTY_OBJECT;
    };
    let Some(second) = all.next() else {
        return first.clone();
    };
    let mut union = Map::new();
    for raw in [first, second].into_iter().chain(all) {
        if let Ok(Value::Object(members)) = raw.decode() {
            merge(&mut union, members);
        }
    }
    Raw::from_serialize(&union).unwrap_or(Raw::EMPTY_OBJECT)
}

fn merge(union: &mut Map<String, Value>, members: Map<String, Value>) {
    for (name, value) in members {
        match (union.get_mut(&name), value) {
            (None | Some(Value::Null), value) => {
                union.insert(name, value);
            }
            (Some(Value::Object(have)), Value::Object(more)) => merge(have, more),
            (Some(have @ Value::Bool(false)), Value::Bool(true)) => *have = Value::Bool(true),
            _ => {}
        }
    }
}

/// The instructions of several upstreams as one text: a single one as it is, several each under its upstream's
/// name. At most [`MAX_INSTRUCTIONS`] bytes.
#[must_use]
pub fn merge_instructions<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let all: Vec<_> = all.into_iter().filter(|(_, text)| !text.trim().is_empty()).collect();
    if let [(_, text)] = all[..] {
        return (text.len() <= MAX_INSTRUCTIONS).then(|| text.to_owned());
    }
    let mut merged = String::new();
    for (name, text) in all {
        let gap = if merged.is_empty() { "" } else { "\n\n" };
        let part = format!("{gap}## {name}\n\n{}", text.trim());
        if merged.len() + part.len() <= MAX_INSTRUCTIONS {
            merged.push_str(&part);
        }
    }
    (!merged.is_empty()).then_some(merged)
}
