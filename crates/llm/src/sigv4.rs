//! AWS Signature Version 4, as Bedrock asks for it.
//!
//! Written out here, since the crates that do it bring Amazon's whole runtime with them. It is checked against the test
//! vectors that Amazon publishes. Time is given by the caller: this crate has no clock.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::path::{decoded, encoded};

/// A pair of keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's id.
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
    /// The token of a temporary pair.
    pub session_token: Option<String>,
}

impl Credentials {
    /// Reads `ACCESS_KEY:SECRET_KEY` or `ACCESS_KEY:SECRET_KEY:SESSION_TOKEN`; `None` for a text that is neither, such
    /// as one of Bedrock's own API keys, which are sent as they are.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, ':');
        let (access_key, secret_key) = (parts.next()?, parts.next()?);
        let known = access_key.len() >= 16
            && access_key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        (known && !secret_key.is_empty()).then(|| Self {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            session_token: parts.next().filter(|token| !token.is_empty()).map(str::to_owned),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// A request to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// The `Host` header.
    pub host: &'a str,
    /// The path as it is sent, encoded.
    pub path: &'a str,
    /// The query as it is sent.
    pub query: &'a str,
    /// Further headers that are to be signed, lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Where and for what a signature holds.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The region, `us-east-1`.
    pub region: &'a str,
    /// The service, `bedrock`.
    pub service: &'a str,
    /// Seconds since 1970.
    pub at: u64,
}

/// The region in a host name such as `bedrock-runtime.eu-west-1.amazonaws.com`.
#[must_use]
pub fn region_of(host: &str) -> Option<&str> {
    let (_, rest) = host.split_once('.')?;
    let (region, rest) = rest.split_once('.')?;
    (rest.starts_with("amazonaws.com") && region.contains('-')).then_some(region)
}

/// Signs a request. Returns the headers to add, lower case; the last is `authorization`.
#[must_use]
pub fn sign(
    request: &Request<'_>,
    scope: &Scope<'_>,
    credentials: &Credentials,
) -> Vec<(&'static str, String)> {
    let now = timestamp(scope.at);
    let mut added = vec![("x-amz-date", now.clone())];
    if let Some(token) = &credentials.session_token {
        added.push(("x-amz-security-token", token.clone()));
    }
    let mut headers: Vec<(&str, String)> =
        request.headers.iter().map(|(name, value)| (*name, trimmed(value))).collect();
    headers.push(("host", trimmed(request.host)));
    headers.extend(added.iter().map(|(name, value)| (*name, value.clone())));
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        canonical_path(request.path),
        canonical_query(request.query),
        hex(&Sha256::digest(request.body)),
    );
    let day = &now[..8];
    let within = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{now}\n{within}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = mac(format!("AWS4{}", credentials.secret_key).as_bytes(), day);
    for word in [scope.region, scope.service, "aws4_request"] {
        key = mac(&key, word);
    }
    let signature = hex(&mac(&key, &to_sign));
    let access = &credentials.access_key;
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={access}/{within}, SignedHeaders={names}, Signature={signature}"
    );
    added.push(("authorization", value));
    added
}

/// Each segment of the path as it is sent, encoded once more, as all services but S3 want it.
fn canonical_path(path: &str) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(&decoded(name)), encoded(&decoded(value))))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A header's value with runs of spaces as one.
fn trimmed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[expect(clippy::expect_used, reason = "a key of any length is a key of this kind")]
fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `YYYYMMDDTHHMMSSZ`, by the calendar of days since 1970 (Hinnant's algorithm).
fn timestamp(at: u64) -> String {
    let (days, seconds) = (at / 86_400, at % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &str) -> String {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        };
        let request =
            Request { method, host: "example.amazonaws.com", path, query, headers, body: body.as_bytes() };
        let scope = Scope { region: "us-east-1", service: "service", at: 1_440_938_160 };
        let added = sign(&request, &scope, &credentials);
        assert_eq!(added[0], ("x-amz-date", "20150830T123600Z".to_owned()));
        added.last().unwrap().1.rsplit_once('=').unwrap().1.to_owned()
    }

    /// From Amazon's published suite of test vectors, by their names there.
    #[test]
    fn published_vectors_are_met() {
        // get-vanilla
        assert_eq!(
            signature("GET", "/", "", &[], ""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        // post-vanilla
        assert_eq!(
            signature("POST", "/", "", &[], ""),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        // get-vanilla-query-order-key-case
        assert_eq!(
            signature("GET", "/", "Param2=value2&Param1=value1", &[], ""),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        // post-x-www-form-urlencoded
        assert_eq!(
            signature(
                "POST",
                "/",
                "",
                &[("content-type", "application/x-www-form-urlencoded")],
                "Param1=value1"
            ),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }

    #[test]
    fn model_with_a_colon_is_encoded_twice() {
        assert_eq!(canonical_path("/model/a%3A0/converse"), "/model/a%253A0/converse");
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials::parse("AKIAIOSFODNN7EXAMPLE:secret:token").unwrap();
        assert_eq!(credentials.session_token.as_deref(), Some("token"));
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("secret") && !shown.contains("token"), "{shown}");
        assert_eq!(Credentials::parse("bedrock-api-key-abc"), None);
    }

    #[test]
    fn region_stands_in_the_host() {
        assert_eq!(region_of("bedrock-runtime.eu-west-1.amazonaws.com"), Some("eu-west-1"));
        assert_eq!(region_of("localhost"), None);
        assert_eq!(timestamp(1_709_164_800), "20240229T000000Z");
    }
}
