use std::collections::BTreeSet;

use http::Method;
use http_body_util::Full;
use mortise_framework::{
    Plan,
    config::{Environment, PluginsFile, PluginsFileOptions},
    runtime::NativeRuntime,
};
use mortise_plugin_api::{Native, NativeKind, Needs, PluginError, Verdict, hooks::ToolPreInvoke};

use serde_json::{Value, json};

use super::*;
use crate::config::{App, Token, TokenDigest};

struct Stage {
    framework: Framework,
    upstreams: Vec<upstreams::Status>,
    attempted: bool,
    serves_plugins: bool,
    registry: Registry,
}

impl Managed for Stage {
    fn framework(&self) -> &Framework {
        &self.framework
    }
    fn plugins_enabled(&self) -> bool {
        true
    }
    fn serves_plugins(&self) -> bool {
        self.serves_plugins
    }
    fn upstreams(&self) -> Vec<upstreams::Status> {
        self.upstreams.clone()
    }
    fn attempted(&self) -> bool {
        self.attempted
    }
    fn metrics(&self) -> &Registry {
        &self.registry
    }
}

const FILE: &str = r#"
plugins:
  - name: later
    kind: builtin.passes
    hooks: [tool_pre_invoke]
    tags: [security, filter]
    priority: 50
    conditions: [{ prompts: [customer_chat] }]
    config: { api_key: hunter2, depth: 3 }
  - name: "odd name/1"
    kind: plugins.mine.Mine
    conditions: [{ tools: [a] }, { tools: [b], server_ids: [] }]
    priority: 1
  - { name: off, kind: builtin.passes, mode: disabled, priority: 90 }
"#;

fn passes() -> NativeKind {
    NativeKind {
        name: "passes",
        class_paths: &[],
        about: "lets everything pass",
        hooks: &[],
        config_schema: || json!({ "type": "object" }).try_into().unwrap(),
        build: |_| {
            let plugin = Native::new(());
            Ok(plugin
                .on::<ToolPreInvoke>(Needs::observe(), |(), _, _| Ok::<_, PluginError>(Verdict::Pass))
                .into_plugin())
        },
    }
}

async fn stage() -> Stage {
    let framework = Framework::builder().runtime(NativeRuntime::new([passes()])).build();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugins.yaml");
    std::fs::write(&path, FILE).unwrap();
    let env = Environment::default();
    let file = PluginsFile::load(&[path], &PluginsFileOptions::new(&env)).unwrap();
    let plan = Plan { entries: file.entries, enabled: true, ..Plan::default() };
    let (pipelines, _) = framework.build(&plan).await.unwrap();
    framework.swap(pipelines);
    let upstream = |name: &str, state| upstreams::Status {
        name: name.into(),
        state,
        tools: 2,
        prompts: 0,
        resources: 1,
    };
    Stage {
        framework,
        upstreams: vec![
            upstream("docs", upstreams::State::Ready),
            upstream("files", upstreams::State::Failing("refused".to_owned())),
        ],
        attempted: true,
        serves_plugins: true,
        registry: Registry::default(),
    }
}

fn open() -> Authenticator {
    Authenticator::new(None)
}

fn guarded() -> Authenticator {
    let app = |name: &str, is_admin| App {
        name: name.to_owned(),
        tokens: vec![Token { digest: TokenDigest::of(name.as_bytes()), scopes: vec![], expires: None }],
        user: None,
        full_name: None,
        tenant: None,
        teams: vec![],
        is_admin,
        metadata: Map::new(),
        monthly_budget: None,
        budget_reset_day: 1,
        rate_limit: None,
        token_limit: None,
        llms: None,
        tools: None,
        datasources: None,
        servers: None,
    };
    Authenticator::new(Some(&[app("plain", false), app("boss", true)]))
}

use serde_json::Map;

async fn ask(
    stage: &Stage,
    callers: &Authenticator,
    method: Method,
    path: &str,
    token: Option<&str>,
) -> Option<Response<Bytes>> {
    let mut request = http::Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let (parts, body) = request.body(Full::<Bytes>::default()).unwrap().into_parts();
    let admins = Admins::new([TokenDigest::of(b"admin"), TokenDigest::of(b"local")]);
    serve(stage, &admins, callers, &parts, body).await
}

async fn get(stage: &Stage, callers: &Authenticator, path: &str, token: Option<&str>) -> (u16, Value) {
    let answer = ask(stage, callers, Method::GET, path, token).await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_list_has_the_documents_shape_by_priority() {
    let (status, list) = get(&stage().await, &open(), "/plugins", None).await;
    assert_eq!(status, 200);
    let names: Vec<_> = list.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["odd name/1", "later", "off"]);
    let later = &list[1];
    assert_eq!((&later["priority"], &later["mode"]), (&json!(50), &json!("enforce")));
    assert_eq!(later["hooks"], json!(["tool_pre_invoke"]));
    assert_eq!(later["tags"], json!(["security", "filter"]));
    assert_eq!(later["conditions"], json!({ "prompts": ["customer_chat"] }));
    assert_eq!((&later["status"], &later["kind"]), (&json!("ready"), &json!("builtin.passes")));
    assert_eq!(list[0]["conditions"], json!([{ "tools": ["a"] }, { "tools": ["b"] }]));
    assert_eq!(list[0]["status"], "unavailable");
    assert!(list[0]["reason"].as_str().unwrap().contains("plugins.mine.Mine"));
    assert_eq!(list[2]["status"], "disabled");
}

