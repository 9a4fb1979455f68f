//! `mortise replay`: recorded inputs through another configuration, and what it decides otherwise.
//!
//! Each call's hooks run in their order with one memory for the request, as in a gateway; the answer of the upstream is
//! the recorded one. Nothing leaves: no upstream is called, and plugins that only watch (an audit log, the background)
//! are left out, so that a replay writes no log.

mod difference;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, anyhow};
use mortise_framework::{
    Contexts, Framework, Outcome, Pipelines, Plan, Status,
    config::{Mode, PluginEntry},
};
use mortise_gateway::{
    host::HttpService,
    trace::recording::{Decision, RecordedCall, RecordedRequest},
};
use mortise_plugin_api::{Caller, Request, Revision, Wire};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{NotSettled, block_on, read, settle};
use crate::{
    Assembly, Exit,
    cli::{ConfigArgs, Format, ReplayArgs},
    output::{Output, Paint, counted},
};
use difference::{Difference, compared};

/// Kinds that only write down what they see.
const WATCHERS: [&str; 1] = ["audit_logger"];

/// Paths named of one difference.
const MOST_PATHS: usize = 8;

pub(super) fn replay(args: &ReplayArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let calls = RecordedCall::read(&read(&args.file)?, assembly.framework.hooks())
        .with_context(|| format!("cannot replay {}", args.file.display()))?;
    if calls.is_empty() {
        output.say(format!("{} holds no calls", args.file.display()));
    }
    let would = match decisions(&args.with, &calls, assembly)? {
        Ok(would) => would,
        Err(problem) => return problem.tell(output),
    };
    let against = match &args.against[..] {
        [] => None,
        files => match decisions(files, &calls, assembly)? {
            Ok(against) => Some(against),
            Err(problem) => return problem.tell(output),
        },
    };
    let report = Report::of(&calls, &would, against.as_deref());
    match args.format {
        Format::Json => output.json(&report.json()),
        Format::Text => report.tell(args.all, output),
    }
    let differs = args.fail_on_difference && report.compared.iter().any(|one| one.difference.is_some());
    Ok(if differs { Exit::Failed } else { Exit::Ok })
}

/// What a configuration decides at one hook of a call; `None` where it would not have come to it.
type Decided = Option<Decision>;

/// What a configuration decides, for each hook of each call.
fn decisions(
    files: &[std::path::PathBuf],
    calls: &[RecordedCall],
    assembly: &Assembly,
) -> anyhow::Result<Result<Vec<Vec<Decided>>, NotSettled>> {
    let config = ConfigArgs { files: files.to_vec(), ..ConfigArgs::default() };
    let settled = match settle(&config, assembly) {
        Ok(settled) => settled,
        Err(problem) => return Ok(Err(problem)),
    };
    let framework = &assembly.framework;
    // As the files say: what was changed in a gateway while it ran is no part of a configuration to be tried.
    let plan = Plan { entries: deciding(&settled.configured.entries), ..settled.configured };
    let plan = Plan { bindings: bindings(&plan), ..plan };
    block_on(async {
        HttpService::new(settled.egress.clone(), Handle::current()).offer_to(framework);
        let built = framework.build(&plan).await;
        let (pipelines, _) = match built {
            Ok(built) => built,
            Err(errors) => return Ok(Err(errors.into())),
        };
        let mut all = Vec::with_capacity(calls.len());
        for call in calls {
            all.push(run(framework, &pipelines, call).await?);
        }
        framework.stop(&pipelines).await;
        Ok(Ok(all))
    })?
}

/// The entries that can decide something.
fn deciding(entries: &[PluginEntry]) -> Vec<PluginEntry> {
    let mut entries = entries.to_vec();
    for entry in &mut entries {
        let kind = entry.kind.to_ascii_lowercase();
        let watches = WATCHERS.iter().any(|watcher| kind.contains(watcher))
            || matches!(entry.mode, Mode::Audit | Mode::FireAndForget);
        if watches {
            entry.mode = Mode::Disabled;
        }
    }
    entries
}

/// The bindings of what can decide something: one that gives a watcher another mode would wake it.
fn bindings(plan: &Plan) -> Vec<mortise_framework::pipeline::scope::Binding> {
    let asleep = |name: &str| {
        let entry = plan.entries.iter().find(|entry| entry.name == name);
        entry.is_some_and(|entry| {
            WATCHERS.iter().any(|watcher| entry.kind.to_ascii_lowercase().contains(watcher))
        })
    };
    plan.bindings.iter().filter(|binding| !asleep(&binding.plugin)).cloned().collect()
}

