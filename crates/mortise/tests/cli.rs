//! The command as a process: what it prints, where, and how it ends.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder to run the command in.
struct Stage(TempDir);

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Stage {
    fn new(files: &[(&str, &str)]) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = stage.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        stage
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mortise"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

const PLUGINS: &str = r#"
plugins:
  - name: pii
    kind: plugins.pii_filter.pii_filter.PIIFilterPlugin
    hooks: [tool_pre_invoke, tool_post_invoke]
    mode: enforce
    priority: 10
    config: { detect_email: true, default_mask_strategy: redact }
  - name: limiter
    kind: plugins.watchdog.watchdog.WatchdogPlugin
    mode: enforce
    priority: 5
  - name: strict
    kind: builtin.pii_filter
    hooks: [tool_pre_invoke]
    conditions: [{ tenant_ids: [acme] }]
    config: { block_on_detection: true }
  - { name: soft, kind: builtin.pii_filter, hooks: [tool_pre_invoke], mode: permissive, config: { block_on_detection: true } }
  - { name: off, kind: builtin.pii_filter, mode: disabled }
plugin_settings: { plugin_timeout: 30 }
"#;

const CALL: &str = r#"{"name": "search", "args": {"q": "write to alice@example.com now", "n": 1}}"#;

#[test]
fn help_names_commands_and_exit_codes() {
    let stage = Stage::new(&[]);
    let help = stage.run(&["--help"]).expect(0).out;
    for word in ["serve", "config", "plugins", "hooks", "completions", "Exit codes: 0"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    for command in [
        vec!["serve"],
        vec!["config", "check"],
        vec!["config", "schema"],
        vec!["plugins", "list"],
        vec!["plugins", "show"],
        vec!["plugins", "kinds"],
        vec!["plugins", "test"],
        vec!["plugin", "new"],
        vec!["plugin", "dev"],
        vec!["plugin", "test"],
        vec!["hooks"],
        vec!["completions"],
    ] {
        let args: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        assert!(stage.run(&args).expect(0).out.contains("Examples:"), "{command:?}");
    }
    stage.run(&["--version"]).expect(0);
    let wrong = stage.run(&["sevre"]).expect(2);
    assert!(wrong.err.contains("serve"), "{}", wrong.err);
}

#[test]
fn a_good_plugin_file_is_checked_with_what_runs_and_what_waits() {
    let stage = Stage::new(&[("config.yaml", PLUGINS)]);
    let out = stage.run(&["config", "check", "config.yaml"]).expect(0).out;
    assert!(out.starts_with("config.yaml: ok\n"), "{out}");
    assert!(out.contains("runs  pii ("), "{out}");
    assert!(out.contains("off   off ("), "{out}");
    assert!(
        out.contains("waits limiter") && out.contains("Watchdog, which is not part of this version"),
        "{out}"
    );
}

#[test]
fn all_errors_of_a_file_are_shown_with_line_and_caret() {
    let text = "listen:\n  adress: 127.0.0.1:1\nupstreams:\n  a: {}\nplugins:\n  - { name: p, kind: builtin.pii_filter, mode: enforced }\n";
    let stage = Stage::new(&[("mortise.yaml", text)]);
    let ran = stage.run(&["config", "check", "mortise.yaml"]).expect(1);
    assert!(ran.err.contains("mortise.yaml:2:3") && ran.err.contains("`address`"), "{}", ran.err);
    assert!(ran.err.contains("mortise.yaml:6:") && ran.err.contains("`enforce`"), "{}", ran.err);
    assert!(ran.err.contains("| ") && ran.err.contains("^^^"), "{}", ran.err);
    assert!(!ran.err.contains('\u{1b}'), "no colours into a pipe");
}

#[test]
fn several_files_are_checked_each_by_itself_or_together() {
    let stage = Stage::new(&[
        ("mortise.yaml", "upstreams: { a: { command: x } }\n"),
        ("over.yaml", "servers: { s: { upstreams: [a] } }\n"),
    ]);
    let ran = stage.run(&["config", "check", "mortise.yaml", "over.yaml"]).expect(1);
    assert!(ran.out.contains("mortise.yaml: ok") && ran.out.contains("over.yaml: 1 error"), "{}", ran.out);
    stage.run(&["config", "check", "--together", "mortise.yaml", "over.yaml"]).expect(0);
}

#[test]
fn strict_makes_unknown_keys_of_plugin_files_errors() {
    let stage =
        Stage::new(&[("config.yaml", "plugins:\n  - { name: p, kind: builtin.pii_filter, prioritee: 1 }\n")]);
    let ran = stage.run(&["config", "check", "config.yaml"]).expect(0);
    assert!(ran.err.contains("notice: unknown key `prioritee`"), "{}", ran.err);
    stage.run(&["config", "check", "--strict", "config.yaml"]).expect(1);
}

#[test]
fn the_check_can_be_read_by_programs() {
    let stage = Stage::new(&[("config.yaml", PLUGINS), ("mortise.yaml", "upstreams: { a: {} }\n")]);
    let ran = stage
        .run(&["config", "check", "--format", "json", "config.yaml", "mortise.yaml", "gone.yaml"])
        .expect(1);
    let result = ran.json();
    assert_eq!(result["ok"], false);
    assert_eq!(result["files"][0]["ok"], true);
    assert_eq!(result["files"][0]["plugins"][1]["status"], "waits");
    assert_eq!(result["files"][1]["errors"][0]["line"], 1);
    assert_eq!(result["files"][1]["errors"][0]["path"], "upstreams.a");
    assert!(result["files"][2]["errors"][0]["message"].as_str().unwrap().contains("gone.yaml"));
}

#[test]
fn secrets_are_not_in_what_the_check_prints() {
    let text = "upstreams:\n  a: { url: \"ftp://h/?token=hunter2\", headers: { X-Own: hunter2 } }\napps:\n  - name: a\n    tokens: [{ sha256: hunter2 }]\n";
    let stage = Stage::new(&[("mortise.yaml", text)]);
    let ran = stage.run(&["config", "check", "mortise.yaml"]).expect(1);
    assert!(!ran.err.contains("hunter2") && !ran.out.contains("hunter2"), "{}", ran.err);
}

#[test]
fn the_schemas_are_json() {
    let stage = Stage::new(&[]);
    assert!(stage.run(&["config", "schema"]).expect(0).json()["properties"]["upstreams"].is_object());
    let plugins = stage.run(&["config", "schema", "--plugins-file"]).expect(0).json();
    assert!(plugins["properties"]["plugin_dirs"].is_object());
}

#[test]
fn plugins_are_listed_by_priority_and_shown_without_secrets() {
    let stage = Stage::new(&[
        ("plugins/config.yaml", PLUGINS),
        ("mortise.yaml", "plugins: [{ name: own, kind: builtin.pii_filter, priority: 1, config: {} }]\n"),
    ]);
    let list = stage.run(&["plugins", "list", "--format", "json"]).expect(0).json();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(&names[..3], ["own", "limiter", "pii"]);
    let table = stage.run(&["plugins", "list"]).expect(0).out;
    assert!(table.starts_with("NAME") && table.contains("limiter: waits for"), "{table}");
    let shown = stage.run(&["plugins", "show", "pii"]).expect(0).out;
    assert!(shown.contains("plugins/config.yaml:3:"), "{shown}");
    let wrong = stage.run(&["plugins", "show", "pi"]).expect(1);
    assert!(wrong.err.contains("did you mean `pii`?"), "{}", wrong.err);
}

#[test]
fn kinds_and_hooks_are_listed_and_described() {
    let stage = Stage::new(&[]);
    assert!(stage.run(&["plugins", "kinds"]).expect(0).out.contains("builtin.pii_filter"));
    let kind = stage.run(&["plugins", "kinds", "pii_filter"]).expect(0).out;
    assert!(
        kind.contains("detect_email") && kind.contains("plugins.pii_filter.pii_filter.PIIFilterPlugin"),
        "{kind}"
    );
    assert!(
        stage.run(&["plugins", "kinds", "pii_filtr"]).expect(1).err.contains("did you mean `pii_filter`?")
    );
    assert!(stage.run(&["hooks"]).expect(0).out.contains("tool_pre_invoke"));
    let hook = stage.run(&["hooks", "tool_pre_invoke", "--format", "json"]).expect(0).json();
    assert_eq!(hook["may"], json!({ "block": true, "change": true }));
    assert!(hook["payload"]["properties"]["args"].is_object());
}

#[test]
fn completions_are_printed_for_every_shell() {
    let stage = Stage::new(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(stage.run(&["completions", shell]).expect(0).out.contains("mortise"), "{shell}");
    }
    stage.run(&["completions", "csh"]).expect(2);
}

#[test]
fn testing_a_plugin_shows_what_it_changes() {
    let stage = Stage::new(&[("plugins/config.yaml", PLUGINS), ("call.json", CALL)]);
    let args = ["plugins", "test", "pii", "--hook", "tool_pre_invoke", "--payload", "call.json"];
    let ran = stage.run(&args).expect(0);
    assert!(ran.out.starts_with("pii at tool_pre_invoke: change"), "{}", ran.out);
    assert!(ran.out.contains("  -     \"q\": \"write to alice@example.com now\""), "{}", ran.out);
    assert!(ran.out.contains("  +     \"q\": \"write to [REDACTED] now\""), "{}", ran.out);
    let as_json: Vec<&str> = args.into_iter().chain(["--format", "json"]).collect();
    let result = stage.run(&as_json).expect(0).json();
    assert_eq!((&result["verdict"], &result["changed"]), (&json!("change"), &json!(true)));
    assert_eq!(result["payload"]["args"]["q"], "write to [REDACTED] now");
    let clean = stage.run_with_input(
        &["plugins", "test", "pii", "--hook", "tool_pre_invoke", "--payload", "-"],
        r#"{"name": "search", "args": {"q": "nothing"}}"#,
    );
    assert!(clean.expect(0).out.contains("the payload is unchanged"));
}

#[test]
fn testing_a_plugin_that_blocks_ends_with_3() {
    let stage = Stage::new(&[("plugins/config.yaml", PLUGINS), ("call.json", CALL)]);
    let base = ["plugins", "test", "strict", "--hook", "tool_pre_invoke", "--payload", "call.json"];
    let unmatched = stage.run(&base).expect(0).out;
    assert!(unmatched.contains("its conditions do not match"), "{unmatched}");
    for more in [vec!["--tenant", "acme"], vec!["--ignore-conditions"]] {
        let args: Vec<&str> = base.iter().copied().chain(more).collect();
        let ran = stage.run(&args).expect(3);
        assert!(ran.out.contains("PII_DETECTED"), "{}", ran.out);
        assert!(!ran.out.contains("alice@"), "{}", ran.out);
    }
    let soft = stage
        .run(&["plugins", "test", "soft", "--hook", "tool_pre_invoke", "--payload", "call.json"])
        .expect(0);
    assert!(soft.out.contains("lets the call pass"), "{}", soft.out);
}

#[test]
fn what_cannot_be_tested_says_why() {
    let stage = Stage::new(&[("plugins/config.yaml", PLUGINS), ("call.json", CALL), ("bad.json", "[1]")]);
    for (args, expected) in [
        (["limiter", "tool_pre_invoke", "call.json"], "Watchdog"),
        (["pii", "tool_pre_invok", "call.json"], "did you mean `tool_pre_invoke`?"),
        (["pii", "prompt_pre_fetch", "bad.json"], "no payload of prompt_pre_fetch"),
        (["soft", "tool_post_invoke", "call.json"], "it runs at: tool_pre_invoke"),
        (["nobody", "tool_pre_invoke", "call.json"], "there is no plugin `nobody`"),
        (["pii", "tool_pre_invoke", "gone.json"], "gone.json"),
    ] {
        let [name, hook, payload] = args;
        let ran = stage.run(&["plugins", "test", name, "--hook", hook, "--payload", payload]).expect(1);
        assert!(ran.err.contains(expected), "{expected}: {}", ran.err);
    }
}

#[test]
fn values_can_be_set_by_flag_and_variable() {
    let stage = Stage::new(&[]);
    let wrong = stage.run(&["plugins", "list", "--set", "limits.max_argument_bytes=0"]).expect(1);
    assert!(wrong.err.contains("limits.max_argument_bytes"), "{}", wrong.err);
    assert!(stage.run(&["plugins", "list", "--set", "nonsense"]).expect(1).err.contains("no `=`"));
    let by_variable =
        stage.command(&["plugins", "list"]).env("MORTISE_LISTEN__ADDRESS", "nowhere").output().unwrap();
    assert_eq!(by_variable.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&by_variable.stderr).contains("MORTISE_LISTEN__ADDRESS"));
}

/// A gateway that is ended with the test.
struct Serving {
    child: std::process::Child,
    url: String,
}

impl Serving {
    fn start(stage: &Stage, args: &[&str]) -> Self {
        let all: Vec<&str> = ["serve", "--port", "0", "--ready-file", "ready"]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        let child = stage.command(&all).stderr(Stdio::piped()).spawn().unwrap();
        let ready = stage.path().join("ready");
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while !ready.exists() {
            assert!(std::time::Instant::now() < end, "the gateway did not become ready");
            std::thread::yield_now();
        }
        let url = std::fs::read_to_string(ready).unwrap().trim().to_owned();
        Self { child, url }
    }

    /// Asks it to end; its standard error, once it has.
    fn end(mut self) -> (Option<i32>, String) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), err)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

