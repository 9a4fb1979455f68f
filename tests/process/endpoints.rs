//! Endpoints of plugins' own, as clients see them: a test for each row of the tables of the plugins' documentation, named
//! after it, and what the rows leave open. The program is the one of `tests/interop/go`, with `-endpoints`.

mod apps;
mod authentication;
mod configuration;
mod errors;
mod lifecycle;
mod load;
mod matching;
mod native;
mod openapi;
mod registrations;
mod requests;
mod streams;

use mortise_tests::{Client, HttpAnswer, Setup, Stand};
use serde_json::{Value, json};

use crate::program::{self, scratch};

/// An entry with the endpoints of the program under `go`, and further keys.
fn entry(args: &[&str], config: &Value) -> Value {
    let args: Vec<&str> = ["-endpoints", "-hooks=custom_endpoint"].iter().chain(args).copied().collect();
    let mut with_slug = json!({ "slug": "go" });
    with_slug.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    program::entry(&args, &json!({ "name": "go", "offers": ["custom_endpoint"], "config": with_slug }))
}

/// A setup with them.
fn setup() -> Setup {
    Setup::new().process().entry(entry(&[], &json!({})))
}

/// A gateway with them.
async fn gateway() -> Stand {
    setup().start().await
}

/// A gateway with them and an app of the token `sesame`.
async fn guarded() -> Stand {
    setup().app("ci", "sesame", app()).start().await
}

fn app() -> Value {
    json!({
        "user": "ann@example.com", "monthly_budget": 12.5, "rate_limit": 600,
        "metadata": { "mcp_access": "allowed", "level": 3, "ratio": 0.5, "on": true, "list": ["GET"], "none": null },
    })
}

/// A client at a path of the program's.
fn at(stand: &Stand, path: &str) -> Client {
    stand.client().at(&format!("/plugins/go{path}"))
}

/// What the program says that it was asked.
async fn asked(client: &Client, method: &str, body: Option<&[u8]>) -> Value {
    let answer = client.send(method, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The sentence of a refusal.
fn error(answer: &HttpAnswer) -> String {
    let body = answer.json();
    body["error"].as_str().unwrap_or_else(|| panic!("no error: {body}")).to_owned()
}
