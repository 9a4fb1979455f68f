//! `mortise coverage` as an operator or a CI job runs it.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

fn mortise(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mortise"));
    command.args(args).current_dir(folder).env_clear();
    command
}

/// A gateway with this configuration, ended with the test.
struct Serving(Child, tempfile::TempDir);

impl Serving {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mortise.yaml"), config).unwrap();
        let args = ["serve", "--port", "0", "--ready-file", "ready"];
        let child = mortise(folder.path(), &args).stderr(Stdio::null()).spawn().unwrap();
        let serving = Self(child, folder);
        let end = Instant::now() + Duration::from_secs(60);
        while !serving.1.path().join("ready").exists() {
            assert!(Instant::now() < end, "the gateway did not become ready");
            std::thread::yield_now();
        }
        serving
    }

    fn coverage(&self, args: &[&str]) -> (i32, String, String) {
        let all: Vec<&str> = ["coverage"].into_iter().chain(args.iter().copied()).collect();
        let Output { status, stdout, stderr } = mortise(self.1.path(), &all).output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _already_ended = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

fn config(mode: &str, more: &str) -> String {
    format!(
        "plugins:\n  - {{ name: door, kind: builtin.audit_logger, hooks: [http_pre_request], mode: {mode} }}\n\
         bindings:\n  - {{ plugin: door, required: [http_pre_request] }}\n{more}"
    )
}

#[test]
fn hole_of_a_required_plugin_fails_the_command_and_is_named() {
    let serving = Serving::start(&config("disabled", "servers: { lab: {} }\n"));
    let (code, out, err) = serving.coverage(&[]);
    assert_eq!(code, 1, "{out}{err}");
    let hole = "door is required by bindings[0] and would not run for the request /mcp at http_pre_request: \
                its mode is disabled";
    assert!(out.contains(hole), "{out}");
    assert!(out.contains("the request /servers/lab/mcp through the server lab"), "{out}");
    let (code, out, _) = serving.coverage(&["--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!((code, report["holes"].as_array().unwrap().len()), (1, 2), "{report:#}");
}

#[test]
fn plugin_that_runs_is_in_the_table_and_all_is_well() {
    let serving = Serving::start(&config("fire_and_forget", "servers: { lab: {} }\n"));
    let (code, out, err) = serving.coverage(&["--as", "tenant=acme,team=ops", "--as", "user="]);
    assert_eq!(code, 0, "{out}{err}");
    let row = out.lines().find(|line| line.starts_with("request /mcp")).unwrap_or_else(|| panic!("{out}"));
    assert!(row.contains("http_pre_request") && row.ends_with("door (fire_and_forget)"), "{out}");
    let (code, out, err) = serving.coverage(&["--as", "tenat=acme"]);
    assert_eq!(code, 1);
    assert!(err.contains("tenat=acme") && err.contains("tenant=NAME"), "{out}{err}");
}

#[test]
fn upstream_that_never_said_what_it_has_fails_where_anything_is_required() {
    let serving =
        Serving::start(&config("audit", "upstreams: { gone: { url: \"http://127.0.0.1:1/mcp\" } }\n"));
    let (code, out, _) = serving.coverage(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("the upstream gone has never said what it has"), "{out}");
}

#[test]
fn guardrail_that_guards_nothing_fails_the_command_and_is_named() {
    for scope in ["{ tool: serach }", "{ tool: none* }"] {
        let serving = Serving::start(&format!(
            "plugins:\n  - {{ name: door, kind: builtin.audit_logger }}\n\
             bindings:\n  - {{ plugin: door, scope: {scope}, required: true }}\nservers: {{ lab: {{}} }}\n"
        ));
        let (code, out, err) = serving.coverage(&[]);
        assert_eq!(code, 1, "{scope}: {out}{err}");
        assert!(out.contains("nothing to guard: bindings[0] requires door"), "{scope}: {out}");
    }
}

#[test]
fn app_that_does_not_exist_is_an_error_that_names_the_known_ones() {
    let digest = "0".repeat(64);
    let apps = format!(
        "apps: [{{ name: web, tokens: [{{ sha256: {digest} }}] }}, {{ name: ci, tokens: [{{ sha256: 1{} }}] }}]\n",
        &digest[1..]
    );
    let serving = Serving::start(&config("audit", &apps));
    let (code, out, err) = serving.coverage(&["--as", "app=ci"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = serving.coverage(&["--as", "app=nope"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("there is no app `nope`: known are ci, web"), "{out}{err}");
    let serving = Serving::start(&config("audit", ""));
    let (code, _, err) = serving.coverage(&["--as", "app=nope"]);
    assert!(code == 1 && err.contains("there is no app `nope`: none is configured"), "{code} {err}");
}

/// `mortise coverage --offline` of a configuration, with these further arguments.
fn offline(config: &str, args: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ci.yaml"), config).unwrap();
    let all = ["coverage", "--offline", "--config", "ci.yaml"];
    let all: Vec<&str> = all.into_iter().chain(args.iter().copied()).collect();
    let Output { status, stdout, stderr } = mortise(folder.path(), &all).output().unwrap();
    assert!(!folder.path().join(".mortise").exists(), "nothing is left behind");
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

const GUARDED: &str = "plugins:\n  - { name: words, kind: builtin.deny_list, hooks: [tool_pre_invoke], config: { words: [x] } }\n\
    bindings:\n  - { plugin: words, scope: { tool: search }, required: [tool_pre_invoke] }\n\
    upstreams:\n  docs: { url: \"http://127.0.0.1:1/mcp\" }\n";

#[test]
fn configuration_is_judged_without_a_gateway_with_tools_that_are_given() {
    let (code, out, err) = offline(GUARDED, &["--tool", "search,other"]);
    assert_eq!(code, 0, "{out}{err}");
    let row = out.lines().find(|line| line.starts_with("tool search")).unwrap_or_else(|| panic!("{out}"));
    assert!(row.contains("tool_pre_invoke") && row.ends_with("words"), "{out}");

    let off = GUARDED.replace("required", "mode: disabled, required");
    let (code, out, err) = offline(&off, &["--tool", "search@docs", "--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(
        (code, &report["holes"][0]["name"], &report["complete"]),
        (1, &"search".into(), &false.into())
    );

    let (code, out, _) = offline(GUARDED, &["--tool", "serach"]);
    assert_eq!(code, 1);
    assert!(out.contains("nothing to guard: bindings[0] requires words"), "{out}");
}

#[test]
fn configuration_is_judged_without_a_gateway_by_what_its_upstreams_list() {
    let (code, out, _) = offline(GUARDED, &["--wait", "2"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("the upstream docs has never said what it has"), "{out}");
}

#[test]
fn what_cannot_be_judged_without_a_gateway_is_an_error_that_says_why() {
    let two = format!("{GUARDED}  more: {{ url: \"http://127.0.0.1:1/mcp\" }}\n");
    let (code, _, err) = offline(&two, &["--tool", "search"]);
    assert_eq!(code, 1);
    assert!(err.contains("write NAME@UPSTREAM with one of docs, more"), "{err}");
    let (code, _, err) = offline(&GUARDED.replace("deny_list", "deny_lst"), &[]);
    assert!(code == 1 && err.contains("deny_list"), "{code} {err}");
    let (code, _, err) = offline(GUARDED, &["--tool", "search", "--as", "app=nope"]);
    assert!(code == 1 && err.contains("there is no app `nope`"), "{code} {err}");
    let folder = tempfile::tempdir().unwrap();
    let Output { status, stderr, .. } = mortise(folder.path(), &["coverage"]).output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(1) && err.contains("--offline"), "{err}");
}