/// What a gateway answers at a path, status first.
fn get(url: &str, path: &str, headers: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer.split_once(' ').unwrap().1.to_owned()
}

#[test]
fn serving_tells_its_url_and_ends_in_order() {
    let stage = Stage::new(&[("plugins/config.yaml", PLUGINS)]);
    let first = Serving::start(&stage, &[]);
    assert!(first.url.starts_with("http://127.0.0.1:"), "{}", first.url);
    let url = first.url.clone();
    let (code, err) = first.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains(&format!("listening on {url}")), "{err}");
    assert!(err.contains("mortise_admin_"), "the admin token is shown at the first start: {err}");
    assert!(err.contains("Watchdog"), "what a plugin waits for is logged: {err}");
    assert!(!stage.path().join("ready").exists(), "the ready file is gone");
    let (_, err) = Serving::start(&stage, &["--log-format", "json"]).end();
    assert!(!err.contains("mortise_admin_"), "and not again: {err}");
    assert!(err.lines().any(|line| serde_json::from_str::<Value>(line).is_ok()), "{err}");
}

#[test]
fn a_running_gateway_is_asked_with_the_credential_it_left() {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let own = format!("apps: [{{ name: a, tokens: [{{ sha256: {digest} }}] }}]\n");
    let stage = Stage::new(&[("plugins/config.yaml", PLUGINS), ("mortise.yaml", &own)]);
    let gateway = Serving::start(&stage, &[]);
    assert!(get(&gateway.url, "/plugins", "").starts_with("401"), "others need a token");
    assert!(get(&gateway.url, "/health", "").starts_with("200"));
    for url in ["local", gateway.url.as_str()] {
        let list = stage.run(&["plugins", "list", "--url", url, "--format", "json"]).expect(0).json();
        assert_eq!(list[0]["name"], "limiter");
        assert_eq!(list[0]["status"], "unavailable");
        let plugin =
            stage.run(&["plugins", "show", "pii", "--url", url, "--format", "json"]).expect(0).json();
        assert!(plugin["uuid"].is_string(), "{plugin}");
    }
    let elsewhere = Stage::new(&[]);
    let refused = elsewhere.run(&["plugins", "list", "--url", &gateway.url]).expect(1);
    assert!(refused.err.contains("wants the admin token"), "{}", refused.err);
    assert!(elsewhere.run(&["plugins", "list", "--url", "local"]).expect(1).err.contains("no gateway runs"));
    gateway.end();
    assert!(stage.run(&["plugins", "list", "--url", "local"]).expect(1).err.contains("no gateway runs"));
}

