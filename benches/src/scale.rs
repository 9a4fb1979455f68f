//! What size costs a call: many plugins whose conditions leave it out, and many tools beside the one it calls.

use std::{fmt::Write, net::Ipv4Addr};

use mortise_testkit::mcp_server::minimal::Minimal;
use serde_json::Value;

use crate::{
    Options,
    gateway::missing,
    plans::{MATCHING, Plan},
    posts,
    report::{Report, Table},
    rounds::{self, Target},
    servers::{Gateway, Server, Setup},
};

/// Plugins of the large case.
const PLUGINS: usize = 1_000;
/// Tools of the large case.
const TOOLS: usize = 10_000;
/// Text of a call, in bytes.
const SIZE: usize = 64;
/// Longest time under load in a round, in seconds.
const SECONDS: f64 = 3.0;

/// Measures a large gateway beside a small one, both with the same plugins that match.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let what = format!(
        "{PLUGINS} plugins with conditions, of which {MATCHING} match, and {TOOLS} tools: CPU time per call against \
         {MATCHING} plugins and one tool"
    );
    let bound = "within 2 times";
    let gateway = Gateway::choose(options.gateway.as_deref())?;
    let (small, large) = (Plan::Conditional(MATCHING), Plan::Conditional(PLUGINS));
    if !missing(&gateway, large).is_empty() {
        report.open(what, bound, "this gateway has no plugins of the test kit");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (few, many) = (Server::listing(1)?, Server::listing(TOOLS)?);
    let servers = [
        ("small", Server::gateway_of(&gateway, &Setup::new(small, &few), folder.path())?),
        ("large", Server::gateway_of(&gateway, &Setup::new(large, &many), folder.path())?),
    ];
    let targets = servers.iter().map(|(name, server)| Target::new(*name, server, SIZE));
    let targets = targets.collect::<anyhow::Result<Vec<_>>>()?;
    let measured = rounds::closed(&targets, &options.lasting(options.rounds, SECONDS)).await?;
    let [small, large] = &measured[..] else { anyhow::bail!("two gateways were measured") };
    let times = large.cpu_against(small);
    report.bound(what, format!("{times:.2} times"), bound, times <= 2.0);
    let columns =
        ["gateway", "plugins", "tools", "ready after ms", "calls/s", "CPU µs per call", "p50 µs", "p99 µs"];
    let mut table = Table::new("Size", &columns);
    let sizes = [(MATCHING, 1), (PLUGINS, TOOLS)];
    for ((one, (_, server)), (plugins, tools)) in measured.iter().zip(&servers).zip(sizes) {
        let (p50, p99) = one.latency_micros();
        table.row([
            one.name.clone(),
            plugins.to_string(),
            tools.to_string(),
            format!("{:.0}", server.start.as_secs_f64() * 1000.0),
            format!("{:.0}", one.rate()),
            format!("{:.1}", one.cpu_micros()),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
        ]);
    }
    report.table(table);
    rounds::note_errors(&measured, report);
    Ok(())
}

/// This program as an upstream with `echo` and further tools, `tools` altogether.
pub(crate) fn run_listing(port: u16, tools: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (minimal, list) = (Minimal::new(), std::sync::Arc::<str>::from(list(tools)));
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let answer = move |body: &[u8]| match listed(body, &list) {
            Some(answer) => Some(answer.into_bytes()),
            None => minimal.answer(body).map(|answer| answer.to_vec()),
        };
        Ok(posts::serve(listener, answer).await?)
    })
}

/// The answer to `tools/list`; `None` to any other message.
fn listed(body: &[u8], list: &str) -> Option<String> {
    const METHOD: &[u8] = br#""tools/list""#;
    // Looked for first: nearly every message is a call.
    if !body.windows(METHOD.len()).any(|window| window == METHOD) {
        return None;
    }
    let message: Value = serde_json::from_slice(body).ok()?;
    (message["method"] == "tools/list")
        .then(|| format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[{list}]}}}}"#, message["id"]))
}

fn list(tools: usize) -> String {
    let mut list = String::new();
    for number in 0..tools {
        let (comma, name) =
            if number == 0 { ("", "echo".to_owned()) } else { (",", format!("tool-{number}")) };
        // Writing to a string cannot fail.
        let _ = write!(
            list,
            r#"{comma}{{"name":"{name}","description":"Answers its text.","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string"}}}},"required":["text"]}}}}"#
        );
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_so_many_tools_and_only_a_request_for_it_is_answered_with_it() {
        let list = list(3);
        let answer = listed(br#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#, &list).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["id"], "a");
        let tools = answer["result"]["tools"].as_array().unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["echo", "tool-1", "tool-2"]);
        let call = br#"{"id":1,"method":"tools/call","params":{"arguments":{"text":"tools/list"}}}"#;
        assert_eq!(listed(call, &list), None);
    }
}
