//! Names and routes: which upstream a name or method leads to.

use mortise_testkit::mcp_server::scripted::{Behaviour, Scripted};
use mortise_tests::{Setup, eventually, text};
use serde_json::{Value, json};

/// A server whose tools answer its own name.
async fn server(name: &str, tools: &[&str]) -> Scripted {
    let server = Scripted::start().await.unwrap();
    server.set_tools(tools);
    for tool in tools {
        let answer = json!({ "content": [{ "type": "text", "text": format!("{name}:{tool}") }] });
        server.on_tool(*tool, Behaviour::Answer(answer));
    }
    server
}

#[tokio::test]
async fn unknown_method_passes_to_the_only_upstream_and_to_none_of_several() {
    let (one, two) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    one.on_method("vendor/look", Behaviour::Answer(json!({ "vendor": [1, null, "x"] })));
    let setup =
        || Setup::new().upstream("one", &one).set("servers", json!({ "single": { "upstreams": ["one"] } }));
    let params = json!({ "deep": { "unknown": [true] } });

    let alone = setup().start().await;
    let passed = alone.client().ask("vendor/look", params.clone()).await;
    let both = setup().upstream("two", &two).start().await;
    let refused = both.client().ask("vendor/look", params.clone()).await;
    let narrowed = both.client().at("/servers/single/mcp").ask("vendor/look", params.clone()).await;

    assert_eq!(passed["result"], json!({ "vendor": [1, null, "x"] }));
    assert_eq!(one.received_of("vendor/look")[0].params()["deep"], params["deep"]);
    assert_eq!(refused["error"]["code"], -32601);
    assert_eq!(narrowed["result"], passed["result"]);
    assert_eq!(two.received_of("vendor/look").len(), 0);
}

#[tokio::test]
async fn tool_offered_twice_keeps_its_name_for_the_first_and_is_prefixed_for_the_second() {
    let (a, b) = (server("a", &["echo", "only_a"]).await, server("b", &["echo", "only_b"]).await);
    let stand = Setup::new().upstream("a", &a).upstream("b", &b).start().await;
    let client = stand.client();

    let mut tools = client.tools().await;
    tools.sort();
    assert_eq!(tools, ["b-echo", "echo", "only_a", "only_b"]);
    for (name, expected) in [
        ("echo", "a:echo"),
        ("b-echo", "b:echo"),
        ("a-echo", "a:echo"),
        ("only_b", "b:only_b"),
        ("b-only_b", "b:only_b"),
    ] {
        assert_eq!(text(&client.call(name, json!({})).await), expected, "{name}");
    }
    let unknown = client.call("c-echo", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[tokio::test]
async fn names_once_given_stick_over_a_restart() {
    let (a, b) = (server("a", &["echo"]).await, server("b", &["echo"]).await);
    let first = Setup::new().upstream("b", &b).start().await;
    assert_eq!(text(&first.client().call("echo", json!({})).await), "b:echo");

    let folder = first.stop().await;
    let second = Setup::in_folder(folder).upstream("a", &a).upstream("b", &b).start().await;

    assert_eq!(text(&second.client().call("echo", json!({})).await), "b:echo");
    assert_eq!(text(&second.client().call("a-echo", json!({})).await), "a:echo");
}

#[tokio::test]
async fn virtual_server_shows_and_serves_its_part_only() {
    let (a, b) = (server("a", &["echo", "extra"]).await, server("b", &["other"]).await);
    let servers = json!({
        "part": { "upstreams": ["a"], "tools": ["echo"] },
        "all": {},
        "none": { "tools": [] },
    });
    let stand = Setup::new().upstream("a", &a).upstream("b", &b).set("servers", servers).start().await;
    let at = |id: &str| stand.client().at(&format!("/servers/{id}/mcp"));

    assert_eq!(at("part").tools().await, ["echo"]);
    assert_eq!(at("all").tools().await, ["echo", "extra", "other"]);
    assert_eq!(at("none").tools().await, Vec::<String>::new());
    for (id, tool) in [("part", "extra"), ("part", "a-extra"), ("part", "other"), ("none", "echo")] {
        let refused = at(id).call(tool, json!({})).await;
        assert_eq!(refused["error"]["code"], -32602, "{id} {tool}: {refused}");
    }
    assert_eq!(a.received_of("tools/call").len() + b.received_of("tools/call").len(), 0);
}

#[tokio::test]
async fn list_that_an_upstream_changes_is_followed() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    assert_eq!(stand.client().tools().await, ["echo"]);
    upstream.wait_for_streams(1).await.unwrap();

    upstream.set_tools(&["echo", "fresh"]);

    eventually("the new list", async || (stand.client().tools().await == ["echo", "fresh"]).then_some(()))
        .await;
    assert_eq!(text(&stand.client().call("fresh", json!({ "text": "x" })).await), "x");
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_under_the_clients_own_token() {
    let upstream = Scripted::start().await.unwrap();
    upstream.on_tool("echo", Behaviour::Progress(3));
    let stand = Setup::new().upstream("docs", &upstream).start().await;

    let params =
        json!({ "name": "echo", "arguments": { "text": "x" }, "_meta": { "progressToken": "mine" } });
    let messages = stand.client().rpc("tools/call", params).await.messages();

    let steps: Vec<&Value> =
        messages.iter().filter(|one| one["method"] == "notifications/progress").collect();
    assert_eq!(steps.len(), 3, "{messages:#?}");
    assert!(steps.iter().all(|step| step["params"]["progressToken"] == "mine"), "{messages:#?}");
    assert_eq!(text(messages.last().unwrap()), "x");
}
