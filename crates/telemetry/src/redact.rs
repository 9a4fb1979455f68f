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
    // Asked of every header of a request: without a copy, and no word is looked at where it cannot begin.
    let name = name.as_bytes();
    (0..name.len()).any(|at| {
        let rest = &name[at..];
        matches!(rest[0] | 0x20, b'a' | b'c' | b'p' | b's' | b't')
            && SECRET_WORDS.iter().any(|word| {
                rest.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
            })
    })
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
    fn names_of_secrets_are_told_wherever_the_word_stands() {
        for word in SECRET_WORDS {
            for name in [word.to_owned(), word.to_uppercase(), format!("x-{word}"), format!("{word}_2")] {
                assert!(is_secret_name(&name), "{name}");
            }
            assert!(
                !is_secret_name(&word[1..]) || SECRET_WORDS.iter().any(|other| word[1..].contains(other))
            );
        }
        for name in ["", "content-type", "accept", "user-agent", "to", "apikez", "@uthorization"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

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
