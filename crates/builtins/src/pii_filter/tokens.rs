//! Keys of services: by their published prefix, or by a label such as `api_key=` in front of a long token.

use super::{
    blocks::{LONG_RUN, is_token},
    category::{Categories, Category},
    labels::{self, Source},
};

/// Longest key that is found, in bytes. A longer token is no key but data.
pub(super) const KEY_MAX: usize = 512;
/// Shortest token that counts as a key after a label, in bytes.
const LABELLED_MIN: usize = 20;
/// Length of an AWS secret access key.
const AWS_SECRET: usize = 40;

/// Prefix, and the fewest and most bytes after it.
type Prefix = (&'static [u8], usize, usize);

/// Prefixes that services publish for their keys.
const PREFIXES: &[Prefix] = &[
    (b"sk-", 20, KEY_MAX),
    (b"sk_live_", 10, 247),
    (b"sk_test_", 10, 247),
    (b"pk_live_", 10, 247),
    (b"rk_live_", 10, 247),
    (b"ghp_", 36, 251),
    (b"gho_", 36, 251),
    (b"ghu_", 36, 251),
    (b"ghs_", 36, 251),
    (b"ghr_", 36, 251),
    (b"github_pat_", 22, 244),
    (b"glpat-", 20, 64),
    (b"AIza", 35, 35),
    (b"xoxa-", 10, 250),
    (b"xoxb-", 10, 250),
    (b"xoxp-", 10, 250),
    (b"xoxq-", 10, 250),
    (b"xoxr-", 10, 250),
    (b"hf_", 30, 64),
    (b"npm_", 36, 36),
];

/// A key: category, start of its label (or of the key), start and end.
pub(super) type Key = (Category, usize, usize, usize);

/// Looks at the run of token bytes whose sixteenth byte stands at `at`.
pub(super) fn keys(source: Source<'_>, at: usize, on: Categories, mut found: impl FnMut(Key)) {
    let bytes = source.bytes;
    let start = at + 1 - LONG_RUN;
    let end = at + bytes[at..].iter().take_while(|b| is_token(**b)).count();
    if on.has(Category::AwsKey) && end - start == AWS_SECRET {
        let label = labels::before(source, start);
        if label.aws_secret {
            return found((Category::AwsKey, label.start, start, end));
        }
    }
    let mut from = start;
    while from < end {
        let to = bytes[from..end].iter().position(|b| matches!(b, b'/' | b'+')).map_or(end, |n| from + n);
        if to - from >= LONG_RUN {
            one(source, from, to, on, &mut found);
        }
        from = to + 1;
    }
}

fn one(source: Source<'_>, start: usize, end: usize, on: Categories, found: &mut impl FnMut(Key)) {
    let bytes = source.bytes;
    let escaped = start > 0 && bytes[start - 1] == b'\\' && matches!(bytes[start], b'n' | b'r' | b't');
    let start = start + usize::from(escaped);
    let token = &bytes[start..end];
    if on.has(Category::AwsKey) && is_aws_id(token) {
        return found((Category::AwsKey, start, start, end));
    }
    if !on.has(Category::ApiKey) || token.len() > KEY_MAX || !token.iter().any(u8::is_ascii_digit) {
        return;
    }
    if has_prefix(token) {
        return found((Category::ApiKey, start, start, end));
    }
    let label = labels::before(source, start);
    if token.len() >= LABELLED_MIN && label.categories.has(Category::ApiKey) {
        found((Category::ApiKey, label.start, start, end));
    }
}

fn is_aws_id(token: &[u8]) -> bool {
    token.len() == 20
        && (token.starts_with(b"AKIA") || token.starts_with(b"ASIA"))
        && token.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn has_prefix(token: &[u8]) -> bool {
    // Most tokens are dismissed by their first byte.
    matches!(token[0], b's' | b'p' | b'r' | b'g' | b'A' | b'x' | b'h' | b'n')
        && PREFIXES.iter().any(|(prefix, least, most)| {
            token.strip_prefix(*prefix).is_some_and(|rest| (*least..=*most).contains(&rest.len()))
        })
}
