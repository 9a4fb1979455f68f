//! The JSON-RPC envelope, and the parameters of the calls that are looked into.

use bytes::Bytes;
use mortise_mcp::{
    envelope::{Body, Limits, Message, batch_to_bytes},
    initialize::{ClientHello, ServerHello},
    params::{Completion, NamedCall, UriCall, cursor},
    raw::{Object, Raw, RawStr, check_depth},
    stateless,
};

use super::json::{Members, Tree};

/// A body as it comes in.
pub fn check(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let limits = Limits { max_bytes: 1 << 20, max_depth: 40, max_batch: 50 };
    depth_is_the_depth(data);
    members_are_the_members(data);
    match Body::parse(&body, &limits) {
        Ok(Body::Single(message)) => {
            assert_eq!(Message::parse(&body, &limits).ok().as_ref(), Some(&message));
            same_again(&message);
        }
        Ok(Body::Batch(messages)) => {
            assert!(!messages.is_empty() && messages.len() <= limits.max_batch);
            assert!(Message::parse(&body, &limits).is_err(), "a batch is no single message");
            let good: Vec<Message> = messages.into_iter().filter_map(readable).collect();
            good.iter().for_each(same_again);
            if !good.is_empty() {
                let read = Body::parse(&batch_to_bytes(&good), &Limits::default());
                let Ok(Body::Batch(again)) = read else { panic!("a batch is read again: {read:?}") };
                assert_eq!(again.into_iter().map(Result::unwrap).collect::<Vec<_>>(), good);
            }
        }
        Err(error) => {
            assert!(Message::parse(&body, &limits).is_err());
            readable(Err(error));
        }
    }
    if let Ok(raw) = Raw::parse(body) {
        parameters(&raw);
    }
}

/// The message; a refusal is something that can be answered with.
fn readable(read: Result<Message, mortise_mcp::envelope::EnvelopeError>) -> Option<Message> {
    read.map_err(|error| same_again(&error.to_response().into())).ok()
}

/// What is written reads back, byte for byte from the second time on.
fn same_again(message: &Message) {
    let text = message.to_bytes();
    let again = Message::parse(&text, &Limits::default());
    let again = again.unwrap_or_else(|error| panic!("{text:?} is read again: {error}"));
    assert_eq!(&again, message);
    assert_eq!(again.to_bytes(), text);
    if let Message::Request(request) = message {
        if let Some(params) = &request.params {
            parameters(params);
        }
        if let Some(name) = stateless::routed_name(&request.method, request.params.as_ref()) {
            let encoded = stateless::encode_header_value(&name);
            assert!(encoded.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{encoded:?} fits a header");
            assert_eq!(stateless::decode_header_value(&encoded).as_deref(), Some(&*name));
        }
    }
}

/// The bound on nesting, of which a look at all brackets is the fast path.
fn depth_is_the_depth(data: &[u8]) {
    fn depth(tree: &Tree) -> usize {
        match tree {
            Tree::Plain | Tree::Text(_) => 0,
            Tree::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Tree::Map(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        }
    }
    let Some(tree) = Tree::parse(data) else { return };
    let depth = depth(&tree);
    assert!(check_depth(data, depth).is_ok(), "{depth} levels fit into {depth}");
    assert!(depth == 0 || check_depth(data, depth - 1).is_err(), "and into no less");
}

/// Objects are read by hand, and so exactly as a parser does.
fn members_are_the_members(data: &[u8]) {
    let (object, expected) = (Object::parse(data).ok(), Members::parse(data));
    let read = object.as_ref().map(|object| {
        let members = object.members().iter();
        members.map(|member| (member.name.clone().into_owned(), member.value.get())).collect()
    });
    let expected = expected.map(|members| {
        let members = members.0.into_iter();
        members.map(|(name, value)| (name, value.get())).collect::<Vec<_>>()
    });
    assert_eq!(read, expected);
}

/// Any value as the parameters of every call.
fn parameters(raw: &Raw) {
    let params = Some(raw);
    let (name, arguments) = ("n\"é", Raw::parse("{\"a\":1.50}").unwrap());
    if let Ok(call) = NamedCall::parse(params) {
        assert_eq!(&call.rewrite(None, None).unwrap(), raw, "nothing asked, nothing changed");
        let new = call.rewrite(Some(name), Some(&arguments)).unwrap();
        let again = NamedCall::parse(Some(&new)).unwrap();
        assert_eq!((&*again.name, again.arguments.unwrap().get()), (name, arguments.as_str()));
        assert_eq!(again.meta.map(RawStr::get), call.meta.map(RawStr::get));
        let back = again.rewrite(Some(&call.name), None).unwrap();
        assert_eq!(NamedCall::parse(Some(&back)).unwrap().name, call.name);
    }
    if let Ok(call) = UriCall::parse(params) {
        let new = call.rewrite(name).unwrap();
        assert_eq!(UriCall::parse(Some(&new)).unwrap().uri, name);
    }
    if let Ok(completion) = Completion::parse(params) {
        let new = completion.rewrite(name).unwrap();
        assert!(format!("{:?}", Completion::parse(Some(&new)).unwrap().target).contains("n\\\"é"));
    }
    let _ = cursor(params);
    let _ = (ClientHello::parse(params).map(|hello| hello.negotiate()), ServerHello::parse(raw));
    revision_without_sessions(raw);
    if let Ok(object) = Object::parse(raw.as_bytes()) {
        assert_eq!(&object.splice().finish(), raw, "no edit, no change");
        for member in object.members().iter().take(4) {
            let less = object.splice().remove(&member.name).finish();
            let less = less.object().unwrap();
            assert!(less.members().iter().all(|other| other.name != member.name));
        }
    }
}

/// What the revision without sessions adds to parameters can be read and taken away again.
fn revision_without_sessions(raw: &Raw) {
    if let Ok(Some(meta)) = stateless::request_meta(Some(raw)) {
        let with = stateless::with_request_meta(Some(raw), &meta).unwrap();
        let again = stateless::request_meta(Some(&with)).unwrap().unwrap();
        assert_eq!((again.version, &again.client_capabilities), (meta.version, &meta.client_capabilities));
    }
    if let Ok(stripped) = stateless::strip(raw) {
        assert_eq!(stateless::strip(&stripped).unwrap(), stripped, "stripped once and for all");
    }
    let _ = stateless::legacy_result(raw);
    let _ = stateless::result_type(raw);
}
