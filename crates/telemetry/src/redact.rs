//! Keeping secrets out of logs.
//!
//! Values are hidden by the name they stand under, since what a secret looks like is anybody's guess.

/// What stands where a secret was.
pub const HIDDEN: &str = "***";

/// Parts of names under which secrets stand.
const SECRET_WORDS: [&str; 12] = [
    "authorization",
    "token",
    "secret",
    "password",
    "passwd",
    "api_key",
    "api-key",
    "apikey",
    "cookie",
    "credential",
    "private_key",
    "passphrase",
];

/// Whether a header, key or query parameter of this name holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// A URL as it may be logged: no user information, secret query values hidden.
pub fn url(url: &str) -> String {
    let (rest, fragment) = url.split_once('#').map_or((url, ""), |(rest, fragment)| (rest, fragment));
    let (base, query) = rest.split_once('?').map_or((rest, None), |(base, query)| (base, Some(query)));
    let mut shown = match base.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => base.to_owned(),
    };
    for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if is_secret_name(name) => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(HIDDEN);
            }
            _ => shown.push_str(pair),
        }
    }
    if !fragment.is_empty() {
        shown.push('#');
        shown.push_str(fragment);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_secrets() {
        assert_eq!(
            url("https://u:p@h:1/p?a=1&token=abc&Api_Key=x"),
            "https://h:1/p?a=1&token=***&Api_Key=***"
        );
        assert_eq!(url("/plugins/x?token=abc#f"), "/plugins/x?token=***#f");
        assert_eq!(url("http://h"), "http://h");
    }
}
