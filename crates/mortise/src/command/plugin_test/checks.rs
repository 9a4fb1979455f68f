//! The checks themselves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    Change, HookSpec, HookTable, Moment, OpenHook, PluginError, Revision, Wire,
    hook::May,
    wire::{WireContext, WireGlobal},
};
use mortise_runtime_external::link::{Ask, Fault, Link, Told};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Mark, Row, server::STARTING};
use crate::cli::PluginTestArgs;

/// After how long a call is given up whose answer nobody wants.
const GIVEN_UP: Duration = Duration::from_millis(1);

/// Longest note in the table.
const MOST_LETTERS: usize = 160;

/// How long a server may take to be left.
const LEAVING: Duration = Duration::from_secs(10);

/// Hooks that a plugin is unlikely to have all of; one that it has not is asked for.
const SOME_HOOKS: [&str; 6] = [
    "resource_pre_fetch",
    "prompt_pre_fetch",
    "tool_pre_invoke",
    "agent_pre_invoke",
    "http_pre_request",
    "resource_post_fetch",
];

/// Asks one server about one plugin.
pub(super) struct Probe<'a> {
    link: &'a dyn Link,
    plugin: String,
    table: &'a HookTable,
    args: &'a PluginTestArgs,
    patience: Duration,
    dialect: &'static str,
    /// What the checks have found.
    pub(super) rows: Vec<Row>,
}

/// What became of a call.
enum Answer {
    Decided(Box<Told>),
    /// The plugin, or its server, said that it could not.
    Failed(String),
    /// The server is gone, or was silent.
    Silent(String),
}

/// What a check came to: how it went, and a word about it.
type Verdict = (Mark, String);

impl<'a> Probe<'a> {
    pub(super) fn new(
        link: &'a dyn Link,
        plugin: &str,
        table: &'a HookTable,
        args: &'a PluginTestArgs,
        patience: Duration,
        dialect: &'static str,
    ) -> Self {
        Self { link, plugin: plugin.to_owned(), table, args, patience, dialect, rows: Vec::new() }
    }

    /// Runs them all; where the server cannot be reached, that is all there is to say.
    pub(super) async fn run(&mut self) {
        let begun = Instant::now();
        let hooks = match self.open().await {
            Ok((hooks, verdict)) => {
                self.note("the server is reached and knows the plugin", begun, verdict);
                hooks
            }
            Err(why) => {
                return self.note("the server is reached and knows the plugin", begun, (Mark::Bad, why));
            }
        };
        for name in &hooks {
            self.hook(name).await;
        }
        self.foreign(&hooks).await;
        if let Some(spec) = hooks.iter().find_map(|name| self.table.get(name)) {
            self.under_strain(&hooks, spec).await;
        }
        self.leave().await;
    }

    fn note(&mut self, check: &str, begun: Instant, (mark, note): Verdict) {
        let took = begun.elapsed();
        let mut note = note.replace('\n', " ");
        if note.chars().count() > MOST_LETTERS {
            note = note.chars().take(MOST_LETTERS).chain(['…']).collect();
        }
        self.rows.push(Row { dialect: self.dialect, check: check.to_owned(), mark, took, note });
    }

    /// Opens the way; the hooks to check, and what is to be said of the plugin's entry.
    async fn open(&self) -> Result<(Vec<String>, Verdict), String> {
        let opened = timeout(self.patience.max(STARTING), self.link.open(&self.plugin)).await;
        let remote = match opened {
            Ok(Ok(remote)) => remote,
            Ok(Err(fault)) => return Err(fault.to_string()),
            Err(_) => return Err("it did not answer in time".to_owned()),
        };
        let listed = remote.entry.as_ref().and_then(|entry| entry.get("hooks")?.as_array());
        let listed: Option<Vec<String>> =
            listed.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let mut claimed = listed.or(remote.hooks.clone()).unwrap_or_default();
        if !self.args.hooks.is_empty() {
            claimed.clone_from(&self.args.hooks);
        }
        let (known, unknown): (Vec<String>, Vec<String>) =
            claimed.into_iter().partition(|name| self.table.id(name).is_some());
        let verdict = match (known.is_empty(), unknown.is_empty(), &remote.entry) {
            (true, ..) => return Err("it claims no hook: its entry has no `hooks`".to_owned()),
            (_, false, _) => (Mark::Warning, format!("no hooks of this gateway: {}", unknown.join(", "))),
            (_, _, None) => (Mark::Warning, "it does not tell the plugin's entry".to_owned()),
            _ => (Mark::Good, known.join(", ")),
        };
        Ok((known, verdict))
    }

