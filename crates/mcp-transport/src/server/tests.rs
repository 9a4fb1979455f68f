//! Reading requests, writing answers, and the accept loop over real sockets.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer::{self, AnswerBody, ClientGone, KEEP_ALIVE};
use super::listen::{ListenConfig, Peer, serve};
use super::request::{Accepts, Refusal, check_headers, read_body};

/// Longest wait for something that happens at once.
const SOON: Duration = Duration::from_secs(20);

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

/// Headers, and what they say of JSON and events.
type Case<'a> = (&'a [(&'static str, &'static str)], Result<(bool, bool), Refusal>);

#[test]
fn headers_decide_before_the_body_is_looked_at() {
    let json = ("content-type", "application/json");
    let cases: [Case<'_>; 10] = [
        (&[json], Ok((true, true))),
        (&[("content-type", "Application/JSON; charset=utf-8"), ("accept", "*/*")], Ok((true, true))),
        (&[json, ("accept", "application/json, text/event-stream")], Ok((true, true))),
        (&[json, ("accept", "text/event-stream;q=0.9")], Ok((false, true))),
        (&[json, ("accept", "text/html")], Err(Refusal::NotAcceptable)),
        (&[("content-type", "text/plain")], Err(Refusal::ContentType)),
        (&[], Err(Refusal::ContentType)),
        (&[json, ("content-encoding", "gzip")], Err(Refusal::ContentEncoding)),
        (&[json, ("content-length", "101")], Err(Refusal::TooLarge { limit: 100 })),
        (&[json, ("content-length", "99999999999999999999999")], Err(Refusal::TooLarge { limit: 100 })),
    ];
    for (pairs, expected) in cases {
        let found = check_headers(&headers(pairs), 100).map(|Accepts { json, events }| (json, events));
        assert_eq!(found, expected, "{pairs:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_or_too_slow_is_refused() {
    let large = Full::new(Bytes::from(vec![b'x'; 200]));
    assert_eq!(read_body(large, 100, SOON).await, Err(Refusal::TooLarge { limit: 100 }));
    let exact = Full::new(Bytes::from(vec![b'x'; 100]));
    assert_eq!(read_body(exact, 100, SOON).await.unwrap().len(), 100);
    let (_open, response) = answer::events(1);
    let deadline = Duration::from_millis(5);
    assert_eq!(
        read_body(response.into_body(), 100, deadline).await,
        Err(Refusal::TooSlow { limit: deadline })
    );
}

async fn frame(body: &mut AnswerBody) -> Option<Bytes> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(frame.unwrap().into_data().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive_and_events_go_out_as_they_come() {
    let (events, response) = answer::events(4);
    let mut body = response.into_body();
    let began = tokio::time::Instant::now();
    assert_eq!(frame(&mut body).await.unwrap(), ": keep-alive\n\n");
    assert_eq!(began.elapsed(), KEEP_ALIVE);
    events.send(Some("7"), b"{}").await.unwrap();
    assert_eq!(frame(&mut body).await.unwrap(), "event: message\nid: 7\ndata: {}\n\n");
    drop(events);
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_slow_client_holds_its_sender_back_and_a_gone_one_stops_it() {
    let (events, response) = answer::events(1);
    events.send(None, b"{}").await.unwrap();
    {
        let mut second = std::pin::pin!(events.send(None, b"{}"));
        let polled = poll_fn(|cx| std::task::Poll::Ready(second.as_mut().poll(cx).is_pending())).await;
        assert!(polled, "the queue of one is full");
    }
    drop(response);
    assert_eq!(events.send(None, b"{}").await, Err(ClientGone));
    assert!(events.is_gone());
}

async fn listen<S, F>(
    config: ListenConfig,
    service: S,
) -> (TcpStream, CancellationToken, tokio::task::JoinHandle<()>)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, config, stop.clone(), service));
    (TcpStream::connect(address).await.unwrap(), stop, server)
}

/// Reads until `end` has come, or the connection closed.
async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(end) {
        if timeout(SOON, socket.read_buf(&mut seen)).await.unwrap().unwrap() == 0 {
            break;
        }
    }
    String::from_utf8(seen).unwrap()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn shutdown_lets_a_request_in_progress_end() {
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = {
        let (begun, release) = (Arc::clone(&begun), Arc::clone(&release));
        move |_, _| {
            let (begun, release) = (Arc::clone(&begun), Arc::clone(&release));
            async move {
                begun.notify_one();
                release.notified().await;
                answer::json(Bytes::from_static(b"\"done\""))
            }
        }
    };
    let (mut socket, stop, server) = listen(ListenConfig::default(), service).await;
    socket.write_all(GET).await.unwrap();
    begun.notified().await;
    stop.cancel();
    release.notify_one();
    let answer = read_until(&mut socket, "\"done\"").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-length: 6"), "{answer}");
    timeout(SOON, server).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_cuts_what_outlasts_the_drain() {
    let (gone, was_gone) = oneshot::channel();
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let service = move |_, _| {
        let gone = gone.lock().unwrap().take().unwrap();
        async move {
            let (events, response) = answer::events(1);
            tokio::spawn(async move {
                events.send(None, b"{}").await.unwrap();
                events.gone().await;
                gone.send(()).unwrap();
            });
            response
        }
    };
    let config = ListenConfig { drain: Duration::from_millis(20), ..ListenConfig::default() };
    let (mut socket, stop, server) = listen(config, service).await;
    socket.write_all(GET).await.unwrap();
    read_until(&mut socket, "data: {}").await;
    stop.cancel();
    timeout(SOON, server).await.unwrap().unwrap();
    timeout(SOON, was_gone).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let config = ListenConfig {
        first_request_timeout: Duration::from_millis(20),
        idle_timeout: Duration::from_millis(20),
        ..ListenConfig::default()
    };
    let service = |_, _| async { answer::accepted() };
    let (mut silent, _stop, _server) = listen(config, service).await;
    silent.write_all(b"GET / HT").await.unwrap();
    assert_eq!(read_until(&mut silent, "never").await, "");
    let mut used = TcpStream::connect(silent.peer_addr().unwrap()).await.unwrap();
    used.write_all(GET).await.unwrap();
    assert!(read_until(&mut used, "never").await.starts_with("HTTP/1.1 202"));
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let service = {
        let (begun, dropped) = (Arc::clone(&begun), Arc::clone(&dropped));
        move |_, _| {
            let tell = Tell(Arc::clone(&dropped));
            let begun = Arc::clone(&begun);
            async move {
                let _tell = tell;
                begun.notify_one();
                std::future::pending().await
            }
        }
    };
    let (mut socket, _stop, _server) = listen(ListenConfig::default(), service).await;
    socket.write_all(GET).await.unwrap();
    begun.notified().await;
    drop(socket);
    timeout(SOON, dropped.notified()).await.unwrap();
}

#[tokio::test]
async fn an_answer_is_read_back_whole() {
    let body = answer::json(Bytes::from_static(b"{}")).into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "{}");
    assert!(answer::accepted().body().is_end_stream());
}
