//! Taking personal data and secrets out of recorded calls: each is replaced by a made-up one of the same kind.
//!
//! What is found is what the PII filter and secrets detection find. A made-up value in its place, instead of a word such
//! as `[REDACTED]`, keeps a recording useful: a configuration that masks e-mail addresses or blocks on a card number does
//! the same with the made-up ones. Equal kinds get equal values, so nothing of the original is left in it but its kind,
//! and its length where it has no fixed form.

use std::sync::Arc;

use mortise_builtins::{
    pii_filter::{
        category::{Categories, Category},
        scanner::Scanner,
    },
    secrets_detection::{self, config::Detector},
};
use mortise_gateway::trace::recording::Mask;
use mortise_telemetry::redact;

/// A stretch of a text and what stands in its place.
struct Replacement {
    start: usize,
    end: usize,
    with: String,
}

/// The mask of the standard build.
#[must_use]
pub fn mask() -> Mask {
    // Without patterns of anybody's own, nothing can fail to compile; if it did, only secrets would be found.
    let personal = Scanner::new(Categories::ALL, &[], &[]).ok();
    let secrets = secrets_detection::scanner::Scanner::broad();
    Arc::new(move |key, text| {
        let is_secret = redact::is_secret_name(key);
        let mut found: Vec<Replacement> = Vec::new();
        for secret in secrets.find(text, key) {
            let original = &text[secret.start..secret.end];
            found.push(Replacement {
                start: secret.start,
                end: secret.end,
                with: known(is_secret, original, fake_secret(secret.detector, original)),
            });
        }
        for finding in personal.iter().flat_map(|scanner| scanner.find(text, key)) {
            let original = &text[finding.start..finding.end];
            found.push(Replacement {
                start: finding.start,
                end: finding.end,
                with: known(is_secret, original, fake(finding.category, original)),
            });
        }
        (!found.is_empty()).then(|| replaced(text, found, is_secret))
    })
}

/// Beginnings of secrets that are no secret.
const PUBLIC: [&str; 14] = [
    "AKIA",
    "eyJ",
    "sk_live_",
    "sk_test_",
    "sk-",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AIza",
];

/// What stands for something found: under a secret's name nothing of it stays but a beginning everybody knows.
fn known(is_secret: bool, original: &str, made_up: String) -> String {
    let same = || original.chars().zip(made_up.chars()).take_while(|(was, is)| was == is).count();
    if is_secret && same() > 0 && !PUBLIC.iter().any(|public| original.starts_with(public)) {
        return shaped(original);
    }
    made_up
}

/// The text with its replacements; where two overlap, all that either covers goes. Of what is a secret as a whole, the
/// rest goes too.
fn replaced(text: &str, mut found: Vec<Replacement>, is_secret: bool) -> String {
    let rest = |text: &str| match is_secret && text.contains(char::is_alphanumeric) {
        true => redact::HIDDEN.to_owned(),
        false => text.to_owned(),
    };
    found.sort_by_key(|one| (one.start, std::cmp::Reverse(one.end)));
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for Replacement { start, end, with } in found {
        if start >= done {
            out.push_str(&rest(&text[done..start]));
            out.push_str(&with);
        }
        done = done.max(end);
    }
    out.push_str(&rest(&text[done..]));
    out
}

/// A made-up value of a kind of personal data.
fn fake(category: Category, original: &str) -> String {
    match category {
        Category::Email => "person@example.com".to_owned(),
        Category::CreditCard if original.bytes().all(|b| b.is_ascii_digit()) => "4111111111111111".to_owned(),
        Category::CreditCard => "4111 1111 1111 1111".to_owned(),
        Category::Ssn => "219-09-9999".to_owned(),
        Category::Bsn => "111222333".to_owned(),
        Category::Phone => "(212) 555-0199".to_owned(),
        Category::IpAddress if original.contains(':') => "2001:db8::1".to_owned(),
        Category::IpAddress => "192.0.2.1".to_owned(),
        Category::DateOfBirth => "1980-01-01".to_owned(),
        Category::BankAccount if original.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            "DE89370400440532013000".to_owned()
        }
        Category::AwsKey if original.starts_with('A') && original.len() == 20 => {
            "AKIAIOSFODNN7EXAMPLE".to_owned()
        }
        Category::ApiKey => after_prefix(original),
        _ => shaped(original),
    }
}

