//! The HTTP side: takes connections, tells vendors by their paths, answers or does what goes wrong.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mortise_llm::{
    path::classify,
    shape::Shape,
    stream::{Frame as Event, Framing},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Asked, Fault, Shared, anthropic, bedrock,
    errors::{self, Wire},
    gemini, openai,
    said::{Heard, Said},
};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until it is dropped, and with it every connection.
pub(super) async fn connections(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        while open.try_join_next().is_some() {}
        let shared = shared.clone();
        open.spawn(async move {
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(respond(&shared, request).await) }
            });
            // Connections that break are what some faults are about.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What a request asks for.
struct Wanted {
    wire: Wire,
    shape: Shape,
    model: String,
    streams: bool,
    framing: Framing,
}

impl Wanted {
    fn of(path: &str, query: Option<&str>, headers: &http::HeaderMap, body: &Value) -> Self {
        let call = classify(path);
        let model = call.model.as_deref().or(body["model"].as_str()).unwrap_or_default().to_owned();
        let google = path.contains("/v1beta") || headers.contains_key("x-goog-api-key");
        let wire = match call.shape {
            Shape::Messages => Wire::Anthropic,
            Shape::CountTokens | Shape::Models if headers.contains_key("anthropic-version") => {
                Wire::Anthropic
            }
            Shape::Generate | Shape::GenerateEmbed => Wire::Gemini,
            Shape::CountTokens | Shape::Models if google => Wire::Gemini,
            Shape::Converse | Shape::Invoke | Shape::InvokeMessages => Wire::Bedrock,
            _ => Wire::OpenAi,
        };
        Self {
            wire,
            shape: call.shape,
            model,
            streams: call.streams.unwrap_or_else(|| body["stream"] == true),
            framing: call.shape.framing(query),
        }
    }

    fn heard(&self, body: &Value) -> Heard {
        match self.shape {
            Shape::Responses => openai::hear_responses(body),
            Shape::Completions => Heard {
                user: super::said::texts(&body["prompt"]),
                max_tokens: body["max_tokens"].as_u64(),
                ..Heard::default()
            },
            Shape::Messages | Shape::InvokeMessages | Shape::CountTokens => anthropic::hear(body),
            Shape::Generate => gemini::hear(body),
            Shape::Converse => bedrock::hear(body),
            _ => openai::hear_chat(body),
        }
    }

    /// The whole answer; `None` where there is no such operation.
    fn unary(&self, said: &Said, body: &Value) -> Option<Value> {
        Some(match (self.shape, self.wire) {
            (Shape::Chat, _) => openai::chat(said),
            (Shape::Completions, _) => openai::completion(said),
            (Shape::Responses, _) => openai::response(said),
            (Shape::Embeddings, _) => openai::embeddings(body),
            (Shape::GenerateEmbed, _) => gemini::embeddings(body),
            (Shape::Models, Wire::Anthropic) => anthropic::models(),
            (Shape::Models, Wire::Gemini) => gemini::models(),
            (Shape::Models, _) => openai::models(),
            (Shape::Messages | Shape::InvokeMessages, _) => anthropic::message(said),
            (Shape::CountTokens, Wire::Gemini) => json!({ "totalTokens": said.input_tokens }),
            (Shape::CountTokens, _) => json!({ "input_tokens": said.input_tokens }),
            (Shape::Generate, _) => gemini::answer(said),
            (Shape::Converse, _) => bedrock::converse(said),
            _ => return None,
        })
    }

    fn events(&self, said: &Said, body: &Value) -> Option<Vec<Bytes>> {
        Some(match self.shape {
            Shape::Chat => openai::chat_events(said, body),
            Shape::Completions => openai::completion_events(said),
            Shape::Responses => openai::response_events(said),
            Shape::Messages => anthropic::message_events(said),
            Shape::Generate => gemini::events(said, self.framing == Framing::JsonArray),
            Shape::Converse => bedrock::converse_events(said),
            Shape::InvokeMessages => bedrock::invoke_events(said),
            _ => return None,
        })
    }

    /// An error within a stream.
    fn error_event(&self) -> Bytes {
        let (body, _) = errors::body(self.wire, 529, "overloaded on purpose");
        let text = body.to_string();
        match (self.framing, self.shape) {
            (Framing::EventStream, _) => Event::exception("serviceUnavailableException", text.as_bytes()),
            (Framing::JsonArray, _) => format!(",{text}]").into(),
            (Framing::Sse, Shape::Messages) => Event::sse(Some("error"), text.as_bytes()),
            (Framing::Sse, Shape::Responses) => {
                let data = json!({
                    "type": "error", "code": "server_error", "message": "overloaded on purpose", "param": null,
                    "sequence_number": 99
                });
                Event::sse(Some("error"), data.to_string().as_bytes())
            }
            (Framing::Sse, _) => Event::sse(None, text.as_bytes()),
        }
    }
}

