//! Hooks and plugins without any server: what a chain costs in this process.

use std::{hint::black_box, sync::Arc, time::Instant};

use mortise_framework::{
    Contexts, Framework, Pipelines,
    config::{Environment, PluginsFile, PluginsFileOptions},
    load::Plan as Load,
    runtime::NativeRuntime,
};
use mortise_plugin_api::{
    Answer, Call, Context, End, Hook, Json, Part, Plugin, Request, Revision, Shared,
    hooks::{ToolPreInvoke, tool::ToolPreInvokePayload},
    host::NoHost,
};
use serde_json::json;

use crate::{
    allocations, kinds,
    plans::Plan,
    report::{Report, Table},
    say,
};

/// Batches of which the fastest counts: whatever else runs on the machine can only make one slower.
const BATCHES: usize = 15;

/// Measures everything that needs no server.
pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        no_plugin(report).await?;
        passing(report).await
    })?;
    scan(report)
}

/// A hook at which no plugin stands.
async fn no_plugin(report: &mut Report) -> anyhow::Result<()> {
    let pipelines = pipelines(Plan::Noop(0)).await?;
    let nanos = nanos_each(10_000_000, || {
        black_box(black_box(&pipelines).chain(black_box(ToolPreInvoke::ID)).is_some());
    });
    report.bound("a hook with no plugin", format!("{nanos:.1} ns"), "under 20 ns", nanos < 20.0);
    Ok(())
}

/// Plugins that let a payload pass.
async fn passing(report: &mut Report) -> anyhow::Result<()> {
    let mut table = Table::new(
        "A hook with native plugins that let a call pass",
        &["plugins", "ns", "ns each", "allocations"],
    );
    for count in [1, 5, 20] {
        let pipelines = pipelines(Plan::Noop(count)).await?;
        let (nanos, allocations) = one_chain(&pipelines).await?;
        let each = nanos / count as f64;
        table.row([
            count.to_string(),
            format!("{nanos:.0}"),
            format!("{each:.0}"),
            format!("{allocations:.2}"),
        ]);
        if count == 5 {
            let measured = format!("{each:.0} ns, {allocations:.2} allocations");
            let holds = each < 200.0 && allocations < 0.01;
            report.bound(
                "a native plugin that lets a payload pass (of 5)",
                measured,
                "under 200 ns, no allocation",
                holds,
            );
        }
    }
    report.table(table);
    Ok(())
}

/// Nanoseconds and allocations of one run of `tool_pre_invoke`.
async fn one_chain(pipelines: &Pipelines) -> anyhow::Result<(f64, f64)> {
    const RUNS: u32 = 20_000;
    let chain = pipelines.chain(ToolPreInvoke::ID).ok_or_else(|| anyhow::anyhow!("the chain is empty"))?;
    let (request, payload) = (Request::new("bench"), tool_call(&"x".repeat(64)));
    let mut batches = Vec::new();
    let mut allocated = 0;
    for _ in 0..BATCHES {
        let mut contexts = Contexts::new();
        let before = allocations::so_far();
        let started = Instant::now();
        for _ in 0..RUNS {
            let outcome = chain.run(pipelines, &request, &mut contexts, &payload).await;
            anyhow::ensure!(
                outcome.blocked.is_none() && !outcome.executions.is_empty(),
                "the chain did not run"
            );
            black_box(outcome);
        }
        batches.push(started.elapsed().as_nanos() as f64 / f64::from(RUNS));
        allocated = allocations::so_far() - before;
    }
    Ok((fastest(batches), allocated as f64 / f64::from(RUNS)))
}

/// The PII filter over a mebibyte.
fn scan(report: &mut Report) -> anyhow::Result<()> {
    const SIZE: usize = 1 << 20;
    let rows = [
        ("PII scan, clean prose", prose(SIZE), 500.0),
        ("PII scan, JSON full of digits", digits(SIZE), 150.0),
    ];
    let Some(kind) = kinds::find("pii_filter") else {
        for (what, _, bound) in rows {
            report.open(what, format!("over {bound} MB/s"), "the filter is not built in yet");
        }
        return Ok(());
    };
    let plugin = (kind.build)(&json!({}))?;
    for (what, args, bound) in rows {
        let size = args.text().len();
        let payload = Revision::new(Box::new(ToolPreInvokePayload { name: "t".into(), args, headers: None }));
        let mut found = false;
        let nanos = nanos_each(20, || found |= changes(&plugin, &payload));
        if found {
            report.note(format!("{what}: the text is not clean, something was found in it."));
        }
        let rate = size as f64 / nanos * 1000.0;
        say(&format!("{what}: {rate:.0} MB/s"));
        report.bound(what, format!("{rate:.0} MB/s"), format!("over {bound:.0} MB/s"), rate > bound);
    }
    Ok(())
}

