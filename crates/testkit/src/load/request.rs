//! The request that is sent again and again, each time with another number in it.

use memchr::memmem;

/// Where a request's number goes, in body and expectation.
const NUMBER: &str = "{n}";
/// Where the same number goes in letters, which no filter takes for a telephone.
const WORD: &str = "{w}";
/// Digits of a number, so that the length of the body stays the same: all numbers are between 10⁹ and 2 × 10⁹.
const DIGITS: usize = 10;
const FIRST: u64 = 1_000_000_000;

/// A request that cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The URL is not of the form `http://HOST:PORT/PATH`.
    #[error("could not take {0} as the URL to load: it must have the form http://HOST:PORT/PATH")]
    Url(String),
}

/// A POST request, ready to be written, and what its answer must hold.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) address: String,
    bytes: Vec<u8>,
    places: Vec<Place>,
    expect: Vec<u8>,
    expect_places: Vec<Place>,
}

/// Where the number stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    in_letters: bool,
}

impl Request {
    /// A POST of `body` (JSON) to `url`. An answer is right when it has status 200 and its body holds `expect`.
    /// In either, `{n}` stands for the request's own number of ten digits, `{w}` for the same in ten letters.
    ///
    /// # Errors
    /// When `url` is not of the form `http://HOST:PORT/PATH`.
    pub fn post(url: &str, headers: &[(&str, &str)], body: &str, expect: &str) -> Result<Self, RequestError> {
        let bad = || RequestError::Url(url.to_owned());
        let rest = url.strip_prefix("http://").ok_or_else(bad)?;
        let (address, path) = rest.split_once('/').ok_or_else(bad)?;
        if !address.contains(':') {
            return Err(bad());
        }
        let (body, body_places) = numbered(body);
        let mut head = format!(
            "POST /{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let moved = |place: Place| Place { at: head.len() + place.at, ..place };
        let places = body_places.into_iter().map(moved).collect();
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&body);
        let (expect, expect_places) = numbered(expect);
        Ok(Self { address: address.to_owned(), bytes, places, expect, expect_places })
    }

    /// A `tools/call` of the tool `name` that answers its argument `text`, of about `size` bytes.
    ///
    /// # Errors
    /// As [`Request::post`].
    pub fn echo(url: &str, headers: &[(&str, &str)], name: &str, size: usize) -> Result<Self, RequestError> {
        let text = format!("call {WORD}{}", filler(size.saturating_sub(15)));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{NUMBER},"method":"tools/call","params":{{"name":"{name}","arguments":{{"text":"{text}"}}}}}}"#
        );
        Self::post(url, headers, &body, &format!("call {WORD}"))
    }

    /// Size of one request in bytes, head included.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Makes this the request number `n` and returns its bytes.
    pub(super) fn number(&mut self, n: u64) -> &[u8] {
        let mut digits = [0; DIGITS];
        let mut rest = FIRST + n % FIRST;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let letters = digits.map(|digit| digit - b'0' + b'a');
        let put = |text: &mut [u8], places: &[Place]| {
            for place in places {
                let shown = if place.in_letters { &letters } else { &digits };
                text[place.at..place.at + DIGITS].copy_from_slice(shown);
            }
        };
        put(&mut self.bytes, &self.places);
        put(&mut self.expect, &self.expect_places);
        &self.bytes
    }

    /// Whether `body` answers the request as numbered last.
    pub(super) fn is_answered_by(&self, body: &[u8]) -> bool {
        memmem::find(body, &self.expect).is_some()
    }
}

/// Prose without digits, so that a plugin that looks for numbers has something to read and nothing to find.
fn filler(size: usize) -> String {
    const WORDS: &str =
        " the quick brown fox jumps over the lazy dog while the band plays on and nobody minds";
    WORDS.chars().cycle().take(size).collect()
}

/// Replaces each mark by room for a number and says where.
fn numbered(template: &str) -> (Vec<u8>, Vec<Place>) {
    let mut out = Vec::with_capacity(template.len() + DIGITS);
    let mut places = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(NUMBER).into_iter().chain(rest.find(WORD)).min() {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        places.push(Place { at: out.len(), in_letters: rest[at..].starts_with(WORD) });
        out.extend_from_slice(&[b'0'; DIGITS]);
        rest = &rest[at + NUMBER.len()..];
    }
    out.extend_from_slice(rest.as_bytes());
    (out, places)
}
