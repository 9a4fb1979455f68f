//! `mortise plugins history`: from the state folder, or from a running gateway.

use mortise_gateway::history::History;
use serde_json::Value;

use super::{
    listing::encoded,
    remote::{Remote, ask, state_dir},
};
use crate::{
    Assembly, Exit,
    cli::{Format, HistoryArgs},
    output::{Output, Paint},
};

/// Entries that are looked through for those of one plugin.
const SEARCHED: usize = 10_000;

pub(super) fn history(args: &HistoryArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let entries = if args.source.remote.url.is_some() {
        let remote = match Remote::find(&args.source.remote, &args.source.config, assembly) {
            Ok(remote) => remote,
            Err(problem) => return problem.tell(output),
        };
        let mut path = format!("/api/v1/history?limit={}", args.limit);
        if let Some(name) = &args.name {
            path.push_str(&format!("&plugin={}", encoded(name)));
        }
        ask(&remote, &path)?.as_array().cloned().unwrap_or_default()
    } else {
        let folder = match state_dir(&args.source.config, assembly) {
            Ok(folder) => folder,
            Err(problem) => return problem.tell(output),
        };
        let all = History::new(&folder).last(if args.name.is_some() { SEARCHED } else { args.limit });
        let wanted = all.iter().filter(|entry| args.name.as_deref().is_none_or(|name| entry.is_about(name)));
        wanted.take(args.limit).map(serde_json::to_value).collect::<Result<_, _>>()?
    };
    if args.source.format == Format::Json {
        output.json(&entries.into());
        return Ok(Exit::Ok);
    }
    if entries.is_empty() {
        match &args.name {
            Some(name) => output.say(format!("nothing has been noted of `{name}`")),
            None => output.say("nothing has been noted yet"),
        }
    }
    for entry in &entries {
        show(entry, output);
    }
    Ok(Exit::Ok)
}

fn show(entry: &Value, output: &mut Output) {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let outcome = match text("outcome") {
        "refused" => output.paint(Paint::Warn, "refused"),
        other => other.to_owned(),
    };
    let plugin = entry["plugin"].as_str().map(|name| format!(" plugin {name}")).unwrap_or_default();
    output.line(format!(
        "{}  snapshot {}  {outcome}{plugin}  by {}: {}",
        to_milliseconds(text("at")),
        entry["snapshot"],
        text("source"),
        text("who")
    ));
    let list = |key: &str| entry[key].as_array().into_iter().flatten();
    for changed in list("changes") {
        output.line(format!("    {}", change(changed)));
    }
    if let Some(more) = entry["more_changes"].as_u64() {
        output.line(format!("    and {more} more changes"));
    }
    for reason in list("reasons").filter_map(Value::as_str) {
        output.line(format!("    {reason}"));
    }
    for setting in list("waiting").filter_map(Value::as_str) {
        output.line(format!("    `{setting}` waits for a restart"));
    }
}

/// A point in time without the digits that nobody compares by eye.
fn to_milliseconds(at: &str) -> String {
    match at.split_once('.') {
        Some((seconds, fraction)) if fraction.len() > 4 && fraction.is_ascii() => {
            format!("{seconds}.{}Z", &fraction[..3])
        }
        _ => at.to_owned(),
    }
}

/// A difference in one line.
pub(super) fn change(change: &Value) -> String {
    let value = |key: &str| change.get(key).map(Value::to_string);
    let values = match (value("from"), value("to")) {
        (Some(from), Some(to)) => format!(": {from} -> {to}"),
        (Some(one), None) | (None, Some(one)) => format!(": {one}"),
        (None, None) => String::new(),
    };
    format!(
        "{:<8} {}{values}",
        change["change"].as_str().unwrap_or_default(),
        change["path"].as_str().unwrap_or_default()
    )
}
