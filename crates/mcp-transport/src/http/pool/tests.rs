//! The pool against servers that are scripted byte by byte.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::{Pool, PoolConfig, PoolError};
use crate::http::origin::Origin;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Listens and hands each connection, with its number, to `script`.
async fn server<S, F>(config: PoolConfig, script: S) -> Pool
where
    S: Fn(usize, TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(script(number, socket));
        }
    });
    Pool::new(Origin::of(&Url::parse(&url).unwrap()).unwrap(), None, config)
}

/// Reads one request, head and body of the fixed length the tests send.
async fn read_request(socket: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"ping") {
        if socket.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

fn post() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(b"ping")));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(http::header::HOST, HeaderValue::from_static("test"));
    request
}

async fn call(pool: &Pool) -> Result<Bytes, PoolError> {
    Ok(pool.send(post).await?.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let pool = server(PoolConfig::default(), |_, mut socket| async move {
        while read_request(&mut socket).await {
            socket.write_all(OK).await.unwrap();
        }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(call(&pool).await.unwrap(), "ok");
    }
    let stats = pool.stats();
    assert_eq!((stats.opened, stats.idle, stats.in_use), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_work_on_several_threads() {
    let pool = server(PoolConfig::default(), |_, mut socket| async move {
        while read_request(&mut socket).await {
            socket.write_all(OK).await.unwrap();
        }
    })
    .await;
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(call(&pool).await.unwrap(), "ok");
                }
            })
        })
        .collect();
    for task in calls {
        task.await.unwrap();
    }
    assert!(pool.stats().opened <= 16);
    assert_eq!(pool.stats().in_use, 0);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_call() {
    let (closed, was_closed) = tokio::sync::oneshot::channel();
    let closed = std::sync::Mutex::new(Some(closed));
    let pool = server(PoolConfig::default(), move |number, mut socket| {
        let closed = (number == 0).then(|| closed.lock().unwrap().take()).flatten();
        async move {
            read_request(&mut socket).await;
            socket.write_all(OK).await.unwrap();
            if let Some(closed) = closed {
                drop(socket);
                closed.send(()).unwrap();
            } else {
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    assert_eq!(call(&pool).await.unwrap(), "ok");
    was_closed.await.unwrap();
    assert_eq!(call(&pool).await.unwrap(), "ok");
    assert_eq!(pool.stats().opened, 2);
}

#[tokio::test]
async fn a_reused_connection_that_closes_on_the_request_is_retried_once() {
    let pool = server(PoolConfig::default(), |number, mut socket| async move {
        read_request(&mut socket).await;
        socket.write_all(OK).await.unwrap();
        // The first connection takes a second request and closes without a word.
        read_request(&mut socket).await;
        if number > 0 {
            socket.write_all(OK).await.unwrap();
        }
    })
    .await;
    assert_eq!(call(&pool).await.unwrap(), "ok");
    assert_eq!(call(&pool).await.unwrap(), "ok");
    let stats = pool.stats();
    assert_eq!((stats.opened, stats.retried), (2, 1));
}

#[tokio::test]
async fn a_new_connection_that_closes_is_not_retried() {
    let pool = server(PoolConfig::default(), |_, mut socket| async move {
        read_request(&mut socket).await;
    })
    .await;
    assert!(matches!(call(&pool).await, Err(PoolError::Broken { answer_began: false, .. })));
    assert_eq!(pool.stats().opened, 1);
    assert_eq!(pool.stats().in_use, 0);
}

#[tokio::test]
async fn a_request_is_never_repeated_once_its_answer_began() {
    let pool = server(PoolConfig::default(), |_, mut socket| async move {
        read_request(&mut socket).await;
        socket.write_all(OK).await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-").await.unwrap();
    })
    .await;
    assert_eq!(call(&pool).await.unwrap(), "ok");
    assert!(matches!(call(&pool).await, Err(PoolError::Broken { answer_began: true, .. })));
    assert_eq!((pool.stats().opened, pool.stats().retried), (1, 0));
}

#[tokio::test]
async fn dropping_the_wait_closes_the_connection() {
    let (gone, was_gone) = tokio::sync::oneshot::channel();
    let gone = std::sync::Mutex::new(Some(gone));
    let (asked, was_asked) = tokio::sync::oneshot::channel();
    let asked = std::sync::Mutex::new(Some(asked));
    let pool = server(PoolConfig::default(), move |_, mut socket| {
        let (gone, asked) = (gone.lock().unwrap().take(), asked.lock().unwrap().take());
        async move {
            read_request(&mut socket).await;
            asked.unwrap().send(()).unwrap();
            let left = socket.read(&mut [0; 8]).await.unwrap_or(0);
            gone.unwrap().send(left).unwrap();
        }
    })
    .await;
    tokio::select! {
        _ = call(&pool) => panic!("nothing was answered"),
        _ = was_asked => {}
    }
    assert_eq!(was_gone.await.unwrap(), 0);
    assert_eq!((pool.stats().idle, pool.stats().in_use), (0, 0));
}

#[tokio::test]
async fn callers_over_the_limit_wait_and_then_are_refused() {
    let config = PoolConfig {
        max_connections: 1,
        acquire_timeout: Duration::from_millis(20),
        ..PoolConfig::default()
    };
    let pool = server(config, |_, mut socket| async move {
        while read_request(&mut socket).await {
            socket.write_all(OK).await.unwrap();
        }
    })
    .await;
    let held = pool.lease().await;
    assert!(matches!(call(&pool).await, Err(PoolError::Exhausted { max: 1, .. })));
    drop(held);
    assert_eq!(call(&pool).await.unwrap(), "ok");
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_says_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let pool = Pool::new(Origin::of(&url).unwrap(), None, PoolConfig::default());
    let error = call(&pool).await.unwrap_err();
    assert!(matches!(error, PoolError::Connect { .. }) && error.nothing_sent());
}

#[tokio::test]
async fn unused_connections_expire() {
    let config = PoolConfig { idle_timeout: Duration::ZERO, ..PoolConfig::default() };
    let pool = server(config, |_, mut socket| async move {
        while read_request(&mut socket).await {
            socket.write_all(OK).await.unwrap();
        }
    })
    .await;
    call(&pool).await.unwrap();
    call(&pool).await.unwrap();
    assert_eq!(pool.stats().opened, 2);
    pool.shared.sweep();
    assert_eq!(pool.stats().idle, 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ping") {
            socket.read_buf(&mut seen).await.unwrap();
        }
        socket.write_all(OK).await.unwrap();
    });
    let config = PoolConfig { unix_socket: Some(path), ..PoolConfig::default() };
    let pool = Pool::new(Origin::of(&Url::parse("http://plugin/").unwrap()).unwrap(), None, config);
    assert_eq!(call(&pool).await.unwrap(), "ok");
}
