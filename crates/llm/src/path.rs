//! Paths: which operation one means, and the model where it stands there.
//!
//! Operations are told by the end of the path. What stands before it is the vendor's or the operator's (`/v1`,
//! `/openai/deployments/x`, `/v1/projects/p/locations/l/publishers/google`), and differs between endpoints.

use std::{borrow::Cow, ops::Range};

use crate::shape::Shape;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The operation.
    pub shape: Shape,
    /// The model, where the path names it; percent-decoded.
    pub model: Option<Cow<'a, str>>,
    /// Whether the answer streams, where the path says so; `None`: the body does.
    pub streams: Option<bool>,
    model_at: Option<Range<usize>>,
}

impl<'a> Call<'a> {
    fn by_body(shape: Shape) -> Self {
        Self { shape, model: None, streams: None, model_at: None }
    }

    fn of(shape: Shape, path: &'a str, model_at: Range<usize>, streams: Option<bool>) -> Self {
        let model = path.get(model_at.clone()).map(decoded);
        Self { shape, model, streams, model_at: Some(model_at) }
    }

    /// The path with another model in it; the same where it names none. `path` is the one that was classified.
    #[must_use]
    pub fn with_model(&self, path: &str, model: &str) -> String {
        match self.model_at.clone().and_then(|at| Some((path.get(..at.start)?, path.get(at.end..)?))) {
            Some((before, after)) => format!("{before}{}{after}", encoded(model)),
            None => path.to_owned(),
        }
    }
}

/// Tells the operation by the path, without query. Never fails: what is not known is [`Shape::Other`].
#[must_use]
pub fn classify(path: &str) -> Call<'_> {
    let path = path.trim_end_matches('/');
    let (rest, last) = split_last(path);
    let before = split_last(rest).1;
    if let Some(colon) = last.bytes().rposition(|byte| byte == b':') {
        let start = path.len() - last.len();
        return verb_call(path, start..start + colon, &last[colon + 1..]);
    }
    if let Some(call) = bedrock(path, last, rest, before) {
        return call;
    }
    let shape = match (before, last) {
        ("chat", "completions") => Shape::Chat,
        (_, "completions") => Shape::Completions,
        (_, "responses") => Shape::Responses,
        (_, "embeddings") => Shape::Embeddings,
        (_, "messages") => Shape::Messages,
        ("messages", "count_tokens") => Shape::CountTokens,
        (_, "models") | ("models", _) => Shape::Models,
        _ => Shape::Other,
    };
    match deployment(path) {
        Some(at) if shape != Shape::Other => Call::of(shape, path, at, None),
        _ => Call::by_body(shape),
    }
}

/// Google's `models/MODEL:verb`, which is Anthropic's body under Vertex's paths of that publisher.
fn verb_call<'a>(path: &'a str, model: Range<usize>, verb: &str) -> Call<'a> {
    let anthropic = path.contains("/publishers/anthropic/");
    let (shape, streams) = match verb {
        "generateContent" => (Shape::Generate, false),
        "streamGenerateContent" => (Shape::Generate, true),
        "countTokens" => (Shape::CountTokens, false),
        "embedContent" | "batchEmbedContents" => (Shape::GenerateEmbed, false),
        "rawPredict" if anthropic => (Shape::Messages, false),
        "streamRawPredict" if anthropic => (Shape::Messages, true),
        _ => (Shape::Other, false),
    };
    let streams = (shape != Shape::Other).then_some(streams);
    Call::of(shape, path, model, streams)
}

/// Bedrock's `model/ID/operation`.
fn bedrock<'a>(path: &'a str, last: &str, rest: &str, model: &str) -> Option<Call<'a>> {
    let above = rest.strip_suffix(model)?.strip_suffix('/')?;
    if split_last(above).1 != "model" {
        return None;
    }
    let (shape, streams) = match last {
        "converse" => (Shape::Converse, false),
        "converse-stream" => (Shape::Converse, true),
        "invoke" | "invoke-with-response-stream" => {
            let shape = if model.contains("anthropic.") { Shape::InvokeMessages } else { Shape::Invoke };
            (shape, last != "invoke")
        }
        "count-tokens" => (Shape::CountTokens, false),
        _ => return None,
    };
    let start = above.len() + 1;
    Some(Call::of(shape, path, start..start + model.len(), Some(streams)))
}

