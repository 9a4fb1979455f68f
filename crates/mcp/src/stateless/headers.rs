//! The HTTP headers that repeat what a request is about, so that what stands between can route by them.
//!
//! They must say the same as the body: whoever routes by a header and whoever acts on the body would otherwise
//! see two requests.

use std::borrow::Cow;

use super::{RequestMeta, StatelessError};
use crate::envelope::method;
use crate::raw::Raw;
use crate::version::header;

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// The headers of a request, each `None` where absent. A header that occurs twice must be refused before.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoutingHeaders<'a> {
    /// [`header::PROTOCOL_VERSION`].
    pub version: Option<&'a str>,
    /// [`header::METHOD`].
    pub method: Option<&'a str>,
    /// [`header::NAME`].
    pub name: Option<&'a str>,
}

/// Checks that headers and body agree.
///
/// # Errors
/// [`StatelessError::Header`] for the first header that is missing or differs.
pub fn check_headers(
    headers: &RoutingHeaders<'_>,
    meta: &RequestMeta,
    method: &str,
    params: Option<&Raw>,
) -> Result<(), StatelessError> {
    same(header::PROTOCOL_VERSION, headers.version, meta.version.as_str())?;
    same(header::METHOD, headers.method, method)?;
    let Some(name) = routed_name(method, params) else {
        return Ok(());
    };
    match headers.name.map(decode_header_value) {
        Some(Some(value)) if value == name => Ok(()),
        Some(_) => Err(differs(header::NAME)),
        None if needs_name(method) => Err(missing(header::NAME)),
        None => Ok(()),
    }
}

/// What [`header::NAME`] says of a request, not yet encoded: the name, URI or task it is about.
#[must_use]
pub fn routed_name<'a>(name: &str, params: Option<&'a Raw>) -> Option<Cow<'a, str>> {
    let member = match name {
        method::TOOLS_CALL | method::PROMPTS_GET => "name",
        method::RESOURCES_READ | method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => "uri",
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => "taskId",
        _ => return None,
    };
    params?.object().ok()?.get_str(member).ok()?
}

fn needs_name(name: &str) -> bool {
    matches!(name, method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ)
}

fn same(header: &'static str, value: Option<&str>, expected: &str) -> Result<(), StatelessError> {
    match value {
        Some(value) if value == expected => Ok(()),
        Some(_) => Err(differs(header)),
        None => Err(missing(header)),
    }
}

fn differs(header: &'static str) -> StatelessError {
    StatelessError::Header { header, problem: "does not match the body" }
}

fn missing(header: &'static str) -> StatelessError {
    StatelessError::Header { header, problem: "is missing" }
}

/// A value as it can stand in a header: as it is where it is printable ASCII without space at its ends, else in
/// base64 between marks.
#[must_use]
pub fn encode_header_value(value: &str) -> Cow<'_, str> {
    let printable = value.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    let marked = value.starts_with(OPEN) && value.ends_with(CLOSE);
    if printable && value.trim_matches(' ') == value && !marked {
        return value.into();
    }
    format!("{OPEN}{}{CLOSE}", base64(value.as_bytes())).into()
}

/// The value of a header, base64 undone; `None` where it is marked as base64 but is none.
#[must_use]
pub fn decode_header_value(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Some(value.into());
    };
    String::from_utf8(unbase64(inner)?).ok().map(Cow::Owned)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut bits = [0_u8; 3];
        bits[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, bits[0], bits[1], bits[2]]);
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) & 0x3f;
            out.push(if at > group.len() { '=' } else { char::from(ALPHABET[digit as usize]) });
        }
    }
    out
}

/// Undoes [`base64`], and nothing else: what is not written as it would write it is refused.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.chunks(4) {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        let mut bits = 0_u32;
        for byte in &group[..4 - padding.min(4)] {
            let digit = ALPHABET.iter().position(|letter| letter == byte)?;
            bits = bits << 6 | u32::try_from(digit).ok()?;
        }
        let bytes = (bits << (6 * padding)).to_be_bytes();
        out.extend_from_slice(&bytes[1..4 - padding.min(3)]);
    }
    (base64(&out).as_bytes() == text).then_some(out)
}
