//! `mortise explain`: what became of a call, from a running gateway.

use serde_json::Value;

use super::{
    listing::encoded,
    remote::{Remote, ask},
};
use crate::{
    Assembly, Exit,
    cli::{ExplainArgs, Format},
    output::{Output, Paint},
};

/// Differences shown of one plugin at one hook.
const MOST_CHANGES: usize = 12;

pub(super) fn explain(args: &ExplainArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let remote = match Remote::running(&args.source.remote, &args.source.config, assembly) {
        Ok(remote) => remote,
        Err(problem) => return problem.tell(output),
    };
    let id = match &args.id {
        Some(id) => Some(id.clone()),
        None if args.last => match calls(&remote, args, 1)?.first() {
            Some(call) => Some(call["request_id"].as_str().unwrap_or_default().to_owned()),
            None => {
                output.say("no call is kept that fits");
                return Ok(Exit::Failed);
            }
        },
        None => None,
    };
    let Some(id) = id else {
        let calls = calls(&remote, args, args.limit)?;
        if args.source.format == Format::Json {
            output.json(&calls.into());
        } else {
            list(&calls, output);
        }
        return Ok(Exit::Ok);
    };
    let call = ask(&remote, &format!("/api/v1/calls/{}", encoded(&id)))?;
    if args.source.format == Format::Json {
        output.json(&call);
    } else {
        show(&call, output);
    }
    Ok(Exit::Ok)
}

fn calls(remote: &Remote, args: &ExplainArgs, limit: usize) -> anyhow::Result<Vec<Value>> {
    let mut path = format!("/api/v1/calls?limit={limit}");
    for (key, value) in [("plugin", &args.plugin), ("tool", &args.tool), ("since", &args.since)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", encoded(value)));
        }
    }
    if args.blocked {
        path.push_str("&blocked=true");
    }
    Ok(ask(remote, &path)?.as_array().cloned().unwrap_or_default())
}

/// One line for each call.
fn list(calls: &[Value], output: &mut Output) {
    if calls.is_empty() {
        output.say("no call is kept that fits");
        return;
    }
    let rows: Vec<Vec<String>> = calls
        .iter()
        .map(|call| {
            let blocked = call["blocked_by"].as_str().map(|plugin| format!(" by {}", or_gateway(plugin)));
            vec![
                text(call, "at"),
                text(call, "request_id"),
                text(call, "method"),
                text(call, "subject"),
                time(&call["took_us"]),
                format!("{}{}", text(call, "outcome"), blocked.unwrap_or_default()),
            ]
        })
        .collect();
    output.table(&["AT", "REQUEST", "METHOD", "ABOUT", "TIME", "OUTCOME"], &rows);
}

/// Everything that is known of a call.
fn show(call: &Value, output: &mut Output) {
    let outcome = text(call, "outcome");
    let paint = match &*outcome {
        "ok" => Paint::Good,
        "cancelled" => Paint::Warn,
        _ => Paint::Bad,
    };
    let by = call["blocked_by"].as_str().map(|plugin| format!(" by {}", or_gateway(plugin)));
    let by =
        by.or_else(|| call["served_by"].as_str().map(|_| format!(", served by {}", text(call, "served_by"))));
    let outcome = output.paint(paint, &format!("{outcome}{}", by.unwrap_or_default()));
    let what = [text(call, "method"), text(call, "subject")].join(" ");
    output.line(format!("{}: {outcome} in {}", what.trim(), time(&call["took_us"])));
    output.line(format!("  request   {}", text(call, "request_id")));
    output.line(format!("  at        {}, snapshot {}", text(call, "at"), call["snapshot"]));
    let who: Vec<String> = ["app", "user", "tenant"]
        .into_iter()
        .filter_map(|key| Some(format!("{key} {}", call[key].as_str()?)))
        .collect();
    if !who.is_empty() {
        output.line(format!("  caller    {}", who.join(", ")));
    }
    if let Some(upstream) = call["upstream"].as_str() {
        let took = match call["upstream_us"].as_f64() {
            Some(micros) if micros > 0.0 => time(&call["upstream_us"]),
            _ => "not asked".to_owned(),
        };
        output.line(format!("  upstream  {upstream}, {took}"));
    }
    for attempt in list_of(call, "attempts") {
        let (at, took) = (time(&attempt["at_us"]), time(&attempt["took_us"]));
        let (upstream, came) = (text(attempt, "upstream"), text(attempt, "came"));
        output.line(format!("  attempt   {upstream} at {at}: {came} after {took}"));
    }
    let hooks = list_of(call, "hooks");
    if hooks.is_empty() {
        output.line("  no plugin stands at a hook of this call");
    }
    for hook in hooks {
        output.line("");
        show_hook(hook, output);
    }
}

