//! Requests to a model: direct, through nginx, and through the gateway, which passes them on as they are.
//!
//! The vendor is a server that answers every request at once with the same completion, so what is compared is what
//! stands between: nginx as a plain proxy, and the gateway with its routing, rules and records.

use std::net::Ipv4Addr;

use mortise_testkit::load::Request;

use crate::{
    Options,
    gateway::missing,
    plans::Plan,
    posts,
    report::{Report, Table, percent},
    rounds::{self, Measured, Target},
    servers::{Gateway, Server, Setup},
};

/// Text of a request and of its answer, in bytes.
const SIZE: usize = 600;
/// Connections at once, by which the tables are made.
const CONNECTIONS: [usize; 3] = [1, 64, 512];
/// The one that the bound is about.
const BOUND_AT: usize = 64;
/// Longest time under load in a round, in seconds.
const SECONDS: f64 = 3.0;
/// The share of nginx's throughput that is asked for.
const SHARE: f64 = 0.60;

const NGINX: &str = "nginx";
const NONE: &str = "gateway, no plugin";
const PATH: &str = "/v1/chat/completions";

/// This program as the vendor.
pub(crate) fn run_vendor(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let answer = completion().into_bytes();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(posts::serve(listener, move |_| Some(answer.clone())).await?)
    })
}

/// What the vendor answers: the shape of a chat completion.
fn completion() -> String {
    let text = "It depends on what you mean by that. ".repeat(SIZE / 37);
    serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "small",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 120, "completion_tokens": 130, "total_tokens": 250 },
    })
    .to_string()
}

fn request(server: &Server) -> anyhow::Result<Request> {
    let text = "What does the minute book say of the harvest? ".repeat(SIZE / 46);
    let body = serde_json::json!({ "model": "small", "messages": [{ "role": "user", "content": text }] });
    let url = server.url().replace("/mcp", PATH);
    Ok(Request::post(&url, &[], &body.to_string(), "chat.completion")?)
}

/// Measures the vendor, nginx and gateways with no plugin and five that do nothing.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (vendor, tools) = (Server::vendor()?, Server::upstream()?);
    let mut servers = vec![("vendor alone", None)];
    match Server::nginx(&options.nginx, &vendor, folder.path()) {
        Ok(nginx) => servers.push((NGINX, Some(nginx))),
        Err(error) => report.note(format!("Without nginx: {error:#}.")),
    }
    let gateway = Gateway::choose(options.gateway.as_deref())?;
    let endpoint = vendor.url().replace("/mcp", "/v1");
    let llms = format!("llms:\n  fake: {{ endpoint: \"{endpoint}\", api_key: key }}\n");
    for (name, plan) in [(NONE, Plan::Noop(0)), ("gateway, 5 that do nothing", Plan::Noop(5))] {
        if missing(&gateway, plan).is_empty() {
            let setup = Setup::new(plan, &tools).with(&llms);
            servers.push((name, Some(Server::gateway_of(&gateway, &setup, folder.path())?)));
        }
    }
    let targets = servers.iter().map(|(name, server)| {
        let server = server.as_ref().unwrap_or(&vendor);
        Ok(Target { name: (*name).to_owned(), server, request: request(server)? })
    });
    let targets = targets.collect::<anyhow::Result<Vec<_>>>()?;
    let columns =
        ["connections", "server", "calls/s", "of nginx", "CPU µs per call", "p50 µs", "p99 µs", "errors"];
    let mut table = Table::new("Requests to a model, passed through", &columns);
    for connections in CONNECTIONS {
        let options = Options { connections, ..options.lasting(options.rounds, SECONDS) };
        let measured = rounds::closed(&targets, &options).await?;
        if connections == BOUND_AT {
            bound(&measured, report);
        }
        rows(&mut table, connections, &measured);
        rounds::note_errors(&measured, report);
    }
    report.table(table);
    Ok(())
}

fn bound(measured: &[Measured], report: &mut Report) {
    let find = |name: &str| measured.iter().find(|one| one.name == name);
    let (what, least) = (
        "a request to a model without plugins, throughput against nginx",
        format!("over {:.0} %", SHARE * 100.0),
    );
    match (find(NONE), find(NGINX)) {
        (Some(gateway), Some(nginx)) => {
            let share = gateway.share_of(nginx);
            report.bound(what, percent(share), least, share > SHARE);
        }
        _ => report.open(what, least, "a server is missing"),
    }
}

fn rows(table: &mut Table, connections: usize, measured: &[Measured]) {
    let nginx = measured.iter().find(|one| one.name == NGINX);
    for one in measured {
        let (p50, p99) = one.latency_micros();
        table.row([
            connections.to_string(),
            one.name.clone(),
            format!("{:.0}", one.rate()),
            nginx.map_or_else(|| "–".to_owned(), |nginx| percent(one.share_of(nginx))),
            format!("{:.1}", one.cpu_micros()),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
            one.errors.to_string(),
        ]);
    }
}
