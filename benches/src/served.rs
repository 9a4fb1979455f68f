//! One hook call of an external plugin over each transport: beside a bare exchange of the same message with the same
//! server, and beside the Python framework's own client and server. A plugin that is a process is among them.
//!
//! Plugin servers are this program as `mortise plugin serve`, and the Python framework's server, each with one plugin
//! that lets everything pass. Calls come one after another over one connection, in interleaved rounds, so what is
//! compared is latency and this side's CPU time: with what it costs here to write contexts, read results and keep a
//! plugin's time. The bare exchange is what a program would do that has nothing but a client: hyper's, tonic's, or
//! tokio's socket.

mod bare;
mod process;
mod python;
mod server;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mortise::framework::{Contexts, Framework, Pipelines, Plan, config::PluginEntry};
use mortise_plugin_api::{HookTable, Json, Request, Revision, hooks::tool::ToolPreInvokePayload};
use mortise_runtime_external::ExternalRuntime;
use mortise_testkit::process::Usage;
use serde_json::{Value, json};

use crate::{
    Options,
    endpoints::in_go,
    report::{Report, Table, median, percent},
    say,
};
use bare::Bare;
pub(crate) use process::run as run_process_plugin;
use server::Served;

/// Text of a call, in bytes.
const SIZE: usize = 1024;
/// Longest time for each in a round, in seconds.
const SECONDS: f64 = 1.0;
/// The plugin's name.
const PLUGIN: &str = "Passing";
const HOOK: &str = "tool_pre_invoke";

/// This program as `mortise plugin serve`.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let words = ["mortise", "plugin", "serve"].into_iter().map(str::to_owned);
    mortise::Builder::new().run_with(words.chain(args.iter().cloned()))
}

/// A transport, and how much slower than a bare exchange a call over it may be, where that is bounded.
const WAYS: [(&str, Option<f64>); 3] = [("http", Some(1.3)), ("grpc", Some(1.25)), ("unix", None)];
/// How many times what Python reaches with itself is asked of this client and server.
const FASTER: f64 = 10.0;
/// The share of the Python client's CPU time that this one may take with the same server.
const CPU_SHARE: f64 = 0.1;

/// What one side showed, over all rounds.
#[derive(Default)]
struct Samples {
    medians: Vec<f64>,
    late: Vec<f64>,
    calls: f64,
    seconds: f64,
    cpu: Duration,
}

impl Samples {
    /// Microseconds that a call takes.
    fn median(&self) -> f64 {
        median(self.medians.iter().copied())
    }

    fn rate(&self) -> f64 {
        self.calls / self.seconds
    }

    /// Microseconds of CPU a call, on the asking side.
    fn cpu(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls
    }

    fn row(&self, transport: &str, client: &str, server: &str) -> [String; 7] {
        let whole = |number: f64| format!("{number:.0}");
        let late = median(self.late.iter().copied());
        let figures = [self.median(), late, self.rate(), self.cpu()].map(whole);
        let [median, late, rate, cpu] = figures;
        [transport.into(), client.into(), server.into(), median, late, rate, cpu]
    }
}

/// Measures each transport.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let columns =
        ["transport", "client", "server", "median µs", "p99 µs", "calls/s", "CPU µs a call, this side"];
    let mut table = Table::new(format!("One hook call of {SIZE} bytes, one connection"), &columns);
    for (transport, most) in WAYS {
        say(&format!("plugin served over {transport}"));
        let (bare, own) = with_own_server(options, transport).await?;
        let ratio = own.median() / bare.median();
        if let Some(most) = most {
            let what = format!("hook call over {transport} against a bare exchange of the same size");
            report.bound(what, format!("{ratio:.2} times"), format!("under {most} times"), ratio < most);
        }
        say(&format!("plugin of the Python framework served over {transport}"));
        let (ours, theirs) = with_python_server(options, transport).await?;
        let faster = own.rate() / theirs.rate();
        let what = format!("hook calls a second over {transport} against Python client and server");
        report.bound(what, format!("{faster:.1} times"), format!("over {FASTER} times"), faster > FASTER);
        let slower = ours.median() / theirs.median();
        let what = format!("hook call over {transport} to a Python server against its own client");
        report.bound(what, format!("{slower:.2} times"), "under 1 times", slower < 1.0);
        let share = ours.cpu() / theirs.cpu();
        let what = format!("the same, CPU time of the client ({transport})");
        report.bound(
            what,
            format!("{share:.3} times"),
            format!("under {CPU_SHARE} times"),
            share < CPU_SHARE,
        );
        table.row(bare.row(transport, "bare", "mortise"));
        table.row(own.row(transport, "mortise", "mortise"));
        table.row(ours.row(transport, "mortise", "Python"));
        table.row(theirs.row(transport, "Python", "Python"));
    }
    say("plugin as a process");
    let (bare, own) = process::measure(options, &process::own()?).await?;
    let ratio = own.median() / bare.median();
    let what = "hook call of a plugin that is a process against a bare unary call";
    report.bound(what, format!("{ratio:.2} times"), "under 1.25 times", ratio < 1.25);
    let share = own.rate() / bare.rate();
    report.bound("the same, calls a second", percent(share), "over 80 %", share > 0.8);
    table.row(bare.row("go-plugin", "bare", "process"));
    table.row(own.row("go-plugin", "mortise", "process"));
    match in_go("request-enricher") {
        Ok((_folder, program)) => {
            say("plugin as a process, in Go");
            let (bare, own) = process::measure(options, &[program.display().to_string()]).await?;
            table.row(bare.row("go-plugin", "bare", "process in Go"));
            table.row(own.row("go-plugin", "mortise", "process in Go"));
        }
        Err(why) => report.note(format!("no plugin in Go: {why:#}")),
    }
    report.table(table);
    Ok(())
}

