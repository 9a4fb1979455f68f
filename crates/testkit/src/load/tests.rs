use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};

use super::*;

/// A server that answers every request on every connection with what `answer` makes of its body.
fn server(answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65536];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    let body = request.split_once("\r\n\r\n").unwrap().1;
                    stream.write_all(answer(body).as_bytes()).unwrap();
                }
            });
        }
    });
    url
}

fn with_length(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn in_chunks(body: &str) -> String {
    let (one, two) = body.split_at(body.len() / 2);
    format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:X};x=y\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    )
}

#[tokio::test]
async fn every_request_is_numbered_and_every_answer_counted() {
    for answer in [with_length, in_chunks] {
        let request = Request::echo(&server(answer), &[("x-test", "1")], "echo", 64).unwrap();
        let report = closed(&request, 4, Until::Sent(200)).await.unwrap();
        assert_eq!((report.answered, report.errors), (200, 0), "{report}");
        assert_eq!(report.latency.count(), 200);
    }
}

#[tokio::test]
async fn wrong_answers_are_errors_and_the_first_is_kept() {
    let same = server(|_| with_length(r#"{"text":"call baaaaaaaaa"}"#));
    let request = Request::echo(&same, &[], "echo", 64).unwrap();
    let report = closed(&request, 2, Until::Sent(50)).await.unwrap();
    assert_eq!((report.answered, report.errors), (1, 49), "only number 0 was answered rightly");
    assert!(report.first_error.unwrap().contains("status 200"));

    let failing = server(|_| "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_owned());
    let request = Request::echo(&failing, &[], "echo", 64).unwrap();
    let report = closed(&request, 2, Until::Sent(10)).await.unwrap();
    assert_eq!((report.answered, report.errors), (0, 10));
}

#[tokio::test]
async fn closed_connections_are_opened_anew() {
    let url = server(|body| {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    });
    let request = Request::echo(&url, &[], "echo", 64).unwrap();
    let report = closed(&request, 2, Until::Sent(20)).await.unwrap();
    assert_eq!((report.answered, report.errors), (20, 0), "{report}");
}

#[tokio::test]
async fn open_loop_sends_as_many_as_the_rate_says() {
    let request = Request::echo(&server(with_length), &[], "echo", 64).unwrap();
    let report = open(&request, 8, 500.0, Duration::from_millis(400)).await.unwrap();
    assert_eq!((report.answered, report.errors), (200, 0), "{report}");
    assert!(report.elapsed >= Duration::from_millis(390), "{:?}", report.elapsed);
}

#[test]
fn urls_must_name_host_port_and_path() {
    for url in ["https://127.0.0.1:1/mcp", "http://127.0.0.1/mcp", "http://127.0.0.1:1", "127.0.0.1:1/mcp"] {
        assert_eq!(Request::echo(url, &[], "echo", 1).unwrap_err(), RequestError::Url(url.to_owned()));
    }
}
