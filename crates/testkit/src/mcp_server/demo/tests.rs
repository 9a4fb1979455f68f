use serde_json::{Value, json};

use super::*;

/// What the demo server writes for these lines.
async fn answers(input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    serve(input, &mut output).await.unwrap();
    output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

async fn ask(method: &str, params: Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut answers = answers(format!("{message}\n").as_bytes()).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

#[tokio::test]
async fn whois_answers_a_record_full_of_things_to_mask() {
    let answer = ask("tools/call", json!({"name": "whois", "arguments": {"name": "Ada Lovelace"}})).await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    for piece in ["ada.lovelace@example.com", "(555) 123-4567", "123-45-6789", "4111 1111 1111 1111"] {
        assert!(text.contains(piece), "{piece}");
    }
}

#[tokio::test]
async fn what_is_listed_can_be_used() {
    for tool in ask("tools/list", json!({})).await["result"]["tools"].as_array().unwrap() {
        let required = tool["inputSchema"]["required"].as_array().unwrap();
        let arguments: Map<String, Value> =
            required.iter().map(|name| (name.as_str().unwrap().to_owned(), json!("DELETE"))).collect();
        let answer = ask("tools/call", json!({"name": tool["name"], "arguments": arguments})).await;
        assert_eq!(answer["result"]["isError"], false, "{tool}");
    }
    let uri = &ask("resources/list", json!({})).await["result"]["resources"][0]["uri"];
    for uri in [uri.clone(), json!("customer://Ada%20Lovelace/record")] {
        let answer = ask("resources/read", json!({"uri": uri})).await;
        assert!(
            answer["result"]["contents"][0]["text"].as_str().unwrap().contains("@example.com"),
            "{answer}"
        );
    }
    let prompt = json!({"name": "support_reply", "arguments": {"customer": "Ada"}});
    let answer = ask("prompts/get", prompt).await;
    assert!(answer["result"]["messages"][0]["content"]["text"].as_str().unwrap().contains("123-45-6789"));
    assert!(ask("resources/templates/list", json!({})).await["result"]["resourceTemplates"].is_array());
    assert_eq!(ask("prompts/list", json!({})).await["result"]["prompts"][0]["name"], "support_reply");
}

#[tokio::test]
async fn every_version_that_has_a_handshake_is_spoken() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let answer = ask("initialize", json!({"protocolVersion": version})).await;
        assert_eq!(answer["result"]["protocolVersion"], version);
    }
    assert_eq!(ask("initialize", json!({})).await["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn bad_input_is_answered_and_the_next_line_is_served() {
    let mut input = Vec::new();
    input.extend_from_slice(b"hello\n\n{\"jsonrpc\":\"2.0\",\"id\":1}\n{\"jsonrpc\"\n\xff\xfe\n");
    input.extend_from_slice(&vec![b'x'; MAX_LINE + 10]);
    input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    input.extend_from_slice(b"[{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"},7]\n");
    input.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\"}\n");
    let answers = answers(&input).await;
    let last = answers.last().unwrap();
    assert_eq!(*last, json!({"jsonrpc": "2.0", "id": 3, "result": {}}));
    let batch = answers[answers.len() - 2].as_array().unwrap();
    assert_eq!((&batch[0]["id"], &batch[1]["error"]["code"]), (&json!(2), &json!(-32600)));
    let errors = &answers[..answers.len() - 2];
    assert_eq!(errors.len(), 5, "the banner, two bad messages, bad UTF-8 and the long line: {errors:?}");
    assert!(errors.iter().all(|answer| answer["error"]["code"].is_i64()));
}

#[tokio::test]
async fn wrong_arguments_are_told_to_the_model_and_unknown_names_to_the_client() {
    let missing = ask("tools/call", json!({"name": "whois"})).await;
    assert_eq!(missing["result"]["isError"], true);
    let wrong = ask("tools/call", json!({"name": "whois", "arguments": {"name": 7}})).await;
    assert!(wrong["result"]["content"][0]["text"].as_str().unwrap().contains("must be a string"));
    assert_eq!(ask("tools/call", json!({"name": "nope"})).await["error"]["code"], -32602);
    assert_eq!(ask("prompts/get", json!({"name": "support_reply"})).await["error"]["code"], -32602);
    assert_eq!(ask("resources/read", json!({"uri": "file:///etc/passwd"})).await["error"]["code"], -32002);
    assert_eq!(ask("sampling/everything", json!({})).await["error"]["code"], -32601);
}
