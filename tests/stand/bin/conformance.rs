//! The conformance plugin of the Rust kit, as a process: it does what sdks/conformance/README.md says.

use std::{fs::File, io::Write as _, process::ExitCode};

use mortise_sdk::{
    plugin_api::{
        Cx, EndpointCall, EndpointMethod, EndpointRegistration, EndpointResponse, EndpointSink, Headers,
        Host, Json, Native, Needs, Part, PluginError, Stream, Verdict, Violation,
        hooks::{
            HttpAuthResolveUser, HttpPostForwardingCall, HttpPreRequest, LlmInput, LlmOutput,
            RecordAnalytics, RecordBudgetUsage, RecordProxyLog,
            http::{ForwardingPayload, HttpPreRequestPayload, ResolveUserPayload, UserRecord},
            llm::{LlmInputPayload, LlmOutputPayload},
            record::RecordPayload,
        },
        host::LogLevel,
    },
    process::{About, Config, Program},
};
use serde_json::{Value, json};

struct Conformance(Config);

type Decided<C> = Result<Verdict<C>, PluginError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let about = About::new("conformance", "1.0.0")
        .id("test.mortise.conformance")
        .services(["kv.readwrite"])
        .schema(json!({ "type": "object", "properties": { "slug": { "type": "string" } } }));
    let served = Program::new(about, |config| {
        if let Some(reason) = config.text("refuse") {
            return Err(PluginError::failed(reason));
        }
        Ok(plugin(config).into_plugin())
    });
    match served.serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn plugin(config: Config) -> Native<Conformance> {
    let output = Needs::change().with_stream(Stream::Observe);
    use EndpointMethod::{Delete, Get, Patch, Post, Put};
    Native::new(Conformance(config))
        .on_async::<HttpPreRequest>(Needs::change(), |plugin, asked, cx| Box::pin(plugin.request(asked, cx)))
        .on::<HttpAuthResolveUser>(Needs::change(), Conformance::caller)
        .on::<LlmInput>(Needs::change(), Conformance::input)
        .on::<HttpPostForwardingCall>(Needs::change(), Conformance::answer_headers)
        .on::<LlmOutput>(output, Conformance::output)
        .on::<RecordProxyLog>(Needs::observe(), Conformance::proxy_log)
        .on::<RecordAnalytics>(Needs::observe(), |plugin, record, _| {
            plugin.record("analytics", record, "model")
        })
        .on::<RecordBudgetUsage>(Needs::observe(), |plugin, record, _| {
            plugin.record("budget", record, "tokens_used")
        })
        .on_stop(|plugin| {
            Box::pin(async move {
                plugin.note("shutdown");
            })
        })
        .endpoint(
            EndpointRegistration::new("/echo", [Get, Post, Put, Delete, Patch])
                .describe("Echoes the request"),
            |_, call| Box::pin(async move { echo(&call) }),
        )
        .endpoint(
            EndpointRegistration::new("/whoami", [Get]).describe("Tells the caller").authenticated(),
            |_, call| Box::pin(async move { whoami(&call) }),
        )
        .endpoint(EndpointRegistration::new("/fail", [Get]).describe("Fails"), |_, _| {
            Box::pin(async { Err(PluginError::failed("fails on demand")) })
        })
        .streaming_endpoint(EndpointRegistration::new("/stream", [Get]).describe("Streams"), |_, _, out| {
            Box::pin(stream(out))
        })
        .streaming_endpoint(
            EndpointRegistration::new("/stream-fail", [Get]).describe("Fails to stream"),
            |_, _, _| Box::pin(async { Err(PluginError::failed("no stream today")) }),
        )
        .endpoint(EndpointRegistration::new("/*", [Get]).describe("Everything else"), |_, call| {
            Box::pin(async move { answer(404, &json!({ "missing": call.request.relative_path })) })
        })
}

impl Conformance {
    fn note(&self, line: &str) {
        if let Some(path) = self.0.text("journal")
            && let Ok(mut journal) = File::options().create(true).append(true).open(path)
        {
            let _ = writeln!(journal, "{line}");
        }
    }

