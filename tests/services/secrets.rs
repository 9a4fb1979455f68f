//! Values of the configuration that a Vault keeps. It is one by its published API: key-value engines of both versions,
//! tokens and logins by AppRole, and its refusals.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use mortise_gateway::{
    history::{Outcome, Source},
    reload::{Refused, Trigger},
};
use mortise_testkit::{
    mcp_server::scripted::Scripted,
    services::{Asked, Fault, Service},
};
use mortise_tests::{Setup, Stand, text};
use serde_json::{Value, json};

use super::entry;

/// What is in the Vault, and who was let in.
struct Kept {
    password: Mutex<String>,
    logins: AtomicUsize,
    /// Tokens of logins below this number have been revoked.
    revoked: AtomicUsize,
}

impl Kept {
    fn lets_in(&self, token: &str) -> bool {
        let login = token.strip_prefix("login-").and_then(|number| number.parse::<usize>().ok());
        token == "root" || token == "narrow" || login.is_some_and(|number| number > self.revoked.load(SeqCst))
    }

    fn respond(&self, asked: &Asked) -> (u16, Value) {
        let refused = || (403, json!({ "errors": ["1 error occurred:\n\t* permission denied\n\n"] }));
        let path = asked.path.strip_prefix("/v1/").unwrap_or_default();
        if path == "auth/approle/login" {
            let known = asked.body == json!({ "role_id": "gateway", "secret_id": "s-1" });
            let number = self.logins.fetch_add(1, SeqCst) + 1;
            let auth = json!({ "client_token": format!("login-{number}"), "lease_duration": 3600 });
            return if known {
                (200, json!({ "auth": auth }))
            } else {
                (400, json!({ "errors": ["invalid role"] }))
            };
        }
        let header =
            |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = header("x-vault-token");
        if !self.lets_in(token) || header("x-vault-request") != "true" {
            return refused();
        }
        if let Some(mounted) = path.strip_prefix("sys/internal/ui/mounts/") {
            let mount = |path: &str, kind: &str, version: Value| {
                (200, json!({ "data": { "path": path, "type": kind, "options": version } }))
            };
            return match mounted.split('/').next() {
                _ if token == "narrow" => refused(),
                Some("secret") => mount("secret/", "kv", json!({ "version": "2" })),
                Some("old") => mount("old/", "kv", Value::Null),
                Some("database") => mount("database/", "database", Value::Null),
                _ => refused(),
            };
        }
        let versioned =
            |data: Value| (200, json!({ "data": { "data": data, "metadata": { "version": 3 } } }));
        match path {
            "secret/data/team%20a/guard" => {
                versioned(json!({ "password": *self.password.lock().unwrap(), "port": 8080 }))
            }
            "secret/data/team%20a/guard?version=1" => versioned(json!({ "password": "the first" })),
            "secret/data/gone" => (404, json!({ "data": { "data": null, "metadata": { "version": 2 } } })),
            "old/guard" => (200, json!({ "data": { "password": "from the old one" } })),
            _ => (404, json!({ "errors": [] })),
        }
    }
}

async fn vault() -> (Service, Arc<Kept>) {
    let kept = Arc::new(Kept {
        password: Mutex::new("hush-one".to_owned()),
        logins: AtomicUsize::new(0),
        revoked: AtomicUsize::new(0),
    });
    let keeper = kept.clone();
    (Service::start(move |asked| keeper.respond(asked)).await.unwrap(), kept)
}

fn reads(vault: &Service, path: &str) -> usize {
    vault.asked().iter().filter(|asked| asked.path.contains(path)).count()
}

/// A gateway with a guard that sends both values to its service.
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are given")]
fn setup(vault: &Service, way_in: Value, upstream: &Scripted, guard: &Service, values: [&str; 2]) -> Setup {
    let mut section = json!({ "address": vault.url(), "namespace": "team-a/" });
    section.as_object_mut().unwrap().extend(way_in.as_object().unwrap().clone());
    let config = json!({ "url": guard.url(), "api_key": values[0], "headers": { "x-second": values[1] } });
    super::setup(upstream, guard)
        .set("watch", json!(false))
        .set("secrets", json!({ "vault": section }))
        .entry(entry("http_guardrail", config))
}

