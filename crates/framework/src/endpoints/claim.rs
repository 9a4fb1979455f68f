//! Which entry wants which slug, and what is wrong with that.

use std::collections::HashMap;

use crate::config::{Diagnostic, DiagnosticKind, Mode, Node, OfferName, PluginEntry, Span};

/// Names below `/plugins` that are none of a plugin's.
pub const RESERVED: [&str; 3] = ["stats", "reload", "openapi.json"];

/// Longest slug, in bytes.
const LONGEST: usize = 128;

/// Whether an entry offers endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It says so.
    Yes,
    /// It lists others.
    No,
    /// It says nothing: its plugin's word counts.
    Unsaid,
}

pub(super) fn offered(entry: &PluginEntry) -> Offered {
    if listed(entry) {
        return Offered::Yes;
    }
    let says = !entry.offers.is_empty() || entry.given.iter().any(|key| key == "offers");
    if says { Offered::No } else { Offered::Unsaid }
}

/// Whether an entry lists endpoints among what it offers.
pub(crate) fn listed(entry: &PluginEntry) -> bool {
    entry.offers.contains(&OfferName::CustomEndpoint)
}

/// The slug that an entry is configured with.
pub(crate) fn slug(entry: &PluginEntry) -> Option<&str> {
    entry.config_json.get("slug")?.as_str().filter(|slug| !slug.is_empty())
}

/// Whether plugins can have this slug.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        && text.len() <= LONGEST
        && !RESERVED.contains(&text)
}

/// The slugs of a plan while it is checked: where each was first claimed, and whether that is certain.
#[derive(Default)]
pub(crate) struct Claims(HashMap<String, (Span, bool)>);

/// Checks what an entry says of endpoints; `may_have` tells whether its code may have some where it does not say.
/// Gives back an error, or a word.
pub(crate) fn check(
    entry: &PluginEntry,
    may_have: impl Fn() -> bool,
    claims: &mut Claims,
) -> Result<Option<Diagnostic>, Diagnostic> {
    if entry.mode == Mode::Disabled {
        return Ok(None);
    }
    let written = entry.config.get("slug").filter(|node| !node.is_null());
    match (offered(entry), written) {
        (Offered::No, _) | (Offered::Unsaid, None) => return Ok(None),
        (Offered::Yes, None) => {
            let message = "Plugin has endpoint registrations but no 'slug' in config: they are not served";
            let remark = Diagnostic::new(DiagnosticKind::Remark, message);
            return Ok(Some(remark.at(entry.place("offers").clone()).path(format!("{}.offers", entry.path))));
        }
        (Offered::Unsaid, Some(_)) if !may_have() => return Ok(None),
        (Offered::Yes | Offered::Unsaid, Some(_)) => {}
    }
    let span = written.map_or_else(|| entry.span.clone(), |node: &Node| node.span().clone());
    let error = |kind, message: String| {
        Diagnostic::new(kind, message).at(span.clone()).path(format!("{}.config.slug", entry.path))
    };
    let Some(slug) = slug(entry).filter(|slug| is_slug(slug)) else {
        let reserved = slug(entry).is_some_and(|slug| RESERVED.contains(&slug));
        let message = if reserved { "this slug is the gateway's own" } else { "this cannot be a slug" };
        let help = format!(
            "a slug is text of letters, digits, `-`, `_`, `.` and `~`, begins with a letter or digit, and is none of {}",
            RESERVED.map(|word| format!("`{word}`")).join(", ")
        );
        return Err(error(DiagnosticKind::InvalidValue, message.to_owned()).help(help));
    };
    let certain = offered(entry) == Offered::Yes;
    match claims.0.get(slug) {
        Some((first, is_certain)) if certain && *is_certain => {
            let message = format!("two plugins have the slug `{slug}`");
            Err(error(DiagnosticKind::Duplicate, message).related(first.clone(), "the first is here"))
        }
        // Whether an entry without `offers:` has endpoints at all, its program says once it runs.
        Some((first, _)) => {
            let message =
                format!("two plugins have the slug `{slug}`: of those with endpoints the first serves there");
            let remark = error(DiagnosticKind::Remark, message).related(first.clone(), "the first is here");
            Ok(Some(remark))
        }
        None => {
            claims.0.insert(slug.to_owned(), (span, certain));
            Ok(None)
        }
    }
}
