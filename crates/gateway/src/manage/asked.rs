//! What a handler of the management surface knows of its request.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Managed,
    answers::{Refused, refused},
};
use crate::reload::Reloader;

/// A request that was let in.
pub(super) struct Asked<'a> {
    /// What the surface shows and changes.
    pub(super) managed: &'a dyn Managed,
    /// Who asks, for the history; empty where nobody had to say.
    pub(super) who: String,
    /// Whether the caller may know reasons: everywhere but at what is open to all.
    pub(super) may_read: bool,
    /// What stands in the path for what the route has in braces, decoded; empty where the path has none.
    pub(super) name: String,
    /// The query, as it came.
    pub(super) query: &'a str,
    /// The body, read only where the route has one.
    pub(super) body: Bytes,
}

impl Asked<'_> {
    /// A parameter of the query, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| percent_decoded(value))
    }

    /// A whole number of the query: `default` without one, never more than `most`.
    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Refused> {
        match self.parameter(name).map(|text| text.parse::<usize>()) {
            None => Ok(default),
            Some(Ok(number)) => Ok(number.min(most)),
            Some(Err(_)) => Err(refused(StatusCode::BAD_REQUEST, &format!("`{name}` is a whole number"))),
        }
    }

    /// The body, a JSON object.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        let unfit = |status, why: String| refused(status, &format!("the body does not fit: {why}"));
        let value: Value = serde_json::from_slice(&self.body)
            .map_err(|error| unfit(StatusCode::BAD_REQUEST, error.to_string()))?;
        if !value.is_object() {
            return Err(unfit(StatusCode::UNPROCESSABLE_ENTITY, "it is no JSON object".to_owned()));
        }
        serde_path_to_error::deserialize(value).map_err(|error| {
            let (at, why) = (error.path().to_string(), error.inner().to_string());
            let is_said = at == "." || why.contains(&format!("`{at}`"));
            let why = if is_said { why } else { format!("`{at}`: {why}") };
            unfit(StatusCode::UNPROCESSABLE_ENTITY, why)
        })
    }

    /// What changes the configuration.
    pub(super) fn reloader(&self) -> Result<&Arc<Reloader>, Refused> {
        self.managed.reloader().ok_or_else(|| {
            refused(StatusCode::NOT_FOUND, "the configuration of this gateway cannot be changed")
        })
    }
}

/// A text without its percent-escapes; `None` where it is none or empty.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}
