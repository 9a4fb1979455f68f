//! What a running gateway keeps in storage: `mortise apps`, `tokens`, `llms`, and plugins that are in no file.
//!
//! All kinds in one way: what differs is the path, and which fields make a line of a list.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use http::Method;
use mortise_framework::config::{Node, Override, Source};
use serde_json::{Map, Value, json};

use super::{
    NotSettled,
    change::{send, tell_refusal},
    listing::encoded,
    read,
};
use crate::{
    Assembly, Exit,
    cli::{
        ApproveArgs, AppsCommand, Format, KeptCreateArgs, KeptListArgs, KeptOneArgs, KeptUpdateArgs,
        LlmsCommand, PricesCommand, SourceArgs, SpendingArgs, TokensCommand,
    },
    output::{Output, Paint},
};

/// A kind of what is kept.
struct Section {
    path: &'static str,
    what: &'static str,
    /// Head and field of the columns of a list.
    columns: &'static [(&'static str, &'static str)],
}

const APPS: Section = Section {
    path: "/api/v1/apps",
    what: "app",
    columns: &[
        ("ID", "id"),
        ("NAME", "name"),
        ("OWNER", "owner"),
        ("ACTIVE", "active"),
        ("SERVERS", "servers"),
        ("LLMS", "llms"),
        ("BUDGET", "monthly_budget"),
    ],
};

const TOKENS: Section = Section {
    path: "/api/v1/tokens",
    what: "token",
    columns: &[
        ("ID", "id"),
        ("APP", "app"),
        ("NAME", "name"),
        ("BEGINS", "prefix"),
        ("SCOPES", "scopes"),
        ("ACTIVE", "active"),
        ("EXPIRES", "expires"),
        ("LAST USED", "last_used"),
    ],
};

const LLMS: Section = Section {
    path: "/api/v1/llms",
    what: "LLM",
    columns: &[
        ("ID", "id"),
        ("NAME", "name"),
        ("VENDOR", "vendor"),
        ("ACTIVE", "active"),
        ("MODELS", "models"),
        ("ENDPOINT", "endpoint"),
    ],
};

const PRICES: Section = Section {
    path: "/api/v1/prices",
    what: "price",
    columns: &[
        ("ID", "id"),
        ("VENDOR", "vendor"),
        ("MODEL", "model"),
        ("INPUT", "input"),
        ("OUTPUT", "output"),
        ("CURRENCY", "currency"),
        ("FROM", "valid_from"),
    ],
};

const SPENDING: Section = Section {
    path: "/api/v1/spending",
    what: "spending",
    columns: &[
        ("DAY", "day"),
        ("APP", "app"),
        ("LLM", "llm"),
        ("CALLS", "requests"),
        ("TOKENS IN", "input_tokens"),
        ("TOKENS OUT", "output_tokens"),
        ("COST", "cost"),
    ],
};

const PLUGINS: Section = Section { path: "/api/v1/plugins", what: "plugin", columns: &[] };

/// Where the commands of one kind go.
struct Call<'a> {
    section: &'static Section,
    assembly: &'a Assembly,
    output: &'a mut Output,
}

pub(super) fn apps(command: &AppsCommand, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let mut call = Call { section: &APPS, assembly, output };
    match command {
        AppsCommand::List(args) => call.list(args, None),
        AppsCommand::Show(args) => call.show(args),
        AppsCommand::Create(args) => call.create(args, "name"),
        AppsCommand::Update(args) => call.update(args),
        AppsCommand::Delete(args) => call.delete(args),
    }
}

pub(super) fn tokens(
    command: &TokensCommand,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let mut call = Call { section: &TOKENS, assembly, output };
    match command {
        TokensCommand::List(args) => call.list(&args.list, args.app.as_deref()),
        TokensCommand::Show(args) => call.show(args),
        TokensCommand::Create(args) => call.create(args, "app"),
        TokensCommand::Update(args) => call.update(args),
        TokensCommand::Revoke(args) => call.delete(args),
    }
}

pub(super) fn llms(command: &LlmsCommand, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let mut call = Call { section: &LLMS, assembly, output };
    match command {
        LlmsCommand::List(args) => call.list(args, None),
        LlmsCommand::Show(args) => call.show(args),
        LlmsCommand::Create(args) => call.create(args, "name"),
        LlmsCommand::Update(args) => call.update(args),
        LlmsCommand::Delete(args) => call.delete(args),
    }
}

