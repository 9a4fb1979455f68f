//! Streamed answers through a gateway: how much longer a piece is on its way, and what a thousand streams cost.

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mortise_proto::tyk::plugin::EndpointRequest;
use mortise_testkit::process::Usage;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{Client, DIGITS, PLUGIN, nanos, quantile, started};
use crate::{
    Options,
    plans::Plan,
    report::{Report, Table, median},
    say,
    servers::{Gateway, Server, Setup},
};

/// Streams that are open at once.
const STREAMS: usize = 1_000;
/// How long all of them may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds until what was made for the first events has settled, and those that are watched after.
const SETTLING: usize = 4;
const WATCHED: usize = 12;
/// What is still flat.
const GROWTH: f64 = 0.03;
/// Microseconds that the gateway may add to a piece.
const ADDED: f64 = 100.0;

pub(super) async fn measure(
    options: &Options,
    report: &mut Report,
    command: &[String],
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (upstream, gateway) = (Server::upstream()?, Gateway::choose(options.gateway.as_deref())?);
    let mut setup = Setup::new(Plan::Noop(0), &upstream);
    setup.plugins = format!(
        "  - name: {PLUGIN}\n    kind: process\n    command: {command:?}\n    offers: [custom_endpoint]\n    config: {{ \
         slug: {PLUGIN} }}\n"
    );
    let server = Server::gateway_of(&gateway, &setup, folder.path())?;
    say("streamed endpoint");
    added(options, report, command, &server, folder.path()).await?;
    say(&format!("{STREAMS} streams"));
    flat(report, &server).await
}

/// How long pieces are on their way, with and without the gateway.
async fn added(
    options: &Options,
    report: &mut Report,
    command: &[String],
    server: &Server,
    folder: &Path,
) -> anyhow::Result<()> {
    let (_program, client) = started(command, folder).await?;
    let (mut bare, mut ours) = (Ages::default(), Ages::default());
    for _ in 0..options.rounds {
        bare.add(directly(client.clone()).await?);
        ours.add(through(server.port).await?);
    }
    let more = ours.median() - bare.median();
    let what = "piece of a streamed endpoint, added by the gateway";
    report.bound(what, format!("{more:.0} µs"), format!("under {ADDED} µs"), more < ADDED);
    let mut table =
        Table::new("A piece of a streamed endpoint, from plugin to client", &["way", "median µs", "p99 µs"]);
    table.row(bare.row("a bare streamed call"));
    table.row(ours.row("gateway, over HTTP"));
    report.table(table);
    Ok(())
}

/// How long pieces took, in microseconds, by round.
#[derive(Default)]
struct Ages {
    medians: Vec<f64>,
    late: Vec<f64>,
}

impl Ages {
    fn add(&mut self, mut ages: Vec<f64>) {
        self.medians.push(quantile(&mut ages, 0.5));
        self.late.push(quantile(&mut ages, 0.99));
    }

    fn median(&self) -> f64 {
        median(self.medians.iter().copied())
    }

    fn row(&self, way: &str) -> [String; 3] {
        let late = median(self.late.iter().copied());
        [way.to_owned(), format!("{:.0}", self.median()), format!("{late:.0}")]
    }
}

/// Notes how old each moment of a piece is.
fn note(piece: &[u8], ages: &mut Vec<f64>) {
    let now = nanos();
    for line in piece.split(|byte| *byte == b'\n').filter(|line| line.len() == DIGITS) {
        if let Some(made) = std::str::from_utf8(line).ok().and_then(|line| line.parse::<u128>().ok()) {
            ages.push(now.saturating_sub(made) as f64 / 1e3);
        }
    }
}

async fn directly(mut client: Client) -> anyhow::Result<Vec<f64>> {
    let request = EndpointRequest {
        method: "GET".into(),
        path: format!("/plugins/{PLUGIN}/ticks"),
        relative_path: "/ticks".into(),
        ..EndpointRequest::default()
    };
    let mut pieces = client.handle_endpoint_request_stream(request).await?.into_inner();
    let mut ages = Vec::new();
    while let Some(piece) = pieces.message().await? {
        note(&piece.data, &mut ages);
    }
    Ok(ages)
}

async fn through(port: u16) -> anyhow::Result<Vec<f64>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender.
    tokio::spawn(connection);
    let request = http::Request::get(format!("/plugins/{PLUGIN}/ticks"));
    let request = request.header("host", format!("127.0.0.1:{port}")).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    ensure!(answer.status().is_success(), "a stream was answered with {}", answer.status());
    let (mut body, mut ages) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame?.data_ref() {
            note(piece, &mut ages);
        }
    }
    Ok(ages)
}

/// What streams have shown.
#[derive(Default)]
struct Feeds {
    begun: AtomicUsize,
    ended: AtomicUsize,
    bytes: AtomicU64,
}

/// Opens streams of events and watches the gateway's memory.
async fn flat(report: &mut Report, server: &Server) -> anyhow::Result<()> {
    let resident = || Usage::of(server.pid()).map(|usage| usage.resident as f64 / f64::from(1 << 20));
    let before = resident()?;
    let feeds = Arc::new(Feeds::default());
    let mut open = JoinSet::new();
    let began = Instant::now();
    for _ in 0..STREAMS {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await?;
        open.spawn(feed(stream, server.port, feeds.clone()));
    }
    while feeds.begun.load(Relaxed) < STREAMS {
        ensure!(began.elapsed() < PATIENCE, "{} of {STREAMS} streams began", feeds.begun.load(Relaxed));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut seen = Vec::new();
    let mut counted = 0;
    for second in 0..SETTLING + WATCHED {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if second == SETTLING {
            counted = feeds.bytes.load(Relaxed);
        }
        seen.push(resident()?);
    }
    let carried = feeds.bytes.load(Relaxed) - counted;
    let ended = feeds.ended.load(Relaxed);
    ensure!(ended == 0 && carried > 0, "{ended} of {STREAMS} streams ended; {carried} bytes came");
    let settled = seen[SETTLING];
    let most = seen[SETTLING..].iter().copied().fold(settled, f64::max);
    let growth = most / settled - 1.0;
    let what = format!("memory of the gateway with {STREAMS} open streams of events, over {WATCHED} s");
    let bound = format!("grows by under {:.0} %", GROWTH * 100.0);
    report.bound(what, format!("grows by {:.1} %", growth * 100.0), bound, growth < GROWTH);
    let columns = ["MiB before", "MiB with all open", "MiB at most after", "KiB a stream", "bytes/s carried"];
    let mut table = Table::new(format!("{STREAMS} streams of events at once"), &columns);
    let each = (most - before) * 1024.0 / STREAMS as f64;
    let rate = carried as f64 / WATCHED as f64;
    let numbers = [before, settled, most, each].map(|number| format!("{number:.1}"));
    table.row(numbers.into_iter().chain([format!("{rate:.0}")]));
    report.table(table);
    Ok(())
}

/// One stream, read to its end.
async fn feed(mut stream: TcpStream, port: u16, feeds: Arc<Feeds>) {
    let request = format!("GET /plugins/{PLUGIN}/feed HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let mut buffer = [0; 512];
        let mut first = true;
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            if std::mem::take(&mut first) && buffer.starts_with(b"HTTP/1.1 200") {
                feeds.begun.fetch_add(1, Relaxed);
            }
            feeds.bytes.fetch_add(read as u64, Relaxed);
        }
    }
    feeds.ended.fetch_add(1, Relaxed);
}
