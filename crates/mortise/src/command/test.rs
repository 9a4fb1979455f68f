//! `mortise plugins test`: one hook of one plugin, on a payload from a file.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail};
use mortise_framework::{
    Contexts, Outcome, Pipelines, Plan, Status,
    config::{Mode, PluginEntry},
    instance::State,
    pipeline::policy::Policy,
};
use mortise_gateway::host::HttpService;
use mortise_plugin_api::{Caller, HookSpec, Request, Revision, Violation, Wire};
use serde_json::{Map, Value, json};
use similar::{ChangeTag, TextDiff};
use tokio::runtime::Handle;

use super::{block_on, listing::unknown, read, settle};
use crate::{
    Assembly, Exit,
    cli::{Format, TestArgs},
    output::{Output, Paint},
};

/// Lines shown around a difference.
const CONTEXT_LINES: usize = 3;

pub(super) fn test(args: &TestArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let settled = match settle(&args.config, assembly) {
        Ok(settled) => settled,
        Err(problem) => return problem.tell(output),
    };
    let hooks = assembly.framework.hooks().clone();
    let Some(hook) = hooks.get(&args.hook) else {
        let near = mortise_framework::config::nearest(&args.hook, hooks.names());
        let hint = near.first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("there is no hook `{}`{hint}", args.hook);
    };
    let entries = &settled.plan.entries;
    let entry = entries.iter().find(|entry| entry.name == args.name);
    let entry = entry.ok_or_else(|| unknown(&args.name, entries.iter().map(|entry| entry.name.as_str())))?;
    if let Some(reason) = assembly.framework.waits_for(entry) {
        bail!("the plugin `{}` cannot run here: {reason}", entry.name);
    }
    let payload = hook.decode(&read(&args.payload)?, Wire::Json);
    let payload = payload.map_err(|error| {
        anyhow!(
            "{} is no payload of {}: {error}; `mortise hooks {}` shows one",
            args.payload.display(),
            hook.name,
            hook.name
        )
    })?;
    let plan = Plan {
        entries: vec![prepared(entry, args)],
        bindings: Vec::new(),
        settings: settled.plan.settings.clone(),
        enabled: true,
        start_idle: true,
    };
    let request = request(args);
    let running = async {
        // The plugin runs as it would in the gateway, and reaches what it would reach there.
        HttpService::new(settled.egress.clone(), Handle::current()).offer_to(&assembly.framework);
        run(assembly, &plan, hook, Revision::new(payload), &request).await
    };
    let result = match block_on(running)?? {
        Ran::Verdict(result) => result,
        Ran::NotAtHook(hooks) => bail!(
            "the plugin `{}` does not run at {}; it runs at: {}",
            entry.name,
            hook.name,
            if hooks.is_empty() { "no hook".to_owned() } else { hooks.join(", ") },
        ),
        Ran::NotMatched => {
            output.line(format!("`{}` did not run: its conditions do not match this call", entry.name));
            output.line("say who calls by --user, --tenant, --server, or give --ignore-conditions");
            return Ok(Exit::Ok);
        }
    };
    let policy = Policy::of(entry.mode, entry.on_error, settled.plan.settings.fail_on_plugin_error);
    let blocks = result.violation.is_some() && policy.is_none_or(|policy| policy.blocks);
    match args.format {
        Format::Json => output.json(&as_json(&result, blocks)),
        Format::Text => tell(entry, hook, &result, blocks, output),
    }
    Ok(if blocks { Exit::Blocked } else { Exit::Ok })
}

/// The entry as it is run: so that its verdict is seen whatever its mode makes of it.
fn prepared(entry: &PluginEntry, args: &TestArgs) -> PluginEntry {
    let mut entry = entry.clone();
    entry.mode = Mode::Enforce;
    entry.on_error = None;
    entry.dependencies.clear();
    if args.ignore_conditions {
        entry.conditions.clear();
    }
    entry
}

fn request(args: &TestArgs) -> Request {
    let shared = |text: &Option<String>| text.as_deref().map(Arc::from);
    let caller = Caller {
        app: shared(&args.app),
        user: shared(&args.user),
        tenant: shared(&args.tenant),
        teams: args.teams.iter().map(|team| Arc::from(team.as_str())).collect(),
        ..Caller::default()
    };
    let mut request = Request::new("plugins-test");
    request.caller = Arc::new(caller);
    request.upstream = shared(&args.upstream);
    request.server_id = shared(&args.server).or_else(|| request.upstream.clone());
    request.content_type = shared(&args.content_type);
    request
}

struct TestResult {
    verdict: &'static str,
    violation: Option<Violation>,
    before: Value,
    after: Option<Value>,
    metadata: Map<String, Value>,
    response_headers: Value,
    answered: bool,
    took: Duration,
}

