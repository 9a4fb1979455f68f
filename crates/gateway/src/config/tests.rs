use std::path::Path;

use mortise_framework::{
    Framework,
    config::{Environment, Errors, FileKind, Notice},
    runtime::NativeRuntime,
};
use mortise_plugin_api::{
    Native, NativeKind, Needs, Verdict,
    hooks::{ToolPostInvoke, ToolPreInvoke},
};
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A framework with two kinds that do nothing.
fn framework() -> Framework {
    let kind = |name, class_paths| NativeKind {
        name,
        class_paths,
        about: "does nothing",
        hooks: &[],
        config_schema: || json!({ "type": "object" }).try_into().unwrap(),
        build: |_| {
            let before = Native::new(()).on::<ToolPreInvoke>(Needs::observe(), |_, _, _| Ok(Verdict::Pass));
            Ok(before.on::<ToolPostInvoke>(Needs::observe(), |_, _, _| Ok(Verdict::Pass)).into_plugin())
        },
    };
    let pii = kind("pii_filter", &["plugins.pii_filter.pii_filter.PIIFilterPlugin"]);
    Framework::builder().runtime(NativeRuntime::new([pii, kind("deny_list", &[])])).build()
}

struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn options(&self, variables: &[(&str, &str)]) -> LoadOptions {
        LoadOptions::new(self.path(), Environment::new(variables.iter().copied()))
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Settled, Errors> {
        Settled::load(&self.options(variables), &framework())
    }
}

fn load(text: &str) -> Result<Settled, Errors> {
    Folder::new(&[("mortise.yaml", text)]).load(&[])
}

/// Line, path and message of every error.
fn errors(text: &str) -> Vec<(u32, String, String)> {
    let errors = load(text).unwrap_err();
    let line = |e: &Notice| e.span.as_ref().and_then(mortise_framework::config::Span::line).unwrap_or(0);
    errors.list().iter().map(|e| (line(e), e.path.clone(), e.message.clone())).collect()
}

#[track_caller]
fn assert_error(text: &str, line: u32, path: &str, message: &str) {
    let found = errors(text);
    assert!(
        found.iter().any(|(l, p, m)| *l == line && p == path && m.contains(message)),
        "expected line {line}, {path}, {message}; found {found:#?}"
    );
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let settled = Folder::new(&[]).load(&[]).unwrap();
    assert_eq!(settled.listen.address, DEFAULT_ADDRESS.parse().unwrap());
    assert!(settled.apps.is_none() && settled.upstreams.is_empty() && settled.plan.entries.is_empty());
    assert!(settled.plan.enabled && settled.files.is_empty() && settled.notices.is_empty());
}

