//! What it costs a call that it can be explained and is traced.
//!
//! The same gateway in four ways, in interleaved rounds: keeping nothing of calls and sending no spans; keeping them to
//! be explained, as is the default; and sending spans beside, of all requests and of every tenth. Spans are taken by
//! this program, so what they cost the collector is not in the gateway's CPU time. Metrics are counted in each of the
//! ways: there is no switch for them, so their cost is part of every number here and of none of the differences.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::task::JoinHandle;

use crate::{
    Options, control,
    gateway::missing,
    plans::Plan,
    posts,
    report::{Report, Table, percent},
    rounds::{self, Measured, Target},
    servers::{Gateway, Server, Setup},
};

/// Text of a call, in bytes.
const SIZE: usize = 64;
/// Rounds for each that was asked for: what is looked for is a small difference.
const TIMES: usize = 2;
/// Longest time under load in a round, in seconds.
const SECONDS: f64 = 1.25;
/// What all of it together may cost.
const MOST: f64 = 0.05;

const EVERYTHING: &str = "explain, spans of all requests";
const A_TENTH: &str = "explain, spans of every tenth";

/// Measures a gateway that watches its calls beside one that does not.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let gateway = Gateway::choose(options.gateway.as_deref())?;
    let plans = [Plan::Noop(5), Plan::Builtins(1)];
    let Some(plan) = plans.into_iter().find(|plan| missing(&gateway, *plan).is_empty()) else {
        report.open(what(EVERYTHING), bound(), "this gateway has not enough plugins");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let upstream = Server::upstream()?;
    let sink = Sink::start().await?;
    let mut servers = Vec::new();
    for (name, more) in ways(sink.port) {
        let setup = Setup::new(plan, &upstream).with(&more);
        servers.push((name, Server::gateway_of(&gateway, &setup, folder.path())?));
    }
    let targets = servers.iter().map(|(name, server)| Target::new(*name, server, SIZE));
    let targets = targets.collect::<anyhow::Result<Vec<_>>>()?;
    let measured = rounds::closed(&targets, &options.lasting(options.rounds * TIMES, SECONDS)).await?;
    let Some((nothing, watched)) = measured.split_first() else { anyhow::bail!("nothing was measured") };
    for one in watched.iter().filter(|one| [EVERYTHING, A_TENTH].contains(&&*one.name)) {
        let cost = one.cpu_against(nothing) - 1.0;
        report.bound(what(&one.name), percent(cost), bound(), cost < MOST);
    }
    table(&measured, &servers, plan, report).await?;
    report.note(format!(
        "Spans were taken in {} batches of {} KiB on average. Metrics cannot be switched off: what they cost is part of \
         each row on explain and spans and of none of the differences.",
        sink.batches.load(Relaxed),
        sink.bytes.load(Relaxed) / sink.batches.load(Relaxed).max(1) / 1024
    ));
    rounds::note_errors(&measured, report);
    Ok(())
}

fn what(way: &str) -> String {
    format!("{way}: CPU time per call against keeping nothing")
}

fn bound() -> String {
    format!("under {:.0} % more", MOST * 100.0)
}

/// Names of the ways, the plain one first, and what the configuration says for each.
fn ways(sink: u16) -> [(&'static str, String); 4] {
    let spans = |share: f64| {
        format!(
            "telemetry: {{ otlp: {{ endpoint: \"http://127.0.0.1:{sink}\" }}, sample_ratio: {share:?} }}\n"
        )
    };
    [
        ("nothing", "explain: { keep: 0 }\n".to_owned()),
        ("explain", String::new()),
        (EVERYTHING, spans(1.0)),
        (A_TENTH, spans(0.1)),
    ]
}

async fn table(
    measured: &[Measured],
    servers: &[(&str, Server)],
    plan: Plan,
    report: &mut Report,
) -> anyhow::Result<()> {
    let columns =
        ["kept and sent", "CPU µs per call", "more than nothing", "calls/s", "spans sent", "spans dropped"];
    let mut table = Table::new(format!("Explain and spans, {plan:?}"), &columns);
    for (one, (_, server)) in measured.iter().zip(servers) {
        let sent = control::counted(server.port, "mortise_trace_spans_exported_total").await?;
        let dropped = control::counted(server.port, "mortise_trace_spans_dropped_total").await?;
        table.row([
            one.name.clone(),
            format!("{:.1}", one.cpu_micros()),
            percent(one.cpu_against(&measured[0]) - 1.0),
            format!("{:.0}", one.rate()),
            format!("{sent:.0}"),
            format!("{dropped:.0}"),
        ]);
    }
    report.table(table);
    Ok(())
}

/// A collector that takes everything and keeps nothing. Dropped, it ends.
struct Sink {
    port: u16,
    batches: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Sink {
    async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (batches, bytes) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counts = (batches.clone(), bytes.clone());
        let take = move |body: &[u8]| {
            counts.0.fetch_add(1, Relaxed);
            counts.1.fetch_add(body.len() as u64, Relaxed);
            // An empty message says that all was taken.
            Some(Vec::new())
        };
        Ok(Self { port, batches, bytes, serving: tokio::spawn(posts::serve(listener, take)) })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