#[test]
fn a_running_gateway_is_reloaded_and_tells_what_changed_or_why_not() {
    let own = |extra: &str| format!("watch: false\nlimits: {{ max_argument_bytes: 1000 }}\n{extra}");
    let stage = Stage::new(&[("mortise.yaml", &own(""))]);
    let gateway = Serving::start(&stage, &[]);
    let write = |text: &str| std::fs::write(stage.path().join("mortise.yaml"), text).unwrap();

    assert!(stage.run(&["reload"]).expect(0).err.contains("nothing has changed"));
    write(&own("plugins: [{ name: pii, kind: builtin.pii_filter }]\n"));
    let applied = stage.run(&["reload"]).expect(0);
    assert!(applied.err.contains("snapshot 2 is in force"), "{}", applied.err);
    assert!(applied.out.contains("plugins[pii].kind"), "{}", applied.out);
    let one = stage.run(&["reload", "--plugin", "pii", "--format", "json"]).expect(0).json();
    assert_eq!((&one["plugin"]["name"], &one["snapshot"]), (&json!("pii"), &json!(3)));
    let nobody = stage.run(&["reload", "--plugin", "nobody"]).expect(1);
    assert!(nobody.err.contains("Plugin 'nobody' not found"), "{}", nobody.err);

    write("watch: false\nlimits: { max_argument_bytes: many }\n");
    let refused = stage.run(&["reload"]).expect(1);
    assert!(refused.err.contains("max_argument_bytes") && refused.err.contains("stays"), "{}", refused.err);

    write(&own("plugins: []\n"));
    Command::new("kill").args(["-HUP", &gateway.child.id().to_string()]).status().unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(30);
    let newest = || stage.run(&["plugins", "history", "--limit", "1", "--format", "json"]).expect(0).json();
    while newest()[0]["who"] != "SIGHUP" {
        assert!(std::time::Instant::now() < end, "the signal had no effect");
    }
    assert_eq!((&newest()[0]["source"], &newest()[0]["outcome"]), (&json!("signal"), &json!("applied")));
    let about = stage.run(&["plugins", "history", "pii", "--url", "local"]).expect(0);
    assert_eq!(about.out.lines().filter(|line| line.contains("snapshot")).count(), 3, "{}", about.out);
    assert!(about.out.contains("by api: command line"), "{}", about.out);
    let (code, err) = gateway.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(stage.run(&["reload"]).expect(1).err.contains("no gateway runs"));
}

