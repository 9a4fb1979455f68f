//! Amazon's event stream: messages with a length, headers and two checksums.
//!
//! A message is `total length, length of headers, checksum of these two, headers, payload, checksum of all`, in network
//! byte order; the checksum is CRC-32 as in zip files.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::{
    Cut, StreamError,
    frame::{Form, Frame},
};

const PRELUDE: usize = 12;
const LEAST: usize = PRELUDE + 4;

/// A header of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name; one of the protocol's own starts with a colon.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderValue {
    /// A truth value.
    Bool(bool),
    /// A number of 8, 16, 32 or 64 bits, with its number of bytes.
    Int(i64, u8),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Text.
    Text(String),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// A UUID.
    Uuid([u8; 16]),
}

impl Header {
    /// A header of text.
    #[must_use]
    pub fn text(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: HeaderValue::Text(value.to_owned()) }
    }
}

/// CRC-32 (polynomial of IEEE 802.3) of the bytes.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut value = n as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[n] = value;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, byte| TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// The end of the first message. The lengths are believed only with their checksum.
pub(super) fn find(held: &[u8], max: usize) -> Result<Cut, StreamError> {
    let Some(prelude) = held.get(..PRELUDE) else { return Ok(Cut::More) };
    let (total, headers) = lengths(prelude)?;
    if total > max {
        return Err(StreamError::TooLarge { max });
    }
    if headers > total - LEAST {
        return Err(StreamError::Broken("headers of a message are longer than the message"));
    }
    Ok(if held.len() >= total { Cut::At(total) } else { Cut::More })
}

fn lengths(message: &[u8]) -> Result<(usize, usize), StreamError> {
    let (total, headers, sum) = match (u32_at(message, 0), u32_at(message, 4), u32_at(message, 8)) {
        (Some(total), Some(headers), Some(sum)) => (total as usize, headers as usize, sum),
        _ => return Err(StreamError::Broken("it ends within a message")),
    };
    if crc32(&message[..8]) != sum {
        return Err(StreamError::Broken("the checksum of a message's lengths is wrong"));
    }
    if total < LEAST {
        return Err(StreamError::Broken("a message is shorter than the least one"));
    }
    Ok((total, headers))
}

/// Reads a message.
pub(super) fn frame(raw: Bytes) -> Result<Frame, StreamError> {
    let (total, headers_len) = lengths(&raw)?;
    if raw.len() != total {
        return Err(StreamError::Broken("it ends within a message"));
    }
    if u32_at(&raw, total - 4) != Some(crc32(&raw[..total - 4])) {
        return Err(StreamError::Broken("the checksum of a message is wrong"));
    }
    let payload = PRELUDE
        .checked_add(headers_len)
        .filter(|start| *start <= total - 4)
        .ok_or(StreamError::Broken("headers of a message are longer than the message"))?;
    let headers = headers(&raw[PRELUDE..payload])?;
    let text = |name: &str| {
        headers.iter().find_map(|header| match &header.value {
            HeaderValue::Text(text) if header.name == name => Some(text.as_str()),
            _ => None,
        })
    };
    let name = text(":event-type").or_else(|| text(":exception-type")).or_else(|| text(":error-code"));
    let name = name.map(Box::from);
    let data = raw.slice(payload..total - 4);
    if name.as_deref() == Some("chunk")
        && let Some(inner) = chunk(&data)
    {
        return Ok(Frame { raw, name, data: inner.into(), form: Form::Chunk });
    }
    Ok(Frame { raw, name, data, form: Form::Message })
}

/// What InvokeModel wraps: an event of the model's own.
fn chunk(data: &[u8]) -> Option<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        bytes: std::borrow::Cow<'a, str>,
    }
    let chunk: Chunk<'_> = serde_json::from_slice(data).ok()?;
    STANDARD.decode(chunk.bytes.as_bytes()).ok()
}

/// Reads the headers of a message.
fn headers(mut bytes: &[u8]) -> Result<Vec<Header>, StreamError> {
    const CUT: StreamError = StreamError::Broken("a header of a message is cut short");
    fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], StreamError> {
        let (taken, rest) = bytes.split_at_checked(len).ok_or(CUT)?;
        *bytes = rest;
        Ok(taken)
    }
    fn sized<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], StreamError> {
        let len = take(bytes, 2)?;
        take(bytes, usize::from(len[0]) << 8 | usize::from(len[1]))
    }
    fn int(bytes: &[u8]) -> i64 {
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        bytes.iter().fold(if negative { -1 } else { 0 }, |n, byte| n << 8 | i64::from(*byte))
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let len = usize::from(take(&mut bytes, 1)?[0]);
        let name = String::from_utf8_lossy(take(&mut bytes, len)?).into_owned();
        let value = match take(&mut bytes, 1)?[0] {
            0 => HeaderValue::Bool(true),
            1 => HeaderValue::Bool(false),
            kind @ 2..=5 => {
                let width = 1_u8 << (kind - 2);
                HeaderValue::Int(int(take(&mut bytes, usize::from(width))?), width)
            }
            6 => HeaderValue::Bytes(sized(&mut bytes)?.to_vec()),
            7 => HeaderValue::Text(String::from_utf8_lossy(sized(&mut bytes)?).into_owned()),
            8 => HeaderValue::Timestamp(int(take(&mut bytes, 8)?)),
            9 => HeaderValue::Uuid(take(&mut bytes, 16)?.try_into().map_err(|_| CUT)?),
            _ => return Err(StreamError::Broken("a header of a message is of an unknown type")),
        };
        found.push(Header { name, value });
    }
    Ok(found)
}

/// Writes a message. Names over 255 bytes and values over 65,535 are cut, which the protocol has no word for.
pub(super) fn encode(headers: &[Header], payload: &[u8]) -> Bytes {
    let mut written = Vec::new();
    for Header { name, value } in headers {
        let name = &name.as_bytes()[..name.len().min(255)];
        written.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        written.extend_from_slice(name);
        let sized = |written: &mut Vec<u8>, kind: u8, bytes: &[u8]| {
            let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            written.push(kind);
            written.extend_from_slice(&len.to_be_bytes());
            written.extend_from_slice(&bytes[..usize::from(len)]);
        };
        match value {
            HeaderValue::Bool(value) => written.push(u8::from(!value)),
            HeaderValue::Int(value, width) => {
                let width = width.clamp(&1, &8).next_power_of_two();
                written.push(2 + u8::try_from(width.trailing_zeros()).unwrap_or_default());
                written.extend_from_slice(&value.to_be_bytes()[8 - usize::from(width)..]);
            }
            HeaderValue::Bytes(bytes) => sized(&mut written, 6, bytes),
            HeaderValue::Text(text) => sized(&mut written, 7, text.as_bytes()),
            HeaderValue::Timestamp(at) => {
                written.push(8);
                written.extend_from_slice(&at.to_be_bytes());
            }
            HeaderValue::Uuid(uuid) => {
                written.push(9);
                written.extend_from_slice(uuid);
            }
        }
    }
    message(&written, payload)
}

/// The message with another payload; its headers stay the bytes they are.
pub(super) fn with_payload(raw: &[u8], payload: &[u8]) -> Bytes {
    let headers = u32_at(raw, 4).and_then(|len| raw.get(PRELUDE..PRELUDE + len as usize));
    message(headers.unwrap_or_default(), payload)
}

fn message(headers: &[u8], payload: &[u8]) -> Bytes {
    let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let total = LEAST + headers.len() + payload.len();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&len(total));
    out.extend_from_slice(&len(headers.len()));
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.into()
}