/// What the guard's service was sent with the last call.
async fn sent(stand: &Stand, guard: &Service) -> [String; 2] {
    assert_eq!(text(&stand.client().call("echo", json!({ "text": "x" })).await), "x");
    let asked = guard.asked().pop().unwrap();
    ["authorization", "x-second"].map(|name| asked.headers[name].to_str().unwrap().to_owned())
}

const V2: &str = "${vault:secret/team a/guard#password}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_both_engines_reach_the_plugin_once_read_and_are_never_shown() {
    let (upstream, guard) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    for (values, expected) in [
        ([V2, "${vault:old/guard#password}"], ["Bearer hush-one", "from the old one"]),
        // As the API has it, and as the command line has it; a number is its text.
        (
            ["${vault:secret/data/team a/guard#password}", "p-${vault:secret/team a/guard#port}"],
            ["Bearer hush-one", "p-8080"],
        ),
        (
            ["${vault:secret/team a/guard?version=1#password}", "${vault:secret/nothing#x:-usual}"],
            ["Bearer the first", "usual"],
        ),
    ] {
        // With a token that may not ask what is mounted, the shape of the answers tells.
        for token in ["root", "narrow"] {
            let (vault, _) = vault().await;
            let stand = setup(&vault, json!({ "token": token }), &upstream, &guard, values).start().await;
            assert_eq!(sent(&stand, &guard).await, expected, "{values:?} {token}");
            assert_eq!(vault.asked()[0].headers["x-vault-namespace"], "team-a/");
            let shown = stand.admin().get("/api/v1/plugins/guard").await.text();
            assert!(shown.contains("***") && !shown.contains("hush"), "{shown}");
        }
    }
    let (vault, _) = vault().await;
    let values = [V2, "${vault:secret/team a/guard#port}"];
    let stand = setup(&vault, json!({ "token": "root" }), &upstream, &guard, values).start().await;
    assert_eq!(sent(&stand, &guard).await, ["Bearer hush-one", "8080"]);
    assert_eq!(reads(&vault, "/data/"), 1, "values of one secret are of one moment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_takes_what_is_there_by_then_and_one_login_serves_until_it_ends() {
    let (upstream, guard) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let (vault, kept) = vault().await;
    let role = json!({ "role_id": "gateway", "secret_id": "s-1" });
    let stand = setup(&vault, role, &upstream, &guard, [V2, "none"]).start().await;
    assert_eq!(sent(&stand, &guard).await[0], "Bearer hush-one");

    *kept.password.lock().unwrap() = "hush-two".to_owned();
    let report = stand.reloader.reload(Trigger::new(Source::Api, "the test")).await.unwrap();
    assert_eq!(report.outcome, Outcome::Applied);
    assert_eq!(sent(&stand, &guard).await[0], "Bearer hush-two");
    assert_eq!(kept.logins.load(SeqCst), 1);

    kept.revoked.store(1, SeqCst);
    *kept.password.lock().unwrap() = "hush-three".to_owned();
    stand.reloader.reload(Trigger::new(Source::Api, "the test")).await.unwrap();
    assert_eq!(sent(&stand, &guard).await[0], "Bearer hush-three");
    assert_eq!(kept.logins.load(SeqCst), 2, "a token that was revoked is made anew");

    // What does not answer refuses the change, and what runs goes on.
    vault.fault(Fault::Status(503));
    let refused = stand.reloader.reload(Trigger::new(Source::Api, "the test")).await.unwrap_err();
    let Refused::Configuration(errors) = refused else { panic!("{refused}") };
    assert!(errors.list()[0].message.contains("does not serve"), "{errors}");
    assert_eq!(sent(&stand, &guard).await[0], "Bearer hush-three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vault_does_not_give_is_told_at_its_line_with_what_it_says() {
    let (upstream, guard) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let (vault, _) = vault().await;
    let root = json!({ "token": "root" });
    for (way_in, value, reason) in [
        (&root, "${vault:secret/team a/guard#pasword}", "no key `pasword`; it has `password`, `port`"),
        (&root, "${vault:secret/nothing#x}", "has no secret there"),
        (&root, "${vault:secret/gone#x}", "has no secret there"),
        (&root, "${vault:database/creds/app#username:-x}", "only key-value secrets are read"),
        (&root, "${vault:secret/app}", "names no key"),
        (&json!({ "token": "hush-wrong" }), V2, "refuses (403): 1 error occurred: * permission denied"),
        (&json!({ "role_id": "hush-other" }), V2, "refuses the login by AppRole: invalid role"),
        (&json!({ "token_file": "no/such" }), V2, "reading the token in "),
        (&json!({ "token": "root", "kv_version": 1 }), V2, "has no secret there"),
    ] {
        let setup = setup(&vault, way_in.clone(), &upstream, &guard, [value, "none"]);
        let errors = setup.load(&setup.framework()).map(|_| ()).unwrap_err();
        let [error] = errors.list() else { panic!("{value}: {errors}") };
        assert_eq!(error.path, "plugins[0].config.api_key", "{errors}");
        let shown = errors.render(false);
        assert!(shown.contains(reason) && shown.contains("mortise.yaml:"), "{value}: {shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_that_hangs_is_waited_for_once_and_one_that_only_stumbles_is_asked_again() {
    let (upstream, guard) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let (vault, _) = vault().await;
    vault.fault(Fault::Hang);
    let way_in = json!({ "token": "root", "timeout": 0.4 });
    let values = [V2, "${vault:old/guard#password}"];
    let waiting = setup(&vault, way_in, &upstream, &guard, values);
    let errors = waiting.load(&waiting.framework()).map(|_| ()).unwrap_err();
    assert_eq!(vault.asked().len(), 1, "it was waited for twice");
    assert_eq!(errors.list().len(), 2, "{errors}");
    assert!(
        errors.list().iter().all(|error| error.message.contains("gave no answer within 400 ms")),
        "{errors}"
    );

    vault.fault(Fault::None);
    for fault in [Fault::Status(500), Fault::Garbage("{".into())] {
        vault.fault_once(fault);
        let asking = setup(&vault, json!({ "token": "root" }), &upstream, &guard, values);
        asking.load(&asking.framework()).unwrap();
    }
    let moved = Fault::Redirect(format!("{}/v1/secret/data/team%20a/guard", vault.url()));
    let asking = setup(&vault, json!({ "token": "root", "kv_version": 2 }), &upstream, &guard, [V2, "none"]);
    vault.fault_once(moved);
    asking.load(&asking.framework()).unwrap();
    vault.fault(Fault::Huge(8 << 20));
    let errors = asking.load(&asking.framework()).map(|_| ()).unwrap_err();
    assert!(errors.to_string().contains("larger than"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_of_a_foreign_file_waits_for_its_secret_and_the_others_run() {
    let upstream = Scripted::start().await.unwrap();
    let (vault, _) = vault().await;
    let file = "plugins:\n- name: words\n  kind: builtin.deny_list\n  hooks: [tool_pre_invoke]\n  config:\n    words: ['${vault:secret/nothing#word}']\n- name: other\n  kind: builtin.deny_list\n  config: { words: [x] }\n";
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("secrets", json!({ "vault": { "address": vault.url(), "token": "root" } }))
        .set("plugins_files", json!(["foreign.yaml"]))
        .start_with(|folder| std::fs::write(folder.join("foreign.yaml"), file).unwrap())
        .await;
    let ready = stand.client().get("/ready").await.json();
    let degraded = ready["degraded"].as_array().unwrap();
    assert_eq!(degraded.len(), 1, "{ready}");
    let reason = degraded[0]["reason"].as_str().unwrap();
    assert!(reason.contains("has no secret there") && reason.contains("foreign.yaml:6"), "{reason}");
}
