//! Writing messages: the envelope is made, raw parts are copied.
//!
//! All functions append. They take what can grow (`Vec<u8>`, `BytesMut`); a fixed-size buffer would panic when
//! full.

use bytes::BufMut;

use super::{Message, RequestId, RpcError};
use crate::raw::{Raw, write_string};

const HEAD: &[u8] = b"{\"jsonrpc\":\"2.0\"";

/// Appends a request.
pub fn write_request(out: &mut impl BufMut, id: &RequestId, method: &str, params: Option<&Raw>) {
    out.put_slice(HEAD);
    write_id(out, Some(id));
    write_call(out, method, params);
}

/// Appends a notification.
pub fn write_notification(out: &mut impl BufMut, method: &str, params: Option<&Raw>) {
    out.put_slice(HEAD);
    write_call(out, method, params);
}

/// Appends a successful response.
pub fn write_response(out: &mut impl BufMut, id: &RequestId, result: &Raw) {
    out.put_slice(HEAD);
    write_id(out, Some(id));
    out.put_slice(b",\"result\":");
    out.put_slice(result.as_bytes());
    out.put_u8(b'}');
}

/// Appends an error response; without an id it says `"id":null`.
pub fn write_error(out: &mut impl BufMut, id: Option<&RequestId>, error: &RpcError) {
    out.put_slice(HEAD);
    write_id(out, id);
    out.put_slice(b",\"error\":");
    out.put_slice(error.raw().as_bytes());
    out.put_u8(b'}');
}

/// Appends any message.
pub fn write_message(out: &mut impl BufMut, message: &Message) {
    match message {
        Message::Request(r) => write_request(out, &r.id, &r.method, r.params.as_ref()),
        Message::Notification(n) => write_notification(out, &n.method, n.params.as_ref()),
        Message::Response(r) => match (&r.id, &r.outcome) {
            (Some(id), Ok(result)) => write_response(out, id, result),
            (id, Err(error)) => write_error(out, id.as_ref(), error),
            // Nothing makes a result without an id; should it happen, the receiver must not take it for an answer.
            (None, Ok(result)) => write_error(out, None, &orphan(result)),
        },
    }
}

fn orphan(_result: &Raw) -> RpcError {
    super::ErrorObject::new(super::code::INTERNAL_ERROR, "result without an id").to_rpc_error()
}

fn write_id(out: &mut impl BufMut, id: Option<&RequestId>) {
    out.put_slice(b",\"id\":");
    out.put_slice(id.map_or(&b"null"[..], RequestId::as_json));
}

fn write_call(out: &mut impl BufMut, method: &str, params: Option<&Raw>) {
    out.put_slice(b",\"method\":");
    write_string(out, method);
    if let Some(params) = params {
        out.put_slice(b",\"params\":");
        out.put_slice(params.as_bytes());
    }
    out.put_u8(b'}');
}
