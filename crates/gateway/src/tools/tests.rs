//! Answers of APIs as results, and results as answers over HTTP.

use bytes::Bytes;
use http::{Response, StatusCode};
use mortise_mcp::raw::Raw;
use mortise_mcp_transport::server::answer::AnswerBody;
use serde_json::{Value, json};

use super::outcome;
use crate::mcp::Verdict;

fn body(response: &Response<AnswerBody>) -> String {
    match response.body() {
        AnswerBody::Whole(Some(body)) => String::from_utf8_lossy(body).into_owned(),
        _ => String::new(),
    }
}

fn content_type(response: &Response<AnswerBody>) -> &str {
    response.headers()["content-type"].to_str().unwrap()
}

fn through(status: u16, content_type: &str, body: &'static [u8]) -> (Value, Response<AnswerBody>) {
    let status = StatusCode::from_u16(status).unwrap();
    let result = outcome::result(status, Some(content_type), &Bytes::from_static(body));
    (result.decode().unwrap(), outcome::answer(Verdict::Ok, &Ok(result)))
}

#[test]
fn an_answer_comes_through_as_it_was() {
    let (result, answer) = through(200, "application/json; charset=utf-8", b"{\"a\": 1}");
    assert_eq!(result, json!({ "content": [{ "type": "text", "text": "{\"a\": 1}" }], "isError": false }));
    assert_eq!((body(&answer).as_str(), content_type(&answer)), ("{\"a\": 1}", "application/json"));
    let (_, answer) = through(201, "text/plain", b"done it");
    assert_eq!((answer.status(), body(&answer).as_str()), (StatusCode::OK, "done it"));
    assert_eq!(content_type(&answer), "text/plain; charset=utf-8");
    let (result, answer) = through(200, "image/png", b"\x89PNG");
    assert_eq!(result["content"][0]["type"], "image");
    assert_eq!(content_type(&answer), "image/png");
    let (result, answer) = through(200, "application/pdf", b"\xff\xfe");
    assert_eq!(result["content"][0]["resource"]["mimeType"], "application/pdf");
    assert_eq!(content_type(&answer), "application/pdf");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    for kind in ["text/html", "image/svg+xml; x"] {
        let (_, answer) = through(200, kind, b"\xff<script>");
        assert_eq!(content_type(&answer), "application/octet-stream", "{kind}");
    }
    assert_eq!(through(204, "", b"").1.status(), StatusCode::NO_CONTENT);
}

#[test]
fn an_error_says_its_status_and_no_more_than_the_caller_is_concerned_with() {
    for (status, expected) in
        [(400, 400), (404, 404), (429, 429), (401, 502), (403, 502), (500, 502), (302, 502)]
    {
        let (result, answer) = through(status, "text/plain", b"no");
        assert_eq!(result["isError"], true);
        assert_eq!(answer.status().as_u16(), expected, "{status}");
        let told: Value = serde_json::from_str(&body(&answer)).unwrap();
        assert_eq!(told["status"], expected);
        assert!(told["error"].as_str().unwrap().starts_with(&format!("HTTP {status}")), "{told}");
    }
}

#[test]
fn what_plugins_leave_of_a_result_is_what_is_answered() {
    let of = |result: Value, verdict| outcome::answer(verdict, &Ok(Raw::from_serialize(&result).unwrap()));
    let blocked =
        of(json!({ "content": [{ "type": "text", "text": "no" }], "isError": true }), Verdict::Blocked);
    assert_eq!(blocked.status(), StatusCode::FORBIDDEN);
    assert!(body(&blocked).contains("blocked by policy"));
    let several = of(
        json!({ "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }),
        Verdict::Ok,
    );
    assert_eq!(serde_json::from_str::<Value>(&body(&several)).unwrap()["content"][1]["text"], "b");
    let structured = of(json!({ "content": [], "structuredContent": { "a": 1 } }), Verdict::Ok);
    assert_eq!(body(&structured), "{\"a\":1}");
    let failed = of(json!({ "content": [{ "type": "text", "text": "x" }], "isError": true }), Verdict::Error);
    assert_eq!(failed.status(), StatusCode::BAD_GATEWAY);
}
