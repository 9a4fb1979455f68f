//! What clients send: where the vendors' client libraries put their key.
//!
//! A gateway takes its own key from there, and must let none of these places through to the vendor.

use std::borrow::Cow;

use crate::path::decoded;

/// Headers, lower case, in which clients send credentials. None of them goes on to a vendor.
pub const CREDENTIAL_HEADERS: [&str; 8] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "proxy-authorization",
    "cookie",
    "x-amz-security-token",
    "x-goog-user-project",
];

/// Parameters of a query in which clients send credentials: Google's `key` and `access_token`, and `token`.
pub const CREDENTIAL_QUERY: [&str; 5] = ["key", "access_token", "token", "api_key", "apiKey"];

/// The key that a client sent, wherever its library puts it: `Authorization: Bearer`, `x-api-key`, `api-key`,
/// `x-goog-api-key`, then the query. A header that is there and empty counts as none.
///
/// `header` looks up a header by its lower-case name.
pub fn credential<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    query: Option<&'a str>,
) -> Option<Cow<'a, str>> {
    let bearer = header("authorization").and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let own =
        || ["x-api-key", "api-key", "x-goog-api-key"].iter().find_map(|name| header(name)).map(str::trim);
    match bearer.or_else(own) {
        Some(token) if !token.is_empty() => Some(Cow::Borrowed(token)),
        _ => query.and_then(|query| {
            pairs(query)
                .find(|(name, value)| CREDENTIAL_QUERY.contains(name) && !value.is_empty())
                .map(|(_, value)| decoded(value))
        }),
    }
}

/// The query without what carries credentials; the rest stays as it was written.
#[must_use]
pub fn without_credentials(query: &str) -> Cow<'_, str> {
    if !pairs(query).any(|(name, _)| CREDENTIAL_QUERY.contains(&&*decoded(name))) {
        return Cow::Borrowed(query);
    }
    let kept = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !CREDENTIAL_QUERY.contains(&&*decoded(name))
    });
    Cow::Owned(kept.collect::<Vec<_>>().join("&"))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent<'a>(headers: &'a [(&'a str, &'a str)], query: Option<&'a str>) -> Option<Cow<'a, str>> {
        credential(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value), query)
    }

    #[test]
    fn keys_are_found_where_each_library_puts_them() {
        assert_eq!(sent(&[("authorization", "Bearer a")], None).as_deref(), Some("a"));
        assert_eq!(sent(&[("authorization", "bearer  a ")], None).as_deref(), Some("a"));
        assert_eq!(sent(&[("x-api-key", "b")], None).as_deref(), Some("b"));
        assert_eq!(sent(&[("api-key", "c")], None).as_deref(), Some("c"));
        assert_eq!(sent(&[("x-goog-api-key", "d")], None).as_deref(), Some("d"));
        assert_eq!(sent(&[], Some("alt=sse&key=e%2Bf")).as_deref(), Some("e+f"));
        assert_eq!(sent(&[("authorization", "Basic a")], None), None);
        assert_eq!(sent(&[], Some("key=")), None);
    }

    #[test]
    fn query_loses_its_keys_and_nothing_else() {
        assert_eq!(without_credentials("alt=sse&key=e&x=1"), "alt=sse&x=1");
        assert_eq!(without_credentials("k%65y=e"), "");
        assert_eq!(without_credentials("alt=sse&x=%20"), "alt=sse&x=%20");
    }
}
