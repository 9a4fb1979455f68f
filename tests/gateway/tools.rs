//! Tools over HTTP: operations of an API called by their ids, over MCP and over HTTP alike, with the same plugins.

use std::time::Duration;

use mortise_plugin_api::{
    Hook, HookId,
    hooks::{HttpPostForwardingCall, HttpPreForwardingCall, ToolPostInvoke, ToolPreInvoke},
};
use mortise_testkit::{
    mcp_server::scripted::Scripted,
    plugins,
    services::{Asked, Fault, Service},
};
use mortise_tests::{Client, Recorder, Setup, Stand};
use serde_json::{Value, json};

const AROUND: [HookId; 4] =
    [ToolPreInvoke::ID, HttpPreForwardingCall::ID, HttpPostForwardingCall::ID, ToolPostInvoke::ID];

fn document() -> Value {
    let id = json!({ "name": "petId", "in": "path", "required": true, "schema": { "type": "integer" } });
    let pet = json!({ "content": { "application/json": { "schema": { "type": "object" } } } });
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Pet store", "version": "1" },
        "paths": {
            "/pets": {
                "get": {
                    "operationId": "listPets",
                    "summary": "Lists pets",
                    "parameters": [
                        { "name": "limit", "in": "query", "schema": { "type": "integer" } },
                        { "name": "X-Tenant", "in": "header", "schema": { "type": "string" } },
                    ],
                },
                "post": { "operationId": "addPet", "requestBody": pet },
            },
            "/pets/{petId}": {
                "get": { "operationId": "getPet", "parameters": [id] },
                "delete": { "operationId": "deletePet", "parameters": [id] },
            },
        },
        "components": { "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" } } },
    })
}

/// The API itself: it knows pets 1 to 9, and says who they are for.
fn pets(asked: &Asked) -> (u16, Value) {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/v1/openapi.json") => (200, document()),
        ("POST", "/v1/pets") => (201, asked.body.clone()),
        ("GET", path) if path.starts_with("/v1/pets?") => (200, json!([{ "name": "Rex" }])),
        ("GET", "/v1/pets/1") => (200, json!({ "name": "Rex", "owner": "ann@example.com" })),
        ("GET", "/v1/pets/8") => (403, json!({ "error": "not yours" })),
        _ => (404, json!({ "error": "no such pet" })),
    }
}

async fn api() -> Service {
    Service::start(pets).await.unwrap()
}

fn tool(api: &Service) -> Value {
    json!({ "pets": {
        "spec": document(),
        "url": format!("{}/v1/", api.url()),
        "auth": { "scheme": "key", "key": "s3cret" },
        "headers": { "X-Team": "blue" },
        "operations": ["get*", "listPets", "addPet"],
        "timeout": 5,
        "max_response_bytes": 4096,
    } })
}

fn at_tool(stand: &Stand) -> Client {
    stand.client().at("/tools/pets")
}

