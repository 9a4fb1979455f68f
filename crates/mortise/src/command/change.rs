//! Changing a running gateway: `mortise plugins enable`, `disable`, `set` and `reset`, and how the outcome of any
//! change is told.

use anyhow::{Context, anyhow, bail};
use http::{Method, StatusCode};
use mortise_framework::config::{Node, Override, Source};
use mortise_gateway::history::Outcome;
use serde_json::{Map, Value, json};

use super::{
    NotSettled,
    listing::encoded,
    read,
    remote::{Remote, tell},
};
use crate::{
    Assembly, Exit,
    cli::{DisableArgs, EnableArgs, Format, ResetArgs, SetArgs, SourceArgs, WhichArgs},
    output::Output,
};

pub(super) fn enable(args: &EnableArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    switch(&args.which, true, &args.source, assembly, output)
}

pub(super) fn disable(args: &DisableArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    switch(&args.which, false, &args.source, assembly, output)
}

pub(super) fn set(args: &SetArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let mut body = Map::new();
    if let Some(mode) = &args.mode {
        body.insert("mode".to_owned(), mode.as_str().into());
    }
    if let Some(priority) = args.priority {
        body.insert("priority".to_owned(), priority.into());
    }
    match config(args) {
        Ok(config) if config.is_empty() => {}
        Ok(config) => {
            body.insert("config".to_owned(), config.into());
        }
        Err(problem) => return problem.tell(output),
    }
    if body.is_empty() {
        bail!("nothing to set: give --mode, --priority, KEY=VALUE or --from FILE");
    }
    let sent = send(&args.source, Method::PATCH, &plugin_path(&args.name, ""), Some(&body.into()), assembly);
    tell_outcome(sent, args.source.format, output)
}

pub(super) fn reset(args: &ResetArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let path = match &args.which.name {
        Some(name) => plugin_path(name, "/override"),
        None => "/api/v1/overrides".to_owned(),
    };
    let sent = send(&args.source, Method::DELETE, &path, None, assembly);
    tell_outcome(sent, args.source.format, output)
}

fn switch(
    which: &WhichArgs,
    enabled: bool,
    source: &SourceArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let path = match &which.name {
        Some(name) => plugin_path(name, ""),
        None => "/api/v1/plugins".to_owned(),
    };
    let sent = send(source, Method::PATCH, &path, Some(&json!({ "enabled": enabled })), assembly);
    tell_outcome(sent, source.format, output)
}

fn plugin_path(name: &str, rest: &str) -> String {
    format!("/api/v1/plugins/{}{rest}", encoded(name))
}

/// The keys that are to be laid over a plugin's configuration: those of the file, over them those of the command line.
fn config(args: &SetArgs) -> Result<Map<String, Value>, NotSettled> {
    let mut config = Node::empty_map(Source::from_text("", "").start());
    if let Some(file) = &args.from {
        let text = read(file).and_then(|text| String::from_utf8(text).context("this is no text"));
        let text = text.map_err(NotSettled::Other)?;
        config = Node::parse(&file.display().to_string(), &text)
            .map_err(mortise_framework::config::Errors::from)?;
        if config.as_map().is_none() {
            return Err(NotSettled::Other(anyhow!("{} holds no keys", file.display())));
        }
    }
    for given in &args.keys {
        let (key, value) = given.split_once('=').ok_or_else(|| {
            NotSettled::Other(anyhow!("`{given}` has no `=`: write for example detect_email=false"))
        })?;
        let value = Override::from_flag(key.trim(), key.trim(), value);
        let applied = value.and_then(|value| value.laid_on(&mut config));
        applied.map_err(mortise_framework::config::Errors::from)?;
    }
    match config.to_json() {
        Value::Object(config) => Ok(config),
        _ => Ok(Map::new()),
    }
}

/// What a gateway said to a change.
pub(super) type Sent = Result<(StatusCode, Value), NotSettled>;

/// Has a gateway do something: the one that runs with this configuration, where no other is named.
pub(super) fn send(
    source: &SourceArgs,
    method: Method,
    path: &str,
    body: Option<&Value>,
    assembly: &Assembly,
) -> Sent {
    let mut which = source.remote.clone();
    which.url.get_or_insert_with(|| "local".to_owned());
    let remote = Remote::find(&which, &source.config, assembly)?;
    tell(&remote, method, path, body).map_err(NotSettled::Other)
}

/// Tells what became of a change.
pub(super) fn tell_outcome(sent: Sent, format: Format, output: &mut Output) -> anyhow::Result<Exit> {
    let (status, answer) = match sent {
        Ok(sent) => sent,
        Err(problem) => return problem.tell(output),
    };
    if format == Format::Json {
        output.json(&answer);
        return Ok(if status.is_success() { Exit::Ok } else { Exit::Failed });
    }
    if !status.is_success() {
        tell_refusal(status, &answer, output);
        return Ok(Exit::Failed);
    }
    let snapshot = &answer["snapshot"];
    if answer["outcome"] == Outcome::Unchanged.word() {
        output.say(format!("nothing has changed; snapshot {snapshot} stays in force"));
    } else {
        output.say(format!("snapshot {snapshot} is in force"));
    }
    let list = |key: &str| answer[key].as_array().into_iter().flatten();
    for change in list("changes") {
        output.line(format!("  {}", super::history::change(change)));
    }
    for setting in list("waiting_for_restart").filter_map(Value::as_str) {
        output.say(format!("`{setting}` has changed and takes effect after a restart"));
    }
    for notice in list("notices").filter_map(Value::as_str) {
        output.say(format!("notice: {notice}"));
    }
    if answer["plugins_enabled"] == false {
        output.say("plugins are switched off: calls pass unguarded");
    }
    Ok(Exit::Ok)
}

/// Tells why something was not done.
pub(super) fn tell_refusal(status: StatusCode, answer: &Value, output: &mut Output) {
    let reasons: Vec<&str> =
        answer["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for reason in &reasons {
        output.error(&anyhow!("{reason}"));
    }
    let detail = answer["detail"].as_str().unwrap_or("no reason given");
    if reasons.is_empty() {
        output.error(&anyhow!("the gateway answered {status}: {detail}"));
    } else {
        output.say(detail);
    }
}
