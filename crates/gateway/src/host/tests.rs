//! Requests of plugins against servers that are scripted byte by byte.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use mortise_plugin_api::{
    Fut, Headers, PluginError,
    host::{Http, HttpRequest, HttpResponse},
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{OnceCell, mpsc},
};

use super::{
    HttpService,
    account::{ADMITTED, AT_ONCE},
    http::Resolve,
};
use crate::config::Egress;

mod secure;

const PATIENCE: Duration = Duration::from_secs(20);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A resolver that answers from a list, the last answer for ever, and counts.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<Vec<Vec<&'static str>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn answering(answers: &[&[&'static str]]) -> Self {
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> Fut<'a, io::Result<Vec<SocketAddr>>> {
        self.asked.fetch_add(1, SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        let found = answer.unwrap_or_default();
        let found = found.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect();
        Box::pin(std::future::ready(Ok(found)))
    }
}

fn egress(allow: &[&str]) -> Egress {
    Egress { public: true, allow: allow.iter().map(|text| text.parse().unwrap()).collect() }
}

fn service(allow: &[&str], names: &Names) -> Arc<HttpService> {
    HttpService::with(egress(allow), Handle::current(), Box::new(names.clone()), OnceCell::new())
}

fn plugin(service: &Arc<HttpService>) -> Arc<dyn Http> {
    service.of(&"audit".into())
}

/// A plugin that may reach this machine.
fn local() -> Arc<dyn Http> {
    plugin(&service(&["127.0.0.1"], &Names::default()))
}

fn request(url: impl Into<String>) -> HttpRequest {
    HttpRequest {
        method: "POST".into(),
        url: url.into(),
        headers: Headers::new(),
        body: Bytes::from_static(b"ping"),
        timeout: PATIENCE,
        max_response_bytes: 1000,
    }
}

fn refusal(result: Result<HttpResponse, PluginError>) -> String {
    match result.unwrap_err() {
        PluginError::Failed { message, code, .. } => {
            assert_eq!(code, "EGRESS_REFUSED", "{message}");
            message
        }
        other => panic!("{other:?}"),
    }
}

/// Hands each connection, with its number, to `script`.
async fn server<F>(script: impl Fn(usize, TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(script(number, socket));
        }
    });
    address
}

/// Reads a request with the body `ping`; `None` at the end of the connection.
async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nping") {
        if socket.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(String::from_utf8(seen).unwrap())
}

/// Answers every request with this; tells of what it read and on which connection.
async fn answering(answer: &'static [u8]) -> (SocketAddr, mpsc::UnboundedReceiver<(usize, String)>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let address = server(move |number, mut socket| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut socket).await {
                let _ = seen.send((number, request));
                let _ = socket.write_all(answer).await;
            }
        }
    });
    (address.await, requests)
}

#[tokio::test]
async fn a_request_arrives_as_the_plugin_made_it_and_so_does_the_answer() {
    let answer = b"HTTP/1.1 418 x\r\nX-One: a\r\nx-one: b\r\ncontent-length: 4\r\n\r\npong";
    let (address, mut requests) = answering(answer).await;
    let mut request = request(format!("http://{address}/a%20b?q=1#f"));
    request.method = "PROPFIND".into();
    request.headers.set("X-Token", "t");

    let answer = local().send(request).await.unwrap();

    let (_, seen) = requests.recv().await.unwrap();
    assert!(seen.starts_with("PROPFIND /a%20b?q=1 HTTP/1.1\r\n"), "{seen}");
    for line in [&format!("host: {address}"), "x-token: t", "content-length: 4", "user-agent: mortise/"] {
        assert!(seen.contains(&format!("\r\n{line}")), "{line}: {seen}");
    }
    assert_eq!((answer.status, &*answer.body), (418, b"pong".as_slice()));
    assert_eq!(answer.headers.get("x-one"), Some("a, b"));
}