    async fn request<'a>(&'a self, asked: &'a HttpPreRequestPayload, cx: &mut Cx<'a>) -> Decided<Headers> {
        let words: Vec<&str> = asked.headers.get("x-conformance").unwrap_or_default().split(' ').collect();
        match *words.as_slice() {
            ["block"] => {
                let mut violation = Violation::new("ON_DEMAND", "blocked on demand").http_status(429);
                violation.http_headers = Some([("retry-after", "7")].into_iter().collect());
                violation.http_body = Some("blocked on demand".into());
                Ok(violation.into())
            }
            ["block-plain"] => Ok(Violation::new("ON_DEMAND", "no more of this").into()),
            ["set"] => Ok(Verdict::Change([("x-conformance-set", "1")].into_iter().collect())),
            ["fail"] => Err(PluginError::failed("fails on demand")),
            #[expect(clippy::panic, reason = "what is asked for")]
            ["panic"] => panic!("on demand"),
            ["config", key] => Ok(tell(self.0.text(key).unwrap_or_default().to_owned())),
            ["about"] => Ok(tell(format!("{} {} {}", asked.method, asked.path, cx.request().id))),
            ["pid"] => Ok(tell(std::process::id().to_string())),
            ["write" | "read" | "delete" | "publish", ..] => ask(cx.host(), &words).await.map(tell),
            ["print"] => {
                let _ = writeln!(std::io::stdout(), "printed on demand");
                cx.host().log(LogLevel::Info, "logged on demand", &[("kit", "rust")]);
                Ok(Verdict::Pass)
            }
            _ => Ok(Verdict::Pass),
        }
    }

    fn caller(&self, asked: &ResolveUserPayload, _: &mut Cx<'_>) -> Decided<UserRecord> {
        let token = asked.credentials.as_ref().map_or("", |given| given.credentials.as_str());
        let Some(name) = token.strip_prefix("token-of-") else {
            return Ok(Violation::new("INVALID_TOKEN", "nobody knows this token").into());
        };
        let record = json!({ "email": format!("{name}@example.com"), "app": "7", "tenant": "acme" });
        Ok(Verdict::Change(UserRecord(record.as_object().cloned().unwrap_or_default())))
    }

    fn input(&self, asked: &LlmInputPayload, cx: &mut Cx<'_>) -> Decided<LlmInputPayload> {
        let seen_by = cx.context.shared("seen_by").and_then(Value::as_str).map(str::to_owned);
        cx.context.set_shared("seen_by", "conformance");
        let (body, mut changed) = (asked.body.as_str(), asked.clone());
        if body.contains("forbidden") {
            let user = cx.request().caller.user.as_deref().unwrap_or_default();
            return Ok(Violation::new("FORBIDDEN", format!("not for {user}")).into());
        }
        if body.contains("replace me") {
            changed.body = Json::from(json!({ "model": "small" }));
        } else if let Some(seen_by) = seen_by.filter(|_| body.contains("context")) {
            changed.headers.set("x-seen-by", seen_by);
        } else {
            return Ok(Verdict::Pass);
        }
        Ok(Verdict::Change(changed))
    }

    fn answer_headers(&self, answered: &ForwardingPayload, _: &mut Cx<'_>) -> Decided<Headers> {
        let seen = answered.headers.get("content-type").unwrap_or_default();
        Ok(Verdict::Change([("x-conformance-seen", seen)].into_iter().collect()))
    }

    fn output(&self, answered: &LlmOutputPayload, cx: &mut Cx<'_>) -> Decided<LlmOutputPayload> {
        let (body, mut changed) = (answered.body.as_str(), answered.clone());
        if matches!(cx.call.part, Part::Complete) {
            self.note(&format!("stream: {body}"));
            return Ok(Verdict::Pass);
        }
        if body.contains("empty me") {
            changed.headers = Headers::new();
            changed.body = Json::assume_valid("");
        } else if body.contains("secret") {
            changed.body = Json::assume_valid(body.replace("secret", "******"));
        } else {
            return Ok(Verdict::Pass);
        }
        Ok(Verdict::Change(changed))
    }

    fn proxy_log(&self, record: &RecordPayload, _: &mut Cx<'_>) -> Decided<RecordPayload> {
        let record = record.0.value().map_err(|error| PluginError::failed(error.to_string()))?;
        self.note(&format!(
            "log: {} {}",
            record["status"],
            record["request_id"].as_str().unwrap_or_default()
        ));
        if record["status"].as_i64() >= Some(500) {
            return Err(PluginError::failed("the disk is full"));
        }
        Ok(Verdict::Pass)
    }

    fn record(&self, word: &str, record: &RecordPayload, key: &str) -> Decided<RecordPayload> {
        let record = record.0.value().map_err(|error| PluginError::failed(error.to_string()))?;
        let value = record[key].as_str().map_or_else(|| record[key].to_string(), str::to_owned);
        self.note(&format!("{word}: {value}"));
        Ok(Verdict::Pass)
    }
}

async fn ask(host: &dyn Host, words: &[&str]) -> Result<String, PluginError> {
    match *words {
        ["write", key, value] => host.kv()?.set(key, value.to_owned().into(), None).await?,
        ["delete", key] => host.kv()?.delete(key).await?,
        ["publish", topic] => host.events()?.publish(topic, json!({ "from": "conformance" })).await?,
        ["read", key] => {
            let value = host.kv()?.get(key).await?;
            return Ok(
                value.map_or("not found".to_owned(), |value| String::from_utf8_lossy(&value).into_owned())
            );
        }
        _ => return Err(PluginError::failed("a word is missing")),
    }
    Ok("done".to_owned())
}

fn tell(text: String) -> Verdict<Headers> {
    let mut violation = Violation::new("TOLD", "told").http_status(418);
    violation.http_body = Some(text.into());
    violation.into()
}

fn answer(status: u16, value: &Value) -> Result<EndpointResponse, PluginError> {
    Ok(EndpointResponse::json(status, value)?.header("x-echo", "1"))
}

fn echo(call: &EndpointCall) -> Result<EndpointResponse, PluginError> {
    let request = &call.request;
    answer(
        200,
        &json!({
            "method": request.method.word(), "path": request.path, "relative_path": request.relative_path,
            "segments": request.path_segments, "query": request.query_string,
            "body": String::from_utf8_lossy(&request.body),
            "header": request.headers.get("x-conformance").unwrap_or_default(),
            "authenticated": request.authenticated,
        }),
    )
}

fn whoami(call: &EndpointCall) -> Result<EndpointResponse, PluginError> {
    let app = call.request.app.as_deref();
    let scopes: Vec<&str> = call.request.scopes.iter().map(|scope| &**scope).collect();
    let name = app.map(|app| app.name.as_str());
    answer(200, &json!({ "app": name, "metadata": app.map(|app| &app.metadata), "scopes": scopes }))
}

async fn stream(mut out: EndpointSink) -> Result<(), PluginError> {
    out.head(201, [("content-type", "text/event-stream")].into_iter().collect()).await?;
    for at in 0..3 {
        out.body(format!("data: {at}\n\n")).await?;
    }
    Ok(())
}