#[tokio::test]
async fn one_plugin_is_shown_without_its_secrets() {
    let stage = stage().await;
    let (status, plugin) = get(&stage, &open(), "/api/v1/plugins/later", None).await;
    assert_eq!((status, &plugin["config"]), (200, &json!({ "api_key": "***", "depth": 3 })));
    assert!(plugin["stats"]["hooks"].is_object());
    assert_eq!(get(&stage, &open(), "/api/v1/plugins/odd%20name%2f1", None).await.1["name"], "odd name/1");
    let (status, error) = get(&stage, &open(), "/api/v1/plugins/none", None).await;
    assert_eq!((status, &error["detail"]), (404, &json!("Plugin 'none' not found")));
}

#[tokio::test]
async fn with_apps_only_admins_read_and_probes_need_nothing() {
    let (stage, callers) = (stage().await, guarded());
    for path in ["/plugins", "/api/v1/plugins", "/api/v1/plugins/later", "/api/v1/upstreams", "/metrics"] {
        for (token, status) in [(None, 401), (Some("wrong"), 401), (Some("plain"), 403)] {
            assert_eq!(get(&stage, &callers, path, token).await.0, status, "{path} {token:?}");
        }
        let (_, refused) = get(&stage, &callers, path, Some("plain")).await;
        assert!(refused["detail"].as_str().unwrap().starts_with("not allowed"), "{path}: {refused}");
        for token in ["admin", "local", "boss"] {
            assert_eq!(get(&stage, &callers, path, Some(token)).await.0, 200, "{path} {token}");
        }
    }
    assert_eq!(get(&stage, &callers, "/health", None).await, (200, json!({ "status": "healthy" })));
    let (status, ready) = get(&stage, &callers, "/ready", None).await;
    assert_eq!(status, 200);
    assert!(ready["degraded"][0].get("reason").is_none(), "{ready}");
}

#[tokio::test]
async fn ready_waits_for_the_first_attempts_and_then_names_what_is_degraded() {
    let mut stage = stage().await;
    stage.attempted = false;
    assert_eq!(get(&stage, &open(), "/ready", None).await.0, 503);
    stage.attempted = true;
    let (status, ready) = get(&stage, &open(), "/ready", None).await;
    assert_eq!((status, &ready["status"]), (200, &json!("degraded")));
    let named: Vec<_> = ready["degraded"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["kind"].clone(), d["name"].clone()))
        .collect();
    assert_eq!(named, [(json!("plugin"), json!("odd name/1")), (json!("upstream"), json!("files"))]);
    assert_eq!(ready["degraded"][1]["reason"], "refused");
    assert_eq!(ready["plugins_enabled"], true);
}

#[tokio::test]
async fn the_plugin_endpoints_can_be_switched_off() {
    let mut stage = stage().await;
    stage.serves_plugins = false;
    assert_eq!(get(&stage, &open(), "/plugins", None).await.0, 404);
    assert_eq!(get(&stage, &open(), "/api/v1/plugins/later", None).await.0, 404);
    assert_eq!(get(&stage, &open(), "/health", None).await.0, 200);
}

#[tokio::test]
async fn other_methods_are_refused_and_other_paths_left_to_others() {
    let stage = stage().await;
    let refused = ask(&stage, &open(), Method::POST, "/plugins", None).await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
    let refused = ask(&stage, &open(), Method::POST, "/api/v1/plugins/later", None).await.unwrap();
    assert_eq!(refused.headers()["allow"], "GET, HEAD, PATCH, PUT, DELETE");
    assert_eq!(ask(&stage, &open(), Method::HEAD, "/plugins", None).await.unwrap().status(), 200);
    for path in ["/", "/mcp", "/plugins/", "/plugins/reload/", "/plugins/reload/a/b", "/api/v1/plugins/a/b"] {
        assert!(ask(&stage, &open(), Method::GET, path, None).await.is_none(), "{path}");
    }
    for path in ["/api/v1/plugins/%zz", "/api/v1/plugins/", "/api/v1/plugins//reload", "/api/v1/nothing"] {
        assert!(ask(&stage, &open(), Method::GET, path, None).await.is_none(), "{path}");
    }
}

#[tokio::test]
async fn every_route_is_described_and_everything_described_is_served() {
    let document = openapi::document();
    let stage = stage().await;
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for verb in operations.as_object().unwrap().keys() {
            described.insert((path.clone(), verb.clone()));
        }
        let asked: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { "odd%20name%2F1" } else { part }).collect();
        let asked = asked.join("/");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let served = operations.get(method.as_str().to_lowercase()).is_some();
            let answer = ask(&stage, &open(), method.clone(), &asked, Some("admin")).await.unwrap();
            assert_eq!(answer.status() != 405, served, "{method} {path}: {}", answer.status());
        }
    }
    let rows: BTreeSet<_> =
        routes::all().map(|row| (row.path.to_owned(), row.verb.word().to_owned())).collect();
    assert_eq!(described, rows);
    let ids: BTreeSet<_> = routes::all().map(|row| row.id).collect();
    assert_eq!((ids.len(), rows.len()), (routes::all().count(), routes::all().count()), "each once");
    let (status, served) = get(&stage, &guarded(), "/api/v1/openapi.json", None).await;
    assert_eq!((status, served), (200, document));
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = openapi::document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn answers_are_as_the_document_describes_them() {
    let (stage, document) = (stage().await, openapi::document());
    for (path, row) in [
        ("/health", "/health"),
        ("/ready", "/ready"),
        ("/plugins", "/plugins"),
        ("/api/v1/plugins", "/api/v1/plugins"),
        ("/api/v1/plugins/later", "/api/v1/plugins/{name}"),
        ("/api/v1/upstreams", "/api/v1/upstreams"),
    ] {
        let (_, answer) = get(&stage, &open(), path, None).await;
        let schema =
            &document["paths"][row]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        let problems: Vec<String> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(&answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{path}: {problems:?}");
    }
}
