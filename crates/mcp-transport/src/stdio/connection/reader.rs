//! The task that reads messages and hands each to whom it belongs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mortise_mcp::envelope::{Body, ErrorObject, Message, Request, Response, code, method};
use mortise_mcp::raw::Raw;
use tokio::io::AsyncRead;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::{PipeError, Shared};
use crate::stdio::lines::{Line, LineReader};
use crate::upstream::progress;

/// How long the reader, and with it every answer, waits for room for a message that should not be lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines that are no messages are logged up to this many; a server that chats on standard output does it
/// all the time.
const GARBAGE_LOGGED: u32 = 5;

pub(super) async fn run<R: AsyncRead + Unpin>(shared: Arc<Shared>, reader: R) {
    let mut lines = LineReader::new(reader, shared.config.limits.max_bytes);
    let mut garbage = 0;
    let reason = loop {
        match lines.next().await {
            Ok(Some(Line::Whole(line))) => read(&shared, &line, &mut garbage).await,
            Ok(Some(Line::TooLong(start))) => refuse_long(&shared, &start),
            Ok(None) => break PipeError::Ended { name: Arc::clone(&shared.name) },
            Err(source) => {
                break PipeError::Broken { name: Arc::clone(&shared.name), source: Arc::new(source) };
            }
        }
    };
    shared.end(reason);
}

async fn read(shared: &Arc<Shared>, line: &Bytes, garbage: &mut u32) {
    match Body::parse(line, &shared.config.limits) {
        Ok(Body::Single(message)) => dispatch(shared, message).await,
        Ok(Body::Batch(messages)) => {
            for message in messages.into_iter().flatten() {
                dispatch(shared, message).await;
            }
        }
        Err(error) => {
            *garbage = garbage.saturating_add(1);
            if *garbage <= GARBAGE_LOGGED {
                // The line itself may hold what tools returned: it stays out of the log.
                tracing::warn!(upstream = %shared.name, bytes = line.len(), %error,
                    "a line on standard output is no message; it is skipped");
            }
        }
    }
}

async fn dispatch(shared: &Arc<Shared>, message: Message) {
    match message {
        Message::Response(response) => answer(shared, response),
        Message::Notification(notification) => {
            let left = match progress::request_of(&notification) {
                Some(id) => shared.calls.progress(id, notification),
                None => Some(notification),
            };
            if let Some(notification) = left {
                deliver(shared, Message::Notification(notification)).await;
            }
        }
        Message::Request(request) if request.method == method::PING => {
            shared.try_send(&Message::Response(Response::ok(request.id, Raw::EMPTY_OBJECT)));
        }
        Message::Request(request) => deliver(shared, Message::Request(request)).await,
    }
}

fn answer(shared: &Shared, response: Response) {
    let id = response.id.as_ref().and_then(mortise_mcp::envelope::RequestId::as_u64);
    if !id.is_some_and(|id| shared.calls.answer(id, Ok(response.outcome))) {
        tracing::debug!(upstream = %shared.name, "an answer nobody waits for; it is dropped");
    }
}

/// Hands on a message that belongs to no call.
async fn deliver(shared: &Shared, message: Message) {
    if !shared.has_receiver() {
        if let Message::Request(request) = message {
            refuse(shared, request, &ErrorObject::new(code::METHOD_NOT_FOUND, "method not found"));
        }
        return;
    }
    let message = match shared.incoming.try_send(message) {
        Ok(()) => return,
        Err(TrySendError::Full(message) | TrySendError::Closed(message)) => message,
    };
    match message {
        Message::Request(request) => {
            refuse(shared, request, &ErrorObject::new(code::SERVER_ERROR, "too many requests at once"));
        }
        message if is_lossy(&message) => {}
        message => {
            if timeout(PATIENCE, shared.incoming.send(message)).await.is_err() {
                tracing::warn!(upstream = %shared.name, "nobody takes notifications; one is dropped");
            }
        }
    }
}

/// Whether one notification more or less changes nothing.
fn is_lossy(message: &Message) -> bool {
    matches!(message.method(), Some(method::LOG_MESSAGE | method::PROGRESS))
}

fn refuse(shared: &Shared, request: Request, error: &ErrorObject) {
    shared.try_send(&Message::Response(Response::err(Some(request.id), error)));
}

/// Fails the call that an overlong line answers, as far as its start tells.
fn refuse_long(shared: &Shared, start: &Bytes) {
    let limit = shared.config.limits.max_bytes;
    tracing::warn!(upstream = %shared.name, limit, "a line is longer than allowed; it is skipped");
    if let Some(id) = id_in(start) {
        shared.calls.answer(id, Err(PipeError::TooLarge { name: Arc::clone(&shared.name), limit }));
    }
}

/// The id near the start of a message, where servers write it. A guess: an `"id"` deeper within a result
/// could be taken for it, and then fails a call early that would have failed by its deadline.
fn id_in(start: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(start, b"\"id\"")?;
    let result = memchr::memmem::find(start, b"\"result\"");
    if result.is_some_and(|result| result < at) {
        return None;
    }
    let rest = start[at + 4..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
