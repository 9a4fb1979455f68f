//! `mortise reload`.

use mortise_gateway::history::Outcome;
use serde_json::Value;

use super::{
    listing::encoded,
    remote::{Remote, tell},
};
use crate::{
    Assembly, Exit,
    cli::{Format, ReloadArgs},
    output::Output,
};

pub(super) fn reload(args: &ReloadArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let mut which = args.remote.clone();
    which.url.get_or_insert_with(|| "local".to_owned());
    let remote = match Remote::find(&which, &args.config, assembly) {
        Ok(remote) => remote,
        Err(problem) => return problem.tell(output),
    };
    let path = match &args.plugin {
        Some(name) => format!("/plugins/reload/{}", encoded(name)),
        None => "/api/v1/reload".to_owned(),
    };
    let (status, answer) = tell(&remote, &path)?;
    if args.format == Format::Json {
        output.json(&answer);
        return Ok(if status.is_success() { Exit::Ok } else { Exit::Failed });
    }
    if !status.is_success() {
        let reasons: Vec<&str> =
            answer["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for reason in &reasons {
            output.error(&anyhow::anyhow!("{reason}"));
        }
        let detail = answer["detail"].as_str().unwrap_or("no reason given");
        if reasons.is_empty() {
            output.error(&anyhow::anyhow!("the gateway answered {status}: {detail}"));
        } else {
            output.say(detail);
        }
        return Ok(Exit::Failed);
    }
    let snapshot = &answer["snapshot"];
    if answer["outcome"] == Outcome::Unchanged.word() {
        output.say(format!("nothing has changed; snapshot {snapshot} stays in force"));
    } else {
        output.say(format!("snapshot {snapshot} is in force"));
    }
    for change in answer["changes"].as_array().into_iter().flatten() {
        output.line(format!("  {}", super::history::change(change)));
    }
    for setting in answer["waiting_for_restart"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output.say(format!("`{setting}` has changed and takes effect after a restart"));
    }
    Ok(Exit::Ok)
}