enum Ran {
    Verdict(Box<TestResult>),
    NotAtHook(Vec<String>),
    NotMatched,
}

async fn run(
    assembly: &Assembly,
    plan: &Plan,
    hook: &HookSpec,
    payload: Arc<Revision>,
    request: &Request,
) -> anyhow::Result<Ran> {
    let framework = &assembly.framework;
    let (pipelines, _) = framework.build(plan).await.map_err(|errors| anyhow!("{errors}"))?;
    for instance in pipelines.instances() {
        if let State::Unavailable(reason) = instance.state() {
            bail!("the plugin `{}` {reason}", instance.name);
        }
    }
    let ran = match pipelines.chain(hook.id) {
        None => Ran::NotAtHook(runs_at(&pipelines)),
        Some(chain) => {
            let mut contexts = Contexts::default();
            let outcome = chain.run(&pipelines, request, &mut contexts, &payload).await;
            if outcome.executions.is_empty() && outcome.blocked.is_none() {
                Ran::NotMatched
            } else {
                Ran::Verdict(Box::new(result(outcome, &payload)?))
            }
        }
    };
    framework.stop(&pipelines).await;
    Ok(ran)
}

fn runs_at(pipelines: &Pipelines) -> Vec<String> {
    let rows = pipelines.hooks().rows().iter();
    rows.filter(|row| pipelines.chain(row.id).is_some()).map(|row| row.name.to_string()).collect()
}

fn result(outcome: Outcome, payload: &Revision) -> anyhow::Result<TestResult> {
    let json = |revision: &Revision| -> anyhow::Result<Value> {
        let text = revision.json(Wire::Json).context("cannot write the payload as JSON")?;
        Ok(serde_json::from_slice(text)?)
    };
    let last = outcome.executions.last();
    Ok(TestResult {
        verdict: match (&outcome.blocked, last.map(|execution| execution.status)) {
            (Some(_), _) => Status::Block.word(),
            (None, Some(status)) => status.word(),
            (None, None) => Status::Pass.word(),
        },
        before: json(payload)?,
        after: outcome.changed.as_deref().map(json).transpose()?,
        metadata: outcome.metadata(),
        response_headers: serde_json::to_value(outcome.response_headers())?,
        answered: outcome.answer.is_some(),
        took: Duration::from_nanos(last.map_or(0, |execution| execution.took_ns.into())),
        violation: outcome.blocked.map(|blocked| blocked.violation),
    })
}

fn as_json(result: &TestResult, blocks: bool) -> Value {
    json!({
        "verdict": result.verdict,
        "blocks": blocks,
        "violation": result.violation,
        "changed": result.after.is_some(),
        "answered": result.answered,
        "payload": result.after.as_ref().unwrap_or(&result.before),
        "metadata": result.metadata,
        "response_headers": result.response_headers,
        "took_us": result.took.as_micros(),
    })
}

fn tell(entry: &PluginEntry, hook: &HookSpec, result: &TestResult, blocks: bool, output: &mut Output) {
    let paint = match result.verdict {
        "block" | "error" => Paint::Bad,
        "change" => Paint::Warn,
        _ => Paint::Good,
    };
    let verdict = output.paint(paint, result.verdict);
    let micros = result.took.as_secs_f64() * 1e6;
    output.line(format!("{} at {}: {verdict} ({micros:.0} µs)", entry.name, hook.name));
    if let Some(violation) = &result.violation {
        output.line(format!("  code         {}", violation.code));
        output.line(format!("  reason       {}", violation.reason));
        output.line(format!("  description  {}", violation.description));
        if !violation.details.is_empty() {
            output.line(format!("  details      {}", Value::Object(violation.details.clone())));
        }
        if !blocks {
            let mode = serde_json::to_value(entry.mode).unwrap_or_default();
            output.line(format!("  its mode {mode} logs this and lets the call pass"));
        }
    }
    if result.answered {
        output.line("  it gave an answer");
    }
    if !result.metadata.is_empty() {
        output.line(format!("  metadata     {}", Value::Object(result.metadata.clone())));
    }
    match &result.after {
        Some(after) => difference(&result.before, after, output),
        None if result.violation.is_none() => output.line("  the payload is unchanged"),
        None => {}
    }
}

/// Line by line, since payloads are mostly text within few keys.
fn difference(before: &Value, after: &Value, output: &mut Output) {
    let (before, after) = (format!("{before:#}"), format!("{after:#}"));
    let diff = TextDiff::from_lines(&before, &after);
    for (at, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if at > 0 {
            output.line("  ...");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches('\n');
            let line = match change.tag() {
                ChangeTag::Equal => format!("    {text}"),
                ChangeTag::Delete => output.paint(Paint::Bad, &format!("  - {text}")),
                ChangeTag::Insert => output.paint(Paint::Good, &format!("  + {text}")),
            };
            output.line(line);
        }
    }
}
