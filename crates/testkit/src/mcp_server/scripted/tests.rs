use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// Sends one message on a connection of its own and reads until the server closes; head and body together.
async fn post(server: &Scripted, headers: &str, message: Value) -> String {
    let mut stream = send(server, "POST", headers, &message.to_string()).await;
    let mut answer = Vec::new();
    // A connection that breaks off is among the things tested.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn send(server: &Scripted, method: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

fn call(tool: &str) -> Value {
    let params = json!({"name": tool, "arguments": {"text": "hi"}, "_meta": {"progressToken": "p"}});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
}

#[tokio::test]
async fn each_behaviour_answers_as_it_says() {
    let server = Scripted::start().await.unwrap();
    let script = [
        ("answer", Behaviour::Answer(json!({"a": 1})), vec![r#""result":{"a":1}"#]),
        ("rpc", Behaviour::RpcError(-7, "no".into()), vec![r#""code":-7"#]),
        ("tool", Behaviour::ToolError("bad".into()), vec![r#""isError":true"#, "bad"]),
        ("status", Behaviour::Status(503), vec!["HTTP/1.1 503"]),
        ("garbage", Behaviour::Garbage("{{".into()), vec!["{{"]),
        ("progress", Behaviour::Progress(2), vec!["text/event-stream", r#""progress":2"#, r#""text":"hi""#]),
        ("cut", Behaviour::StreamWithoutResult, vec![r#""progressToken":"p""#]),
    ];
    for (name, behaviour, expected) in script {
        server.on_tool(name, behaviour);
        let answer = post(&server, "", call(name)).await;
        for piece in expected {
            assert!(answer.contains(piece), "{name}: {answer}");
        }
    }
    server.on_tool("close", Behaviour::CloseMidAnswer);
    let answer = post(&server, "", call("close")).await;
    assert!(answer.contains("200 OK") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    server.on_tool("big", Behaviour::Oversized(100_000));
    assert!(post(&server, "", call("big")).await.len() > 100_000);
    assert_eq!(server.received_of("tools/call").len(), 9);
    assert_eq!(server.abandoned(), 0);
}

#[tokio::test]
async fn calls_wait_at_the_gate_until_it_opens() {
    let server = Scripted::start().await.unwrap();
    let gate = Gate::new();
    server.on_tool("wait", Behaviour::Wait(gate.clone()));
    let waiting = async { post(&server, "", call("wait")).await };
    let opening = async {
        gate.arrived(1).await;
        gate.open();
    };
    assert!(tokio::join!(waiting, opening).0.contains("hi"));
}

#[tokio::test]
async fn clients_that_leave_are_counted() {
    let server = Scripted::start().await.unwrap();
    server.on_tool("hang", Behaviour::Hang);
    server.on_tool("stream", Behaviour::ProgressThenWait(1, Gate::new()));
    for (count, name) in [(1, "hang"), (2, "stream")] {
        let stream = send(&server, "POST", "", &call(name).to_string()).await;
        server.wait_for("tools/call", count).await.unwrap();
        drop(stream);
        server.wait_for_abandoned(count).await.unwrap();
    }
}

#[tokio::test]
async fn sessions_are_asked_for_and_forgotten() {
    let server = Scripted::start().await.unwrap();
    server.require_session(true);
    assert!(post(&server, "", call("echo")).await.starts_with("HTTP/1.1 400"));
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}});
    assert!(post(&server, "", initialize).await.contains("mcp-session-id: session-1"));
    let session = "mcp-session-id: session-1\r\n";
    assert!(post(&server, session, call("echo")).await.starts_with("HTTP/1.1 200"));
    server.forget_sessions();
    assert!(post(&server, session, call("echo")).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn changed_lists_are_told_on_open_streams() {
    let server = Scripted::start().await.unwrap();
    let mut stream = send(&server, "GET", "", "").await;
    server.wait_for_streams(1).await.unwrap();
    server.set_tools(&["echo", "other"]);
    let mut seen = String::new();
    let mut buffer = [0; 1024];
    while !seen.contains("notifications/tools/list_changed") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert!(post(&server, "", list).await.contains("\"other\""));
}

#[tokio::test]
async fn server_goes_down_and_comes_back_on_its_port() {
    let server = Scripted::start().await.unwrap();
    server.down().await;
    assert!(TcpStream::connect(server.address).await.is_err());
    server.up().await.unwrap();
    assert!(post(&server, "", call("echo")).await.contains("hi"));
}

#[tokio::test]
async fn of_very_many_messages_the_last_are_remembered_and_all_are_counted() {
    let server = Scripted::start().await.unwrap();
    let mut state = State::default();
    let message = |number: usize| Received {
        http_method: http::Method::POST,
        headers: HeaderMap::new(),
        method: "tools/call".to_owned(),
        message: json!({ "id": number }),
    };
    for number in 0..REMEMBERED + 5 {
        state.receive(message(number));
    }
    assert_eq!((state.received.len(), state.count("tools/call")), (REMEMBERED, REMEMBERED + 5));
    assert_eq!(state.received[0].message["id"], 5);
    *server.shared.state() = state;
    assert_eq!((server.received().len(), server.count_of("tools/call")), (REMEMBERED, REMEMBERED + 5));
    assert_eq!(server.wait_for("tools/call", REMEMBERED + 5).await.unwrap().len(), REMEMBERED);
}