fn show_hook(hook: &Value, output: &mut Output) {
    let name = output.paint(Paint::Bold, &text(hook, "hook"));
    let end = match &*text(hook, "end") {
        "ok" => String::new(),
        end => format!(", told that the call ended as {end}"),
    };
    output.line(format!("{name} at {}, took {}{end}", time(&hook["at_us"]), time(&hook["took_us"])));
    if hook["finished"] == false {
        output.line("  the client left while its plugins ran");
        return;
    }
    let plugins = list_of(hook, "plugins");
    let width = plugins.iter().map(|plugin| text(plugin, "plugin").chars().count()).max().unwrap_or(0);
    for plugin in plugins {
        let status = text(plugin, "status");
        let paint = match &*status {
            "block" | "error" => Paint::Bad,
            "change" | "would_block" | "serve" => Paint::Warn,
            _ => Paint::Good,
        };
        let status = output.paint(paint, &format!("{status:<11}"));
        output.line(format!(
            "  {:<width$}  {status}  {:>9}",
            text(plugin, "plugin"),
            time(&plugin["took_us"])
        ));
        let changes = list_of(plugin, "changes");
        for change in changes.iter().take(MOST_CHANGES) {
            show_change(change, output);
        }
        let hidden = changes.len().saturating_sub(MOST_CHANGES) as u64;
        let more = plugin["more_changes"].as_u64().unwrap_or(0) + hidden;
        if more > 0 {
            output.line(format!("      and {more} more"));
        }
    }
    if let Some(block) = hook["blocked"].as_object() {
        let block = Value::Object(block.clone());
        let by = text(&block, "plugin");
        let (by, code) = (or_gateway(&by), output.paint(Paint::Bad, &text(&block, "code")));
        let description = match &*text(&block, "description") {
            "" => String::new(),
            description => format!(" ({description})"),
        };
        output.line(format!("  blocked by {by}: {code} - {}{description}", text(&block, "reason")));
        if let Some(details) = block["details"].as_object().filter(|details| !details.is_empty()) {
            output.line(format!("      {}", Value::Object(details.clone())));
        }
    }
    for absent in list_of(hook, "did_not_run") {
        let why = match &*text(absent, "why") {
            "not_matched" => "its conditions or its binding do not match this call",
            "over" => "the call was over before its turn, or before it had answered",
            "not_before" => "it did not run at the hook before",
            "not_told" => "plugins in other processes are not told of calls that ended so",
            "background" => "it runs in the background",
            "off" => "it failed earlier and is switched off",
            _ => "nobody knows why",
        };
        let line = format!("  {:<width$}  did not run: {why}", text(absent, "plugin"));
        let line = output.paint(Paint::Dim, &line);
        output.line(line);
    }
}

fn show_change(change: &Value, output: &mut Output) {
    let bytes = |key: &str| change[key].as_u64();
    let size = match (bytes("bytes_before"), bytes("bytes_after")) {
        (Some(before), Some(after)) => format!("{before} -> {after} bytes"),
        (None, Some(after)) => format!("{after} bytes added"),
        (Some(before), None) => format!("{before} bytes removed"),
        (None, None) => String::new(),
    };
    let stretches: Vec<String> = list_of(change, "stretches")
        .iter()
        .map(|stretch| format!("{} -> {} at {}", stretch["removed"], stretch["inserted"], stretch["at"]))
        .collect();
    let stretches = match stretches.len() {
        0 => String::new(),
        _ => format!(" ({})", stretches.join(", ")),
    };
    output.line(format!("      {}: {size}{stretches}", text(change, "path")));
    for (key, sign, paint) in [("before", "-", Paint::Bad), ("after", "+", Paint::Good)] {
        let shown = match &change[key] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        for line in shown.lines() {
            let line = output.paint(paint, &format!("        {sign} {}", line.escape_debug()));
            output.line(line);
        }
    }
}

fn or_gateway(plugin: &str) -> &str {
    if plugin.is_empty() { "the gateway" } else { plugin }
}

/// A text as a terminal may be shown it: names are clients' own, and could hold anything.
pub(super) fn text(value: &Value, key: &str) -> String {
    let text = value[key].as_str().unwrap_or_default();
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn list_of<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Microseconds for people: `12 µs`, `3.4 ms`, `1.25 s`.
pub(super) fn time(micros: &Value) -> String {
    let micros = micros.as_f64().unwrap_or(0.0);
    match micros {
        _ if micros < 10.0 => format!("{micros:.1} µs"),
        _ if micros < 1_000.0 => format!("{micros:.0} µs"),
        _ if micros < 1_000_000.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}
