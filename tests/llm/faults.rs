//! Vendors and clients at their worst: silence, storms of refusals, floods that nobody reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use mortise_tests::{Setup, eventually};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    begin, chat_at, post, question, setup,
    vendor::{Answer, Vendor, chat, delta},
};

#[tokio::test]
async fn vendor_that_never_begins_costs_its_call_in_time_and_another_stands_in() {
    let (silent, second) = (Vendor::start([Answer::Hang]).await, Vendor::start([chat("b")]).await);
    let stand = setup(&silent, json!({ "first_byte_timeout": 0.2 })).start().await;
    let answer = post(&chat_at(&stand), &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (504, Some("timeout")));
    eventually("the vendor to be left", async || (silent.left() == 1).then_some(())).await;

    let llms = json!({
        "gpt": { "endpoint": silent.url(), "first_byte_timeout": 0.2, "fallback": "spare" },
        "spare": { "endpoint": second.url() },
    });
    let stand = Setup::new().set("llms", llms).start().await;
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "b");
}

#[tokio::test]
async fn storm_of_refusals_is_passed_on_and_not_made_worse() {
    let told = json!({ "error": { "message": "slow down", "code": "rate_limit_exceeded" } });
    let vendor = Vendor::start([Answer::With(429, "retry-after: 0\r\n", told.clone())]).await;
    let stand = setup(&vendor, json!({ "retries": 1 })).start().await;
    let calls = (0..50).map(|_| {
        let client = chat_at(&stand);
        tokio::spawn(async move { post(&client, &question("hi", false)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("0")));
        assert_eq!(answer.json(), told);
    }
    assert_eq!(vendor.asked().len(), 100, "once again each, and no more");
    vendor.answers([chat("hi")]);
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 200);
}

/// What the flood would come to.
const FLOOD: usize = 512 << 20;

/// A vendor that answers with a flood; tells how much of it has been taken.
async fn flooding() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 64 << 10];
        let _ = stream.read(&mut asked).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let event = delta(&"some words ".repeat(1_500));
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        while count.load(SeqCst) < FLOOD && stream.write_all(chunk.as_bytes()).await.is_ok() {
            count.fetch_add(event.len(), SeqCst);
        }
        count.store(usize::MAX, SeqCst);
    });
    (url, sent)
}

#[tokio::test]
async fn client_that_does_not_read_holds_the_vendor_back_and_ends_it_when_it_leaves() {
    let guard = json!({
        "name": "pii", "kind": "builtin.pii_filter", "hooks": ["llm_output"], "config": { "detect_email": true },
    });
    for guarded in [false, true] {
        let (url, sent) = flooding().await;
        let setup = Setup::new().set("llms", json!({ "gpt": { "endpoint": url } }));
        let setup = if guarded { setup.entry(guard.clone()) } else { setup };
        let stand = setup.start().await;
        let under_way = begin(&chat_at(&stand), &question("hi", true)).await;
        // What nobody reads fills the buffers of two connections, and no more is taken.
        let mut last = (0, Instant::now());
        let held = eventually("the vendor to be held back", async || {
            let now = sent.load(SeqCst);
            if now != last.0 {
                last = (now, Instant::now());
            }
            (now > 0 && last.1.elapsed() > Duration::from_millis(300)).then_some(now)
        })
        .await;
        assert!(
            held < 64 << 20,
            "{held} bytes were taken for a client that reads nothing, guarded: {guarded}"
        );
        drop(under_way);
        eventually("the vendor to be left", async || (sent.load(SeqCst) == usize::MAX).then_some(())).await;
    }
}