async fn call(client: &Client, body: Value) -> (u16, Value) {
    let answer = client.send("POST", Some(body.to_string().as_bytes())).await;
    (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
}

fn text(result: &Value) -> &str {
    result["result"]["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn operations_are_called_by_id_over_http_and_as_tools_of_the_gateway() {
    let (api, upstream) = (api().await, Scripted::start().await.unwrap());
    let stand = Setup::new().upstream("docs", &upstream).set("tools", tool(&api)).start().await;

    let call_of = json!({
        "operation_id": "listPets", "parameters": { "limit": ["2"] }, "headers": { "x-tenant": ["acme"] },
    });
    assert_eq!(call(&at_tool(&stand), call_of).await, (200, json!([{ "name": "Rex" }])));
    let call_of = json!({ "operation_id": "addPet", "payload": { "name": "Tom" } });
    assert_eq!(call(&at_tool(&stand), call_of).await, (200, json!({ "name": "Tom" })));
    let asked = api.asked();
    assert_eq!(asked[0].path, "/v1/pets?limit=2");
    let header = |at: usize, name: &str| asked[at].headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header(0, "x-tenant"), Some("acme"));
    assert_eq!((header(0, "x-api-key"), header(0, "x-team")), (Some("s3cret"), Some("blue")));
    assert_eq!((asked[1].method.as_str(), header(1, "content-type")), ("POST", Some("application/json")));

    let root = stand.client();
    let names = root.tools().await;
    assert!(names.contains(&"echo".to_owned()) && names.contains(&"getPet".to_owned()), "{names:?}");
    assert!(!names.contains(&"deletePet".to_owned()), "what is not allowed is nowhere: {names:?}");
    let here = stand.client().at("/tools/pets/mcp");
    assert_eq!(here.tools().await, ["listPets", "addPet", "getPet"]);
    for client in [&root, &here, &here.open_session().await] {
        let result = client.call("getPet", json!({ "petId": 1 })).await;
        assert!(text(&result).contains("Rex"), "{result}");
    }
    assert_eq!(here.call("echo", json!({ "text": "x" })).await["error"]["code"], -32602);

    let listed = at_tool(&stand).send("GET", None).await.json();
    assert_eq!((&listed["name"], &listed["slug"]), (&json!("Pet store"), &json!("pets")));
    let operations = listed["operations"].as_array().unwrap();
    assert_eq!(operations.len(), 3);
    assert_eq!(operations[0]["parameters"][0]["name"], "limit");
    assert_eq!(operations[2]["path"], "/pets/{petId}");
}

#[tokio::test]
async fn hooks_of_tools_fire_around_a_call_over_http_and_see_what_they_see_over_mcp() {
    let (api, recorder) = (api().await, Recorder::new());
    let stand = Setup::new()
        .set("tools", tool(&api))
        .entry(json!({
            "name": "pii", "kind": "builtin.pii_filter", "hooks": ["tool_pre_invoke", "tool_post_invoke"],
        }))
        .plugin_with("recorder", recorder.plugin(&AROUND), json!({ "priority": 1 }))
        .start()
        .await;

    let (status, answer) =
        call(&at_tool(&stand), json!({ "operation_id": "getPet", "parameters": { "petId": ["1"] } })).await;

    assert_eq!((status, &answer["name"]), (200, &json!("Rex")));
    assert!(!answer.to_string().contains("ann@example.com"), "{answer}");
    let before = &recorder.wait_for("tool_pre_invoke", 1).await[0];
    assert_eq!(
        (&before.payload["name"], &before.payload["args"]),
        (&json!("getPet"), &json!({ "petId": 1 }))
    );
    assert_eq!((before.server.as_deref(), before.upstream.as_deref()), (Some("tools/pets"), Some("pets")));
    let forwarded = &recorder.wait_for("http_pre_forwarding_call", 1).await[0].payload;
    assert_eq!((&forwarded["method"], &forwarded["path"]), (&json!("GET"), &json!("/v1/pets/{petId}")));
    let after = &recorder.wait_for("http_post_forwarding_call", 1).await[0].payload;
    assert_eq!(after["status_code"], 200);
    let result = &recorder.wait_for("tool_post_invoke", 1).await[0].payload["result"];
    assert!(result["content"][0]["text"].as_str().unwrap().contains("ann@example.com"));
}

#[tokio::test]
async fn blocked_call_over_http_never_reaches_the_api() {
    let api = api().await;
    let stand = Setup::new()
        .set("tools", tool(&api))
        .plugin("no", plugins::block(&[ToolPreInvoke::ID]))
        .start()
        .await;
    let (status, answer) =
        call(&at_tool(&stand), json!({ "operation_id": "getPet", "parameters": { "petId": ["1"] } })).await;
    assert_eq!((status, &answer["message"]), (403, &json!("blocked by policy")), "{answer}");
    assert_eq!(api.asked().len(), 0);
}

#[tokio::test]
async fn what_cannot_be_called_is_refused_with_the_reason_and_reaches_nothing() {
    let api = api().await;
    let stand = Setup::new().set("tools", tool(&api)).start().await;
    let client = at_tool(&stand);
    for (body, status, word) in [
        (json!({}), 400, "operation_id is required"),
        (json!({ "operation_id": "deletePet", "parameters": { "petId": ["1"] } }), 403, "deletePet"),
        (json!({ "operation_id": "getPet" }), 400, "`petId` is missing"),
        (json!({ "operation_id": "getPet", "parameters": { "petId": ["../admin"] } }), 400, "another path"),
        (json!({ "operation_id": "listPets", "parameters": { "no": ["1"] } }), 400, "no parameter `no`"),
        (json!({ "operation_id": "listPets", "headers": { "Host": ["evil"] } }), 400, "no header `Host`"),
        (json!({ "operation_id": "listPets", "headers": { "X-Tenant": ["a\r\nb: c"] } }), 400, "header"),
        (json!([1]), 400, "no call"),
    ] {
        let (found, answer) = call(&client, body.clone()).await;
        assert_eq!((found, &answer["status"]), (status, &json!(status)), "{body}: {answer}");
        assert!(answer.to_string().contains(word), "{body}: {answer}");
    }
    assert_eq!(client.send("PATCH", None).await.status, 405);
    assert_eq!(stand.client().at("/tools/other").send("GET", None).await.status, 404);
    assert_eq!(api.asked().len(), 0);
}

#[tokio::test]
async fn failures_of_the_api_are_told_apart_and_bounded() {
    let api = api().await;
    let mut pets = tool(&api);
    pets["pets"]["timeout"] = json!(0.3);
    let stand = Setup::new().set("tools", pets).start().await;
    let client = at_tool(&stand);
    let get = |id: &str| json!({ "operation_id": "getPet", "parameters": { "petId": [id] } });

    let (status, answer) = call(&client, get("7")).await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().contains("no such pet"), "{answer}");
    let (status, answer) = call(&client, get("8")).await;
    assert_eq!(status, 502, "the API's refusal is of the gateway, not of the caller: {answer}");
    for (fault, word) in [
        (Fault::Status(500), "HTTP 500"),
        (Fault::Huge(100_000), "larger than 4096 bytes"),
        (Fault::Hang, "timed out"),
        (Fault::CloseMidAnswer, "failed"),
        (Fault::Redirect("http://127.0.0.1:1/".to_owned()), "HTTP 30"),
    ] {
        // Also for a second attempt, where nothing of an answer came.
        api.fault(fault.clone());
        let (status, answer) = call(&client, get("1")).await;
        assert_eq!(status, 502, "{fault:?}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(word), "{fault:?}: {answer}");
        assert!(!answer.to_string().contains("s3cret"));
    }
    api.fault(Fault::None);
    assert_eq!(call(&client, get("1")).await.0, 200);
}

#[tokio::test]
async fn apps_see_and_call_the_tools_they_are_granted() {
    let (api, upstream) = (api().await, Scripted::start().await.unwrap());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("tools", tool(&api))
        .app("all", "token-of-all", json!({}))
        .app("some", "token-of-some", json!({ "tools": ["pets"] }))
        .app("none", "token-of-none", json!({ "tools": [] }))
        .start()
        .await;
    let get = json!({ "operation_id": "getPet", "parameters": { "petId": ["1"] } });

    assert_eq!(call(&at_tool(&stand), get.clone()).await.0, 401);
    for token in ["token-of-all", "token-of-some"] {
        assert_eq!(call(&at_tool(&stand).token(token), get.clone()).await.0, 200);
        assert!(stand.client().token(token).tools().await.contains(&"getPet".to_owned()));
    }
    let by_key = stand.client().at("/tools/pets?apiKey=token-of-some");
    assert_eq!(call(&by_key, get.clone()).await.0, 200);
    let bare = at_tool(&stand).with("authorization", "token-of-some");
    assert_eq!(call(&bare, get.clone()).await.0, 200);

    let none = "token-of-none";
    let asked = api.asked().len();
    let (status, answer) = call(&at_tool(&stand).token(none), get.clone()).await;
    assert_eq!(status, 403, "{answer}");
    let (_, unknown) = call(&stand.client().at("/tools/other").token(none), get).await;
    let text = |answer: &Value| answer["message"].as_str().unwrap().replace("other", "pets");
    assert_eq!(text(&answer), text(&unknown), "nobody finds out what there is by asking");
    assert_eq!(
        stand.client().at("/tools/pets/mcp").token(none).rpc("tools/list", json!({})).await.status,
        403
    );
    assert!(!stand.client().token(none).tools().await.contains(&"getPet".to_owned()));
    let session = stand.client().token(none).open_session().await;
    assert!(!session.tools().await.contains(&"getPet".to_owned()));
    for client in [stand.client().token(none), session] {
        let refused = client.call("getPet", json!({ "petId": 1 })).await;
        assert!(refused["error"]["message"].as_str().unwrap().contains("Unknown tool"), "{refused}");
    }
    assert_eq!(api.asked().len(), asked);
}

#[tokio::test]
async fn document_is_read_from_a_file_or_fetched_and_a_changed_one_takes_effect() {
    let api = api().await;
    let mut tools = json!({});
    for (slug, spec) in
        [("fetched", format!("{}/v1/openapi.json", api.url())), ("written", "pets.yaml".to_owned())]
    {
        let url = format!("{}/v1", api.url());
        tools[slug] = json!({ "spec": spec, "url": url, "operations": ["getPet"] });
    }
    let written = "openapi: 3.1.0\npaths:\n  /pets/1:\n    get:\n      operationId: getPet\n      responses:\n        \
                   200: { description: a pet }\n";
    let stand = Setup::new()
        .set("tools", tools)
        .start_with(|folder| std::fs::write(folder.join("pets.yaml"), written).unwrap())
        .await;
    for (slug, parameters) in [("fetched", json!({ "petId": ["1"] })), ("written", json!({}))] {
        let body = json!({ "operation_id": "getPet", "parameters": parameters });
        let (status, answer) = call(&stand.client().at(&format!("/tools/{slug}")), body).await;
        assert_eq!((status, &answer["name"]), (200, &json!("Rex")), "{slug}: {answer}");
    }
    std::fs::write(stand.folder().join("pets.yaml"), written.replace("/pets/1", "/pets/7")).unwrap();
    let client = stand.client().at("/tools/written");
    let changed = async {
        while call(&client, json!({ "operation_id": "getPet" })).await.0 != 404 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.expect("the watched file takes effect");
}

#[tokio::test]
async fn wrong_tools_are_told_before_anything_starts() {
    let wrong = |tools: Value| {
        let setup = Setup::new().set("upstreams", json!({ "docs": { "url": "http://127.0.0.1:1/mcp" } }));
        let setup = setup.set("tools", tools);
        let framework = setup.framework();
        setup.load(&framework).expect_err("it is wrong").render(false)
    };
    let url = "http://127.0.0.1:1";
    for (tools, word) in [
        (json!({ "t": { "url": url } }), "has no OpenAPI document"),
        (json!({ "t": { "spec": document() } }), "does not say where its API is"),
        (json!({ "t": { "spec": document(), "url": "ftp://x" } }), "over `http` or `https`"),
        (json!({ "t": { "spec": document(), "url": "http://u:s3cret@x" } }), "user name or password"),
        (json!({ "t": { "spec": document(), "url": url, "operations": ["nope"] } }), "no operation `nope`"),
        (json!({ "t": { "spec": { "swagger": "2.0" }, "url": url } }), "OpenAPI 2.0 is not read"),
        (json!({ "t": { "spec": "no-such.yaml", "url": url } }), "cannot be read"),
        (
            json!({ "t": { "spec": document(), "url": url, "auth": { "scheme": "x", "key": "s3cret" } } }),
            "no security scheme `x`",
        ),
        (json!({ "docs": { "spec": document(), "url": url } }), "an upstream has the name `docs`"),
    ] {
        let told = wrong(tools.clone());
        assert!(told.contains(word), "{tools}: {told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}
