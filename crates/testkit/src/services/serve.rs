//! The HTTP side: takes connections, notes requests, answers or does what goes wrong.

use std::{convert::Infallible, io, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use super::{Asked, Fault, Shared};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until it is dropped, and with it every connection.
pub(super) async fn connections(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
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

async fn respond(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return answer(400, Bytes::new()) };
    let asked = Asked {
        method: head.method,
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers,
        body: serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null),
    };
    let fault = shared.take(asked.clone());
    let good = || {
        let (status, value) = (shared.respond)(&asked);
        (status, Bytes::from(value.to_string()))
    };
    match fault {
        Fault::None => {
            let (status, body) = good();
            answer(status, body)
        }
        Fault::Status(status) => answer(status, Bytes::new()),
        Fault::Hang => {
            let _left = Left(shared.clone());
            std::future::pending().await
        }
        Fault::Garbage(bytes) => answer(200, bytes),
        Fault::Huge(bytes) => answer(200, Bytes::from(vec![b' '; bytes])),
        Fault::CloseMidAnswer => half(&good().1),
        Fault::Redirect(to) => {
            let mut response = answer(307, Bytes::new());
            if let Ok(to) = to.parse() {
                response.headers_mut().insert(header::LOCATION, to);
            }
            response
        }
    }
}

/// Notes that a request that is never answered was given up.
struct Left(Arc<Shared>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.left();
    }
}

fn answer(status: u16, body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The first half of a body, and then an end that is none.
fn half(whole: &Bytes) -> Response<Body> {
    let first = Ok(Frame::data(whole.slice(..whole.len() / 2)));
    let broken = Err(io::Error::other("the rest is not sent"));
    let body = StreamBody::new(futures_util::stream::iter([first, broken]));
    Response::new(BodyExt::boxed_unsync(body))
}
