//! `mortise plugins list` and `mortise plugins show`: of a configuration, or of a running gateway.

use anyhow::anyhow;
use mortise_framework::config::{PluginEntry, nearest};
use mortise_gateway::{config::Settled, overrides::Configured};
use serde_json::Value;

use super::{
    check::summary,
    remote::{Remote, ask},
    settle,
};
use crate::{
    Assembly, Exit,
    cli::{Format, ListArgs, ShowArgs},
    output::{Output, Paint},
};

pub(super) fn list(args: &ListArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let mut plugins: Vec<Value> = if args.source.remote.url.is_some() {
        match Remote::find(&args.source.remote, &args.source.config, assembly) {
            Ok(remote) => ask(&remote, "/plugins")?.as_array().cloned().unwrap_or_default(),
            Err(problem) => return problem.tell(output),
        }
    } else {
        match settle(&args.source.config, assembly) {
            Ok(settled) => {
                let idle = assembly.framework.idle(&settled.plan.entries);
                let entries = settled.plan.entries.iter();
                entries.map(|entry| with_override(summary(entry, &idle, assembly), entry, &settled)).collect()
            }
            Err(problem) => return problem.tell(output),
        }
    };
    plugins.sort_by_key(|plugin| plugin["priority"].as_i64());
    if args.source.format == Format::Json {
        output.json(&plugins.into());
        return Ok(Exit::Ok);
    }
    if plugins.is_empty() {
        output.say("no plugins are configured");
        return Ok(Exit::Ok);
    }
    let text = |plugin: &Value, key: &str| plugin[key].as_str().unwrap_or_default().to_owned();
    let confined = plugins.iter().any(|plugin| plugin["sandbox"].is_string());
    let rows: Vec<Vec<String>> = plugins
        .iter()
        .map(|plugin| {
            let hooks = plugin["hooks"]
                .as_array()
                .map(|hooks| hooks.iter().filter_map(Value::as_str).collect::<Vec<_>>());
            let hooks = hooks.unwrap_or_default().join(", ");
            let mut row = vec![
                text(plugin, "name"),
                text(plugin, "status"),
                plugin["priority"].to_string(),
                text(plugin, "mode"),
                text(plugin, "kind"),
            ];
            row.extend(confined.then(|| plugin["sandbox"].as_str().unwrap_or("-").to_owned()));
            row.push(if hooks.is_empty() { "(its own)".to_owned() } else { hooks });
            row
        })
        .collect();
    // Rules of processes, where there is one.
    let rules = if confined { &["SANDBOX"][..] } else { &[] };
    let heads = [&["NAME", "STATUS", "PRIORITY", "MODE", "KIND"][..], rules, &["HOOKS"]].concat();
    output.table(&heads, &rows);
    let waiting =
        plugins.iter().filter_map(|plugin| Some((text(plugin, "name"), plugin["reason"].as_str()?)));
    for (name, reason) in waiting {
        let name = output.paint(Paint::Warn, &name);
        output.line(format!("{name}: {reason}"));
    }
    for plugin in plugins.iter().filter(|plugin| plugin["override"].is_object()) {
        let name = output.paint(Paint::Warn, &text(plugin, "name"));
        output.line(format!("{name}: {}", overridden(plugin)));
    }
    Ok(Exit::Ok)
}

/// The same with what is changed of it while the gateway runs, as the gateway's own list has it.
fn with_override(mut plugin: Value, entry: &PluginEntry, settled: &Settled) -> Value {
    if let (Some(over), Some(configured)) = (settled.overrides.of(&entry.name), Configured::of(entry)) {
        plugin["override"] = serde_json::to_value(over).unwrap_or_default();
        plugin["configured"] = serde_json::to_value(configured).unwrap_or_default();
    }
    plugin
}

/// What is changed of a plugin, in a line: `override by admin token: mode permissive (configured: enforce)`.
fn overridden(plugin: &Value) -> String {
    let (over, configured) = (&plugin["override"], &plugin["configured"]);
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parts = Vec::new();
    match over["enabled"].as_bool() {
        Some(true) => parts.push("switched on".to_owned()),
        Some(false) => parts.push("switched off".to_owned()),
        None => {}
    }
    for key in ["mode", "priority"] {
        if !over[key].is_null() {
            parts.push(format!("{key} {} (configured: {})", plain(&over[key]), plain(&configured[key])));
        }
    }
    if let Some(config) = over["config"].as_object() {
        parts.push(format!("config {}", config.keys().cloned().collect::<Vec<_>>().join(", ")));
    }
    format!("override by {}: {}", plain(&over["by"]), parts.join(", "))
}

pub(super) fn show(args: &ShowArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let plugin = if args.source.remote.url.is_some() {
        match Remote::find(&args.source.remote, &args.source.config, assembly) {
            Ok(remote) => ask(&remote, &format!("/api/v1/plugins/{}", encoded(&args.name)))?,
            Err(problem) => return problem.tell(output),
        }
    } else {
        let settled = match settle(&args.source.config, assembly) {
            Ok(settled) => settled,
            Err(problem) => return problem.tell(output),
        };
        let names = settled.plan.entries.iter().map(|entry| entry.name.as_str());
        let entry = settled.plan.entries.iter().find(|entry| entry.name == args.name);
        let entry = entry.ok_or_else(|| unknown(&args.name, names))?;
        let idle = assembly.framework.idle(&settled.plan.entries);
        let mut plugin = with_override(summary(entry, &idle, assembly), entry, &settled);
        plugin["conditions"] = serde_json::to_value(&entry.conditions)?;
        plugin["on_error"] = serde_json::to_value(entry.on_error)?;
        plugin["config"] = entry.config.to_masked_json();
        plugin
    };
    if args.source.format == Format::Json {
        output.json(&plugin);
        return Ok(Exit::Ok);
    }
    for (key, value) in plugin.as_object().into_iter().flatten() {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        let shown = match value {
            _ if empty => continue,
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            Value::Object(_) | Value::Array(_) => format!("{value:#}").replace('\n', "\n             "),
            other => other.to_string(),
        };
        let key = output.paint(Paint::Bold, &format!("{key:<12}"));
        output.line(format!("{key} {shown}"));
    }
    Ok(Exit::Ok)
}

/// An error that names what was probably meant.
pub(super) fn unknown<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> anyhow::Error {
    let names: Vec<&str> = names.collect();
    match nearest(name, names.iter().copied()).first() {
        Some(near) => anyhow!("there is no plugin `{name}`; did you mean `{near}`?"),
        None if names.is_empty() => anyhow!("there is no plugin `{name}`: no plugins are configured"),
        None => anyhow!("there is no plugin `{name}`; there are: {}", names.join(", ")),
    }
}

pub(super) fn encoded(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