/// Runs the hooks of one call.
async fn run(
    framework: &Framework,
    pipelines: &Pipelines,
    call: &RecordedCall,
) -> anyhow::Result<Vec<Decided>> {
    let request = request(call);
    let mut contexts = Contexts::new();
    let (mut decided, mut over) = (Vec::with_capacity(call.hooks.len()), false);
    for hook in &call.hooks {
        // What plugins are shown of an event that failed decides nothing.
        if over || hook.end != "ok" {
            decided.push(None);
            continue;
        }
        let row =
            framework.hooks().get(&hook.hook).ok_or_else(|| anyhow!("there is no hook {}", hook.hook))?;
        let text = serde_json::to_vec(&hook.payload)?;
        let payload = row.decode(&text, Wire::Json).with_context(|| {
            format!("the payload of {} in the call {} does not fit", hook.hook, call.request_id)
        })?;
        let payload = Revision::new(payload);
        let decision = match pipelines.chain(row.id) {
            None => Decision { result: "pass".to_owned(), ..Decision::default() },
            Some(chain) => {
                let outcome = chain.run(pipelines, &request, &mut contexts, &payload).await;
                decision(&outcome, pipelines)
            }
        };
        over = decision.result == "block";
        decided.push(Some(decision));
    }
    Ok(decided)
}

fn request(call: &RecordedCall) -> Request {
    let RecordedRequest {
        app,
        user,
        tenant,
        teams,
        scopes,
        is_admin,
        server,
        upstream,
        original_name,
        content_type,
        path,
    } = &call.request;
    let shared = |text: &Option<String>| text.as_deref().map(Arc::<str>::from);
    let all = |texts: &[String]| texts.iter().map(|text| Arc::from(text.as_str())).collect();
    let caller = Caller {
        app: shared(app),
        user: shared(user),
        tenant: shared(tenant),
        teams: all(teams),
        scopes: all(scopes),
        is_admin: *is_admin,
        ..Caller::default()
    };
    let mut request = Request::new(call.request_id.as_str());
    request.caller = Arc::new(caller);
    request.server_id = shared(server);
    request.upstream = shared(upstream);
    request.llm = request.upstream.clone().filter(|_| call.method.starts_with("llm/"));
    request.original_name = shared(original_name);
    request.content_type = shared(content_type);
    request.path = shared(path);
    request
}

fn decision(outcome: &Outcome, pipelines: &Pipelines) -> Decision {
    let changed = outcome.executions.iter().filter(|execution| execution.status == Status::Change);
    let payload = outcome.changed.as_ref().filter(|_| outcome.blocked.is_none());
    let served = outcome.executions.last().filter(|last| last.status == Status::Serve);
    Decision {
        result: match (&outcome.blocked, &outcome.changed) {
            (Some(_), _) => "block",
            (None, _) if served.is_some() => "serve",
            (None, Some(_)) => "change",
            (None, None) => "pass",
        }
        .to_owned(),
        plugin: match (&outcome.blocked, served) {
            (Some(blocked), _) => Some(blocked.plugin.to_string()),
            (None, served) => served.map(|execution| execution.plugin(pipelines).to_owned()),
        },
        code: outcome.blocked.as_ref().map(|blocked| blocked.violation.code.clone()),
        changed_by: changed.map(|execution| execution.plugin(pipelines).to_owned()).collect(),
        payload: payload.and_then(|changed| serde_json::from_slice(changed.json(Wire::Json).ok()?).ok()),
    }
}

/// One hook of one call, compared.
struct Compared<'a> {
    call: &'a RecordedCall,
    hook: &'a str,
    was: Decided,
    would: Decided,
    difference: Option<Difference>,
}

/// Everything, compared.
struct Report<'a> {
    calls: usize,
    compared: Vec<Compared<'a>>,
    /// Of `--against`: how many hooks that configuration decides otherwise than was recorded.
    against_differs: Option<usize>,
}

