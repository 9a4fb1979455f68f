//! Results: completing those of older revisions, and taking back what those do not know.

use std::borrow::Cow;

use super::{key, write_versions};
use crate::envelope::{ErrorObject, code, method};
use crate::raw::{Object, Raw, RawError, write_string};

/// Who may keep a result for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheScope {
    /// Only for the caller who asked. The default here: what a gateway lists depends on who asks.
    #[default]
    Private,
    /// For anyone.
    Public,
}

/// What the gateway adds to results.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Who answers, an object; see [`crate::initialize::implementation`].
    pub server_info: Raw,
    /// For how long lists and reads may be kept, in milliseconds; 0 is not at all.
    pub ttl_ms: u64,
    /// For whom they may be kept.
    pub cache_scope: CacheScope,
}

impl Stamp {
    /// A stamp that lets nothing be cached.
    #[must_use]
    pub fn new(server_info: Raw) -> Self {
        Self { server_info, ttl_ms: 0, cache_scope: CacheScope::default() }
    }

    fn scope(&self) -> Raw {
        Raw::string(match self.cache_scope {
            CacheScope::Private => "private",
            CacheScope::Public => "public",
        })
    }

    fn ttl(&self) -> Raw {
        Raw::integer(i64::try_from(self.ttl_ms).unwrap_or(i64::MAX))
    }
}

/// The kind of a result: `complete` where it says nothing.
///
/// # Errors
/// [`RawError`] where the result is no object or `resultType` is ambiguous or no string.
pub fn result_type(result: &Raw) -> Result<Cow<'_, str>, RawError> {
    kind_of(&result.object()?)
}

fn kind_of<'a>(object: &Object<'a>) -> Result<Cow<'a, str>, RawError> {
    match object.get("resultType")? {
        Some(value) if value.get() != "null" => Ok(object.get_str("resultType")?.unwrap_or_default()),
        _ => Ok("complete".into()),
    }
}

fn is_cacheable(name: &str) -> bool {
    matches!(
        name,
        method::SERVER_DISCOVER
            | method::TOOLS_LIST
            | method::PROMPTS_LIST
            | method::RESOURCES_LIST
            | method::RESOURCES_TEMPLATES_LIST
            | method::RESOURCES_READ
    )
}

fn absent(object: &Object<'_>, name: &str) -> Result<bool, RawError> {
    Ok(object.get(name)?.is_none_or(|value| value.get() == "null"))
}

/// Makes the result of an older revision a valid one: adds `resultType`, where the method asks for it `ttlMs` and
/// `cacheScope`, and who answered. What is there stays, byte for byte.
///
/// # Errors
/// [`RawError`] where the result is no object or one of those members is ambiguous.
pub fn complete_result(method: &str, result: &Raw, stamp: &Stamp) -> Result<Raw, RawError> {
    let object = result.object()?;
    let complete = Raw::string("complete");
    let meta = stamped_meta(&object, stamp)?;
    let (ttl, scope) = (stamp.ttl(), stamp.scope());
    let no_content = Raw::trusted(b"[]".to_vec());
    let mut splice = object.splice();
    if absent(&object, "resultType")? {
        splice = splice.set("resultType", &complete)?;
    }
    if is_cacheable(method) && kind_of(&object)? == "complete" {
        if absent(&object, "ttlMs")? {
            splice = splice.set("ttlMs", &ttl)?;
        }
        if absent(&object, "cacheScope")? {
            splice = splice.set("cacheScope", &scope)?;
        }
    }
    if method == method::TOOLS_CALL && kind_of(&object)? == "complete" && absent(&object, "content")? {
        splice = splice.set("content", &no_content)?;
    }
    Ok(splice.set_if("_meta", meta.as_ref())?.finish())
}

/// `_meta` with who answered; `None` where it says so already.
fn stamped_meta(object: &Object<'_>, stamp: &Stamp) -> Result<Option<Raw>, RawError> {
    let stamped = |meta: &Object<'_>| match absent(meta, key::SERVER_INFO)? {
        true => Ok(Some(meta.splice().set(key::SERVER_INFO, &stamp.server_info)?.finish())),
        false => Ok(None),
    };
    match object.get_object("_meta") {
        Ok(Some(meta)) => stamped(&meta),
        Err(error) if !absent(object, "_meta")? => Err(error),
        _ => stamped(&Raw::EMPTY_OBJECT.object()?),
    }
}

/// Makes the result of this revision one for a client with a session: without `resultType`. Members that older
/// clients skip stay.
///
/// # Errors
/// Inner: an error to answer with, where the result is not the final one (`input_required`, `task`), which older
/// revisions have no result for. Outer: [`RawError`] where the result is no object.
pub fn legacy_result(result: &Raw) -> Result<Result<Raw, ErrorObject>, RawError> {
    let object = result.object()?;
    let kind = kind_of(&object)?;
    if kind != "complete" {
        let message = format!(
            "the upstream answered with a result of type `{kind}`, which needs a client of protocol version 2026-07-28"
        );
        return Ok(Err(ErrorObject::new(code::INTERNAL_ERROR, message)));
    }
    if object.get("resultType")?.is_none() {
        return Ok(Ok(result.clone()));
    }
    Ok(Ok(object.splice().remove("resultType").finish()))
}

/// The result of `server/discover`.
#[must_use]
pub fn discover_result(capabilities: &Raw, instructions: Option<&str>, stamp: &Stamp) -> Raw {
    let mut out = b"{\"resultType\":\"complete\",\"supportedVersions\":".to_vec();
    write_versions(&mut out);
    out.extend_from_slice(b",\"capabilities\":");
    out.extend_from_slice(capabilities.as_bytes());
    if let Some(instructions) = instructions {
        out.extend_from_slice(b",\"instructions\":");
        write_string(&mut out, instructions);
    }
    out.extend_from_slice(b",\"ttlMs\":");
    out.extend_from_slice(stamp.ttl().as_bytes());
    out.extend_from_slice(b",\"cacheScope\":");
    out.extend_from_slice(stamp.scope().as_bytes());
    out.extend_from_slice(b",\"_meta\":{");
    write_string(&mut out, key::SERVER_INFO);
    out.push(b':');
    out.extend_from_slice(stamp.server_info.as_bytes());
    out.extend_from_slice(b"}}");
    Raw::trusted(out)
}
