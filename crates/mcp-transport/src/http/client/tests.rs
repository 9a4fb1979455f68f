//! One endpoint against servers that are scripted byte by byte.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::{Strategy, any, proptest};
use proptest::test_runner::Config as ProptestConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

use super::{Answer, Endpoint, EndpointConfig, Session};
use crate::http::error::HttpError;

/// A server that answers each request with the next of `answers`, piece by piece, and tells of each head it
/// got; `None` at the end of a connection.
async fn server(answers: Vec<Vec<Vec<u8>>>) -> (Url, mpsc::UnboundedReceiver<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/mcp?token=t", listener.local_addr().unwrap())).unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            while let Some(head) = read_head(&mut socket).await {
                tell.send(Some(head)).unwrap();
                let Some(pieces) = answers.next() else { break };
                for piece in pieces {
                    if socket.write_all(&piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            let _ = tell.send(None);
        }
    });
    (url, told)
}

/// Reads a request's head and the `{}` that is every body here.
async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    loop {
        if socket.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&seen);
        if text.ends_with("\r\n\r\n{}") || (!text.starts_with("POST") && text.ends_with("\r\n\r\n")) {
            return Some(text.to_ascii_lowercase());
        }
    }
}

fn whole(text: &str) -> Vec<Vec<u8>> {
    vec![text.as_bytes().to_vec()]
}

