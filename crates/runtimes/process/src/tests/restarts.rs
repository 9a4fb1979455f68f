//! A thousand lives of one plugin: what each of them has goes with it.
//!
//! The process is a shell that says where somebody listens; who answers there is the test, so a life costs a few
//! milliseconds and nothing but the gateway's side is looked at. Other tests of this program have processes and files of
//! their own, so there is room for them; whatever leaks once a life leaks a thousand times.

use std::{
    convert::Infallible,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use mortise_plugin_api::{Init, host::NoHost};
use mortise_proto::tyk::plugin::{InitRequest, InitResponse};
use tokio::{net::UnixListener, task::JoinSet, time::sleep};
use tonic::{Status, body::Body};
use tower_service::Service;

use super::*;

const LIVES: usize = 1000;

/// Room for what other tests have open in the meantime.
const OTHERS: usize = 200;

/// Knows how to be initialised, and nothing else.
#[derive(Clone)]
struct Answers;

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if request.uri().path() != "/plugin.PluginService/Initialize" {
            return Box::pin(std::future::ready(Ok(Status::unimplemented("").into_http())));
        }
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(tonic_prost::ProstCodec::default());
            Ok(grpc.unary(Initialize, request).await)
        })
    }
}

struct Initialize;

impl Service<tonic::Request<InitRequest>> for Initialize {
    type Response = tonic::Response<InitResponse>;
    type Error = Status;
    type Future = std::future::Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: tonic::Request<InitRequest>) -> Self::Future {
        let answer = InitResponse { success: true, ..InitResponse::default() };
        std::future::ready(Ok(tonic::Response::new(answer)))
    }
}

async fn serve(listener: UnixListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let service = TowerToHyperService::new(Answers);
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
        });
    }
}

/// Descriptors, child processes, and folders of sockets of this program.
fn held() -> (usize, usize, usize) {
    let count = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let children = threads.map(|thread| {
        let told = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        told.split_whitespace().count()
    });
    let temporary = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let folders = temporary.filter(|entry| entry.file_name().to_string_lossy().starts_with("mortise-"));
    (count(Path::new("/proc/self/fd")), children.sum(), folders.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(target_os = "linux")]
async fn thousand_lives_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("plugin");
    let serving = tokio::spawn(serve(UnixListener::bind(&socket).unwrap()));
    // It stops itself: to wait for its end, it needs no other program.
    let script = format!("echo '1|1|unix|{}|grpc|'; kill -STOP $$", socket.display());
    let mut entry = with("{}", &["/bin/sh", "-c", &script]);
    entry.hooks = vec!["http_pre_request".to_owned()];
    let pace = keeper::Pace { first: Duration::ZERO, longest: Duration::ZERO };
    let shared = Shared { pace, ..Shared::default() };
    let plugin = ProcessRuntime { shared: Arc::new(shared) }.create(&entry, &Value::Null).unwrap();
    let init = Init { name: "p".into(), instance: "i".into(), host: Arc::new(NoHost), inherited: None };
    plugin.initialize(init).await.unwrap();

    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let until = Instant::now() + Duration::from_secs(120);
    let mut last = 0;
    let mut at_first = None;
    for life in 0..LIVES {
        let pid = loop {
            match plugin.process_id().filter(|pid| *pid != last) {
                Some(pid) => break pid,
                None => sleep(Duration::from_millis(1)).await,
            }
            assert!(Instant::now() < until, "life {life} does not begin");
        };
        if life == 1 {
            at_first = Some((held(), tasks()));
        }
        last = pid;
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    while plugin.process_id().is_none_or(|pid| pid == last) {
        sleep(Duration::from_millis(1)).await;
    }

    let ((descriptors, children, folders), tasks_at_first) = at_first.unwrap();
    // What ends with a connection ends a moment after it.
    while tasks() > tasks_at_first + 8 {
        assert!(Instant::now() < until, "{} tasks, {tasks_at_first} at first", tasks());
        sleep(Duration::from_millis(10)).await;
    }
    let now = held();
    assert!(now.0 < descriptors + OTHERS, "{} descriptors, {descriptors} at first", now.0);
    assert!(now.1 < children + OTHERS, "{} children, {children} at first", now.1);
    assert!(now.2 < folders + OTHERS, "{} folders, {folders} at first", now.2);
    plugin.shutdown().await;
    serving.abort();
}
