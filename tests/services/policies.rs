//! Decisions by policy: of an agent, and in process.

use mortise_testkit::{mcp_server::scripted::Scripted, services::Service};
use mortise_tests::text;
use serde_json::{Value, json};

use super::{entry, setup};

/// An upstream with two tools.
async fn upstream() -> Scripted {
    let upstream = Scripted::start().await.unwrap();
    let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
    upstream.set_list("tools", vec![tool("echo"), tool("delete_all")]);
    upstream
}

/// Two apps, of which one belongs to the platform team, and what becomes of their calls.
async fn decided(entry: Value, service: &Service) -> [bool; 4] {
    let upstream = upstream().await;
    let stand = setup(&upstream, service)
        .app("dev", "token-dev", json!({ "user": "dev@example.com", "teams": ["web"] }))
        .app("ops", "token-ops", json!({ "user": "ops@example.com", "teams": ["platform"] }))
        .entry(entry)
        .start()
        .await;
    let mut passed = [false; 4];
    let calls = [
        ("token-dev", "echo"),
        ("token-dev", "delete_all"),
        ("token-ops", "echo"),
        ("token-ops", "delete_all"),
    ];
    for (passed, (token, tool)) in passed.iter_mut().zip(calls) {
        let answer = stand.client().token(token).call(tool, json!({ "text": "x" })).await;
        *passed = answer["result"]["isError"] != true;
        assert_eq!(*passed, !text(&answer).contains("POLICY_DENIED"), "{answer}");
    }
    passed
}

const ONLY_THE_PLATFORM_TEAM_DELETES: [bool; 4] = [true, false, true, true];

#[tokio::test]
async fn an_agent_decides_by_caller_and_tool() {
    let service = Service::opa().await.unwrap();
    for path in ["test/allow", "test.decision"] {
        let entry = entry("opa", json!({ "url": service.url(), "path": path }));
        assert_eq!(decided(entry, &service).await, ONLY_THE_PLATFORM_TEAM_DELETES, "{path}");
    }
    let undefined = entry("opa", json!({ "url": service.url(), "path": "test/alow" }));
    assert_eq!(decided(undefined, &service).await, [false; 4], "a mistyped path opens no door");
}

#[tokio::test]
async fn expressions_decide_by_caller_and_tool() {
    let service = Service::opa().await.unwrap();
    let rule = json!({ "deny": "subject.startsWith('delete') && !('platform' in caller.teams)" });
    assert_eq!(
        decided(entry("cel", json!({ "rules": [rule] })), &service).await,
        ONLY_THE_PLATFORM_TEAM_DELETES
    );
}

#[cfg(feature = "cedar")]
#[tokio::test]
async fn cedar_policies_decide_by_caller_and_tool() {
    let service = Service::opa().await.unwrap();
    let policies = r#"
        permit (principal, action, resource) unless { resource == Tool::"delete_all" };
        permit (principal in Team::"platform", action, resource);
    "#;
    assert_eq!(
        decided(entry("cedar", json!({ "policies": policies })), &service).await,
        ONLY_THE_PLATFORM_TEAM_DELETES
    );
}
