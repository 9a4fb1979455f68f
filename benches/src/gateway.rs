//! Whole calls: direct, through nginx, and through the gateway with more and more plugins.

use mortise_testkit::{load::Report as Load, process::Usage};

use crate::{
    Options, kinds,
    plans::Plan,
    report::{Report, Table, median, percent},
    rounds::{self, Measured, Target},
    say,
    servers::{Gateway, Server},
};

/// Text of the plain rows, in bytes.
const SMALL: usize = 64;
/// Text of the row with real plugins, in bytes.
const KIBIBYTE: usize = 1024;
/// Starts that are timed.
const STARTS: usize = 7;

/// The names of targets that bounds refer to.
const DIRECT: &str = "upstream alone";
const NGINX: &str = "nginx";
const NONE: &str = "gateway, no plugin";
const FIVE: &str = "gateway, 5 that do nothing";
const NONE_KIB: &str = "gateway, no plugin, 1 KiB";
const REAL: &str = "gateway, 5 built-ins, 1 KiB";

/// Measures everything that needs servers.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let upstream = Server::upstream()?;
    let nginx = match Server::nginx(&options.nginx, &upstream, folder.path()) {
        Ok(nginx) => Some(nginx),
        Err(error) => {
            report.note(format!("Without nginx: {error:#}."));
            None
        }
    };
    let gateway = Gateway::choose(options.gateway.as_deref())?;
    let gateways = start_gateways(&gateway, &upstream, folder.path(), report)?;
    start_times(&gateway, &upstream, folder.path(), report)?;
    let idle = memory(&gateways)?;
    let targets = targets(&upstream, nginx.as_ref(), &gateways)?;
    let measured = rounds::closed(&targets, options).await?;
    let half = rounds::open(&targets, &measured, options).await?;
    let loaded = memory(&gateways)?;
    bounds(&measured, report);
    memory_bounds(&gateways, &idle, &loaded, report);
    tables(&measured, &half, report);
    rounds::note_errors(&measured, report);
    Ok(())
}

/// Gateways by plan, as far as their plugins are there.
fn start_gateways(
    gateway: &Gateway,
    upstream: &Server,
    folder: &std::path::Path,
    report: &mut Report,
) -> anyhow::Result<Vec<(Plan, Server)>> {
    let plans =
        [Plan::Noop(0), Plan::Noop(1), Plan::Noop(5), Plan::Noop(20), Plan::Builtins(1), Plan::Builtins(4)];
    let mut started = Vec::new();
    for plan in plans {
        let missing = missing(gateway, plan);
        if missing.is_empty() {
            started.push((plan, Server::gateway(gateway, plan, upstream, folder)?));
        } else {
            report.note(format!("{plan:?} left out: this gateway has no {}.", missing.join(", ")));
        }
    }
    Ok(started)
}

/// Kinds that a plan takes and this gateway has not.
pub(crate) fn missing(gateway: &Gateway, plan: Plan) -> Vec<&'static str> {
    let known = |kind: &str| match kind.starts_with("test_") {
        true => gateway.has_test_kinds,
        false => kinds::find(kind).is_some(),
    };
    plan.kinds().into_iter().filter(|kind| !known(kind)).collect()
}

fn targets<'a>(
    upstream: &'a Server,
    nginx: Option<&'a Server>,
    gateways: &'a [(Plan, Server)],
) -> anyhow::Result<Vec<Target<'a>>> {
    let mut targets = vec![Target::new(DIRECT, upstream, SMALL)?];
    if let Some(nginx) = nginx {
        targets.push(Target::new(NGINX, nginx, SMALL)?);
    }
    for (plan, server) in gateways {
        match plan {
            Plan::Noop(0) => {
                targets.push(Target::new(NONE, server, SMALL)?);
                targets.push(Target::new(NONE_KIB, server, KIBIBYTE)?);
            }
            Plan::Noop(5) => targets.push(Target::new(FIVE, server, SMALL)?),
            Plan::Noop(1) => targets.push(Target::new("gateway, 1 that does nothing", server, SMALL)?),
            Plan::Noop(count) => {
                targets.push(Target::new(format!("gateway, {count} that do nothing"), server, SMALL)?);
            }
            Plan::Builtins(1) => targets.push(Target::new(REAL, server, KIBIBYTE)?),
            Plan::Builtins(times) => {
                targets.push(Target::new(
                    format!("gateway, {} built-ins, 1 KiB", times * 5),
                    server,
                    KIBIBYTE,
                )?);
            }
            // Measured beside one of its own kind.
            Plan::Conditional(_) => {}
        }
    }
    Ok(targets)
}