pub(super) fn prices(
    command: &PricesCommand,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let mut call = Call { section: &PRICES, assembly, output };
    match command {
        PricesCommand::List(args) => call.list(args, None),
        PricesCommand::Show(args) => call.show(args),
        PricesCommand::Create(args) => call.create(args, "model"),
        PricesCommand::Update(args) => call.update(args),
        PricesCommand::Delete(args) => call.delete(args),
    }
}

/// Shows what apps have spent, by day.
pub(super) fn spending(
    args: &SpendingArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let given = [("app", &args.app), ("llm", &args.llm), ("from", &args.from), ("to", &args.to)];
    let query =
        given.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", encoded(value.as_ref()?))));
    let path = format!("{}?{}", SPENDING.path, query.collect::<Vec<_>>().join("&"));
    let mut call = Call { section: &SPENDING, assembly, output };
    let spent = match call.send(&args.source, Method::GET, &path, None)? {
        Answer::Done(spent) => spent,
        Answer::Told(exit) => return Ok(exit),
    };
    if args.source.format == Format::Json {
        call.output.json(&spent);
        return Ok(Exit::Ok);
    }
    let items: Vec<&Value> = spent["items"].as_array().into_iter().flatten().collect();
    if items.is_empty() {
        call.output.say("nothing was spent");
        return Ok(Exit::Ok);
    }
    let columns = SPENDING.columns;
    let row = |item: &Value| columns.iter().map(|(_, key)| shown(&item[*key])).collect::<Vec<_>>();
    let mut rows: Vec<Vec<String>> = items.into_iter().map(row).collect();
    let mut total = row(&spent["total"]);
    if let Some(first) = total.first_mut() {
        "total".clone_into(first);
    }
    rows.push(total);
    let head: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    call.output.table(&head, &rows);
    Ok(Exit::Ok)
}

pub(super) fn create_plugin(
    args: &KeptCreateArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    Call { section: &PLUGINS, assembly, output }.create(args, "name")
}

pub(super) fn delete_plugin(
    args: &KeptOneArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let path = format!("{}/{}", PLUGINS.path, encoded(&args.which));
    Call { section: &PLUGINS, assembly, output }.remove(&args.source, &path, &args.which)
}

/// Lays fields over those of a plugin that is kept, and puts them in its place.
pub(super) fn update_plugin(
    args: &KeptUpdateArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let path = format!("{}/{}", PLUGINS.path, encoded(&args.which));
    let mut call = Call { section: &PLUGINS, assembly, output };
    let given = match fields(&args.keys, args.from.as_ref()) {
        Ok(given) => given,
        Err(problem) => return problem.tell(call.output),
    };
    let now = match call.send(&args.source, Method::GET, &format!("{path}/stored"), None)? {
        Answer::Done(now) => now,
        Answer::Told(exit) => return Ok(exit),
    };
    let mut next = now.as_object().cloned().unwrap_or_default();
    for known in ["id", "created", "updated"] {
        next.remove(known);
    }
    for (key, value) in given {
        match value {
            Value::Null => drop(next.remove(&key)),
            value => drop(next.insert(key, value)),
        }
    }
    match call.send(&args.source, Method::PUT, &path, Some(&next.into()))? {
        Answer::Done(plugin) => call.done(&args.source, &plugin, "changed"),
        Answer::Told(exit) => Ok(exit),
    }
}

pub(super) fn approve(args: &ApproveArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let path = format!("{}/{}/approve-scopes", PLUGINS.path, encoded(&args.which));
    let mut body = json!({ "approved": !args.deny });
    if !args.scopes.is_empty() {
        body["scopes"] = args.scopes.clone().into();
    }
    let sent = send(&args.source, Method::POST, &path, Some(&body), assembly);
    super::change::tell_outcome(sent, args.source.format, output)
}

/// Whether a plugin is well. One that is not fails the command.
pub(super) fn health(args: &KeptOneArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let path = format!("{}/{}/health", PLUGINS.path, encoded(&args.which));
    let mut call = Call { section: &PLUGINS, assembly, output };
    let health = match call.send(&args.source, Method::GET, &path, None)? {
        Answer::Done(health) => health,
        Answer::Told(exit) => return Ok(exit),
    };
    match args.source.format {
        Format::Json => call.output.json(&health),
        Format::Text => call.fields(&health),
    }
    Ok(if health["healthy"] == true { Exit::Ok } else { Exit::Failed })
}

