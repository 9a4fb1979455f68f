//! One hook call of an external plugin over each transport, beside a bare exchange of the same message with the same
//! server.
//!
//! The plugin server is this program as `mortise plugin serve`, with one plugin that lets everything pass. Calls come one
//! after another over one connection, in interleaved rounds, so what is compared is latency and this side's CPU time:
//! with what it costs here to write contexts, read results and keep a plugin's time.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mortise::framework::{Contexts, Framework, Pipelines, Plan, config::PluginEntry};
use mortise_plugin_api::{
    HookTable, Json, Request, Revision, Wire,
    hooks::tool::ToolPreInvokePayload,
    wire::{WireContext, WireGlobal},
};
use mortise_proto::{
    contextforge::{context_to, cpex, payload_of},
    json::Struct,
};
use mortise_runtime_external::ExternalRuntime;
use mortise_testkit::process::{Owned, Usage};
use prost::Message;
use serde_json::{Value, json};

use crate::{
    Options,
    report::{Report, Table, median},
    say,
};

/// Text of a call, in bytes.
const SIZE: usize = 1024;
/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
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

/// A transport, and how much slower than a bare exchange a call over it may be.
const WAYS: [(&str, f64); 3] = [("http", 1.3), ("grpc", 1.25), ("unix", 1.3)];

struct Sample {
    micros: Vec<f64>,
    cpu: Duration,
}

/// Measures each transport.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let columns = ["transport", "", "median µs", "p99 µs", "calls/s", "CPU µs a call, this side"];
    let mut table = Table::new(format!("One hook call of {SIZE} bytes, one connection"), &columns);
    for (transport, most) in WAYS {
        say(&format!("plugin served over {transport}"));
        let folder = tempfile::tempdir()?;
        let (server, address) = start(transport, folder.path())?;
        let pipelines = gateway(transport, &address, folder.path()).await?;
        let mut bare = Bare::connect(transport, &address, folder.path()).await?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let seconds = options.seconds.min(SECONDS);
            theirs.push(sample(seconds, async || bare.exchange().await).await?);
            ours.push(sample(seconds, async || call(&pipelines).await).await?);
        }
        drop(server);
        let middle = |samples: &[Sample]| median(samples.iter().map(|one| at(&one.micros, 0.5)));
        let ratio = middle(&ours) / middle(&theirs);
        let what = format!("hook call over {transport} against a bare exchange of the same size");
        report.bound(what, format!("{ratio:.2} times"), format!("under {most} times"), ratio < most);
        for (name, samples) in [("bare", &theirs), ("plugin", &ours)] {
            let calls: usize = samples.iter().map(|one| one.micros.len()).sum();
            let cpu: Duration = samples.iter().map(|one| one.cpu).sum();
            let busy: f64 = samples.iter().map(|one| one.micros.iter().sum::<f64>()).sum();
            table.row([
                transport.to_owned(),
                name.to_owned(),
                format!("{:.0}", middle(samples)),
                format!("{:.0}", median(samples.iter().map(|one| at(&one.micros, 0.99)))),
                format!("{:.0}", calls as f64 * 1e6 / busy),
                format!("{:.0}", cpu.as_secs_f64() * 1e6 / calls as f64),
            ]);
        }
    }
    report.table(table);
    Ok(())
}