/// A made-up secret.
fn fake_secret(detector: Detector, original: &str) -> String {
    match detector {
        Detector::AwsAccessKeyId => "AKIAIOSFODNN7EXAMPLE".to_owned(),
        Detector::PrivateKeyBlock => {
            "-----BEGIN PRIVATE KEY-----\nMASKED\n-----END PRIVATE KEY-----".to_owned()
        }
        Detector::JwtLike => "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYXNrZWQifQ.c2lnbmF0dXJlLW1hc2tlZA".to_owned(),
        _ => after_prefix(original),
    }
}

/// The same with everything after its prefix or label made up.
fn after_prefix(original: &str) -> String {
    // What is written in base64 may end in `=`.
    let label = original.trim_end_matches('=').rfind(['=', ':', ' ', '"', '\'']).map_or(0, |at| at + 1);
    let value = &original[label..];
    // `sk_live_…`, `ghp_…`, `xoxb-…`, `AIza…`: what comes before the secret itself is public.
    let head: String = value.chars().take(12).collect();
    let prefix = head.rfind(['_', '-']).map_or(if value.starts_with("AIza") { 4 } else { 0 }, |at| at + 1);
    format!("{}{}", &original[..label + prefix], shaped(&value[prefix..]))
}

/// Digits for digits, letters for letters.
fn shaped(original: &str) -> String {
    let of = |alphabet: &'static [u8], at: usize| char::from(alphabet[at % alphabet.len()]);
    let shape = original.chars().enumerate().map(|(at, c)| match c {
        _ if c.is_numeric() => of(b"1234567890", at),
        _ if c.is_uppercase() => of(b"ABCDEFGHJKLMNPQRSTUVWXYZ", at),
        _ if c.is_alphabetic() => of(b"abcdefghjkmnpqrstuvwxyz", at),
        other => other,
    });
    shape.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(key: &str, text: &str) -> String {
        mask()(key, text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn what_is_found_becomes_something_made_up_that_is_found_again() {
        let personal = Scanner::new(Categories::ALL, &[], &[]).unwrap();
        for (key, text, secret) in [
            ("", "write to alice.smith@corp.example.org today", "alice.smith"),
            ("", "pay with 5500 0000 0000 0004 please", "5500"),
            ("", "pay with 5500000000000004 please", "5500"),
            ("", "my ssn is 536-90-4399 ok", "536-90"),
            ("", "call (415) 867-5309 now", "867-5309"),
            ("", "from 203.0.113.77 it came", "203.0.113"),
            ("", "IBAN GB82 WEST 1234 5698 7654 32 it is", "WEST"),
            ("", "date of birth: 1975-05-17", "1975"),
        ] {
            let masked = masked(key, text);
            assert!(!masked.contains(secret), "{masked}");
            let kinds = |text: &str| -> Vec<Category> {
                personal.find(text, key).iter().map(|finding| finding.category).collect()
            };
            assert!(!kinds(text).is_empty(), "nothing is found in {text}");
            assert_eq!(kinds(&masked), kinds(text), "{text} -> {masked}");
        }
    }

    #[test]
    fn secrets_are_made_up_behind_their_prefix() {
        let secrets = secrets_detection::scanner::Scanner::broad();
        for (text, secret) in [
            ("token ghp_16C7e42F292c6912E7710c838347Ae178B4a!", "16C7e42F"),
            ("key AKIAZ7Q4XW2M5N8P1R3T.", "Z7Q4XW2M"),
            ("AIzaSyD4x8K2mQ9vR7tL1nB6cJ3hF5gW0pE2uYs", "SyD4x8K2"),
            ("xoxb-1234567890-abcdefghijkl", "567890-abcdefghijkl"),
        ] {
            let masked = masked("", text);
            assert!(!masked.contains(secret), "{masked}");
            assert_eq!(secrets.find(&masked, "").len(), secrets.find(text, "").len(), "{text} -> {masked}");
        }
    }

    #[test]
    fn of_a_text_under_a_secrets_name_nothing_stays() {
        for (text, secret) in [
            ("hunter2 and alice.smith@corp.example.org", "hunter2"),
            ("hunter2-ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F"),
            ("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMw==", "c2VjcmV0"),
        ] {
            let masked = mask()("password", text);
            assert!(!masked.as_deref().unwrap_or_default().contains(secret), "{masked:?}");
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(mask()("q", "how tall is the tower, in metres?"), None);
    }
}