#[test]
fn everything_the_design_shows_loads() {
    let text = r#"
listen: { address: "127.0.0.1:8081", tls: { cert: tls.crt, key: tls.key, client_ca: ca.crt }, trusted_proxies: ["10.0.0.0/8"], allowed_origins: [] }
state_dir: state
plugins:
  - { name: pii, kind: builtin.pii_filter, hooks: [tool_pre_invoke, tool_post_invoke], mode: enforce, priority: 10, config: { detect_email: true } }
  - { name: echo, kind: process, command: "file://plugins/echo", offers: [custom_endpoint], config: { slug: echo } }
bindings:
  - { plugin: pii, scope: { llm: gpt }, order: 1, config: { block_on_detection: true } }
upstreams:
  docs: { url: "http://127.0.0.1:9101/mcp", headers: { Authorization: "Bearer ${DOCS_TOKEN}" } }
  files: { command: ["npx", "-y", "@modelcontextprotocol/server-filesystem", "data"], env: { PORT: 80 }, cwd: . }
servers:
  support: { upstreams: [docs], tools: [search] }
llms:
  gpt: { vendor: openai, endpoint: "https://api.example.com/v1", api_key: "${OPENAI_API_KEY}", models: ["gpt-*"] }
apps:
  - { name: ci, tokens: [{ sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", scopes: [] }], user: ci@example.com, tenant: acme, teams: [platform], metadata: {}, monthly_budget: 100, rate_limit: 600, llms: [gpt], servers: [support] }
"#;
    let folder = Folder::new(&[("mortise.yaml", text)]);
    let settled = folder.load(&[("DOCS_TOKEN", "hunter2"), ("OPENAI_API_KEY", "sk-secret")]).unwrap();
    assert_eq!(settled.state_dir, folder.path().join("state"));
    assert_eq!(settled.listen.tls.as_ref().unwrap().cert, folder.path().join("tls.crt"));
    let [docs, files] = &settled.upstreams[..] else { panic!("{:?}", settled.upstreams) };
    assert_eq!((docs.name.as_str(), docs.timeout.as_secs()), ("docs", 60));
    let Transport::Http { headers, .. } = &docs.transport else { panic!() };
    assert_eq!(headers["authorization"], "Bearer hunter2");
    let Transport::Stdio { program, args, env, cwd } = &files.transport else { panic!() };
    assert_eq!((program.to_str().unwrap(), args.len(), env["PORT"].as_str()), ("npx", 3, "80"));
    assert_eq!(cwd.as_deref().unwrap().canonicalize().unwrap(), folder.path().canonicalize().unwrap());
    assert_eq!(settled.apps.as_ref().unwrap()[0].tokens.len(), 1);
    assert_eq!(settled.plan.bindings.len(), 1);
    let shown = format!("{settled:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("sk-secret"), "{shown}");
    let [gpt] = &settled.llms[..] else { panic!("{:?}", settled.llms) };
    assert_eq!((gpt.name.as_str(), gpt.endpoint.as_str()), ("gpt", "https://api.example.com/v1"));
    let app = &settled.apps.as_ref().unwrap()[0];
    assert_eq!((app.monthly_budget, app.rate_limit), (Some(100.0), Some(600)));
}

#[test]
fn upstreams_keep_the_order_of_the_file() {
    let settled = load("upstreams: { z: { command: a }, a: { command: a }, m: { command: a, enabled: false }, b: { command: a } }").unwrap();
    assert_eq!(settled.upstreams.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["z", "a", "b"]);
}

#[test]
fn an_upstream_has_exactly_one_of_url_and_command() {
    assert_error(
        "upstreams:\n  a:\n    url: http://h/\n    command: x\n",
        4,
        "upstreams.a.command",
        "not both",
    );
    assert_error("upstreams:\n  a:\n    timeout: 3\n", 2, "upstreams.a", "neither");
}

#[test]
fn what_does_not_belong_to_a_transport_is_refused() {
    assert_error("upstreams:\n  a:\n    url: http://h/\n    cwd: x\n", 4, "upstreams.a.cwd", "`command`");
    assert_error(
        "upstreams:\n  a:\n    command: x\n    headers: { A: b }\n",
        4,
        "upstreams.a.headers",
        "`url`",
    );
    assert_error("upstreams:\n  a:\n    command: []\n", 3, "upstreams.a.command", "empty");
}

#[test]
fn urls_are_http_without_credentials_and_never_repeated() {
    assert_error("upstreams:\n  a:\n    url: ftp://h/\n", 3, "upstreams.a.url", "not `ftp`");
    assert_error("upstreams:\n  a: { url: not-one }\n", 2, "upstreams.a.url", "not a URL");
    let text = "upstreams:\n  a:\n    url: http://u:hunter2@h/\n";
    assert_error(text, 3, "upstreams.a.url", "user name or password");
    assert!(!load(text).unwrap_err().render(false).contains("hunter2"));
}

#[test]
fn headers_are_checked_without_showing_their_values() {
    let text = "upstreams:\n  a:\n    url: http://h/\n    headers:\n      Host: h\n      \"b ad\": x\n      X-A: \"hunter2\\n\"\n";
    let found = errors(text);
    assert_eq!(found.iter().map(|e| e.0).collect::<Vec<_>>(), [5, 6, 7], "{found:#?}");
    assert!(!format!("{}", load(text).unwrap_err()).contains("hunter2"));
}

#[test]
fn names_have_a_form() {
    assert_error("upstreams:\n  -x: { command: a }\n", 2, "upstreams.-x", "cannot be a name");
    assert_error("servers:\n  \"a/b\": {}\n", 2, "servers.\"a/b\"", "cannot be a name");
}

#[test]
fn servers_name_known_upstreams() {
    let text = "upstreams:\n  docs: { command: x }\nservers:\n  s:\n    upstreams: [docs, dosc]\n";
    assert_error(text, 5, "servers.s.upstreams[1]", "no upstream `dosc`");
    assert!(load(text).unwrap_err().render(false).contains("did you mean `docs`?"));
}

#[test]
fn tokens_are_digests_and_times_are_times() {
    let text = "apps:\n  - name: a\n    tokens:\n      - sha256: hunter2\n      - sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n        expires: soon\n";
    let found = errors(text);
    assert_eq!(
        found.iter().map(|e| (e.0, e.1.as_str())).collect::<Vec<_>>(),
        [(4, "apps[0].tokens[0].sha256"), (6, "apps[0].tokens[1].expires"),]
    );
    assert!(!load(text).unwrap_err().render(false).contains("hunter2"));
}

#[test]
fn apps_are_named_once_and_tokens_belong_to_one() {
    let text = "apps:\n  - name: a\n  - name: b\n  - name: a\n";
    assert_error(text, 4, "apps[2].name", "two apps have the name `a`");
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let text = format!(
        "apps:\n  - {{ name: a, tokens: [{{ sha256: {digest} }}] }}\n  - name: b\n    tokens:\n      - sha256: {}\n",
        digest.to_uppercase()
    );
    assert_error(&text, 5, "apps[1].tokens[0].sha256", "the same");
}

#[test]
fn apps_name_known_servers_and_llms() {
    assert_error("apps:\n  - name: a\n    servers: [x]\n", 3, "apps[0].servers[0]", "no virtual server `x`");
    assert_error("apps:\n  - name: a\n    llms: [x]\n", 3, "apps[0].llms[0]", "no LLM `x`");
}

#[test]
fn other_than_loopback_addresses_need_apps() {
    assert_error("listen:\n  address: 0.0.0.0:80\n", 2, "listen.address", "would serve anyone");
    assert!(load("listen: { address: \"0.0.0.0:80\" }\napps: []\n").unwrap().apps.unwrap().is_empty());
    for loopback in ["127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"] {
        assert!(load(&format!("listen: {{ address: \"{loopback}\" }}")).is_ok(), "{loopback}");
    }
    assert_error("listen:\n  address: example.com:80\n", 2, "listen.address", "not an address");
}

#[test]
fn flags_lie_over_the_address_and_are_checked_like_it() {
    let folder = Folder::new(&[("mortise.yaml", "listen: { address: \"127.0.0.2:1\" }\n")]);
    let mut options = folder.options(&[]);
    options.port = Some(9000);
    assert_eq!(Settled::load(&options, &framework()).unwrap().listen.address.to_string(), "127.0.0.2:9000");
    options.host = Some("::1".to_owned());
    assert_eq!(Settled::load(&options, &framework()).unwrap().listen.address.to_string(), "[::1]:9000");
    options.host = Some("0.0.0.0".to_owned());
    let error = Settled::load(&options, &framework()).unwrap_err();
    assert_eq!(error.list()[0].path, "--host");
}

#[test]
fn networks_origins_and_hosts_are_checked() {
    let text = "listen:\n  trusted_proxies: [10.0.0.1, 10.0.0.0/99]\n  allowed_origins: [https://a.example, a.example]\n  allowed_hosts: [a.example, \"http://x\"]\n";
    let found = errors(text);
    assert_eq!(
        found.iter().map(|e| e.1.as_str()).collect::<Vec<_>>(),
        ["listen.trusted_proxies[1]", "listen.allowed_origins[1]", "listen.allowed_hosts[1]",]
    );
    assert_eq!(found.iter().map(|e| e.0).collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn bindings_name_what_exists() {
    let text = "plugins:\n  - { name: pii, kind: builtin.pii_filter }\nbindings:\n  - plugin: pi\n  - plugin: pii\n    scope: { upstream: docs, tool: anything }\n";
    let found = errors(text);
    assert_eq!(
        found.iter().map(|e| (e.0, e.1.as_str())).collect::<Vec<_>>(),
        [(4, "bindings[0].plugin"), (6, "bindings[1].scope.upstream"),],
        "{found:#?}"
    );
}

#[test]
fn unknown_keys_are_errors_with_the_nearest_one() {
    let text = "listen: { adress: \"127.0.0.1:1\" }\nupstream: {}\n";
    let shown = load(text).unwrap_err().render(false);
    assert!(shown.contains("`address`") && shown.contains("`upstreams`"), "{shown}");
}

#[test]
fn all_errors_are_told_at_once() {
    let text = "listen: { address: nowhere }\nupstreams: { a: {}, b: { url: \"ftp://h\" } }\nservers: { s: { upstreams: [c] } }\nplugins: [{ name: p, kind: builtin.nothing, hooks: [tool_pre_invok] }]\n";
    let lines: Vec<u32> = errors(text).iter().map(|e| e.0).collect();
    assert_eq!(lines, [1, 2, 2, 3, 4, 4]);
}

const PLUGIN_FILE: &str = "plugins:\n  - name: pii\n    kind: plugins.pii_filter.pii_filter.PIIFilterPlugin\n    priority: 7\n  - name: mine\n    kind: plugins.my_plugin.plugin.MyPlugin\nplugin_settings:\n  plugin_timeout: 5\n  fail_on_plugin_error: true\n";

fn names(settled: &Settled) -> Vec<(&str, i64)> {
    settled.plan.entries.iter().map(|entry| (entry.name.as_str(), entry.priority)).collect()
}

#[test]
fn the_default_plugin_file_is_read_unless_others_are_named() {
    let folder = Folder::new(&[
        ("plugins/config.yaml", PLUGIN_FILE),
        ("other.yaml", "plugins: [{ name: other, kind: x.Y }]\n"),
    ]);
    assert_eq!(names(&folder.load(&[]).unwrap()), [("pii", 7), ("mine", 100)]);
    assert_eq!(names(&folder.load(&[("PLUGIN_CONFIG_FILE", "other.yaml")]).unwrap()), [("other", 100)]);
    assert!(folder.load(&[("PLUGINS_CONFIG_FILE", "missing.yaml")]).is_err());
    std::fs::write(folder.path().join("mortise.yaml"), "plugins_files: []\n").unwrap();
    assert_eq!(names(&folder.load(&[]).unwrap()), []);
    let mut options = folder.options(&[]);
    assert_eq!(options.add_file("plugins/config.yaml").unwrap(), FileKind::Plugins);
    assert_eq!(names(&Settled::load(&options, &framework()).unwrap()).len(), 2);
}

#[test]
fn own_entries_and_settings_lie_over_those_of_plugin_files_and_variables_over_both() {
    let own = "plugins_files: [sub/p.yaml]\nplugins:\n  - { name: pii, kind: builtin.pii_filter, priority: 1 }\n  - { name: more, kind: builtin.deny_list, config: { words: [x] } }\nplugin_settings: { plugin_timeout: 6 }\n";
    let folder = Folder::new(&[("mortise.yaml", own), ("sub/p.yaml", PLUGIN_FILE)]);
    let settled = folder.load(&[]).unwrap();
    assert_eq!(names(&settled), [("pii", 1), ("mine", 100), ("more", 100)]);
    assert!(settled.notices.iter().any(|n| n.path == "plugins[0].name" && n.message.contains("sub/p.yaml")));
    assert_eq!(settled.plugin_settings.plugin_timeout, 6);
    assert!(settled.plan.settings.fail_on_plugin_error);
    assert_eq!(settled.files.len(), 2);
    let settled = folder.load(&[("PLUGINS_PLUGIN_TIMEOUT", "9"), ("PLUGINS_ENABLED", "false")]).unwrap();
    assert_eq!(settled.plan.settings.plugin_timeout.as_secs(), 9);
    assert!(!settled.plan.enabled);
}

#[test]
fn variables_and_a_dotenv_file_set_keys() {
    let folder = Folder::new(&[(".env", "MORTISE_LISTEN__ADDRESS=127.0.0.1:7\nPLUGINS_ENABLED=off\n")]);
    let settled = folder.load(&[("MORTISE_PORT", "1"), ("MORTISE_SERVICE_HOST", "10.0.0.1")]).unwrap();
    assert_eq!(settled.listen.address.port(), 7);
    assert!(!settled.plan.enabled);
    // Flags of the command line are no keys; what clusters inject is told of.
    let told: Vec<_> = settled.notices.iter().map(|n| n.message.as_str()).collect();
    assert!(told.len() == 1 && told[0].contains("service_host"), "{told:?}");
}

#[test]
fn a_file_that_was_named_must_exist() {
    let folder = Folder::new(&[]);
    let error = folder.options(&[]).add_file("nowhere.yaml").unwrap_err();
    assert!(error.to_string().contains("nowhere.yaml"));
}

#[test]
fn a_file_with_plugins_alone_lies_over_the_own_file_it_is_given_with() {
    let own = "listen: {}\nplugins:\n  - { name: pii, kind: builtin.pii_filter }\n";
    let folder =
        Folder::new(&[("base.yaml", own), ("prod.yaml", "plugins: [{ name: pii, mode: permissive }]\n")]);
    for order in [["base.yaml", "prod.yaml"], ["prod.yaml", "base.yaml"]] {
        let mut options = folder.options(&[]);
        for file in order {
            options.add_file(file).unwrap();
        }
        assert!(options.files.iter().all(|(_, kind)| *kind == FileKind::Own), "{:?}", options.files);
        let settled = Settled::load(&options, &framework()).unwrap();
        assert_eq!(settled.plan.entries[0].mode, mortise_framework::config::Mode::Permissive);
    }
}

#[test]
fn faults_of_all_kinds_are_told_in_one_run_in_the_order_of_the_text() {
    let text = "\
listen: { address: nowhere }
limits: { max_argument_bytes: lots, bogus: 1 }
plugins:
  - { name: one, kind: builtin.nothing, bogus: 1 }
  - { name: two, kind: builtin.pii_filter, hooks: [tool_pre_invok], mode: enforced }
  - { kind: builtin.pii_filter }
  - { name: three, kind: builtin.deny_list }
bindings:
  - { plugin: two, mod: x }
  - { bogus: 1 }
  - { plugin: thre }
upstreams: { a: { url: 5, bogus: 1 }, b: { url: \"ftp://h\" }, c: 5 }
servers: { s: { upstreams: [a, b, c, d] } }
";
    let found = errors(text);
    let places: Vec<_> = found.iter().map(|(line, path, _)| (*line, path.as_str())).collect();
    for place in [
        (1, "listen.address"),
        (2, "limits.max_argument_bytes"),
        (2, "limits.bogus"),
        (4, "plugins[0].bogus"),
        (4, "plugins[0].kind"),
        (5, "plugins[1].hooks[0]"),
        (5, "plugins[1].mode"),
        (6, "plugins[2].name"),
        (9, "bindings[0].mod"),
        (10, "bindings[1].bogus"),
        (10, "bindings[1].plugin"),
        (12, "upstreams.b.url"),
        (12, "upstreams.c"),
        (13, "servers.s.upstreams[3]"),
    ] {
        assert!(places.contains(&place), "{place:?} in {found:#?}");
    }
    assert!(places.is_sorted_by_key(|(line, _)| *line), "{places:?}");
    // A plugin without a name may be any: what is perhaps right is not called wrong.
    assert!(!places.iter().any(|(_, path)| path.starts_with("bindings[2]")), "{found:#?}");
    assert!(!found.iter().any(|(_, _, message)| message.contains("`two`")), "{found:#?}");
}

#[test]
fn what_failed_to_read_is_not_called_missing() {
    let text = "plugins:\n  - { name: a, kind: builtin.pii_filter, hooks: [tool_pre_invok] }\n  - { name: pii3, kind: builtin.pii_filter }\n  - { name: b, mode: x }\nbindings:\n  - { plugin: pii3 }\n  - { plugin: a }\n  - { plugin: b }\n  - { plugin: c }\n";
    let found = errors(text);
    let paths: Vec<_> = found.iter().map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(paths, ["plugins[0].hooks[0]", "plugins[2].kind", "plugins[2].mode", "bindings[3].plugin"]);
    let plugins = "plugins:\n  - { name: a, kind: builtin.pii_filter, hooks: [tool_pre_invok] }\n  - { name: b, mode: x }\n";
    let own = "bindings:\n  - { plugin: a }\n  - { plugin: b }\n  - { plugin: c }\n";
    let folder = Folder::new(&[("mortise.yaml", own), ("plugins/config.yaml", plugins)]);
    let shown = folder.load(&[]).unwrap_err().render(false);
    assert!(shown.contains("no plugin `c`"), "{shown}");
    assert!(!shown.contains("no plugin `a`") && !shown.contains("no plugin `b`"), "{shown}");
    std::fs::write(folder.path().join("plugins/config.yaml"), "plugins: [").unwrap();
    let shown = folder.load(&[]).unwrap_err().render(false);
    assert!(!shown.contains("no plugin"), "{shown}");
}

#[test]
fn places_are_those_in_the_text_although_items_before_failed_to_read() {
    let found = errors("bindings:\n  - { bogus: 1 }\n  - { scope: x }\n  - { plugin: nope }\n");
    let places: Vec<_> = found.iter().map(|(line, path, _)| (*line, path.as_str())).collect();
    assert!(places.contains(&(4, "bindings[2].plugin")), "{found:#?}");
    assert!(places.contains(&(2, "bindings[0].plugin")), "{found:#?}");
}

#[test]
fn an_unset_variable_does_not_hide_what_is_wrong_in_plugin_files() {
    let own = "listen: { address: \"${ADDR}\" }\nplugins_files: [p.yaml]\n";
    let plugins = "plugins:\n  - { name: a, kind: builtin.nothing, hooks: [tool_pre_invok] }\n";
    let folder = Folder::new(&[("mortise.yaml", own), ("p.yaml", plugins)]);
    let shown = folder.load(&[]).unwrap_err();
    let paths: Vec<_> = shown.list().iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["listen.address", "plugins[0].kind", "plugins[0].hooks[0]"], "{shown}");
}

#[test]
fn settings_of_an_entry_that_waits_are_told_to_have_no_effect_yet() {
    let plugins = "plugins:\n  - name: a\n    kind: external\n    mcp: { proto: STDIO, script: s.py }\n  - { name: b, kind: builtin.pii_filter, config: {} }\n";
    let settled = Folder::new(&[("plugins/config.yaml", plugins)]).load(&[]).unwrap();
    let told: Vec<_> = settled.notices.iter().map(|n| (n.path.as_str(), n.message.as_str())).collect();
    let [("plugins[0].mcp", message)] = told[..] else { panic!("{told:?}") };
    assert!(message.starts_with("`mcp` of `a` has no effect yet: it waits for"), "{message}");
}

#[test]
fn every_key_that_plugin_files_do_not_have_tells_an_own_file() {
    let plugins = schemars::schema_for!(mortise_framework::config::RawPluginsFile).to_value();
    let own = schema().to_value();
    for key in own["properties"].as_object().unwrap().keys() {
        if plugins["properties"].get(key).is_none() {
            let folder = Folder::new(&[("some.yaml", &format!("{key}: x\nplugins: []\n"))]);
            let kind = folder.options(&[]).add_file("some.yaml").unwrap();
            assert_eq!(kind, FileKind::Own, "{key}");
        }
    }
}

#[test]
fn the_schema_describes_every_key() {
    fn undescribed(path: &str, schema: &serde_json::Value, missing: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if property["description"].as_str().is_none_or(str::is_empty) && property.get("$ref").is_none() {
                missing.push(format!("{path}.{name}"));
            }
        }
    }
    let schema = schema().to_value();
    let mut missing = Vec::new();
    undescribed("", &schema, &mut missing);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        undescribed(name, definition, &mut missing);
    }
    assert_eq!(missing, Vec::<String>::new());
}
