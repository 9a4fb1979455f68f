//! What goes out for a behaviour: a status, headers, and pieces of a body with waits between them.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Gate, Shared};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A part of a body.
pub(super) enum Piece {
    Data(Bytes),
    Wait(Gate),
    Break,
}

/// Counts a call as abandoned unless it was answered.
pub(super) struct Watched {
    shared: Arc<Shared>,
    answered: bool,
}

impl Watched {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, answered: false }
    }

    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.change(|state| state.abandoned += 1);
        }
    }
}

pub(super) fn empty(status: u16) -> Response<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

pub(super) fn json_body(text: Bytes) -> Response<Body> {
    let body = Full::new(text).map_err(|never| match never {}).boxed_unsync();
    typed("application/json", body)
}

/// A body in pieces. When the client leaves before the last one, the call counts as abandoned.
pub(super) fn pieces(content_type: &'static str, pieces: Vec<Piece>, watched: Watched) -> Response<Body> {
    let start = (VecDeque::from(pieces), Some(watched));
    let frames = stream::unfold(start, |(mut rest, mut watched)| async move {
        let broken = loop {
            match rest.pop_front() {
                Some(Piece::Data(data)) => return Some((Ok(Frame::data(data)), (rest, watched))),
                Some(Piece::Wait(gate)) => gate.pass().await,
                Some(Piece::Break) => {
                    // Gives the connection a chance to send what came before.
                    tokio::task::yield_now().await;
                    break true;
                }
                None => break false,
            }
        };
        if let Some(watched) = watched.take() {
            watched.answered();
        }
        broken.then(|| (Err(io::Error::other("broken off as scripted")), (VecDeque::new(), None)))
    });
    typed(content_type, StreamBody::new(frames).boxed_unsync())
}

/// An event stream of what comes out of `events`, until its sender is gone.
pub(super) fn events(events: mpsc::Receiver<Bytes>) -> Response<Body> {
    let frames = stream::unfold(events, |mut events| async move {
        events.recv().await.map(|event| (Ok(Frame::data(event)), events))
    });
    typed("text/event-stream", StreamBody::new(frames).boxed_unsync())
}

fn typed(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// A message as an event.
pub(super) fn event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}

pub(super) fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

pub(super) fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

pub(super) fn text_result(text: &str, is_error: bool) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": is_error})
}

/// Progress notifications of a request, as events.
pub(super) fn progress(params: &Value, count: u32) -> Vec<Piece> {
    let token = params.pointer("/_meta/progressToken").cloned().unwrap_or(json!("none"));
    let one = |step: u32| {
        let params = json!({"progressToken": token, "progress": step, "total": count});
        Piece::Data(event(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})))
    };
    (1..=count).map(one).collect()
}