    async fn ask(&self, hook: &HookSpec, plugin: &str, payload: &Arc<Revision>, id: &str) -> Answer {
        let global = WireGlobal {
            request_id: id.to_owned(),
            user: Some("plugin-test@example.com".into()),
            server_id: Some("plugin-test".to_owned()),
            ..WireGlobal::default()
        };
        let context = WireContext { global_context: global, ..WireContext::default() };
        let asked = self.link.invoke(Ask { hook, plugin, payload, context: &context });
        match timeout(self.patience, asked).await {
            Ok(Ok(told)) => match told.outcome {
                Ok(_) => Answer::Decided(Box::new(told)),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Ok(Err(Fault::Refused(PluginError::Timeout(_)))) | Err(_) => {
                Answer::Silent(format!("no answer within {:?}", self.patience))
            }
            Ok(Err(Fault::Refused(error))) => Answer::Failed(error.to_string()),
            Ok(Err(fault)) => Answer::Silent(fault.to_string()),
        }
    }

    /// What a hook that the server claims makes of what gateways send there.
    async fn hook(&mut self, name: &str) {
        let Some(spec) = self.table.get(name) else { return };
        let begun = Instant::now();
        let verdict = match example(spec) {
            Ok(payload) => match self.ask(spec, &self.plugin, &payload, "example").await {
                Answer::Decided(told) => judged(spec, &payload, *told),
                Answer::Failed(why) | Answer::Silent(why) => (Mark::Bad, why),
            },
            Err(error) => (Mark::Warning, format!("there is no example to send: {error}")),
        };
        self.note(&format!("{name}: answers"), begun, verdict);
        let begun = Instant::now();
        let verdict = match self.ask_nonsense(name).await {
            Some(Answer::Failed(why)) => (Mark::Good, format!("refused: {why}")),
            Some(Answer::Decided(_)) => (Mark::Warning, "it took an empty object for a payload".to_owned()),
            Some(Answer::Silent(why)) => (Mark::Bad, why),
            None => return,
        };
        self.note(&format!("{name}: what is no payload"), begun, verdict);
    }

    /// Sends an empty object, which fits no hook.
    async fn ask_nonsense(&self, name: &str) -> Option<Answer> {
        let mut spec = anything()?;
        let payload = spec.decode(b"{}", Wire::Json).ok()?;
        spec.name = name.into();
        Some(self.ask(&spec, &self.plugin, &Revision::new(payload), "nonsense").await)
    }

    /// What the server does not have.
    async fn foreign(&mut self, hooks: &[String]) {
        let missing = SOME_HOOKS.into_iter().find(|name| !hooks.iter().any(|hook| hook == name));
        if let Some((name, spec)) = missing.and_then(|name| Some((name, self.table.get(name)?)))
            && let Ok(payload) = example(spec)
        {
            let begun = Instant::now();
            let answer = self.ask(spec, &self.plugin, &payload, "foreign").await;
            let verdict = refused(answer, "it answers for a hook that it does not claim");
            self.note(&format!("a hook it does not have ({name})"), begun, verdict);
        }
        let Some(spec) = hooks.iter().find_map(|name| self.table.get(name)) else { return };
        let Ok(payload) = example(spec) else { return };
        let begun = Instant::now();
        let answer = self.ask(spec, &format!("{}-of-nobody", self.plugin), &payload, "nobody").await;
        let verdict = refused(answer, "it answers for a plugin of any name");
        self.note("a plugin it does not have", begun, verdict);
    }

    async fn under_strain(&mut self, hooks: &[String], spec: &HookSpec) {
        let Ok(payload) = example(spec) else { return };
        let begun = Instant::now();
        // Its answer is wanted by nobody, and must not be taken for that of the next call.
        let _given_up = timeout(GIVEN_UP, self.ask(spec, &self.plugin, &payload, "given-up")).await;
        let verdict = match self.ask(spec, &self.plugin, &payload, "after-given-up").await {
            Answer::Decided(_) => (Mark::Good, "the next one is answered".to_owned()),
            Answer::Failed(why) | Answer::Silent(why) => (Mark::Bad, format!("the next one is not: {why}")),
        };
        self.note("a call that is given up", begun, verdict);

        let roomy =
            hooks.iter().filter_map(|name| self.table.get(name)).find(|spec| with_text(spec, "x").is_some());
        if let Some(roomy) = roomy {
            self.large(roomy).await;
            self.many(roomy).await;
        }
        let begun = Instant::now();
        let verdict = match self.ask(spec, &self.plugin, &payload, "after-all").await {
            Answer::Decided(_) => (Mark::Good, String::new()),
            Answer::Failed(why) | Answer::Silent(why) => (Mark::Bad, why),
        };
        self.note("it answers after all of that", begun, verdict);
    }

    async fn large(&mut self, spec: &HookSpec) {
        let Some(payload) = with_text(spec, &"x".repeat(self.args.large)) else { return };
        let begun = Instant::now();
        let verdict = match self.ask(spec, &self.plugin, &payload, "large").await {
            Answer::Decided(told) => judged(spec, &payload, *told),
            Answer::Failed(why) => (Mark::Warning, format!("refused: {why}")),
            Answer::Silent(why) => (Mark::Bad, why),
        };
        self.note(&format!("{}: {} bytes", spec.name, self.args.large), begun, verdict);
    }

    /// Many calls at once, each with a word of its own: an answer with the word of another call was mixed up.
    async fn many(&mut self, spec: &HookSpec) {
        let count = self.args.concurrency.clamp(1, 1000);
        let begun = Instant::now();
        let calls = (0..count).map(|at| {
            let word = format!("call-{at}-of-many;");
            let this = &*self;
            async move {
                let payload = with_text(spec, &word)?;
                let answer = this.ask(spec, &this.plugin, &payload, &word).await;
                Some((word, answer))
            }
        });
        let answers: Vec<_> = futures_util::future::join_all(calls).await.into_iter().flatten().collect();
        let (mut lost, mut mixed, mut why) = (0, 0, String::new());
        for (word, answer) in answers {
            match answer {
                Answer::Decided(told) => mixed += usize::from(of_another(&told, &word)),
                Answer::Failed(reason) | Answer::Silent(reason) => {
                    lost += 1;
                    why = reason;
                }
            }
        }
        let verdict = match (lost, mixed) {
            (0, 0) => (Mark::Good, String::new()),
            (_, 1..) => (Mark::Bad, format!("{mixed} answers are of other calls")),
            _ => (Mark::Bad, format!("{lost} were not answered: {why}")),
        };
        self.note(&format!("{count} calls at once"), begun, verdict);
    }

    /// Leaves the server, comes back, and leaves it for good.
    async fn leave(&mut self) {
        let begun = Instant::now();
        let verdict = match timeout(LEAVING, self.link.close()).await {
            Err(_) => (Mark::Bad, "it could not be left".to_owned()),
            Ok(()) => match self.open().await {
                Ok(_) => (Mark::Good, String::new()),
                Err(why) => (Mark::Bad, why),
            },
        };
        self.note("it is connected to anew", begun, verdict);
        let begun = Instant::now();
        let verdict = match timeout(LEAVING, self.link.close()).await {
            Ok(()) => (Mark::Good, String::new()),
            Err(_) => (Mark::Bad, format!("not within {LEAVING:?}")),
        };
        self.note("it lets itself be left", begun, verdict);
    }
}

fn refused(answer: Answer, otherwise: &str) -> Verdict {
    match answer {
        Answer::Failed(why) => (Mark::Good, format!("refused: {why}")),
        Answer::Decided(_) => (Mark::Warning, otherwise.to_owned()),
        Answer::Silent(why) => (Mark::Bad, why),
    }
}

/// Whether an answer fits the hook, and what it decides.
fn judged(spec: &HookSpec, payload: &Revision, told: Told) -> Verdict {
    let wire = told.wire;
    let reply = match told.outcome.and_then(|result| result.into_reply(spec, wire)) {
        Ok(reply) => reply,
        Err(error) => return (Mark::Bad, error.to_string()),
    };
    if let Some(violation) = reply.violation {
        let missing = violation.code.is_empty() || violation.reason.is_empty();
        let note = format!("blocks: {} - {}", violation.code, violation.reason);
        return (if missing { Mark::Warning } else { Mark::Good }, note);
    }
    let Some(Change::Answer(change)) = reply.change else { return (Mark::Good, "passes".to_owned()) };
    match spec.apply(payload.payload(), change) {
        Err(error) => (Mark::Bad, error.to_string()),
        Ok(applied) if !applied.refused.is_empty() => {
            (Mark::Warning, format!("changes what it may not: {}", applied.refused.join(", ")))
        }
        Ok(applied) if applied.payload.is_none() => (Mark::Good, "passes".to_owned()),
        Ok(_) => (Mark::Good, "changes".to_owned()),
    }
}

/// Whether the word of another call is in an answer.
fn of_another(told: &Told, word: &str) -> bool {
    let changed = told.outcome.as_ref().ok().and_then(|result| result.modified_payload.as_deref());
    let changed = changed.map(|raw| raw.get().to_owned()).unwrap_or_default();
    let id =
        told.context.as_ref().map(|context| context.global_context.request_id.clone()).unwrap_or_default();
    let others = |text: &str| text.contains("-of-many;") && !text.contains(word);
    others(&changed) || others(&id)
}

fn example(spec: &HookSpec) -> Result<Arc<Revision>, PluginError> {
    Ok(Revision::new(spec.decode(spec.example.payload.as_bytes(), Wire::Json)?))
}

/// The example of a hook with a text in it; `None` where there is no place for one.
fn with_text(spec: &HookSpec, text: &str) -> Option<Arc<Revision>> {
    let mut payload: Value = serde_json::from_str(spec.example.payload).ok()?;
    match &*spec.name {
        "tool_pre_invoke" | "prompt_pre_fetch" => payload["args"] = json!({ "text": text }),
        "tool_post_invoke" => {
            payload["result"] = json!({ "content": [{ "type": "text", "text": text }], "isError": false });
        }
        "resource_post_fetch" => payload["content"]["text"] = text.into(),
        _ => return None,
    }
    Some(Revision::new(spec.decode(payload.to_string().as_bytes(), Wire::Json).ok()?))
}

/// A hook at which any JSON is a payload.
fn anything() -> Option<HookSpec> {
    let mut table = HookTable::standard();
    let hook = OpenHook {
        name: "plugin_test_anything".to_owned(),
        about: String::new(),
        moment: Moment::Before,
        may: May { block: true, change: true },
        schema: schemars::json_schema!({ "type": "object" }),
    };
    let id = table.register(hook).ok()?;
    table.spec(id).cloned()
}
