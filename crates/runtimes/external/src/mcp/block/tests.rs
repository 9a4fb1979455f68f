use serde_json::json;

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "tests write their JSON in place")]
fn way(block: Value) -> Result<Way, BuildError> {
    let mut entry = PluginEntry::new("guard", "external");
    let block = block.as_object().cloned().unwrap();
    entry.mcp = Some(block.clone());
    Way::of(&entry, &block)
}

fn http(block: Value) -> HttpWay {
    match way(block).unwrap_or_else(|error| panic!("{}: {error}", error.field)) {
        Way::Http(way) => *way,
        _ => panic!("not streamable HTTP"),
    }
}

fn field(block: Value) -> String {
    way(block).err().map(|error| error.field).unwrap_or_default()
}

#[test]
fn protocols_are_known_in_any_letter_case() {
    for word in ["STREAMABLEHTTP", "streamablehttp", "http", "HTTP", "streamable-http", "streamable_http"] {
        assert!(matches!(way(json!({ "proto": word, "url": "http://h:1/mcp" })), Ok(Way::Http(_))), "{word}");
    }
    assert!(matches!(way(json!({ "proto": "Sse", "url": "http://h:1/sse" })), Ok(Way::Sse(_))));
    assert!(matches!(way(json!({ "proto": "websocket", "url": "ws://h:1/ws" })), Ok(Way::WebSocket(_))));
    assert!(matches!(way(json!({ "proto": "stdio", "cmd": ["x"] })), Ok(Way::Stdio(_))));
    assert!(matches!(way(json!({ "url": "http://h:1/mcp" })), Ok(Way::Http(_))));
    assert_eq!(field(json!({ "proto": "carrier pigeon", "url": "http://h:1" })), "mcp.proto");
    assert_eq!(field(json!({})), "mcp.proto");
}

#[test]
fn what_does_not_belong_to_a_protocol_is_refused_by_name() {
    assert_eq!(field(json!({ "proto": "http" })), "mcp.url");
    assert_eq!(field(json!({ "proto": "http", "url": "http://h:1", "cmd": ["x"] })), "mcp.cmd");
    assert_eq!(field(json!({ "proto": "stdio", "cmd": ["x"], "tls": {} })), "mcp.tls");
    assert_eq!(field(json!({ "proto": "stdio", "cmd": ["x"], "script": "y" })), "mcp.cmd");
    assert_eq!(field(json!({ "proto": "stdio" })), "mcp.script");
    assert_eq!(field(json!({ "proto": "stdio", "cmd": [] })), "mcp.cmd");
    assert_eq!(field(json!({ "proto": "http", "url": "http://u:p@h:1/mcp" })), "mcp.url");
    assert_eq!(field(json!({ "proto": "http", "url": "ftp://h/mcp" })), "mcp.url");
}

#[test]
fn credentials_become_secret_headers() {
    let with = |auth: Value| http(json!({ "proto": "http", "url": "http://h:1/mcp", "auth": auth })).headers;
    assert_eq!(with(json!({ "type": "bearer", "token": "t0k" }))["authorization"], "Bearer t0k");
    assert_eq!(
        with(json!({ "type": "Basic", "username": "u", "password": "p" }))["authorization"],
        "Basic dTpw"
    );
    assert_eq!(with(json!({ "type": "api_key", "key": "k" }))["x-api-key"], "k");
    assert_eq!(with(json!({ "type": "api-key", "header": "X-Own", "key": "k" }))["x-own"], "k");
    let own = with(json!({ "type": "headers", "headers": { "X-A": "1", "X-B": "2" } }));
    assert_eq!((own.len(), own["x-a"].is_sensitive()), (2, true));
    let field = |auth: Value| field(json!({ "proto": "http", "url": "http://h:1/mcp", "auth": auth }));
    assert_eq!(field(json!({ "type": "bearer" })), "mcp.auth.token");
    assert_eq!(field(json!({ "type": "magic" })), "mcp.auth.type");
}

#[test]
fn health_is_looked_at_on_the_same_server_only() {
    let with = |path: &str| json!({ "proto": "http", "url": "http://h:1/api/mcp?x=1", "health_check_endpoint": path });
    assert_eq!(http(with("/health")).health.unwrap(), "/health");
    assert_eq!(http(with("http://h:1/deep?a=b")).health.unwrap(), "/deep?a=b");
    assert_eq!(field(with("http://other/health")), "mcp.health_check_endpoint");
}

#[test]
fn scripts_run_by_their_ending_and_commands_as_they_are() {
    let stdio = |block: Value| match way(block).unwrap() {
        Way::Stdio(way) => way,
        _ => panic!("not a child"),
    };
    let script =
        stdio(json!({ "proto": "STDIO", "script": "/opt/guard.py", "args": ["-v"], "env": { "A": 1 } }));
    assert_eq!((script.program, script.args), ("python3".into(), vec!["/opt/guard.py".into(), "-v".into()]));
    assert_eq!(script.env["A"], "1");
    let script = stdio(json!({ "proto": "STDIO", "script": "run.sh", "cwd": "/srv/guard" }));
    assert_eq!((script.program, script.args), ("sh".into(), vec!["/srv/guard/run.sh".into()]));
    let direct = stdio(json!({ "proto": "STDIO", "script": "/opt/guard" }));
    assert_eq!((direct.program, direct.args), ("/opt/guard".into(), vec![]));
    let cmd = stdio(json!({ "proto": "STDIO", "cmd": ["uvx", "guard"] }));
    assert_eq!((cmd.program, cmd.args), ("uvx".into(), vec!["guard".into()]));
}

#[test]
fn statuses_are_those_of_success() {
    let with =
        |codes: Value| json!({ "proto": "http", "url": "http://h:1", "allowed_response_codes": codes });
    assert_eq!(*http(with(json!([200, "201"]))).statuses.unwrap(), [200, 201]);
    assert_eq!(field(with(json!([500]))), "mcp.allowed_response_codes");
    assert_eq!(field(with(json!([]))), "mcp.allowed_response_codes");
}

#[test]
fn what_is_shown_of_a_target_holds_no_query() {
    let way = way(json!({ "proto": "http", "url": "http://h:1/mcp?token=hidden" })).unwrap();
    assert_eq!(way.target(), "http://h:1/mcp");
}