/// Whether the plugin finds anything to change or refuse.
fn changes(plugin: &Arc<dyn Plugin>, payload: &Arc<Revision>) -> bool {
    let (request, base, mut own, mut patch) = (Request::new("bench"), Shared::default(), None, None);
    let call = Call {
        hook: ToolPreInvoke::ID,
        payload,
        part: Part::Whole,
        request: &request,
        end: End::Ok,
        deadline: Instant::now() + std::time::Duration::from_secs(60),
        host: &NoHost,
    };
    match plugin.call(call, Context::new(&mut own, &base, &mut patch)) {
        Answer::Ready(Ok(reply)) => reply.change.is_some() || reply.violation.is_some(),
        Answer::Ready(Err(_)) | Answer::Later(_) => true,
    }
}

/// Pipelines of a plan, as a file would make them.
async fn pipelines(plan: Plan) -> anyhow::Result<Arc<Pipelines>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.yaml");
    let entries = plan.entries();
    std::fs::write(
        &file,
        if entries.is_empty() { "plugins: []\n".to_owned() } else { format!("plugins:\n{entries}") },
    )?;
    let environment = Environment::new(std::iter::empty::<(String, String)>());
    let file = PluginsFile::load(&[file], &PluginsFileOptions::new(&environment))?;
    let framework = Framework::builder().runtime(NativeRuntime::new(kinds::all())).build();
    let load = Load { entries: file.entries, enabled: true, ..Load::default() };
    Ok(framework.build(&load).await?.0)
}

fn tool_call(text: &str) -> Arc<Revision> {
    let args = Json::assume_valid(json!({ "text": text }).to_string());
    Revision::new(Box::new(ToolPreInvokePayload { name: "echo".into(), args, headers: None }))
}

/// Nanoseconds of one `work`, from the fastest of some batches.
fn nanos_each(runs: u32, mut work: impl FnMut()) -> f64 {
    let batches = (0..BATCHES).map(|_| {
        let started = Instant::now();
        for _ in 0..runs {
            work();
        }
        started.elapsed().as_nanos() as f64 / f64::from(runs)
    });
    fastest(batches)
}

fn fastest(batches: impl IntoIterator<Item = f64>) -> f64 {
    batches.into_iter().fold(f64::INFINITY, f64::min)
}

/// English without anything personal, as one argument.
fn prose(size: usize) -> Json {
    const SENTENCES: [&str; 5] = [
        "The committee met on a rainy morning and agreed on very little, as committees do. ",
        "Nobody had read the report, yet everyone praised its clarity and its fine drawings. ",
        "A proposal to repaint the hall was postponed until the ladder could be found again. ",
        "Somebody opened a window; the papers took their chance and left in good order. ",
        "By noon the minutes were written, and they said that progress had been made. ",
    ];
    let text: String = SENTENCES.iter().cycle().flat_map(|sentence| sentence.chars()).take(size).collect();
    Json::assume_valid(json!({ "text": text }).to_string())
}

/// Measurements and identifiers as a monitoring tool would answer them: digits everywhere, nothing personal.
fn digits(size: usize) -> Json {
    let mut rows = Vec::new();
    let mut length = 0;
    let mut seed = 1u64;
    while length < size {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let row = json!({
            "at": format!("2026-11-{:02}T{:02}:{:02}:00Z", seed % 28 + 1, seed / 7 % 24, seed / 11 % 60),
            "value": format!("{}.{}", seed % 100, seed / 100 % 1000),
            "range": format!("{}..{}", seed % 1000, seed % 1000 + 17),
            "count": seed % 100_000,
            "build": format!("v{}.{}.{}", seed % 9, seed / 9 % 40, seed / 360 % 90),
        });
        length += row.to_string().len() + 1;
        rows.push(row);
    }
    Json::assume_valid(json!({ "rows": rows }).to_string())
}