#[tokio::test]
async fn what_may_not_be_asked_for_is_refused_by_name_and_without_secrets() {
    let plugin = plugin(&service(&[], &Names::answering(&[&["10.0.0.1"]])));
    for (url, names) in [
        ("no url", "absolute"),
        ("/path", "absolute"),
        ("ftp://host/", "`ftp`"),
        ("file:///etc/passwd", "`file`"),
        ("http://u:s3cret@host/", "http://host"),
        ("http://127.0.0.1:1/?t=s3cret", "it is a loopback address"),
        ("http://2130706433/s3cret", "http://127.0.0.1:80"),
        ("http://0x7f.1/", "it is a loopback address"),
        ("http://[::ffff:10.0.0.1]/", "it is a private address"),
        ("http://169.254.169.254/latest/s3cret", "it is a link-local address"),
        ("http://0.0.0.0/", "it is an unspecified address"),
        ("https://inside.example/?t=s3cret", "https://inside.example:443: it resolves to a private address"),
    ] {
        let message = refusal(plugin.send(request(url)).await);
        assert!(message.contains(names), "{url}: {message}");
        assert!(!message.contains("s3cret") && !message.contains("10.0.0.1:"), "{message}");
        assert_eq!(
            message.contains("`egress.allow`"),
            names.contains("address") || names.contains("127"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn headers_and_methods_that_are_the_hosts_are_refused() {
    let (address, _requests) = answering(OK).await;
    let plugin = local();
    let url = format!("http://{address}/");
    for name in ["Host", "content-length", "Transfer-Encoding", "connection", "upgrade", "expect", "a b"] {
        let mut request = request(&url);
        request.headers.set(name, "1");
        let message = refusal(plugin.send(request).await);
        assert!(message.contains(&name.to_lowercase()), "{message}");
    }
    let mut bad = request(&url);
    bad.headers.set("x-a", "1\r\ncontent-length: 0");
    assert!(refusal(plugin.send(bad).await).contains("`x-a`"));
    for method in ["CONNECT", "TRACE", "GET /x HTTP/1.1\r\n", ""] {
        let request = HttpRequest { method: method.into(), ..request(&url) };
        assert!(refusal(plugin.send(request).await).contains("method"), "{method}");
    }
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_judged_and_each_request_is_judged_anew() {
    let (address, mut requests) = answering(OK).await;
    let names = Names::answering(&[&["127.0.0.1"], &["127.0.0.1"], &["169.254.169.254"], &["127.0.0.1"]]);
    let plugin = plugin(&service(&["127.0.0.1"], &names));
    let send = || plugin.send(request(format!("http://rebinding.example:{}/", address.port())));

    send().await.unwrap();
    send().await.unwrap();
    let message = refusal(send().await);
    send().await.unwrap();

    assert!(message.contains("rebinding.example") && message.contains("link-local"), "{message}");
    assert_eq!(names.asked.load(SeqCst), 4, "one look-up for one request");
    for _ in 0..3 {
        let (connection, seen) = requests.recv().await.unwrap();
        assert!(seen.contains(&format!("host: rebinding.example:{}", address.port())), "{seen}");
        assert_eq!(connection, 0, "the connection is kept, and the refusal is not for want of it");
    }
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn of_several_addresses_one_that_is_allowed_and_answers_is_taken() {
    let (address, _requests) = answering(OK).await;
    let names = Names::answering(&[&["10.0.0.1", "127.0.0.2", "::ffff:127.0.0.1"], &[]]);
    let plugin = plugin(&service(&["127.0.0.0/8"], &names));
    let url = format!("http://many.example:{}/", address.port());

    assert_eq!(plugin.send(request(&url)).await.unwrap().status, 200);
    let none = plugin.send(request(&url)).await.unwrap_err().to_string();
    assert!(none.contains("has no address"), "{none}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let found = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let (address, mut requests) = answering(found).await;

    let answer = local().send(request(format!("http://{address}/"))).await.unwrap();

    assert_eq!((answer.status, answer.headers.get("location")), (302, Some("http://169.254.169.254/")));
    requests.recv().await.unwrap();
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read_to_its_end() {
    for head in ["content-length: 100000000000", "transfer-encoding: chunked"] {
        let (closed, mut was_closed) = mpsc::unbounded_channel();
        let address = server(move |_, mut socket| {
            let closed = closed.clone();
            async move {
                read_request(&mut socket).await;
                let _ = socket.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes()).await;
                let piece = [b"400\r\n".as_slice(), &[b'x'; 1024], b"\r\n"].concat();
                while socket.write_all(&piece).await.is_ok() {}
                let _ = closed.send(());
            }
        });
        let address = address.await;
        let error = local().send(request(format!("http://{address}/"))).await.unwrap_err().to_string();
        assert!(error.contains("is larger than 1000 bytes"), "{error}");
        tokio::time::timeout(PATIENCE, was_closed.recv()).await.unwrap().unwrap();
    }
    let (address, _requests) = answering(OK).await;
    for (limit, fits) in [(2, true), (1, false), (0, false), (usize::MAX, true)] {
        let request = HttpRequest { max_response_bytes: limit, ..request(format!("http://{address}/")) };
        assert_eq!(local().send(request).await.is_ok(), fits, "{limit}");
    }
}

#[tokio::test]
async fn the_time_limit_holds_for_the_whole_exchange() {
    let heads: [&[u8]; 2] = [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"];
    for head in heads {
        let address = server(move |_, mut socket| async move {
            read_request(&mut socket).await;
            let _ = socket.write_all(head).await;
            read_request(&mut socket).await;
        });
        let limit = Duration::from_millis(50);
        let request = HttpRequest { timeout: limit, ..request(format!("http://{}/", address.await)) };
        let begun = Instant::now();
        assert!(matches!(local().send(request).await, Err(PluginError::Timeout(after)) if after == limit));
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_ends() {
    let (event, mut events) = mpsc::unbounded_channel();
    let address = server(move |_, mut socket| {
        let event = event.clone();
        async move {
            read_request(&mut socket).await;
            let _ = event.send("read");
            read_request(&mut socket).await;
            let _ = event.send("closed");
        }
    });
    let address = address.await;
    let service = service(&["127.0.0.1"], &Names::default());
    let plugin = plugin(&service);
    let sending = plugin.send(request(format!("http://{address}/")));
    tokio::select! {
        _ = sending => panic!("nobody answers"),
        event = events.recv() => assert_eq!(event, Some("read")),
    }
    assert_eq!(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap(), Some("closed"));
    assert!(metrics(&service).contains(r#"{plugin="audit",outcome="cancelled"} 1"#), "{}", metrics(&service));
}

#[tokio::test]
async fn a_thread_without_a_runtime_gets_its_answer() {
    let (address, _requests) = answering(OK).await;
    let plugin = local();
    let waiting = std::thread::spawn(move || block_on(plugin.send(request(format!("http://{address}/")))));
    let answer = tokio::task::spawn_blocking(|| waiting.join().unwrap()).await.unwrap().unwrap();
    assert_eq!(&*answer.body, b"ok");
}

/// Runs a future on this thread, without any runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park_timeout(PATIENCE),
        }
    }
}

#[test]
fn after_the_end_of_what_sends_there_is_an_error_and_no_hang() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = HttpService::new(egress(&["127.0.0.1"]), runtime.handle().clone());
    drop(runtime);
    let error = block_on(plugin(&service).send(request("http://127.0.0.1:1/"))).unwrap_err();
    assert!(matches!(error, PluginError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn requests_of_a_plugin_are_bounded_and_other_plugins_have_their_own_share() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (gate, open) = tokio::sync::watch::channel(false);
    let address = server(move |_, mut socket| {
        let (arrived, mut open) = (arrived.clone(), open.clone());
        async move {
            while read_request(&mut socket).await.is_some() {
                let _ = arrived.send(());
                let _ = open.wait_for(|open| *open).await;
                let _ = socket.write_all(OK).await;
            }
        }
    });
    let url = format!("http://{}/", address.await);
    let service = service(&["127.0.0.1"], &Names::default());
    let busy = plugin(&service);
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..ADMITTED + 10 {
        let (busy, request) = (busy.clone(), request(&url));
        sending.spawn(async move { busy.send(request).await });
    }
    for _ in 0..10 {
        let refused = tokio::time::timeout(PATIENCE, sending.join_next()).await.unwrap().unwrap().unwrap();
        assert!(refused.unwrap_err().to_string().contains("under way or wait"));
    }
    for _ in 0..AT_ONCE {
        arrivals.recv().await.unwrap();
    }
    let other = service.of(&"other".into());
    let others = tokio::spawn(async move { other.send(request(url)).await });
    arrivals.recv().await.unwrap();
    assert!(arrivals.try_recv().is_err(), "no more than its share at once, and one of the other's");

    gate.send_replace(true);
    assert!(others.await.unwrap().is_ok());
    for answer in sending.join_all().await {
        assert_eq!(answer.unwrap().status, 200);
    }
}

#[tokio::test]
async fn requests_are_counted_by_plugin_and_outcome() {
    let (address, _requests) = answering(OK).await;
    let service = service(&["127.0.0.1"], &Names::default());
    let plugin = plugin(&service);
    plugin.send(request(format!("http://{address}/"))).await.unwrap();
    plugin.send(request("http://10.0.0.1/")).await.unwrap_err();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = plugin.send(request(format!("http://{closed}/?t=s3cret"))).await.unwrap_err().to_string();
    assert!(error.contains(&closed.to_string()) && !error.contains("s3cret"), "{error}");

    let text = metrics(&service);
    for (outcome, count) in [("ok", 1), ("refused", 1), ("error", 1), ("timeout", 0), ("cancelled", 0)] {
        let line =
            format!("mortise_plugin_http_requests_total{{plugin=\"audit\",outcome=\"{outcome}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(text.contains("mortise_plugin_http_duration_seconds_count{plugin=\"audit\"} 3"), "{text}");
}

fn metrics(service: &Arc<HttpService>) -> String {
    #[derive(Debug)]
    struct Shown(Arc<HttpService>);
    impl Collector for Shown {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
            self.0.encode(&mut encoder)
        }
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(service.clone())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}