#[test]
fn what_is_checked_without_a_name_is_what_would_be_served() {
    let own = Stage::new(&[("mortise.yaml", "plugins: []\n"), ("plugins/config.yaml", PLUGINS)]);
    assert!(own.run(&["config", "check"]).expect(0).out.starts_with("mortise.yaml: ok"));
    let foreign = Stage::new(&[("plugins/config.yaml", PLUGINS)]);
    assert!(foreign.run(&["config", "check"]).expect(0).out.starts_with("plugins/config.yaml: ok"));
    let none = Stage::new(&[]).run(&["config", "check"]).expect(2);
    assert!(none.err.contains("neither mortise.yaml nor plugins/config.yaml"), "{}", none.err);
}

#[test]
fn what_cannot_be_served_says_why() {
    let stage = Stage::new(&[("mortise.yaml", "upstreams: { a: {} }\n")]);
    assert!(stage.run(&["serve"]).expect(1).err.contains("mortise.yaml:1:"));
    let open = Stage::new(&[]);
    let refused = open.run(&["serve", "--host", "0.0.0.0"]).expect(1);
    assert!(refused.err.contains("would serve anyone") && refused.err.contains("--host"), "{}", refused.err);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = open.run(&["serve", "--port", &port]).expect(1);
    assert!(refused.err.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{}", refused.err);
    assert!(refused.err.contains("no configuration was found"), "{}", refused.err);
    let missing = open.run(&["serve", "--config", "gone.yaml"]).expect(1);
    assert!(missing.err.contains("gone.yaml"), "{}", missing.err);
}

#[test]
fn plugins_of_a_running_gateway_are_changed_shown_and_left_to_their_configuration_again() {
    let stage = Stage::new(&[
        ("mortise.yaml", "watch: false\nplugins: [{ name: pii, kind: builtin.pii_filter, priority: 7 }]\n"),
        ("keys.yaml", "detect_ssn: false\n"),
    ]);
    let gateway = Serving::start(&stage, &[]);
    let ready = || {
        let answer = get(&gateway.url, "/ready", "");
        serde_json::from_str::<Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };

    let set = ["plugins", "set", "pii", "detect_email=false", "--mode", "permissive", "--from", "keys.yaml"];
    let applied = stage.run(&set).expect(0);
    assert!(applied.err.contains("snapshot 2 is in force"), "{}", applied.err);
    assert!(applied.out.contains("plugins[pii].override.config.detect_ssn"), "{}", applied.out);
    let again = stage.run(&set).expect(0);
    assert!(again.err.contains("nothing has changed"), "{}", again.err);
    // From the files and from the gateway.
    for asked in [vec![], vec!["--url", "local"]] {
        let with = |words: &[&'static str]| [words, &asked].concat();
        let list = stage.run(&with(&["plugins", "list"])).expect(0).out;
        assert!(
            list.contains("pii: override by command line: mode permissive (configured: enforce)"),
            "{list}"
        );
        let shown = stage.run(&with(&["plugins", "show", "pii", "--format", "json"])).expect(0).json();
        assert_eq!(shown["override"]["config"], json!({ "detect_ssn": false, "detect_email": false }));
        assert_eq!((&shown["mode"], &shown["configured"]["mode"]), (&json!("permissive"), &json!("enforce")));
    }
    let checked = stage.run(&["config", "check", "--format", "json", "mortise.yaml"]).expect(0).json();
    assert_eq!(checked["files"][0]["plugins"][0]["mode"], "enforce", "files are checked for themselves");

    let refused = stage.run(&["plugins", "set", "pii", "detect_emial=true"]).expect(1);
    assert!(refused.err.contains("override of `pii`") && refused.err.contains("stays"), "{}", refused.err);
    assert!(stage.run(&["plugins", "set", "pii", "--mode", "enforced"]).expect(1).err.contains("permissive"));
    assert!(stage.run(&["plugins", "set", "pii"]).expect(1).err.contains("nothing to set"));
    assert!(stage.run(&["plugins", "disable", "nobody"]).expect(1).err.contains("Plugin 'nobody' not found"));
    stage.run(&["plugins", "disable"]).expect(2);

    stage.run(&["plugins", "disable", "pii"]).expect(0);
    assert_eq!(ready()["switched_off"], json!(["pii"]));
    stage.run(&["plugins", "enable", "pii"]).expect(0);
    let off = stage.run(&["plugins", "disable", "--all"]).expect(0);
    assert!(off.err.contains("unguarded"), "{}", off.err);
    assert_eq!(ready()["plugins_enabled"], false);
    let (code, err) = gateway.end();
    assert_eq!(code, Some(0), "{err}");

    let gateway = Serving::start(&stage, &[]);
    let enabled = |expected: bool| {
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while !get(&gateway.url, "/ready", "").contains(&format!("\"plugins_enabled\":{expected}")) {
            assert!(std::time::Instant::now() < end, "plugins_enabled did not become {expected}");
        }
    };
    enabled(false);
    for (signal, expected) in [("-USR2", true), ("-USR1", false)] {
        Command::new("kill").args([signal, &gateway.child.id().to_string()]).status().unwrap();
        enabled(expected);
    }
    stage.run(&["plugins", "reset", "--all"]).expect(0);
    enabled(true);
    let list = stage.run(&["plugins", "list", "--url", "local"]).expect(0).out;
    assert!(!list.contains("override"), "{list}");
    let stats = stage.run(&["plugins", "stats"]).expect(0).out;
    assert!(stats.starts_with("NAME") && stats.contains("pii"), "{stats}");
    let reset = stage.run(&["plugins", "stats", "--reset", "--format", "json"]).expect(0).json();
    assert_eq!(reset["before"]["total_plugins"], 1);
    assert!(stage.run(&["plugins", "reload", "pii"]).expect(0).out.is_empty());
    gateway.end();
}