/// Asks one after another for so long.
async fn sample(seconds: f64, mut ask: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<Sample> {
    let me = std::process::id();
    let (mut micros, before, began) = (Vec::new(), Usage::of(me)?, Instant::now());
    while began.elapsed().as_secs_f64() < seconds {
        let at = Instant::now();
        ask().await?;
        micros.push(at.elapsed().as_secs_f64() * 1e6);
    }
    let cpu = Usage::of(me)?.cpu_since(&before);
    micros.sort_by(f64::total_cmp);
    Ok(Sample { micros, cpu })
}

/// The number at a share of sorted ones.
fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

fn start(transport: &str, folder: &Path) -> anyhow::Result<(Owned, String)> {
    let (file, ready) = (folder.join("plugins.yaml"), folder.join("ready"));
    let entry = format!(
        "{{ name: {PLUGIN}, kind: builtin.deny_list, hooks: [{HOOK}], config: {{ words: [never] }} }}"
    );
    std::fs::write(&file, format!("plugins:\n  - {entry}\n"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["plugin-server", "--transport", transport, "--config"]).arg(&file);
    match transport {
        "http" => command.args(["--port", "0"]),
        _ => command.arg("--uds").arg(folder.join("p.sock")),
    };
    command
        .arg("--ready-file")
        .arg(&ready)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .env("MORTISE_LOG", "warn");
    let mut server = Owned::spawn(&mut command)?;
    let began = Instant::now();
    loop {
        if let Ok(address) = std::fs::read_to_string(&ready) {
            return Ok((server, address.trim().to_owned()));
        }
        if !server.is_running() || began.elapsed() > PATIENCE {
            bail!("the plugin server over {transport} did not start");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The pipelines of a gateway with the one plugin.
async fn gateway(transport: &str, address: &str, folder: &Path) -> anyhow::Result<Arc<Pipelines>> {
    let framework =
        Framework::builder().runtime(ExternalRuntime::new(Arc::new(HookTable::standard()))).build();
    let mut entry = PluginEntry::new(PLUGIN, "external");
    entry.hooks = vec![HOOK.to_owned()];
    let socket = folder.join("p.sock");
    let block = |value: Value| value.as_object().cloned();
    match transport {
        "http" => entry.mcp = block(json!({ "proto": "STREAMABLEHTTP", "url": address })),
        "grpc" => entry.grpc = block(json!({ "uds": socket })),
        _ => entry.unix_socket = block(json!({ "path": socket })),
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

fn context() -> WireContext {
    let global_context = WireGlobal { request_id: "bench".into(), ..WireGlobal::default() };
    WireContext { global_context, ..WireContext::default() }
}

type Client = cpex::plugin_service_client::PluginServiceClient<tonic::transport::Channel>;

/// A client that sends bytes, or messages, that were made before, and reads what comes.
enum Bare {
    Http { stream: TcpStream, request: Vec<u8> },
    Grpc(Box<(Client, cpex::InvokeHookRequest)>),
    Unix { stream: UnixStream, frame: Vec<u8> },
}

impl Bare {
    async fn connect(transport: &str, address: &str, folder: &Path) -> anyhow::Result<Self> {
        let socket = folder.join("p.sock");
        let message = cpex::InvokeHookRequest {
            hook_type: HOOK.into(),
            plugin_name: PLUGIN.into(),
            payload: Some(Struct::Encoded(payload_of(payload().payload())?)),
            context: Some(context_to(&context())),
        };
        Ok(match transport {
            "http" => {
                let authority = address.trim_start_matches("http://").trim_end_matches("/mcp");
                let payload = payload();
                let payload = String::from_utf8_lossy(payload.json(Wire::Json)?);
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"invoke_hook","arguments":{{"hook_type":"{HOOK}","plugin_name":"{PLUGIN}","payload":{payload},"context":{}}}}}}}"#,
                    serde_json::to_string(&context())?
                );
                let request = format!(
                    "POST /mcp HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\naccept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let stream = TcpStream::connect(authority)?;
                stream.set_nodelay(true)?;
                Self::Http { stream, request: request.into_bytes() }
            }
            "grpc" => {
                let endpoint =
                    tonic::transport::Endpoint::from_shared(format!("unix://{}", socket.display()))?;
                let client = cpex::plugin_service_client::PluginServiceClient::new(endpoint.connect().await?);
                Self::Grpc(Box::new((client, message)))
            }
            _ => {
                let body = message.encode_to_vec();
                let mut frame = u32::try_from(body.len())?.to_be_bytes().to_vec();
                frame.extend(body);
                Self::Unix { stream: UnixStream::connect(socket)?, frame }
            }
        })
    }

    async fn exchange(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Http { stream, request } => {
                stream.write_all(request)?;
                let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
                loop {
                    let length = stream.read(&mut piece)?;
                    answer.extend_from_slice(&piece[..length]);
                    let text = String::from_utf8_lossy(&answer);
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    if body.len() >= length.context("a length")?.parse()? {
                        return Ok(());
                    }
                }
            }
            Self::Grpc(grpc) => {
                let (client, message) = &mut **grpc;
                client.invoke_hook(message.clone()).await?;
                Ok(())
            }
            Self::Unix { stream, frame } => {
                stream.write_all(frame)?;
                let mut prefix = [0; 4];
                stream.read_exact(&mut prefix)?;
                let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
                stream.read_exact(&mut body)?;
                Ok(())
            }
        }
    }
}
