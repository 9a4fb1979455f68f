//! Where a path of the LLM surface leads.

use std::borrow::Cow;

/// A path of the surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// `/llm/{rest|stream|call}/{llm}/{path}`: an LLM in its own wire format.
    Vendor {
        /// Its name.
        llm: &'a str,
        /// The path at the vendor, with a slash at its start.
        rest: Cow<'a, str>,
    },
    /// `/ai/{llm}/v1/{path}`: an LLM in OpenAI's wire format.
    OpenAi {
        /// Its name.
        llm: &'a str,
        /// The path after the version, with a slash at its start.
        rest: Cow<'a, str>,
    },
    /// `/v1/{path}`, `/v1beta/{path}`: whichever LLM has the model.
    ByModel {
        /// The path, with its version.
        rest: Cow<'a, str>,
    },
}

impl<'a> Place<'a> {
    /// The place of a path; `None` where it is not one of this surface.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/llm/") {
            let (door, rest) = rest.split_once('/')?;
            if !matches!(door, "rest" | "stream" | "call") {
                return None;
            }
            let (llm, rest) = cut(rest);
            return (!llm.is_empty()).then(|| Self::Vendor { llm, rest: single(rest) });
        }
        if let Some(rest) = path.strip_prefix("/ai/") {
            let (llm, rest) = cut(rest);
            let rest = rest.strip_prefix("/v1").filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            return (!llm.is_empty()).then(|| Self::OpenAi { llm, rest: single(rest) });
        }
        (path.starts_with("/v1/") || path.starts_with("/v1beta/"))
            .then(|| Self::ByModel { rest: single(path) })
    }

    /// The LLM it names.
    pub(crate) fn llm(&self) -> Option<&'a str> {
        match self {
            Self::Vendor { llm, .. } | Self::OpenAi { llm, .. } => Some(llm),
            Self::ByModel { .. } => None,
        }
    }

    /// The path at the vendor.
    pub(crate) fn rest(&self) -> &str {
        match self {
            Self::Vendor { rest, .. } | Self::OpenAi { rest, .. } | Self::ByModel { rest } => rest,
        }
    }
}

/// A path's first segment, and what follows.
fn cut(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

/// A path without slashes in a row, as client libraries make them of a base address that ends in one.
fn single(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return path.into();
    }
    let mut out = String::with_capacity(path.len());
    for piece in path.chars() {
        if piece != '/' || !out.ends_with('/') {
            out.push(piece);
        }
    }
    out.into()
}

/// Whether a path could leave the address it is put behind: it has a segment that means the one above.
pub(super) fn climbs(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    }) || path.to_ascii_lowercase().contains("%2f..")
        || path.to_ascii_lowercase().contains("..%2f")
        || path.to_ascii_lowercase().contains("%5c")
}

/// A path behind a base address. A version that stands at the end of one and at the start of the other is written once,
/// so that an address with it serves clients that write it and clients that do not.
pub(super) fn joined(base: &str, rest: &str) -> String {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let last = base.rsplit('/').next().unwrap_or_default();
    let (first, after) = cut(rest);
    let rest =
        if !last.is_empty() && first == last { after.strip_prefix('/').unwrap_or(after) } else { rest };
    let mut path = String::with_capacity(base.len() + rest.len() + 1);
    path.push_str(base);
    if !rest.is_empty() || base.is_empty() {
        path.push('/');
    }
    path.push_str(rest);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_an_llm_or_to_whichever_has_the_model() {
        let vendor = |llm, rest: &'static str| Some(Place::Vendor { llm, rest: rest.into() });
        for (path, place) in [
            ("/llm/call/gpt/chat/completions", vendor("gpt", "/chat/completions")),
            ("/llm/rest/gpt//v1//messages", vendor("gpt", "/v1/messages")),
            ("/llm/stream/gpt", vendor("gpt", "")),
            ("/llm/other/gpt/x", None),
            ("/llm/call//x", None),
            ("/llm/call", None),
            ("/ai/gpt/v1/models", Some(Place::OpenAi { llm: "gpt", rest: "/models".into() })),
            ("/ai/gpt/v2/models", None),
            ("/ai/gpt/v1x", None),
            ("/v1/chat/completions", Some(Place::ByModel { rest: "/v1/chat/completions".into() })),
            (
                "/v1beta/models/g:generateContent",
                Some(Place::ByModel { rest: "/v1beta/models/g:generateContent".into() }),
            ),
            ("/v1x/a", None),
            ("/mcp", None),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn version_is_written_once() {
        for (base, rest, expected) in [
            ("/v1", "/chat/completions", "/v1/chat/completions"),
            ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
            ("/openai/v1", "v1/models", "/openai/v1/models"),
            ("", "/v1/messages", "/v1/messages"),
            ("", "", "/"),
            ("/v1", "", "/v1"),
            ("/v1beta", "/v1beta/models/g:countTokens", "/v1beta/models/g:countTokens"),
            ("/v1", "/v1x/models", "/v1/v1x/models"),
        ] {
            assert_eq!(joined(base, rest), expected, "{base} {rest}");
        }
    }

    #[test]
    fn paths_that_climb_are_told() {
        for path in ["/../x", "/a/..", "/a/%2E%2e/b", "/a/.%2e/b", "/./a", "/a%2f../b", "/a\\..\\b", "/a%5Cb"]
        {
            assert!(climbs(path), "{path}");
        }
        for path in ["/a..b", "/v1/models/x.y", "/a/...", "/model/a%3Ab%2Fc/converse"] {
            assert!(!climbs(path), "{path}");
        }
    }
}