/// The name in Azure's `/deployments/NAME/`.
fn deployment(path: &str) -> Option<Range<usize>> {
    let mut at = 0;
    let mut named = false;
    for segment in path.as_bytes().split(|byte| *byte == b'/') {
        let end = at + segment.len();
        if named {
            return (end < path.len()).then_some(at..end);
        }
        // Nothing stands before the first slash that could be one.
        named = at > 0 && segment == b"deployments";
        at = end + 1;
    }
    None
}

/// What stands before the last slash, and behind it. By bytes, as every request asks this several times.
fn split_last(path: &str) -> (&str, &str) {
    match path.bytes().rposition(|byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => ("", path),
    }
}

/// Undoes percent-encoding; text that is no UTF-8 afterwards stays as it is.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |n: usize| bytes.get(at + n).and_then(|b| char::from(*b).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Percent-encodes all but RFC 3986's unreserved characters, as signatures ask for.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_by_the_end_of_the_path() {
        for (path, shape, model, streams) in [
            ("/v1/chat/completions", Shape::Chat, None, None),
            ("chat/completions/", Shape::Chat, None, None),
            ("/v1/completions", Shape::Completions, None, None),
            ("/v1/responses", Shape::Responses, None, None),
            ("/v1/responses/resp_1", Shape::Other, None, None),
            ("/v1/embeddings", Shape::Embeddings, None, None),
            ("/v1/models", Shape::Models, None, None),
            ("/v1/models/gpt-5", Shape::Models, None, None),
            ("/v1/messages", Shape::Messages, None, None),
            ("/v1/messages/count_tokens", Shape::CountTokens, None, None),
            ("/v1/messages/batches", Shape::Other, None, None),
            (
                "/v1beta/models/gemini-2.5-pro:generateContent",
                Shape::Generate,
                Some("gemini-2.5-pro"),
                Some(false),
            ),
            ("/models/g:streamGenerateContent", Shape::Generate, Some("g"), Some(true)),
            ("/models/e:batchEmbedContents", Shape::GenerateEmbed, Some("e"), Some(false)),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict",
                Shape::Messages,
                Some("claude"),
                Some(true),
            ),
            ("/model/a%3Ab%2Fc/converse", Shape::Converse, Some("a:b/c"), Some(false)),
            (
                "model/amazon.nova-pro-v1%3A0/converse-stream",
                Shape::Converse,
                Some("amazon.nova-pro-v1:0"),
                Some(true),
            ),
            (
                "/model/us.anthropic.claude/invoke",
                Shape::InvokeMessages,
                Some("us.anthropic.claude"),
                Some(false),
            ),
            ("/model/meta.llama/invoke-with-response-stream", Shape::Invoke, Some("meta.llama"), Some(true)),
            ("/openai/deployments/my%20gpt/chat/completions", Shape::Chat, Some("my gpt"), None),
            ("/v1/files", Shape::Other, None, None),
            ("", Shape::Other, None, None),
        ] {
            let call = classify(path);
            assert_eq!((call.shape, call.model.as_deref(), call.streams), (shape, model, streams), "{path}");
        }
    }

    #[test]
    fn model_in_a_path_is_replaced() {
        let path = "/model/a%3Ab/converse";
        assert_eq!(classify(path).with_model(path, "x/y"), "/model/x%2Fy/converse");
        let path = "/v1beta/models/a:generateContent";
        assert_eq!(classify(path).with_model(path, "b"), "/v1beta/models/b:generateContent");
        let path = "/v1/chat/completions";
        assert_eq!(classify(path).with_model(path, "b"), path);
    }

    #[test]
    fn broken_percent_signs_stay() {
        assert_eq!(decoded("a%2"), "a%2");
        assert_eq!(decoded("%zz%41"), "%zzA");
        assert_eq!(decoded("%ff"), "%ff");
    }
}