fn bounds(measured: &[Measured], report: &mut Report) {
    let find = |name: &str| measured.iter().find(|one| one.name == name);
    let mut ratio = |what: &str, one: &str, other: &str, bound: f64| {
        let text = format!("over {:.0} %", bound * 100.0);
        match (find(one), find(other)) {
            (Some(one), Some(other)) => {
                let share = one.share_of(other);
                report.bound(what, percent(share), text, share > bound);
            }
            _ => report.open(what, text, "a server is missing"),
        }
    };
    ratio("`tools/call` without plugins, throughput against nginx", NONE, NGINX, 0.60);
    ratio("5 plugins that do nothing, throughput against none", FIVE, NONE, 0.97);
    ratio("5 built-ins on 1 KiB, throughput against none", REAL, NONE_KIB, 0.85);
    let what = "`tools/call` without plugins, CPU time of the gateway per call";
    match find(NONE) {
        Some(none) => report.bound(
            what,
            format!("{:.1} µs", none.cpu_micros()),
            "under 40 µs",
            none.cpu_micros() < 40.0,
        ),
        None => report.open(what, "under 40 µs", "there is no gateway"),
    }
}

/// Memory of each gateway, in KiB.
fn memory(gateways: &[(Plan, Server)]) -> anyhow::Result<Vec<f64>> {
    let kib = |server: &Server| Ok(Usage::of_tree(server.pid())?.resident as f64 / 1024.0);
    gateways.iter().map(|(_, server)| kib(server)).collect()
}

fn memory_bounds(gateways: &[(Plan, Server)], idle: &[f64], loaded: &[f64], report: &mut Report) {
    let of = |plan: Plan| gateways.iter().position(|(known, _)| *known == plan).map(|at| idle[at]);
    let none = of(Plan::Noop(0));
    match none {
        Some(kib) => report.bound("memory, idle", mebibytes(kib), "under 20 MiB", kib < 20.0 * 1024.0),
        None => report.open("memory, idle", "under 20 MiB", "there is no gateway"),
    }
    for (what, plan) in [("does nothing", Plan::Noop(20)), ("is built in", Plan::Builtins(4))] {
        let what = format!("memory, per native plugin that {what}");
        match (none, of(plan)) {
            (Some(none), Some(twenty)) => {
                let each = (twenty - none) / 20.0;
                report.bound(what, format!("{each:.0} KiB"), "under 100 KiB", each < 100.0);
            }
            _ => report.open(what, "under 100 KiB", "a gateway is missing"),
        }
    }
    let mut table = Table::new("Memory", &["gateway", "idle", "after load"]);
    for (at, (plan, _)) in gateways.iter().enumerate() {
        table.row([format!("{plan:?}"), mebibytes(idle[at]), mebibytes(loaded[at])]);
    }
    report.table(table);
}

fn mebibytes(kib: f64) -> String {
    format!("{:.1} MiB", kib / 1024.0)
}

/// From the start of the process to the first 200 of `/ready`, with 20 native plugins.
fn start_times(
    gateway: &Gateway,
    upstream: &Server,
    folder: &std::path::Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (what, bound) = ("start to ready, 20 native plugins", "under 100 ms");
    let plans = [Plan::Builtins(4), Plan::Noop(20)];
    let Some(plan) = plans.into_iter().find(|plan| missing(gateway, *plan).is_empty()) else {
        report.open(what, bound, "this gateway has not enough plugins");
        return Ok(());
    };
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let server = Server::gateway(gateway, plan, upstream, folder)?;
        times.push(server.start.as_secs_f64() * 1000.0);
    }
    let middle = median(times);
    say(&format!("start to ready with {plan:?}: {middle:.0} ms"));
    report.bound(what, format!("{middle:.0} ms ({plan:?})"), bound, middle < 100.0);
    Ok(())
}

fn tables(measured: &[Measured], half: &[Load], report: &mut Report) {
    let nginx = measured.iter().find(|one| one.name == NGINX);
    let columns = ["server", "calls/s", "of nginx", "CPU µs per call", "p50 µs", "p99 µs", "errors"];
    let mut table = Table::new("Throughput, closed loop", &columns);
    for one in measured {
        let (p50, p99) = one.latency_micros();
        table.row([
            one.name.clone(),
            format!("{:.0}", one.rate()),
            nginx.map_or_else(|| "–".to_owned(), |nginx| percent(one.share_of(nginx))),
            format!("{:.1}", one.cpu_micros()),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
            one.errors.to_string(),
        ]);
    }
    report.table(table);
    let columns = ["server", "calls/s", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "errors"];
    let mut table = Table::new("Latency, open loop at half of the own capacity", &columns);
    for (one, load) in measured.iter().zip(half) {
        let micros = |quantile| format!("{:.0}", load.latency.quantile(quantile).as_secs_f64() * 1e6);
        table.row([
            one.name.clone(),
            format!("{:.0}", load.rate()),
            micros(0.5),
            micros(0.9),
            micros(0.99),
            micros(0.999),
            load.errors.to_string(),
        ]);
    }
    report.table(table);
}