async fn respond(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(raw) = body.collect().await else { return answer(400, &Value::Null) };
    let raw = raw.to_bytes();
    if head.uri.path() == "/__asked" {
        return remote(shared, &head.method);
    }
    let body: Value = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    let wanted = Wanted::of(head.uri.path(), head.uri.query(), &head.headers, &body);
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let asked = Asked { method: head.method, path, headers: head.headers, raw, body: body.clone() };
    let (fault, script) = shared.take(asked, &wanted.model);
    let said = Said::to(&wanted.model, &wanted.heard(&body), script);
    match fault {
        Fault::Status(status, wait) => return refusal(&wanted, status, wait),
        Fault::Hang => {
            let _left = Left(Some(shared.clone()));
            return std::future::pending().await;
        }
        _ => {}
    }
    if wanted.model == "no-such-model" {
        return refusal(&wanted, 404, None);
    }
    let events = if wanted.streams { wanted.events(&said, &body) } else { None };
    let (kind, events) = match (events, wanted.unary(&said, &body)) {
        (Some(events), _) => (wanted.framing.content_type(), events),
        (None, Some(whole)) if fault == Fault::None => return answer(200, &whole),
        // What goes wrong in the middle of an answer goes wrong in the middle of its bytes.
        (None, Some(whole)) => {
            let text = Bytes::from(whole.to_string());
            let half = text.len() / 4;
            ("application/json", vec![text.slice(..half), text.slice(half..2 * half), text.slice(2 * half..)])
        }
        (None, None) => return refusal(&wanted, 404, None),
    };
    let mut response = Response::new(streamed(shared, &wanted, events, &fault));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert("x-request-id", HeaderValue::from_static("req_fake"));
    response
}

/// What comes of an event.
enum Step {
    Send(Bytes),
    Wait(Duration),
    Never,
    Break,
}

fn streamed(shared: &Arc<Shared>, wanted: &Wanted, events: Vec<Bytes>, fault: &Fault) -> Body {
    let take = |n: usize| events.iter().take(n).cloned().map(Step::Send);
    let steps: Vec<Step> = match *fault {
        Fault::Stall(n) => take(n).chain([Step::Never]).collect(),
        Fault::Reset(n) => take(n).chain([Step::Break]).collect(),
        Fault::Garbage(n) => {
            let garbage = Bytes::from_static(b"data: {\"id\": \xff\xfe not json\n\nthis: is\x00 nothing\n\n");
            take(n).chain([Step::Send(garbage)]).collect()
        }
        Fault::Error(n) => take(n).chain([Step::Send(wanted.error_event())]).collect(),
        Fault::Slow(wait) => {
            let slow = events.into_iter().flat_map(|event| [Step::Wait(wait), Step::Send(event)]);
            slow.collect()
        }
        _ => events.into_iter().map(Step::Send).collect(),
    };
    let left = Left(Some(shared.clone()));
    let body = stream::unfold((steps.into_iter(), left), |(mut steps, mut left)| async move {
        loop {
            // What is ready together is written together, and what breaks would take with it what is not written yet.
            tokio::task::yield_now().await;
            match steps.next() {
                Some(Step::Send(bytes)) => return Some((Ok(Frame::data(bytes)), (steps, left))),
                Some(Step::Wait(time)) => tokio::time::sleep(time).await,
                Some(Step::Never) => std::future::pending::<()>().await,
                Some(Step::Break) => {
                    left.0 = None;
                    return Some((Err(io::Error::other("the rest is not sent")), (steps, left)));
                }
                None => {
                    let _over = left.0.take();
                    return None;
                }
            }
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(body))
}

/// Notes that a request was given up before its answer was over.
struct Left(Option<Arc<Shared>>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.left();
        }
    }
}

fn refusal(wanted: &Wanted, status: u16, wait: Option<u32>) -> Response<Body> {
    let (body, kind) = errors::body(wanted.wire, status, "refused on purpose");
    let mut response = answer(status, &body);
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(kind) = kind {
        let name = HeaderName::from_static("x-amzn-errortype");
        response.headers_mut().insert(name, HeaderValue::from_static(kind));
    }
    response
}

/// For tests in other processes: what was asked, and forgetting it.
fn remote(shared: &Arc<Shared>, method: &http::Method) -> Response<Body> {
    let mut state = shared.state();
    let asked: Vec<Value> = state.asked.iter().map(Asked::json).collect();
    if *method == http::Method::DELETE {
        state.asked.clear();
    }
    answer(200, &json!({ "asked": asked, "gone": state.gone }))
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-request-id", HeaderValue::from_static("req_fake"));
    response
}
