//! Answers in another wire format than the vendor's, for clients that speak another one than the LLM does.
//!
//! Stands behind everything else: plugins see what the vendor said, and what they left of it is turned here, refusals and
//! errors among it.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use mortise_llm::{
    convert::{self, ConvertError, Options, StreamConverter},
    family::Family,
    fault::{Fault, FaultKind, parse},
    path::classify,
    shape::Shape,
    stream::{Decoder, Framing},
    vendor::Vendor,
};
use mortise_mcp_transport::server::answer::{AnswerBody, BodyError};

use super::{
    attempt::Outgoing,
    generated::{Generated, Pieces},
    refusal,
    table::Llm,
};

/// Largest event of a stream that is turned.
const LARGEST_EVENT: usize = 8 << 20;

/// How an answer is to be turned.
pub(super) struct Turn {
    /// The vendor's shape.
    from: Shape,
    /// The client's.
    pub(super) to: Shape,
    model: String,
    stream_usage: bool,
    base64: bool,
    max: usize,
}

/// The shape in which an LLM is asked for what a client asks for in this one.
pub(super) fn vendors_shape(client: Shape, llm: &Llm) -> Shape {
    match client {
        Shape::Embeddings if llm.family() == Family::Gemini => Shape::GenerateEmbed,
        _ => llm.vendor().chat_shape(),
    }
}

/// Puts an OpenAI path where Azure has it: below the deployment that serves the model.
pub(super) fn deployed(out: &mut Outgoing, llm: &Llm, shape: Shape) {
    if llm.vendor() != Vendor::Azure || llm.endpoint.base.ends_with("/v1") {
        return;
    }
    let path = out.model.as_deref().and_then(|model| llm.vendor().path(shape, model, false));
    if let Some((rest, query)) = path.as_deref().and_then(|path| path.split_once('?')) {
        out.rest = rest.to_owned();
        out.query.get_or_insert_with(|| query.to_owned());
    }
}

/// Turns a request into the shape that an LLM speaks; gives the shape, and how its answer is to be turned.
pub(super) fn request(out: &mut Outgoing, llm: &Llm, max: usize) -> Result<(Shape, bool, Turn), String> {
    let client = classify(&out.rest).shape;
    let vendor = vendors_shape(client, llm);
    if !convert::exists(client, vendor) {
        return Err(format!(
            "the LLM `{}` of {} cannot be asked for {}",
            llm.name,
            llm.vendor(),
            client.name()
        ));
    }
    let Some(model) = out.model.clone() else { return Err("the request names no model".to_owned()) };
    let turned = convert::request(client, vendor, &out.body, &model).map_err(|error| error.to_string())?;
    let Some(path) = llm.vendor().path(vendor, &model, turned.stream) else {
        return Err(format!(
            "the LLM `{}` of {} cannot be asked for {}",
            llm.name,
            llm.vendor(),
            client.name()
        ));
    };
    if !turned.dropped.is_empty() {
        tracing::debug!(
            llm = &*llm.name,
            dropped = turned.dropped.join(", "),
            "a request lost what its vendor has no place for"
        );
    }
    let (rest, query) =
        path.split_once('?').map_or((path.as_str(), None), |(rest, query)| (rest, Some(query)));
    out.rest = rest.to_owned();
    out.query = query.map(str::to_owned);
    out.body = turned.body;
    out.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    out.headers.remove(header::ACCEPT);
    let turn = Turn {
        from: vendor,
        to: client,
        model: model.to_string(),
        stream_usage: turned.stream_usage,
        base64: turned.base64,
        max,
    };
    Ok((vendor, turned.stream, turn))
}

/// Turns an answer.
pub(super) async fn answer(response: Response<AnswerBody>, turn: Turn) -> Response<AnswerBody> {
    let (mut parts, body) = response.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let framing = content_type.and_then(Framing::of_content_type);
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(framing) = framing {
        let client = turn.to.framing(None);
        // Gemini's clients ask for events by the query, and are given them.
        let client = if client == Framing::JsonArray { Framing::Sse } else { client };
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(client.content_type()));
        let body = Generated::new(move |pieces| stream(body, turn, framing, pieces));
        return Response::from_parts(parts, AnswerBody::Made(Box::pin(body)));
    }
    let whole = match read(body, turn.max).await {
        Ok(whole) => whole,
        Err(message) => return *refusal::refuse(turn.to.family(), FaultKind::Upstream, message),
    };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let written = if parts.status.is_success() {
        match convert::answer(turn.from, turn.to, &whole, &turn.options()) {
            Ok(written) => written,
            Err(error) => return *refusal::refuse(turn.to.family(), FaultKind::Upstream, &error.to_string()),
        }
    } else {
        let told = parse(parts.status.as_u16(), &whole);
        Fault { kind: told.kind, message: &told.message, code: None }.body(turn.to.family())
    };
    Response::from_parts(parts, AnswerBody::Whole(Some(written)))
}

impl Turn {
    fn options(&self) -> Options<'_> {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Options { model: &self.model, created, stream_usage: self.stream_usage, base64: self.base64 }
    }
}

async fn read(mut body: AnswerBody, max: usize) -> Result<Bytes, &'static str> {
    let mut all = BytesMut::new();
    while let Some(frame) = next(&mut body).await {
        let data = frame.map_err(|_| "the model's answer was cut off")?;
        if all.len() + data.len() > max {
            return Err("the model's answer is larger than what can be turned into another wire format");
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

async fn next(body: &mut AnswerBody) -> Option<Result<Bytes, BodyError>> {
    loop {
        match body.frame().await? {
            Err(error) => return Some(Err(error)),
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

/// Turns a stream event by event, as it comes.
async fn stream(mut body: AnswerBody, turn: Turn, framing: Framing, pieces: Pieces) {
    let mut converter = match StreamConverter::new(turn.from, turn.to, &turn.options()) {
        Ok(converter) => converter,
        Err(error) => return pieces.fail(error).await,
    };
    let mut decoder = Decoder::new(framing, LARGEST_EVENT);
    let mut frames = Vec::new();
    loop {
        let (data, over) = match next(&mut body).await {
            Some(Ok(data)) => (data, false),
            None => (Bytes::new(), true),
            Some(Err(error)) => return pieces.fail(error).await,
        };
        let mut out = Vec::new();
        let fed = decoder.feed(&data, &mut frames);
        if over && fed.is_ok() {
            frames.extend(decoder.finish().ok().flatten());
        }
        let mut turned = frames.drain(..).try_for_each(|frame| converter.frame(&frame, &mut out));
        if over && turned.is_ok() {
            turned = converter.finish(&mut out);
        }
        if fed.is_err() || turned.is_err() {
            let message = turned
                .as_ref()
                .err()
                .map_or_else(|| "the model's answer cannot be read".to_owned(), ConvertError::to_string);
            let event =
                Fault::new(FaultKind::Upstream, &message).event(turn.to, turn.to.framing(Some("alt=sse")));
            out.extend_from_slice(&event);
            return pieces.send(out.into()).await;
        }
        pieces.send(out.into()).await;
        if over {
            return;
        }
    }
}