impl<'a> Report<'a> {
    fn of(calls: &'a [RecordedCall], would: &[Vec<Decided>], against: Option<&[Vec<Decided>]>) -> Self {
        let (mut all, mut otherwise) = (Vec::new(), 0);
        for (at, call) in calls.iter().enumerate() {
            for (index, hook) in call.hooks.iter().enumerate() {
                if hook.end != "ok" {
                    continue;
                }
                let recorded = Some(hook.decision.clone());
                let would = would[at][index].clone();
                let (was, same_input) = match against {
                    Some(against) => (against[at][index].clone(), true),
                    None => (recorded.clone(), !call.masked),
                };
                if against.is_some() && compared(&recorded, &was, &hook.payload, !call.masked).is_some() {
                    otherwise += 1;
                }
                let difference = compared(&was, &would, &hook.payload, same_input);
                all.push(Compared { call, hook: &hook.hook, was, would, difference });
            }
        }
        Self { calls: calls.len(), compared: all, against_differs: against.map(|_| otherwise) }
    }

    fn differing(&self) -> impl Iterator<Item = &Compared<'a>> {
        self.compared.iter().filter(|one| one.difference.is_some())
    }

    /// How often which decision became which.
    fn kinds(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for one in self.differing() {
            *kinds.entry(format!("{} -> {}", word(&one.was), word(&one.would))).or_insert(0) += 1;
        }
        kinds
    }

    /// Calls in which anything differs.
    fn calls_that_differ(&self) -> usize {
        let mut calls: Vec<*const RecordedCall> =
            self.differing().map(|one| std::ptr::from_ref(one.call)).collect();
        calls.dedup();
        calls.len()
    }

    fn json(&self) -> Value {
        let differences: Vec<Value> = self
            .differing()
            .map(|one| {
                json!({
                    "request_id": one.call.request_id,
                    "subject": one.call.subject,
                    "hook": one.hook,
                    "was": one.was,
                    "would_be": one.would,
                    "paths": one.difference.as_ref().map(|difference| &difference.paths),
                })
            })
            .collect();
        json!({
            "calls": self.calls,
            "hooks": self.compared.len(),
            "calls_that_differ": self.calls_that_differ(),
            "hooks_that_differ": differences.len(),
            "by_kind": self.kinds(),
            "against_differs_from_recording": self.against_differs,
            "differences": differences,
        })
    }

    fn tell(&self, all: bool, output: &mut Output) {
        for one in self.compared.iter().filter(|one| all || one.difference.is_some()) {
            let about = one.call.subject.as_deref().unwrap_or_default();
            let place = format!("{} {} {}", one.call.request_id, one.hook, about.escape_debug());
            let Some(difference) = &one.difference else {
                output.line(format!("  {place}: {}", told(&one.was)));
                continue;
            };
            let arrow = output.paint(Paint::Warn, &format!("{} -> {}", told(&one.was), told(&one.would)));
            output.line(format!("{} {place}: {arrow}", if all { "*" } else { "" }).trim_start());
            if !difference.paths.is_empty() {
                let shown: Vec<&str> = difference.paths.iter().take(MOST_PATHS).map(String::as_str).collect();
                let more = difference.paths.len() - shown.len();
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                output.line(format!("    other text at {}{more}", shown.join(", ")));
            }
        }
        let (differ, calls) = (self.differing().count(), self.calls_that_differ());
        let summary = format!(
            "{}, {}: {differ} {}, in {}",
            counted(self.calls, "call"),
            counted(self.compared.len(), "decision"),
            if differ == 1 { "differs" } else { "differ" },
            counted(calls, "call")
        );
        let paint = if differ == 0 { Paint::Good } else { Paint::Warn };
        let summary = output.paint(paint, &summary);
        output.line(summary);
        for (kind, count) in self.kinds() {
            output.line(format!("  {count:>6}  {kind}"));
        }
        if let Some(otherwise) = self.against_differs.filter(|otherwise| *otherwise > 0) {
            output.say(format!(
                "the configuration that was compared with decides {otherwise} otherwise than was recorded: plugins \
                 that count or remember begin anew, and masked text is not what they saw"
            ));
        }
    }
}

fn word(decided: &Decided) -> &str {
    decided.as_ref().map_or("not reached", |decision| &decision.result)
}

/// A decision in a few words: `block DENY by deny`, `change by pii`.
fn told(decided: &Decided) -> String {
    let Some(decision) = decided else { return "not reached".to_owned() };
    let mut text = decision.result.clone();
    if let Some(code) = decision.code.as_deref().filter(|code| !code.is_empty()) {
        text.push_str(&format!(" {code}"));
    }
    if let Some(plugin) = &decision.plugin {
        text.push_str(&format!(" by {}", if plugin.is_empty() { "the gateway" } else { plugin }));
    } else if decision.result == "change" && !decision.changed_by.is_empty() {
        text.push_str(&format!(" by {}", decision.changed_by.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests;
