use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parse(text: &str) -> Result<Message, EnvelopeError> {
    Message::parse(&Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

fn parse_body(text: &str) -> Result<Body, EnvelopeError> {
    Body::parse(&Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

fn request(text: &str) -> Request {
    match parse(text).unwrap() {
        Message::Request(request) => request,
        other => panic!("no request: {other:?}"),
    }
}

fn response(text: &str) -> Response {
    match parse(text).unwrap() {
        Message::Response(response) => response,
        other => panic!("no response: {other:?}"),
    }
}

#[test]
fn request_is_read_without_copying_its_params() {
    let body = Bytes::from_static(
        br#" {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t", "x":1.0}} "#,
    );
    let Message::Request(request) = Message::parse(&body, &Limits::default()).unwrap() else { panic!() };
    assert_eq!(request.id, RequestId::number(1));
    assert!(matches!(request.method, Cow::Borrowed(method::TOOLS_CALL)));
    let params = request.params.unwrap();
    assert_eq!(params.as_str(), r#"{"name":"t", "x":1.0}"#);
    assert!(body.as_ptr_range().contains(&params.as_bytes().as_ptr()));
}

#[test]
fn what_is_inside_survives_and_what_stands_beside_does_not() {
    let message = parse(
        r#"{"x":1,"params":{"big":123456789012345678901234567890,"f":1.50,"d":1,"d":2},"jsonrpc":"2.0","method":"vendor/x","id":"a"}"#,
    )
    .unwrap();
    assert_eq!(
        message.to_bytes(),
        r#"{"jsonrpc":"2.0","id":"a","method":"vendor/x","params":{"big":123456789012345678901234567890,"f":1.50,"d":1,"d":2}}"#
    );
}

#[test]
fn params_absent_or_null_are_none_and_are_not_written() {
    for params in ["", r#","params":null"#] {
        let message =
            parse(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/initialized"{params}}}"#)).unwrap();
        assert_eq!(message.to_bytes(), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }
}

#[test]
fn ids_come_back_as_they_were_sent() {
    for id in ["0", "-1", "1.50", "1e3", "123456789012345678901234567890", r#""""#, r#""a\u0062""#, r#""7""#]
    {
        let request = request(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        assert_eq!(request.id.to_string(), id);
        let sent = Message::from(Response::ok(request.id, Raw::EMPTY_OBJECT)).to_bytes();
        assert_eq!(sent, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
}

#[test]
fn ids_are_equal_by_content_for_strings_and_by_text_for_numbers() {
    let id = |text: &str| request(&format!(r#"{{"jsonrpc":"2.0","id":{text},"method":"ping"}}"#)).id;
    assert_eq!(id(r#""a\u0062\/""#), id(r#""ab/""#));
    assert_ne!(id("1"), id("1.0"));
    assert_ne!(id("1"), id(r#""1""#));
    assert_eq!(id("1"), RequestId::number(1));
    assert_eq!(id(r#""é\"""#), RequestId::string("é\""));
    assert_eq!(id("7.0").as_u64(), Some(7));
    for text in ["-7", "7.5", "7e0", "99999999999999999999", r#""x""#, r#""""#, r#""+7""#] {
        assert_eq!(id(text).as_u64(), None, "{text}");
    }
}

#[test]
fn long_id_is_kept() {
    let long = "x".repeat(500);
    assert_eq!(
        request(&format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"m"}}"#)).id,
        RequestId::string(&long)
    );
}

#[test]
fn responses_are_read() {
    let ok = response(r#"{"jsonrpc":"2.0","id":1,"result":{"a":1.0}}"#);
    assert_eq!(ok.outcome.unwrap().as_str(), r#"{"a":1.0}"#);
    assert_eq!(response(r#"{"jsonrpc":"2.0","id":1,"result":null}"#).outcome.unwrap(), Raw::NULL);
    let error =
        response(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no\n","data":[1.0],"x":1}}"#);
    let error = error.outcome.unwrap_err();
    assert_eq!(error.code(), Some(-32601));
    assert_eq!(error.message().as_deref(), Some("no\n"));
    assert_eq!(error.data().unwrap().as_str(), "[1.0]");
    assert!(error.raw().as_str().ends_with(r#""x":1}"#));
    for id in ["", r#""id":null,"#] {
        let error = response(&format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":"x"}}}}"#));
        assert_eq!(error.id, None);
        let error = error.outcome.unwrap_err();
        assert_eq!((error.code(), error.message()), (None, None));
    }
}

#[test]
fn bodies_that_are_no_json_are_parse_errors() {
    for text in [
        "",
        " ",
        "{",
        "{]",
        "hello",
        "{}}",
        "[1,",
        "[{},]",
        r#"{"jsonrpc":"2.0","id":1,"method":"a"} x"#,
        r#"{"a":01}"#,
        "\u{feff}{}",
        r#"{"\ud800":1}"#,
    ] {
        let error = parse_body(text).unwrap_err();
        assert_eq!(error.code(), code::PARSE_ERROR, "{text}");
    }
    let bytes = Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{\"a\":\"\xff\"}}");
    assert_eq!(Message::parse(&bytes, &Limits::default()).unwrap_err().code(), code::PARSE_ERROR);
}

#[test]
fn json_that_is_no_message_is_an_invalid_request() {
    for text in [
        "{}",
        "1",
        "null",
        r#""x""#,
        r#"{"id":1,"method":"m"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":"\ud800","method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"x"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":"bad"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}"#,
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"a"}"#,
        "[]",
        " [ ] ",
    ] {
        let error = parse_body(text).unwrap_err();
        assert_eq!(error.code(), code::INVALID_REQUEST, "{text}");
    }
    assert_eq!(parse("[]").unwrap_err().code(), code::INVALID_REQUEST);
}

#[test]
fn envelope_with_escaped_member_names_is_read() {
    let request = request(r#"{"json\u0072pc":"2\u002e0","\u0069d":1,"m\u0065thod":"tools\/call"}"#);
    assert_eq!(request.method, "tools/call");
}

#[test]
fn error_answers_with_the_id_where_there_is_one() {
    let error = parse(r#"{"jsonrpc":"2.0","id":"a","method":5}"#).unwrap_err();
    let sent: Value = serde_json::from_slice(&Message::from(error.to_response()).to_bytes()).unwrap();
    assert_eq!(
        sent,
        json!({"jsonrpc": "2.0", "id": "a", "error": {"code": -32600, "message": "could not read the message: `method` must be a string"}})
    );
    let error = parse(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#).unwrap_err();
    assert!(
        Message::from(error.to_response()).to_bytes().starts_with(br#"{"jsonrpc":"2.0","id":null,"error""#)
    );
}

#[test]
fn batch_is_read_message_by_message() {
    let text = r#" [ {"jsonrpc":"2.0","id":1,"method":"a"} , 5, {"jsonrpc":"2.0","method":"b"},{"jsonrpc":"2.0","id":2}, []] "#;
    let Body::Batch(messages) = parse_body(text).unwrap() else { panic!() };
    let methods: Vec<_> =
        messages.iter().map(|message| message.as_ref().ok().and_then(Message::method)).collect();
    assert_eq!(methods, [Some("a"), None, Some("b"), None, None]);
    assert_eq!(messages[3].as_ref().unwrap_err().id, Some(RequestId::number(2)));
    let good: Vec<Message> = messages.into_iter().flatten().collect();
    assert_eq!(
        batch_to_bytes(&good),
        r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b"}]"#
    );
}

#[test]
fn limits_are_kept() {
    let limits = Limits { max_bytes: 200, max_depth: 4, max_batch: 2 };
    let kind = |text: String| Body::parse(&Bytes::from(text), &limits).map(drop).map_err(|error| error.kind);
    let one = r#"{"jsonrpc":"2.0","method":"m"}"#;
    assert_eq!(kind(" ".repeat(201)), Err(EnvelopeErrorKind::TooLarge { size: 201, max: 200 }));
    assert_eq!(kind(format!("[{one},{one}]")), Ok(()));
    assert_eq!(kind(format!("[{one},{one},{one}]")), Err(EnvelopeErrorKind::BatchTooLong { max: 2 }));
    let nested = |inner: &str| format!(r#"{{"jsonrpc":"2.0","method":"m","params":{inner}}}"#);
    assert_eq!(kind(nested("[[[]]]")), Ok(()));
    assert_eq!(kind(nested("[[[[]]]]")), Err(EnvelopeErrorKind::TooDeep { max: 4 }));
}

#[test]
fn body_nested_without_end_is_refused_and_not_recursed_into() {
    for open in ["[", "{\"a\":", "{\"jsonrpc\":\"2.0\",\"x\":["] {
        let error = parse_body(&open.repeat(200_000)).unwrap_err();
        assert_eq!(error.kind, EnvelopeErrorKind::TooDeep { max: 128 });
    }
}

#[test]
fn message_is_written_into_any_growing_buffer() {
    let mut out = bytes::BytesMut::new();
    write_request(&mut out, &RequestId::string("a\"b"), "x\"/y", Some(&Raw::EMPTY_OBJECT));
    write_notification(&mut out, "n", None);
    write_error(&mut out, None, &ErrorObject::method_not_found("q").to_rpc_error());
    assert_eq!(
        &out[..],
        &br#"{"jsonrpc":"2.0","id":"a\"b","method":"x\"/y","params":{}}{"jsonrpc":"2.0","method":"n"}{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"method not found: q"}}"#[..]
    );
}

fn message() -> impl Strategy<Value = Message> {
    let id = prop_oneof![
        any::<u64>().prop_map(RequestId::number),
        any::<String>().prop_map(|text| RequestId::string(&text))
    ];
    let payload = prop_oneof![
        Just(Raw::EMPTY_OBJECT),
        Just(Raw::parse("[1.0, {\"a\":[]}]").unwrap()),
        any::<String>()
            .prop_map(|text| Raw::from_serialize(&json!({"a": text, "b": {"params": 1}})).unwrap()),
    ];
    let params = prop::option::of(payload.clone());
    prop_oneof![
        (id.clone(), any::<String>(), params.clone())
            .prop_map(|(id, name, params)| Request::new(id, name, params).into()),
        (any::<String>(), params).prop_map(|(name, params)| Notification::new(name, params).into()),
        (id.clone(), payload).prop_map(|(id, result)| Response::ok(id, result).into()),
        (prop::option::of(id), any::<i64>(), any::<String>()).prop_map(|(id, code, text)| Response::err(
            id,
            &ErrorObject::new(code, text)
        )
        .into()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(messages in prop::collection::vec(message(), 1..4)) {
        let first = messages[0].to_bytes();
        prop_assert_eq!(&Message::parse(&first, &Limits::default()).unwrap(), &messages[0]);
        let Body::Batch(read) = Body::parse(&batch_to_bytes(&messages), &Limits::default()).unwrap() else { panic!() };
        let read: Vec<Message> = read.into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Body::parse(&bytes.into(), &Limits::default());
    }

    #[test]
    fn nearly_messages_are_read_or_refused_without_panic(parts in prop::collection::vec(prop_oneof![
        Just(r#""jsonrpc":"2.0""#), Just(r#""id":1"#), Just(r#""id":null"#), Just(r#""method":"m""#), Just(r#""params":{}"#),
        Just(r#""result":[]"#), Just(r#""error":{}"#), Just(r#""x":"#), Just("{"), Just("}"), Just(","), Just("\\u"),
    ], 0..8)) {
        let text = format!("{{{}}}", parts.join(","));
        if let Ok(message) = parse(&text) {
            prop_assert_eq!(&parse(std::str::from_utf8(&message.to_bytes()).unwrap()).unwrap(), &message);
        }
    }
}
