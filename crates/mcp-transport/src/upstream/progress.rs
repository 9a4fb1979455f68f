//! Progress tokens across a shared session.
//!
//! Clients choose their tokens, so two clients of one upstream session may choose the same. Requests go out
//! with the number of the request as token, and progress comes back with the client's own.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use mortise_mcp::envelope::{Message, Notification, method};
use mortise_mcp::raw::{Object, Raw, RawStr};

const META: &str = "_meta";
const TOKEN: &str = "progressToken";

/// Finds the word, as nearly every request does not hold it.
static MENTION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(TOKEN));

/// Replaces the progress token in a request's parameters by `id`. Returns the new parameters and the token
/// that was there; `None` where there is none, which costs one scan of the text.
pub(crate) fn replace(params: &Raw, id: u64) -> Option<(Raw, Raw)> {
    MENTION.find(params.as_bytes())?;
    let object = params.object().ok()?;
    let meta = object.get_object(META).ok()??;
    let original = own(meta.get(TOKEN).ok()??)?;
    let number = number(id);
    let meta = meta.splice().set(TOKEN, &number).ok()?.finish();
    let params = object.splice().set(META, &meta).ok()?.finish();
    Some((params, original))
}

/// The number of the request that a progress notification belongs to.
pub(crate) fn request_of(notification: &Notification) -> Option<u64> {
    if notification.method != method::PROGRESS {
        return None;
    }
    let params = notification.params.as_ref()?.object().ok()?;
    params.get(TOKEN).ok()??.get().parse().ok()
}

/// Puts the client's token back.
pub(crate) fn restore(mut notification: Notification, original: &Raw) -> Notification {
    if let Some(params) = &notification.params
        && let Some(restored) = with_token(params, original)
    {
        notification.params = Some(restored);
    }
    notification
}

/// Puts the client's token back where a message is the progress of request `id`.
pub(crate) fn restore_message(message: Message, id: u64, original: Option<&Raw>) -> Message {
    match (message, original) {
        (Message::Notification(notification), Some(original)) if request_of(&notification) == Some(id) => {
            Message::Notification(restore(notification, original))
        }
        (message, _) => message,
    }
}

fn with_token(params: &Raw, token: &Raw) -> Option<Raw> {
    let object: Object<'_> = params.object().ok()?;
    Some(object.splice().set(TOKEN, token).ok()?.finish())
}

fn own(value: RawStr<'_>) -> Option<Raw> {
    Raw::parse(value.get().to_owned()).ok()
}

fn number(id: u64) -> Raw {
    Raw::integer(i64::try_from(id).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &'static str) -> Raw {
        Raw::parse(text).unwrap()
    }

    #[test]
    fn a_token_is_replaced_and_put_back_and_nothing_else_changes() {
        let params = raw(r#"{"name":"t", "_meta":{"x":1,"progressToken":"mine"},"arguments":{"a": 1}}"#);
        let (sent, original) = replace(&params, 7).unwrap();
        let expected = r#"{"name":"t", "_meta":{"x":1,"progressToken":7},"arguments":{"a": 1}}"#;
        assert_eq!(sent.as_str(), expected);
        let progress =
            Notification::new(method::PROGRESS, Some(raw(r#"{"progressToken":7,"progress":0.5}"#)));
        assert_eq!(request_of(&progress), Some(7));
        let back = restore(progress, &original);
        assert_eq!(back.params.unwrap().as_str(), r#"{"progressToken":"mine","progress":0.5}"#);
    }

    #[test]
    fn parameters_that_only_mention_the_word_are_left_alone() {
        assert!(replace(&raw(r#"{"arguments":{"progressToken":1}}"#), 7).is_none());
        assert!(replace(&raw(r#"{"arguments":{}}"#), 7).is_none());
    }
}