/// A bare exchange and a hook call with this program's server.
async fn with_own_server(options: &Options, transport: &str) -> anyhow::Result<(Samples, Samples)> {
    let folder = tempfile::tempdir()?;
    let served = Served::own(transport, folder.path())?;
    let pipelines = gateway(&served.block).await?;
    let mut bare = Bare::connect(transport, &served.address, folder.path()).await?;
    let (mut theirs, mut ours) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds {
        let seconds = options.seconds.min(SECONDS);
        sample(&mut theirs, seconds, async || bare.exchange().await).await?;
        sample(&mut ours, seconds, async || call(&pipelines).await).await?;
    }
    Ok((theirs, ours))
}

/// A hook call of this client and of the Python framework's with that framework's server.
async fn with_python_server(options: &Options, transport: &str) -> anyhow::Result<(Samples, Samples)> {
    let folder = tempfile::tempdir()?;
    let served = Served::python(transport, folder.path())?;
    let pipelines = gateway(&served.block).await?;
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds {
        let seconds = options.seconds.min(SECONDS);
        sample(&mut ours, seconds, async || call(&pipelines).await).await?;
        python::manager(&served.block, seconds, folder.path(), &mut theirs)?;
    }
    Ok((ours, theirs))
}

/// Asks one after another for so long.
async fn sample(
    samples: &mut Samples,
    seconds: f64,
    mut ask: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let me = std::process::id();
    let (mut micros, before, began) = (Vec::new(), Usage::of(me)?, Instant::now());
    while began.elapsed().as_secs_f64() < seconds {
        let at = Instant::now();
        ask().await?;
        micros.push(at.elapsed().as_secs_f64() * 1e6);
    }
    samples.cpu += Usage::of(me)?.cpu_since(&before);
    samples.calls += micros.len() as f64;
    samples.seconds += began.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    samples.medians.push(at(&micros, 0.5));
    samples.late.push(at(&micros, 0.99));
    Ok(())
}

/// The number at a share of sorted ones.
fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

/// The pipelines of a gateway with the one plugin, which is reached by this block of its entry.
async fn gateway(block: &(&'static str, Value)) -> anyhow::Result<Arc<Pipelines>> {
    let framework =
        Framework::builder().runtime(ExternalRuntime::new(Arc::new(HookTable::standard()))).build();
    let mut entry = PluginEntry::new(PLUGIN, "external");
    entry.hooks = vec![HOOK.to_owned()];
    let value = block.1.as_object().cloned();
    match block.0 {
        "mcp" => entry.mcp = value,
        "grpc" => entry.grpc = value,
        _ => entry.unix_socket = value,
    }
    let plan = Plan { entries: vec![entry], enabled: true, start_idle: true, ..Plan::default() };
    let (pipelines, _) = framework.build(&plan).await.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    // The framework ends with the program; what it started is needed to then.
    std::mem::forget(framework);
    Ok(pipelines)
}

fn payload() -> Arc<Revision> {
    let args = Json::from(json!({ "text": "x".repeat(SIZE) }));
    Revision::new(Box::new(ToolPreInvokePayload { name: "echo".into(), args, headers: None }))
}

async fn call(pipelines: &Pipelines) -> anyhow::Result<()> {
    let hook = pipelines.hooks().get(HOOK).context("the hook is in the table")?.id;
    let chain = pipelines.chain(hook).context("the plugin stands at the hook")?;
    let outcome = chain.run(pipelines, &Request::new("bench"), &mut Contexts::default(), &payload()).await;
    match outcome.blocked {
        Some(blocked) => bail!("the call was blocked: {}", blocked.violation.description),
        None => Ok(()),
    }
}
