//! `mortise coverage`: which plugins would run where, asked of a running gateway, or worked out for a configuration.

mod offline;

use anyhow::bail;
use mortise_gateway::coverage::{AtHook, Covered, Hole, OnePlugin, Report};
use serde_json::Value;

use super::{
    NotSettled,
    listing::encoded,
    remote::{Remote, ask},
};
use crate::{
    Assembly, Exit,
    cli::{CoverageArgs, Format},
    output::{Output, Paint},
};

/// Holes that are told one by one, for people.
const TOLD: usize = 50;

pub(super) fn coverage(
    args: &CoverageArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let who = who(&args.who)?;
    let found =
        if args.offline { offline::report(args, &who, assembly) } else { running(args, &who, assembly) };
    let (report, answer) = match found {
        Ok(found) => found,
        Err(problem) => return problem.tell(output),
    };
    let exit = if report.complete { Exit::Ok } else { Exit::Failed };
    if args.format == Format::Json {
        output.json(&answer);
        return Ok(exit);
    }
    table(&report, args.uncovered, output);
    verdict(&report, output);
    Ok(exit)
}

/// A report, and as the API words it.
type Found = (Report, Value);

/// What a running gateway says.
fn running(args: &CoverageArgs, who: &[(String, String)], assembly: &Assembly) -> Result<Found, NotSettled> {
    let named = args.remote.url.is_some();
    let remote = Remote::running(&args.remote, &args.config, assembly).map_err(|problem| match problem {
        NotSettled::Other(error) if !named => NotSettled::Other(
            error.context("a gateway is asked, unless --offline says to judge the configuration itself"),
        ),
        other => other,
    })?;
    let pairs: Vec<String> = who.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    let asked = ask(&remote, &format!("/api/v1/coverage{query}")).and_then(|answer| {
        let report: Report = serde_json::from_value(answer.clone())?;
        Ok((report, answer))
    });
    asked.map_err(NotSettled::Other)
}

/// The pairs of `--as app=ci,team=a,team=b`.
fn who(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |pair: &String| -> anyhow::Result<_> {
        match pair.split_once('=') {
            Some((key @ ("app" | "user" | "tenant" | "team"), value)) => {
                Ok((key.to_owned(), value.to_owned()))
            }
            _ => bail!("`--as {pair}` is none of app=NAME, user=NAME, tenant=NAME, team=NAME"),
        }
    };
    given.iter().map(pair).collect()
}

fn table(report: &Report, uncovered: bool, output: &mut Output) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (item, places) in merged(&report.items) {
        let mut head = [name(item), places.join(", ")];
        for at in &item.hooks {
            let bare = !at.plugins.iter().any(|plugin| plugin.runs == "always");
            // Few plugins stand around requests and upstreams as such; nothing there is nothing to tell.
            let minor = matches!(&*item.kind, "request" | "upstream") && at.plugins.is_empty();
            if minor || (uncovered && !bare) {
                continue;
            }
            let [first, second] = std::mem::take(&mut head);
            rows.push(vec![first, second, at.hook.clone(), plugins(at)]);
        }
    }
    if rows.is_empty() {
        output.say(if uncovered { "a plugin runs at every hook" } else { "nothing is listed yet" });
        return;
    }
    output.table(&["WHAT", "THROUGH", "HOOK", "PLUGINS"], &rows);
}

/// Items that are the same at several places, once.
fn merged(items: &[Covered]) -> Vec<(&Covered, Vec<String>)> {
    let mut merged: Vec<(&Covered, Vec<String>)> = Vec::new();
    let mut known: std::collections::HashMap<(&str, &str, &str), Vec<usize>> =
        std::collections::HashMap::new();
    for item in items {
        let place = match &item.server {
            Some(server) => server.clone(),
            None => "/mcp".to_owned(),
        };
        let upstream = item.upstream.as_deref().unwrap_or_default();
        let alike = known.entry((&item.kind, &item.name, upstream)).or_default();
        match alike.iter().find(|at| merged[**at].0.hooks == item.hooks) {
            Some(at) => merged[*at].1.push(place),
            None => {
                alike.push(merged.len());
                merged.push((item, vec![place]));
            }
        }
    }
    merged
}

fn name(item: &Covered) -> String {
    let kind = item.kind.replace('_', " ");
    match item.upstream.as_deref().filter(|upstream| *upstream != item.name) {
        Some(upstream) => format!("{kind} {} ({upstream})", item.name),
        None => format!("{kind} {}", item.name),
    }
}

fn plugins(at: &AtHook) -> String {
    let all: Vec<String> = at.plugins.iter().map(plugin).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

fn plugin(plugin: &OnePlugin) -> String {
    let mode = serde_json::to_value(plugin.mode).ok();
    let mode = mode.as_ref().and_then(|mode| mode.as_str()).filter(|mode| *mode != "enforce");
    let runs = match &*plugin.runs {
        "depends" => Some(depends(&plugin.depends_on)),
        "unavailable" if plugin.refuses == Some(true) => Some("unavailable, calls are refused".to_owned()),
        "unavailable" => Some("unavailable, calls pass without it".to_owned()),
        _ => None,
    };
    let stream = plugin.stream.as_deref().map(|stream| format!("stream: {stream}"));
    let notes: Vec<String> = mode.map(str::to_owned).into_iter().chain(runs).chain(stream).collect();
    if notes.is_empty() { plugin.name.clone() } else { format!("{} ({})", plugin.name, notes.join("; ")) }
}

fn depends(on: &[String]) -> String {
    let caller = |word: &&String| matches!(word.as_str(), "app" | "user" | "tenant" | "team");
    let who: Vec<&str> = on.iter().filter(caller).map(String::as_str).collect();
    let what: Vec<&str> = on.iter().filter(|word| !caller(word)).map(String::as_str).collect();
    let who = (!who.is_empty()).then(|| format!("depends on caller: {}", who.join(", ")));
    let what = (!what.is_empty()).then(|| format!("depends on {}", what.join(", ").replace('_', " ")));
    who.into_iter().chain(what).collect::<Vec<_>>().join("; ")
}

/// What is missing, and what could not be looked at.
fn verdict(report: &Report, output: &mut Output) {
    for hole in report.holes.iter().take(TOLD) {
        let label = output.paint(Paint::Bad, "hole");
        output.line(format!("{label}: {}", told(hole)));
    }
    if report.holes.len() > TOLD {
        output.line(format!("and {} more holes; --format json has all", report.holes.len() - TOLD));
    }
    for upstream in &report.unlisted {
        let label = output.paint(Paint::Warn, "unknown");
        output.line(format!("{label}: the upstream {upstream} has never said what it has"));
    }
    for idle in &report.idle {
        let label = output.paint(Paint::Bad, "nothing to guard");
        output.line(format!(
            "{label}: bindings[{}] requires {}, and {}",
            idle.binding, idle.plugin, idle.reason
        ));
    }
}

fn told(hole: &Hole) -> String {
    let place = match &hole.server {
        Some(server) => format!(" through the server {server}"),
        None => String::new(),
    };
    let hook = hole.hook.as_ref().map(|hook| format!(" at {hook}")).unwrap_or_default();
    format!(
        "{} is required by bindings[{}] and would not run for the {} {}{place}{hook}: {}",
        hole.plugin,
        hole.binding,
        hole.kind.replace('_', " "),
        hole.name,
        hole.reason
    )
}
