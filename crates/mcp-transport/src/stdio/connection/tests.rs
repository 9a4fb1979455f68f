//! Conversations with a scripted other side.

use mortise_mcp::envelope::{Message, Notification, Response, RpcError, method};
use mortise_mcp::raw::Raw;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};

use super::{PipeConfig, PipeConnection, PipeError};
use crate::upstream::Step;

struct Other {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
}

impl Other {
    async fn read(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.lines.next_line().await.unwrap().expect("the pipe is open")).unwrap()
    }

    async fn write(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).await.unwrap();
        self.writer.write_all(b"\n").await.unwrap();
    }

    async fn answer(&mut self, id: &serde_json::Value, result: &str) {
        self.write(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
    }
}

fn pair(config: PipeConfig) -> (PipeConnection, Other) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(ours);
    let connection = PipeConnection::new("test", reader, writer, config);
    let (reader, writer) = tokio::io::split(theirs);
    (connection, Other { lines: BufReader::new(reader).lines(), writer })
}

fn raw(text: &'static str) -> Raw {
    Raw::parse(text).unwrap()
}

fn result(step: Step) -> String {
    match step {
        Step::Response(Ok(raw)) => raw.as_str().to_owned(),
        other => panic!("expected a result, got {other:?}"),
    }
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (connection, mut other) = pair(PipeConfig::default());
    let mut first = connection.request("tools/call", Some(&raw("{\n\"name\":\"a\"}"))).await.unwrap();
    let mut second = connection.request("tools/call", Some(&raw(r#"{"name":"b"}"#))).await.unwrap();
    let (a, b) = (other.read().await, other.read().await);
    assert_eq!((&a["params"]["name"], &b["params"]["name"]), (&"a".into(), &"b".into()));
    other.answer(&b["id"], r#"{"is":"b"}"#).await;
    other.answer(&a["id"], r#"{"is":"a"}"#).await;
    assert_eq!(result(first.next().await.unwrap()), r#"{"is":"a"}"#);
    assert_eq!(result(second.next().await.unwrap()), r#"{"is":"b"}"#);
    assert_eq!(connection.open_calls(), 0);
}

#[tokio::test]
async fn an_error_of_the_other_side_is_an_outcome() {
    let (connection, mut other) = pair(PipeConfig::default());
    let mut call = connection.request("tools/call", None).await.unwrap();
    let id = other.read().await["id"].clone();
    other.write(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"no"}}}}"#)).await;
    let Step::Response(Err(error)) = call.next().await.unwrap() else { panic!("an error was sent") };
    assert_eq!(RpcError::code(&error), Some(-32602));
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_under_the_clients_own_token() {
    let (connection, mut other) = pair(PipeConfig::default());
    let params = raw(r#"{"_meta":{"progressToken":"mine"}}"#);
    let mut call = connection.request("tools/call", Some(&params)).await.unwrap();
    let request = other.read().await;
    let token = &request["params"]["_meta"]["progressToken"];
    assert_eq!(token, &request["id"]);
    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
    );
    other.write(&progress).await;
    other.answer(&request["id"], "{}").await;
    let Step::Interim(Message::Notification(notification)) = call.next().await.unwrap() else {
        panic!("progress was sent first")
    };
    assert_eq!(notification.params.unwrap().as_str(), r#"{"progressToken":"mine","progress":1}"#);
    assert_eq!(result(call.next().await.unwrap()), "{}");
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_and_its_late_answer_is_nobodys() {
    let (connection, mut other) = pair(PipeConfig::default());
    let call = connection.request("tools/call", None).await.unwrap();
    let id = other.read().await["id"].clone();
    drop(call);
    assert_eq!(connection.open_calls(), 0);
    let cancelled = other.read().await;
    assert_eq!(cancelled["method"], method::CANCELLED);
    assert_eq!(cancelled["params"]["requestId"], id);
    other.answer(&id, r#""late""#).await;
    let mut next = connection.request("ping", None).await.unwrap();
    let id = other.read().await["id"].clone();
    other.answer(&id, "{}").await;
    assert_eq!(result(next.next().await.unwrap()), "{}");
}

#[tokio::test]
async fn an_answered_call_and_initialize_are_not_cancelled() {
    let (connection, mut other) = pair(PipeConfig::default());
    drop(connection.request(method::INITIALIZE, None).await.unwrap());
    let mut answered = connection.request("tools/call", None).await.unwrap();
    other.read().await;
    let id = other.read().await["id"].clone();
    other.answer(&id, "{}").await;
    answered.next().await.unwrap();
    drop(answered);
    connection.notify("last", None).await.unwrap();
    assert_eq!(other.read().await["method"], "last");
}

#[tokio::test]
async fn losing_the_pipe_fails_what_is_open_and_what_comes_after() {
    let (connection, other) = pair(PipeConfig::default());
    let mut call = connection.request("tools/call", None).await.unwrap();
    drop(other);
    assert!(matches!(call.next().await, Err(PipeError::Ended { .. } | PipeError::Broken { .. })));
    connection.ended().await;
    assert!(connection.request("tools/call", None).await.is_err());
}

#[tokio::test]
async fn garbage_between_messages_is_skipped() {
    let (connection, mut other) = pair(PipeConfig::default());
    let mut call = connection.request("tools/call", None).await.unwrap();
    let id = other.read().await["id"].clone();
    other.write("Server listening!\n\u{1b}[32m[1]\n{\"jsonrpc\":\"1.0\"}\n{").await;
    other.answer(&id, "{}").await;
    assert_eq!(result(call.next().await.unwrap()), "{}");
}

#[tokio::test]
async fn an_oversized_answer_fails_its_call_and_no_other() {
    let mut config = PipeConfig::default();
    config.limits.max_bytes = 1000;
    let (connection, mut other) = pair(config);
    let mut large = connection.request("tools/call", None).await.unwrap();
    let mut small = connection.request("tools/call", None).await.unwrap();
    let (a, b) = (other.read().await, other.read().await);
    other.answer(&a["id"], &format!("\"{}\"", "x".repeat(5000))).await;
    other.answer(&b["id"], "{}").await;
    assert!(matches!(large.next().await, Err(PipeError::TooLarge { limit: 1000, .. })));
    assert_eq!(result(small.next().await.unwrap()), "{}");
}

#[tokio::test]
async fn pings_are_answered_and_other_requests_refused_until_someone_takes_them() {
    let (connection, mut other) = pair(PipeConfig::default());
    other.write(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
    assert_eq!(other.read().await["result"], serde_json::json!({}));
    other.write(r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#).await;
    assert_eq!(other.read().await["error"]["code"], -32601);
    let mut incoming = connection.incoming().unwrap();
    assert!(connection.incoming().is_none());
    other.write(r#"{"jsonrpc":"2.0","id":6,"method":"roots/list"}"#).await;
    let Some(Message::Request(request)) = incoming.recv().await else { panic!("a request was sent") };
    let answer = Message::Response(Response::ok(request.id, raw(r#"{"roots":[]}"#)));
    connection.send(&answer).await.unwrap();
    assert_eq!(other.read().await["id"], 6);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_requests_drops_logs_and_never_stops_answers() {
    let config = PipeConfig { incoming_queue: 1, ..PipeConfig::default() };
    let (connection, mut other) = pair(config);
    let mut incoming = connection.incoming().unwrap();
    let mut call = connection.request("tools/call", None).await.unwrap();
    let id = other.read().await["id"].clone();
    other.write(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    other.write(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
    assert_eq!(other.read().await["error"]["code"], -32000);
    for _ in 0..100 {
        other.write(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#).await;
    }
    other.write(r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#).await;
    other.answer(&id, "{}").await;
    assert_eq!(result(call.next().await.unwrap()), "{}");
    let kept = incoming.recv().await.unwrap();
    assert_eq!(kept, Message::Notification(Notification::new(method::TOOLS_LIST_CHANGED, None)));
}

#[tokio::test]
async fn closing_writes_what_is_queued_and_then_ends_the_stream() {
    let (connection, mut other) = pair(PipeConfig::default());
    connection.notify("one", None).await.unwrap();
    connection.close();
    assert_eq!(other.read().await["method"], "one");
    assert!(other.lines.next_line().await.unwrap().is_none());
    assert!(matches!(connection.notify("two", None).await, Err(PipeError::Closed { .. })));
}
