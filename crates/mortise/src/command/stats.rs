//! `mortise plugins stats`: what the plugins of a running gateway counted.

use http::Method;
use serde_json::Value;

use super::change::{send, tell_refusal};
use crate::{
    Assembly, Exit,
    cli::{Format, StatsArgs},
    output::Output,
};

pub(super) fn stats(args: &StatsArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let (method, path) = match args.reset {
        true => (Method::POST, "/api/v1/plugin-stats/reset"),
        false => (Method::GET, "/api/v1/plugin-stats"),
    };
    let (status, answer) = match send(&args.source, method, path, None, assembly) {
        Ok(sent) => sent,
        Err(problem) => return problem.tell(output),
    };
    if args.source.format == Format::Json {
        output.json(&answer);
        return Ok(if status.is_success() { Exit::Ok } else { Exit::Failed });
    }
    if !status.is_success() {
        tell_refusal(status, &answer, output);
        return Ok(Exit::Failed);
    }
    show(if args.reset { &answer["before"] } else { &answer }, output);
    if args.reset {
        output.say("counted anew from now on");
    }
    Ok(Exit::Ok)
}

fn show(stats: &Value, output: &mut Output) {
    let milliseconds = |plugin: &Value, key: &str| {
        let seconds = plugin["duration_seconds"][key].as_f64().unwrap_or_default();
        format!("{:.3}", seconds * 1_000.0)
    };
    let sum = |map: &Value| {
        let counts = map.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64());
        counts.sum::<u64>().to_string()
    };
    let plugins = stats["plugins"].as_array().into_iter().flatten();
    // Only those in processes of their own have memory apart.
    let anywhere = plugins.clone().any(|plugin| plugin["memory_usage_bytes"].is_u64());
    let memory = |plugin: &Value| match plugin["memory_usage_bytes"].as_f64() {
        Some(bytes) => format!("{:.1}", bytes / f64::from(1 << 20)),
        None => "-".to_owned(),
    };
    let rows: Vec<Vec<String>> = plugins
        .map(|plugin| {
            let mut row = vec![
                plugin["name"].as_str().unwrap_or_default().to_owned(),
                plugin["executions"].to_string(),
                plugin["executions_by_status"]["block"].to_string(),
                sum(&plugin["would_have_blocked"]),
                sum(&plugin["errors"]),
                milliseconds(plugin, "avg"),
                milliseconds(plugin, "p99"),
                milliseconds(plugin, "max"),
            ];
            row.extend(anywhere.then(|| memory(plugin)));
            row
        })
        .collect();
    if rows.is_empty() {
        output.say("no plugins are configured");
        return;
    }
    let head = ["NAME", "CALLS", "BLOCKED", "WOULD BLOCK", "ERRORS", "AVG ms", "P99 ms", "MAX ms", "MiB"];
    output.table(&head[..head.len() - usize::from(!anywhere)], &rows);
}