fn json(body: &str) -> Vec<Vec<u8>> {
    whole(&format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\nmcp-session-id: s1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn status(line: &str) -> Vec<Vec<u8>> {
    whole(&format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn config(url: Url) -> EndpointConfig {
    let mut config = EndpointConfig::new(url);
    config.max_answer_bytes = 100;
    config.max_event_bytes = 100;
    config
}

fn session(url: Url) -> Session {
    Endpoint::new(config(url)).unwrap().session(None, None)
}

async fn post(session: &Session) -> Result<Answer, HttpError> {
    Ok(session.post(Bytes::from_static(b"{}"), None).await?.answer)
}

#[tokio::test]
async fn headers_of_endpoint_session_and_call_are_sent_and_the_session_id_comes_back() {
    let (url, mut told) = server(vec![json("{}")]).await;
    let mut config = config(url);
    config.headers.insert("authorization", HeaderValue::from_static("Bearer x"));
    config.headers.insert("content-length", HeaderValue::from_static("7"));
    let session = Endpoint::new(config)
        .unwrap()
        .session(Some(HeaderValue::from_static("s0")), Some(HeaderValue::from_static("2025-06-18")));
    let mut extra = HeaderMap::new();
    extra.insert("traceparent", HeaderValue::from_static("00-1"));
    let posted = session.post(Bytes::from_static(b"{}"), Some(&extra)).await.unwrap();
    assert_eq!(posted.session_id.unwrap(), "s1");
    assert!(matches!(posted.answer, Answer::Json(body) if body == "{}"));
    let head = told.recv().await.unwrap().unwrap();
    assert!(head.starts_with("post /mcp?token=t http/1.1\r\n"), "{head}");
    for line in [
        "authorization: bearer x",
        "mcp-session-id: s0",
        "mcp-protocol-version: 2025-06-18",
        "traceparent: 00-1",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "content-length: 2",
        "host: 127.0.0.1:",
    ] {
        assert!(head.contains(line), "`{line}` is missing in {head}");
    }
    assert!(!format!("{session:?}").contains("s0"));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_by_its_length_before_it_is_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    let (url, mut told) = server(vec![whole(head)]).await;
    assert!(matches!(post(&session(url)).await, Err(HttpError::TooLarge { limit: 100, .. })));
    assert!(told.recv().await.unwrap().is_some());
    assert!(told.recv().await.unwrap().is_none(), "the connection is closed");
}

#[tokio::test]
async fn an_answer_without_a_length_is_refused_once_it_passes_the_limit() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut pieces = whole(head);
    pieces.extend((0..10).map(|_| chunk(&"x".repeat(30)).into_bytes()));
    let (url, _told) = server(vec![pieces]).await;
    assert!(matches!(post(&session(url)).await, Err(HttpError::TooLarge { .. })));
}

#[tokio::test]
async fn an_answer_in_pieces_is_put_together() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let pieces = [head.to_owned(), chunk("{\"a\""), chunk(":"), chunk("1}"), "0\r\n\r\n".to_owned()];
    let (url, _told) = server(vec![pieces.map(String::into_bytes).to_vec()]).await;
    assert!(matches!(post(&session(url)).await.unwrap(), Answer::Json(body) if body == "{\"a\":1}"));
}

#[tokio::test]
async fn statuses_become_typed_errors_and_keep_the_connection() {
    let (url, mut told) = server(vec![
        status("404 Not Found"),
        status("401 Unauthorized\r\nwww-authenticate: Bearer"),
        status("405 Method Not Allowed"),
        status("302 Found\r\nlocation: http://elsewhere/"),
        status("429 Too Many Requests\r\nretry-after: 7"),
        status("202 Accepted"),
    ])
    .await;
    let endpoint = Endpoint::new(config(url)).unwrap();
    let session = endpoint.session(Some(HeaderValue::from_static("s")), None);
    assert!(matches!(post(&session).await, Err(HttpError::SessionGone { .. })));
    assert!(
        matches!(post(&session).await, Err(HttpError::Unauthorized { challenge: Some(c), .. }) if c == "Bearer")
    );
    assert!(matches!(post(&session).await, Err(HttpError::MethodNotAllowed { .. })));
    assert!(matches!(post(&session).await, Err(HttpError::Status { status: StatusCode::FOUND, .. })));
    let limited = post(&session).await;
    assert!(
        matches!(limited, Err(HttpError::Status { retry_after: Some(after), .. }) if after.as_secs() == 7)
    );
    assert!(matches!(post(&session).await.unwrap(), Answer::Accepted));
    assert_eq!(endpoint.pool().stats().opened, 1);
    told.close();
}

#[tokio::test]
async fn foreign_content_types_and_compression_are_refused() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
    let gzip = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi";
    let (url, _told) = server(vec![whole(html), whole(gzip)]).await;
    let session = session(url);
    assert!(
        matches!(post(&session).await, Err(HttpError::ContentType { found, .. }) if found == "text/html")
    );
    assert!(matches!(post(&session).await, Err(HttpError::ContentEncoding { .. })));
}

#[tokio::test]
async fn a_finished_stream_gives_its_connection_back_and_an_abandoned_one_closes_it() {
    let ended = format!("{EVENTS}{}0\r\n\r\n", chunk("data: 1\n\n"));
    let open = format!("{EVENTS}{}", chunk("data: 2\n\n"));
    let (url, mut told) = server(vec![whole(&ended), whole(&open)]).await;
    let endpoint = Endpoint::new(config(url)).unwrap();
    let session = endpoint.session(None, None);
    let Answer::Events(mut stream) = post(&session).await.unwrap() else { panic!("events were sent") };
    assert_eq!(stream.next().await.unwrap().unwrap().data, "1");
    stream.finish();
    let Answer::Events(mut stream) = post(&session).await.unwrap() else { panic!("events were sent") };
    assert_eq!(stream.next().await.unwrap().unwrap().data, "2");
    assert_eq!(endpoint.pool().stats().opened, 1);
    drop(stream);
    assert!(told.recv().await.unwrap().is_some());
    assert!(told.recv().await.unwrap().is_some());
    assert!(told.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn an_oversized_event_ends_the_stream_after_the_events_before_it() {
    let text = format!("{EVENTS}{}", chunk(&format!("data: 1\n\ndata: {}\n\n", "x".repeat(200))));
    let (url, _told) = server(vec![whole(&text)]).await;
    let Answer::Events(mut stream) = post(&session(url)).await.unwrap() else { panic!("events were sent") };
    assert_eq!(stream.next().await.unwrap().unwrap().data, "1");
    assert!(matches!(stream.next().await, Some(Err(HttpError::TooLarge { limit: 100, .. }))));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn resuming_names_the_last_event_and_ending_a_session_takes_405_for_done() {
    let events = format!("{EVENTS}{}", chunk("id: 5\nretry: 20\ndata: {}\n\n"));
    let (url, mut told) = server(vec![whole(&events), status("405 Method Not Allowed")]).await;
    let session = Endpoint::new(config(url)).unwrap().session(Some(HeaderValue::from_static("s")), None);
    let mut stream = session.events(Some("4")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!((stream.last_event_id(), stream.retry().unwrap().as_millis()), (Some("5"), 20));
    let head = told.recv().await.unwrap().unwrap();
    assert!(head.starts_with("get ") && head.contains("last-event-id: 4") && !head.contains("content-type"));
    drop(stream);
    session.delete().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn events_are_the_same_however_their_bytes_are_split(
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12).prop_map(|cuts| cuts)
    ) {
        let body = "\u{feff}: hello\r\nevent: message\r\nid: 1\r\ndata: {\"a\":\ndata: \"é\"}\n\ndata: 2\r\r\n: x\n\n";
        let text = format!("{EVENTS}{}0\r\n\r\n", chunk(body)).into_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let pieces: Vec<Vec<u8>> = at.windows(2).map(|pair| text[pair[0]..pair[1]].to_vec()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (url, _told) = server(vec![pieces]).await;
            let Answer::Events(mut stream) = post(&session(url)).await.unwrap() else { panic!("events") };
            let first = stream.next().await.unwrap().unwrap();
            assert_eq!((first.id.as_deref(), &first.data[..]), (Some("1"), "{\"a\":\n\"é\"}".as_bytes()));
            assert_eq!(stream.next().await.unwrap().unwrap().data, "2");
            assert!(stream.next().await.is_none());
        });
    }
}
