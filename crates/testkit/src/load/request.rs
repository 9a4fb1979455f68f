//! The request that is sent again and again, each time with another number in it.

use memchr::memmem;

/// Where a request's number goes, in body and expectation.
const MARK: &str = "{n}";
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
    /// Where in `bytes` the number stands.
    places: Vec<usize>,
    expect: Vec<u8>,
    expect_places: Vec<usize>,
}

impl Request {
    /// A POST of `body` (JSON) to `url`. An answer is right when it has status 200 and its body holds `expect`.
    /// `{n}` in either stands for the request's own number of ten digits.
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
        let places = body_places.into_iter().map(|at| head.len() + at).collect();
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
        let text = format!("call {MARK}{}", filler(size.saturating_sub(15)));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{MARK},"method":"tools/call","params":{{"name":"{name}","arguments":{{"text":"{text}"}}}}}}"#
        );
        Self::post(url, headers, &body, &format!("call {MARK}"))
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
        for &at in &self.places {
            self.bytes[at..at + DIGITS].copy_from_slice(&digits);
        }
        for &at in &self.expect_places {
            self.expect[at..at + DIGITS].copy_from_slice(&digits);
        }
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
fn numbered(template: &str) -> (Vec<u8>, Vec<usize>) {
    let mut out = Vec::with_capacity(template.len() + DIGITS);
    let mut places = Vec::new();
    for (index, piece) in template.split(MARK).enumerate() {
        if index > 0 {
            places.push(out.len());
            out.extend_from_slice(&[b'0'; DIGITS]);
        }
        out.extend_from_slice(piece.as_bytes());
    }
    (out, places)
}
