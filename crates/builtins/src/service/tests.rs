use std::time::{Duration, Instant};

use mortise_plugin_api::hooks::tool::ToolPreInvokePayload;
use serde_json::{Value, json};

use super::{Cache, Key, address, headers, pieces, rest::Rest};

fn call(args: &Value) -> ToolPreInvokePayload {
    serde_json::from_str(&json!({"name": "t", "args": args}).to_string()).unwrap()
}

#[test]
fn keys_tell_where_one_part_ends() {
    let key = |parts: &[&str]| Key::of(parts.iter().map(|part| part.as_bytes()));
    assert!(key(&["ab", "c"]) == key(&["ab", "c"]));
    assert!(key(&["ab", "c"]) != key(&["a", "bc"]));
    assert!(key(&["ab"]) != key(&["ab", ""]));
}

#[test]
fn verdicts_end_with_their_time_and_the_oldest_goes_first() {
    let now = Instant::now();
    let cache = Cache::new(Duration::from_secs(10), 2);
    let key = |name: &str| Key::of([name.as_bytes()]);
    cache.put(key("a"), 1, now, None);
    cache.put(key("b"), 2, now, Some(Duration::from_secs(1)));
    assert_eq!(cache.get(&key("a"), now), Some(1));
    assert_eq!(cache.get(&key("b"), now + Duration::from_secs(1)), None, "the service asked for less");
    assert_eq!(cache.get(&key("a"), now + Duration::from_secs(10)), None);
    cache.put(key("a"), 3, now, None);
    cache.put(key("c"), 4, now, None);
    assert_eq!(cache.get(&key("a"), now), None, "it came first");
    assert_eq!((cache.get(&key("b"), now), cache.get(&key("c"), now)), (Some(2), Some(4)));
    cache.put(key("d"), 5, now, Some(Duration::ZERO));
    assert_eq!(cache.get(&key("d"), now), None);
}

#[test]
fn a_service_that_fails_is_left_alone_and_tried_by_one_call() {
    let (rest, now) = (Rest::default(), Instant::now());
    for _ in 0..4 {
        rest.failed(now);
        assert!(rest.admits(now));
    }
    rest.failed(now);
    assert!(!rest.admits(now));
    let later = now + Duration::from_secs(30);
    assert!(rest.admits(later));
    assert!(!rest.admits(later), "the first is on its way");
    rest.succeeded();
    assert!(rest.admits(later));
}

#[test]
fn long_texts_are_cut_at_characters_and_nothing_is_lost() {
    let text = "héllo wörld ".repeat(50);
    let payload = call(&json!({"q": text, "blank": "  ", "n": 5}));
    let found = pieces::of(&payload, 7, 10_000).unwrap();
    assert!(found.iter().all(|piece| piece.text.chars().count() <= 7));
    assert_eq!(found.iter().map(|piece| &*piece.text).collect::<String>(), text);
    for piece in &found {
        assert_eq!(text.get(piece.range.clone()), Some(&*piece.text));
    }
    assert!(pieces::of(&payload, 7, 100).is_err(), "what is not looked at is no verdict");
}

#[test]
fn joined_pieces_overlap_and_show_everything() {
    let text = "0123456789".repeat(20);
    let payload = call(&json!({"a": text, "b": "end"}));
    let found = pieces::joined(&payload, 100, 10_000).unwrap();
    assert!(found.iter().all(|piece| piece.chars().count() <= 100), "{found:?}");
    let mut whole = String::new();
    for (at, piece) in found.iter().enumerate() {
        let skipped = if at == 0 { 0 } else { 10 };
        whole.push_str(&piece[skipped..]);
    }
    assert_eq!(whole, format!("{text}\nend"));
    assert!(pieces::joined(&payload, 100, 50).is_err());
    assert_eq!(pieces::joined(&call(&json!({})), 100, 50).unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_no_address_or_header_is_refused() {
    for url in ["", "guard", "ftp://guard/", "http://", "http://u:p@guard/", "/v1", "http://u@guard/"] {
        let error = address("url", url).unwrap_err();
        assert_eq!(error.field, "url", "{url}");
        assert!(!error.message.contains("u:p"), "{}", error.message);
    }
    assert_eq!(address("url", "http://Guard:80/v1").unwrap(), "http://guard/v1");
    let one = |name: &str, value: &str| headers(&[(name.to_owned(), value.to_owned())].into());
    assert!(one("x-key", "a\r\nhost: b").is_err());
    assert!(one("x key", "a").is_err());
    assert!(one("", "a").is_err());
    assert!(one("x-key", "a").is_ok());
}
