//! Endpoints of a plugin that is a process: a whole answer beside a bare unary call of tonic to the same program, what
//! the gateway adds to a piece of a streamed one, and the memory of many streams at once.
//!
//! The program is this one in another role, and the same in Go beside it, where Go is there. Pieces carry the moment they
//! were made at, so that what is compared is how long each was on its way, whatever the pace.

mod pieces;
mod whole;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail, ensure};
use mortise_plugin_api::{
    EndpointMethod::{Get, Post},
    EndpointRegistration, EndpointResponse, Headers, Native,
};
use mortise_proto::tyk::plugin::{InitRequest, plugin_service_client::PluginServiceClient};
use mortise_sdk::process::{About, Program};
use mortise_testkit::process::Owned;
use tonic::transport::{Channel, Endpoint};

use crate::{
    Options,
    report::{Report, Table, percent},
    say,
};

/// The plugin's name, and its slug.
const PLUGIN: &str = "bench";
/// Body of a whole answer and of its request, in bytes.
const SIZE: usize = 1024;
/// Pieces of a timed stream, and the time between them.
const TICKS: usize = 500;
const EVERY: Duration = Duration::from_millis(2);
/// Time between events of a stream that does not end.
const PAUSE: Duration = Duration::from_millis(200);
/// Digits of a moment.
const DIGITS: usize = 20;

/// A connection to a program.
pub(crate) type Client = PluginServiceClient<Channel>;

/// This program as the plugin.
pub(crate) fn run_plugin() -> anyhow::Result<()> {
    let program = Program::new(About::new(PLUGIN, "1.0.0"), |_| {
        let plugin = Native::new(())
            .endpoint(EndpointRegistration::new("/echo", [Post]), |(), call| {
                Box::pin(async move { Ok(EndpointResponse::new(200).body(call.request.body)) })
            })
            .streaming_endpoint(EndpointRegistration::new("/ticks", [Get]), |(), _, mut out| {
                Box::pin(async move {
                    out.head(200, Headers::new()).await?;
                    for _ in 0..TICKS {
                        tokio::time::sleep(EVERY).await;
                        out.body(format!("{:0DIGITS$}\n", nanos())).await?;
                    }
                    Ok(())
                })
            })
            .streaming_endpoint(EndpointRegistration::new("/feed", [Get]), |(), _, mut out| {
                Box::pin(async move {
                    out.head(200, [("content-type", "text/event-stream")].into_iter().collect()).await?;
                    while out.body(format!("data: {{\"at\": {}}}\n\n", nanos())).await.is_ok() {
                        tokio::time::sleep(PAUSE).await;
                    }
                    Ok(())
                })
            });
        Ok(plugin.into_plugin())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(program.serve())?)
}

/// Nanoseconds since 1970, the same for all processes of this machine.
fn nanos() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// Measures all of it.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let own = vec![std::env::current_exe()?.display().to_string(), "endpoints-plugin".to_owned()];
    let title = format!("One endpoint call of {SIZE} bytes, of a plugin that is a process");
    let columns = ["plugin", "client", "median µs", "p99 µs", "calls/s", "calls/s, 16 at a time"];
    let mut table = Table::new(title, &columns);
    say("endpoint of a plugin in Rust");
    let (bare, ours) = whole::measure(options, &own).await?;
    let ratio = ours.median() / bare.median();
    let what = "endpoint call of a plugin that is a process against a bare unary call";
    report.bound(what, format!("{ratio:.2} times"), "under 1.25 times", ratio < 1.25);
    let share = ours.crowded() / bare.crowded();
    report.bound("the same, calls a second, 16 at a time", percent(share), "over 80 %", share > 0.8);
    table.row(bare.row("Rust", "bare"));
    table.row(ours.row("Rust", "mortise"));
    match in_go("echo") {
        Ok((_folder, program)) => {
            say("endpoint of a plugin in Go");
            let (bare, ours) = whole::measure(options, &[program.display().to_string()]).await?;
            table.row(bare.row("Go", "bare"));
            table.row(ours.row("Go", "mortise"));
        }
        Err(why) => report.note(format!("no plugin in Go: {why:#}")),
    }
    report.table(table);
    pieces::measure(options, report, &own).await
}

/// An example in Go, built, and the folder that it goes with.
pub(crate) fn in_go(example: &str) -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = root.join(".tools/go/bin/go");
    let go = if own.exists() { own } else { PathBuf::from("go") };
    let folder = tempfile::tempdir()?;
    let program = folder.path().join(example);
    let mut build = Command::new(&go);
    build.args(["build", "-ldflags=-s -w", "-o"]).arg(&program).arg(format!("./{example}"));
    let built = build.current_dir(root.join("examples/plugins")).output();
    let built = built.with_context(|| format!("could not start {}", go.display()))?;
    ensure!(built.status.success(), "go build: {}", String::from_utf8_lossy(&built.stderr));
    Ok((folder, program))
}

/// A program, started by hand, and a connection to it.
pub(crate) async fn started(command: &[String], folder: &Path) -> anyhow::Result<(Owned, Client)> {
    let (program, args) = command.split_first().context("a command has a program")?;
    let mut command = Command::new(program);
    command.args(args).env("AI_STUDIO_PLUGIN", "v1").env("PLUGIN_RUNTIME", "gateway");
    command.env("PLUGIN_PROTOCOL_VERSIONS", "1").env("PLUGIN_UNIX_SOCKET_DIR", folder);
    let mut process =
        Owned::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let output = process.stdout().context("the plugin has an output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let Some(socket) = line.split('|').nth(3) else { bail!("the plugin greeted with `{}`", line.trim()) };
    let channel = Endpoint::from_shared(format!("unix://{socket}"))?.connect().await?;
    let mut client = PluginServiceClient::new(channel);
    let told = client.initialize(InitRequest::default()).await?.into_inner();
    ensure!(told.success, "the plugin did not start: {}", told.error_message);
    Ok((process, client))
}

/// The number at a share of some, sorted.
fn quantile(numbers: &mut [f64], share: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().saturating_sub(1);
    numbers.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}
