//! Ids of requests: the client's own where it sends a usable one, else a new one.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::{HeaderMap, HeaderName};

/// Longest id that is taken from a client.
const LONGEST: usize = 128;

/// Headers an id is taken from, the first usable one.
static TAKEN: [HeaderName; 2] =
    [HeaderName::from_static("x-request-id"), HeaderName::from_static("x-correlation-id")];

/// First half of the ids of this process. Unique enough to tell processes apart; ids are no secrets.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));

const DIGITS: &[u8; 16] = b"0123456789abcdef";

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The id of a request with these headers.
pub(super) fn of(headers: &HeaderMap) -> Arc<str> {
    for name in &TAKEN {
        let given = headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(id) = given.filter(|id| is_usable(id)) {
            return id.into();
        }
    }
    new()
}

fn is_usable(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte))
}

fn new() -> Arc<str> {
    let mut text = [0; 32];
    let number = NEXT.fetch_add(1, Relaxed);
    for (half, value) in text.chunks_exact_mut(16).zip([*PROCESS, number]) {
        for (at, digits) in half.chunks_exact_mut(2).enumerate() {
            let byte = value.to_be_bytes()[at];
            digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    std::str::from_utf8(&text).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_is_kept_unless_it_could_do_harm() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", http::HeaderValue::from_static(value));
            of(&headers)
        };
        assert_eq!(&*with("abc-1"), "abc-1");
        for bad in ["", "a b", "a\"b", "a;b"] {
            assert_eq!(with(bad).len(), 32, "{bad:?}");
        }
        assert_ne!(of(&HeaderMap::new()), of(&HeaderMap::new()));
    }
}