/// The schema of a plugin's own configuration.
pub(super) fn config_schema(
    args: &KeptOneArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let path = format!("{}/{}/config-schema", PLUGINS.path, encoded(&args.which));
    let mut call = Call { section: &PLUGINS, assembly, output };
    match call.send(&args.source, Method::GET, &path, None)? {
        Answer::Done(schema) => call.output.json(&schema),
        Answer::Told(exit) => return Ok(exit),
    }
    Ok(Exit::Ok)
}

/// What came of a request: an answer, or a refusal that was told.
enum Answer {
    Done(Value),
    Told(Exit),
}

impl Call<'_> {
    fn send(
        &mut self,
        source: &SourceArgs,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let (status, answer) = match send(source, method, path, body, self.assembly) {
            Ok(sent) => sent,
            Err(problem) => return problem.tell(self.output).map(Answer::Told),
        };
        if status.is_success() {
            return Ok(Answer::Done(answer));
        }
        match source.format {
            Format::Json => self.output.json(&answer),
            Format::Text => tell_refusal(status, &answer, self.output),
        }
        Ok(Answer::Told(Exit::Failed))
    }

    fn list(&mut self, args: &KeptListArgs, app: Option<&str>) -> anyhow::Result<Exit> {
        let mut query = format!("page={}&limit={}", args.page, args.limit);
        for (key, value) in [
            ("search", args.search.clone()),
            ("active", args.active.map(|active| active.to_string())),
            ("app", app.map(str::to_owned)),
        ] {
            if let Some(value) = value {
                query.push_str(&format!("&{key}={}", encoded(&value)));
            }
        }
        let path = format!("{}?{query}", self.section.path);
        let page = match self.send(&args.source, Method::GET, &path, None)? {
            Answer::Done(page) => page,
            Answer::Told(exit) => return Ok(exit),
        };
        if args.source.format == Format::Json {
            self.output.json(&page);
            return Ok(Exit::Ok);
        }
        let items: Vec<&Value> = page["items"].as_array().into_iter().flatten().collect();
        if items.is_empty() {
            self.output.say(format!("no {} is kept", self.section.what));
            return Ok(Exit::Ok);
        }
        let row = |item: &&Value| self.section.columns.iter().map(|(_, key)| shown(&item[*key])).collect();
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        let head: Vec<&str> = self.section.columns.iter().map(|(head, _)| *head).collect();
        self.output.table(&head, &rows);
        let total = page["total"].as_u64().unwrap_or_default();
        if total > items.len() as u64 {
            self.output.say(format!("{} of {total}; --page {} shows more", items.len(), args.page + 1));
        }
        Ok(Exit::Ok)
    }

    fn show(&mut self, args: &KeptOneArgs) -> anyhow::Result<Exit> {
        let path = match self.one(&args.source, &args.which)? {
            Ok(path) => path,
            Err(exit) => return Ok(exit),
        };
        match self.send(&args.source, Method::GET, &path, None)? {
            Answer::Done(one) if args.source.format == Format::Json => self.output.json(&one),
            Answer::Done(one) => self.fields(&one),
            Answer::Told(exit) => return Ok(exit),
        }
        Ok(Exit::Ok)
    }

    fn create(&mut self, args: &KeptCreateArgs, named: &str) -> anyhow::Result<Exit> {
        let mut body = match fields(&args.keys, args.from.as_ref()) {
            Ok(body) => body,
            Err(problem) => return problem.tell(self.output),
        };
        body.insert(named.to_owned(), args.name.as_str().into());
        match self.send(&args.source, Method::POST, self.section.path, Some(&body.into()))? {
            Answer::Done(one) => self.done(&args.source, &one, "made"),
            Answer::Told(exit) => Ok(exit),
        }
    }

    fn update(&mut self, args: &KeptUpdateArgs) -> anyhow::Result<Exit> {
        let body = match fields(&args.keys, args.from.as_ref()) {
            Ok(body) if body.is_empty() => bail!("nothing to change: give KEY=VALUE or --from FILE"),
            Ok(body) => body,
            Err(problem) => return problem.tell(self.output),
        };
        let path = match self.one(&args.source, &args.which)? {
            Ok(path) => path,
            Err(exit) => return Ok(exit),
        };
        match self.send(&args.source, Method::PATCH, &path, Some(&body.into()))? {
            Answer::Done(one) => self.done(&args.source, &one, "changed"),
            Answer::Told(exit) => Ok(exit),
        }
    }

    fn delete(&mut self, args: &KeptOneArgs) -> anyhow::Result<Exit> {
        match self.one(&args.source, &args.which)? {
            Ok(path) => self.remove(&args.source, &path, &args.which),
            Err(exit) => Ok(exit),
        }
    }

    fn remove(&mut self, source: &SourceArgs, path: &str, which: &str) -> anyhow::Result<Exit> {
        match self.send(source, Method::DELETE, path, None)? {
            Answer::Done(_) if source.format == Format::Json => {
                self.output.json(&json!({ "removed": which }));
            }
            Answer::Done(_) => self.output.say(format!("{} {which} is removed", self.section.what)),
            Answer::Told(exit) => return Ok(exit),
        }
        Ok(Exit::Ok)
    }

    /// The path of one that is asked for by name or number.
    fn one(&mut self, source: &SourceArgs, which: &str) -> anyhow::Result<Result<String, Exit>> {
        if which.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Ok(format!("{}/{which}", self.section.path)));
        }
        let mut page = 1;
        loop {
            let path = format!("{}?search={}&limit=100&page={page}", self.section.path, encoded(which));
            let listed = match self.send(source, Method::GET, &path, None)? {
                Answer::Done(listed) => listed,
                Answer::Told(exit) => return Ok(Err(exit)),
            };
            let items = listed["items"].as_array().cloned().unwrap_or_default();
            if let Some(found) = items.iter().find(|item| item["name"] == which) {
                return Ok(Ok(format!("{}/{}", self.section.path, found["id"])));
            }
            if items.len() < 100 {
                return Err(anyhow!("there is no {} `{which}` in storage", self.section.what));
            }
            page += 1;
        }
    }

    /// Tells what was made or changed.
    fn done(&mut self, source: &SourceArgs, one: &Value, how: &str) -> anyhow::Result<Exit> {
        if source.format == Format::Json {
            self.output.json(one);
            return Ok(Exit::Ok);
        }
        let (what, id) = (self.section.what, &one["id"]);
        match (one["token"].as_str(), one["name"].as_str()) {
            (Some(token), _) => {
                self.output.say(format!("{what} {id} is made; it is shown this once:"));
                self.output.line(token);
            }
            (None, Some(name)) => self.output.say(format!("{what} `{name}` ({id}) is {how}")),
            (None, None) => self.output.say(format!("{what} {id} is {how}")),
        }
        Ok(Exit::Ok)
    }

    fn fields(&mut self, one: &Value) {
        for (key, value) in one.as_object().into_iter().flatten() {
            let text = shown(value);
            if !text.is_empty() && text != "-" {
                let key = self.output.paint(Paint::Bold, &format!("{key:<16}"));
                self.output.line(format!("{key} {text}"));
            }
        }
    }
}

/// A value in a table.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(map) if map.is_empty() => String::new(),
        // Prices of a token are small: written out they can be compared.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// The fields of a file, over them those of the command line.
fn fields(keys: &[String], from: Option<&PathBuf>) -> Result<Map<String, Value>, NotSettled> {
    let mut fields = Node::empty_map(Source::from_text("", "").start());
    if let Some(file) = from {
        let text = read(file).and_then(|text| String::from_utf8(text).context("this is no text"));
        let text = text.map_err(NotSettled::Other)?;
        fields = Node::parse(&file.display().to_string(), &text)
            .map_err(mortise_framework::config::Errors::from)?;
        if fields.as_map().is_none() {
            return Err(NotSettled::Other(anyhow!("{} holds no fields", file.display())));
        }
    }
    for given in keys {
        let (key, value) = given.split_once('=').ok_or_else(|| {
            NotSettled::Other(anyhow!("`{given}` has no `=`: write for example owner=ci@example.com"))
        })?;
        let value = Override::from_flag(key.trim(), key.trim(), value);
        let applied = value.and_then(|value| value.laid_on(&mut fields));
        applied.map_err(mortise_framework::config::Errors::from)?;
    }
    match fields.to_json() {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}
