use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn raw(text: &str) -> Raw {
    Raw::parse(text.to_owned()).unwrap()
}

#[test]
fn value_stays_the_text_it_was() {
    let text = r#"{"a":1.500,"b":123456789012345678901234567890,"c":-0,"d":1E+400,"e":"\u00e9\/","f":[ ]}"#;
    assert_eq!(raw(&format!(" \n{text}\t")).as_str(), text);
    let again: Raw = serde_json::from_str(&serde_json::to_string(&raw(text)).unwrap()).unwrap();
    assert_eq!(again, raw(text));
}

#[test]
fn what_is_not_one_json_value_in_utf8_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "{}{}",
        "{'a':1}",
        "nul",
        "01",
        "1.",
        "\"a\nb\"",
        "[1,]",
        "\u{feff}{}",
        "\x0c{}",
        "\"\\x\"",
    ] {
        assert!(matches!(Raw::parse(text.to_owned()), Err(RawError::Syntax { .. })), "{text:?}");
    }
    assert!(Raw::parse(&b"\"\xff\""[..]).is_err());
    assert!(Raw::parse(&b"{\"\xff\":1}"[..]).is_err());
    assert!(Object::parse(b"\x0c{}").is_err());
}

#[test]
fn debug_does_not_show_the_text() {
    assert_eq!(format!("{:?}", raw(r#""secret""#)), "Raw(8 bytes)");
}

#[test]
fn nesting_is_counted_outside_of_strings_and_by_depth_not_number() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    check_depth(deep(128).as_bytes(), 128).unwrap();
    assert!(matches!(check_depth(deep(129).as_bytes(), 128), Err(RawError::TooDeep { max: 128 })));
    assert!(matches!(Raw::parse(deep(100_000)), Err(RawError::TooDeep { .. })));
    check_depth("[]".repeat(1000).as_bytes(), 1).unwrap();
    check_depth(format!(r#"["{}\"{}\\",1]"#, "[".repeat(500), "{".repeat(500)).as_bytes(), 2).unwrap();
    assert!(check_depth(format!(r#"["\\",{}]"#, deep(3)).as_bytes(), 3).is_err());
    check_depth(b"\"\\", 0).unwrap();
    check_depth(b"[[\"\\", 2).unwrap();
}

#[test]
fn object_is_looked_at_one_level_deep() {
    let value = raw(r#" { "a" : {"b":1} , "c":null,"s":"x\ny" } "#);
    let object = value.object().unwrap();
    assert_eq!(object.get("a").unwrap().unwrap().get(), r#"{"b":1}"#);
    assert_eq!(object.get("c").unwrap().unwrap().get(), "null");
    assert!(object.get("b").unwrap().is_none());
    assert_eq!(object.get_str("s").unwrap().unwrap(), "x\ny");
    assert!(object.get_str("a").is_err());
    assert!(object.get_object("a").unwrap().is_some());
    assert!(object.get_object("c").is_err());
    assert!(raw("[]").object().is_err());
}

#[test]
fn object_with_members_without_end_is_not_looked_into() {
    let members = |n: usize| {
        let text = format!("{{{}}}", vec!["\"\":1"; n].join(","));
        Object::parse(text.as_bytes()).map(|object| object.members().len())
    };
    assert_eq!(members(MAX_MEMBERS).unwrap(), MAX_MEMBERS);
    assert!(matches!(members(MAX_MEMBERS + 1), Err(RawError::TooManyMembers { .. })));
}

#[test]
fn member_that_occurs_twice_is_an_error_only_where_it_is_looked_at() {
    let value = raw(r#"{"a":1,"b":2,"\u0061":3,"B":4,"c":5}"#);
    let object = value.object().unwrap();
    assert!(matches!(object.get("a"), Err(RawError::Ambiguous { .. })));
    assert!(matches!(object.get("b"), Err(RawError::Ambiguous { .. })));
    assert_eq!(object.get("c").unwrap().unwrap().get(), "5");
    assert!(object.get("d").unwrap().is_none());
}

#[test]
fn splice_replaces_adds_and_removes() {
    let value = raw(r#"{ "a":1 , "b" : 2,"c":3 }"#);
    let object = value.object().unwrap();
    let (x, y) = (raw("[0]"), raw(r#""y""#));
    let done = |splice: Splice<'_, '_>| splice.finish().as_str().to_owned();
    assert_eq!(done(object.splice()), r#"{ "a":1 , "b" : 2,"c":3 }"#);
    assert_eq!(done(object.splice().set("b", &x).unwrap()), r#"{ "a":1 , "b" : [0],"c":3 }"#);
    assert_eq!(done(object.splice().set("n\"", &x).unwrap()), r#"{ "a":1 , "b" : 2,"c":3,"n\"":[0] }"#);
    assert_eq!(done(object.splice().remove("a")), r#"{ "b" : 2,"c":3 }"#);
    assert_eq!(done(object.splice().remove("c")), r#"{ "a":1 , "b" : 2 }"#);
    assert_eq!(done(object.splice().remove("a").remove("b").remove("c")), r#"{ }"#);
    assert_eq!(done(object.splice().remove("a").set("a", &y).unwrap()), r#"{ "a":"y" , "b" : 2,"c":3 }"#);
    assert_eq!(
        done(object.splice().set("d", &x).unwrap().set("d", &y).unwrap()),
        r#"{ "a":1 , "b" : 2,"c":3,"d":"y" }"#
    );
    assert_eq!(done(object.splice().set("d", &x).unwrap().remove("d")), r#"{ "a":1 , "b" : 2,"c":3 }"#);
    let empty = raw("{ }");
    assert_eq!(done(empty.object().unwrap().splice().set("a", &x).unwrap()), r#"{"a":[0] }"#);
}

#[test]
fn part_of_a_body_shares_its_memory() {
    let body = Bytes::from_static(br#"{"a":[1,2]}"#);
    let object = Object::parse(&body).unwrap();
    let part = Raw::within(&body, object.get("a").unwrap().unwrap());
    assert_eq!(part.as_bytes().as_ptr(), body[5..].as_ptr());
    let foreign: &RawValue = serde_json::from_str("[1,2]").unwrap();
    assert_eq!(Raw::within(&body, foreign), part);
}

#[test]
fn strings_are_written_as_json() {
    for text in ["", "plain", "q\"b\\", "\u{0}\u{1f}\n\r\t\u{8}", "é\u{2028}🦀", "\u{7f}"] {
        assert_eq!(Raw::string(text).decode::<String>().unwrap(), text);
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..5)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn splicing_is_what_editing_a_decoded_object_would_be(members in prop::collection::vec(("[a-dA]{1,2}", json_value()), 0..10), pretty: bool, edits in prop::collection::vec(("[a-d]{1,2}", prop::option::of(json_value())), 0..6)) {
        let mut model: serde_json::Map<String, Value> = members.into_iter().collect();
        let text = if pretty { serde_json::to_string_pretty(&model) } else { serde_json::to_string(&model) }.unwrap();
        let value = raw(&text);
        let object = value.object().unwrap();
        let edits: Vec<_> = edits.into_iter().map(|(name, value)| (name, value.map(|value| Raw::from_serialize(&value).unwrap()))).collect();
        let mut splice = object.splice();
        let mut ambiguous = false;
        for (name, value) in &edits {
            match value {
                Some(value) => {
                    if object.get(name).is_err() {
                        ambiguous = true;
                        break;
                    }
                    splice = splice.set(name.as_str(), value).unwrap();
                    model.insert(name.clone(), value.decode().unwrap());
                }
                None => {
                    splice = splice.remove(name);
                    model.shift_remove(name);
                }
            }
        }
        if !ambiguous {
            prop_assert_eq!(splice.finish().decode::<Value>().unwrap(), Value::from(model));
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), depth in 0_usize..4) {
        let _ = check_depth(&bytes, depth);
        let _ = Object::parse(&bytes);
        let taken = Raw::parse(bytes.clone()).is_ok();
        let is_json = std::str::from_utf8(&bytes).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        prop_assert_eq!(taken, is_json);
    }

    #[test]
    fn depth_is_the_depth_of_the_value(value in json_value(), max in 0_usize..6) {
        fn depth(value: &Value) -> usize {
            match value {
                Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
                Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
                _ => 0,
            }
        }
        prop_assert_eq!(check_depth(value.to_string().as_bytes(), max).is_ok(), depth(&value) <= max);
    }
}

/// Texts that are JSON, nearly JSON, or made of its pieces.
fn near_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\u00e9",
            "\\ud800",
            "\\u12",
            "\\x",
            "null",
            "true",
            "fals",
            "0",
            "-",
            "1",
            "01",
            ".",
            "e",
            "E+",
            "1e5",
            "-0.5",
            " ",
            "\n",
            "\t",
            "\u{1}",
            "\u{7f}",
            "é",
            "🦀",
            "\"a\"",
            "\"a\":",
            "\"b\": 1",
            "{}",
            "[]",
            "\u{c}",
            "\u{a0}",
            "abcdefgh",
            "\"twelve bytes and more\"",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
        json_value().prop_map(|value| value.to_string()),
    ];
    let loose = prop::collection::vec(piece.clone(), 0..10).prop_map(|pieces| pieces.concat());
    let object = prop::collection::vec(("[a-c\\\\u\"é]{0,4}", piece), 0..5).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\" :{value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    prop_oneof![loose, object]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn members_found_by_hand_are_those_that_serde_json_finds(text in near_json()) {
        struct All(Vec<(String, String)>);
        impl<'de> Deserialize<'de> for All {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visit;
                impl<'de> serde::de::Visitor<'de> for Visit {
                    type Value = All;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<All, A::Error> {
                        let mut all = Vec::new();
                        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                            all.push((name, value.get().to_owned()));
                        }
                        Ok(All(all))
                    }
                }
                deserializer.deserialize_map(Visit)
            }
        }
        let expected = serde_json::from_str::<All>(&text).ok().map(|all| all.0);
        let mut found = Vec::new();
        let read = members(&text, |name, value| {
            found.push((name.into_owned(), value.get().to_owned()));
            true
        });
        prop_assert_eq!(read.ok().map(|()| found), expected, "{}", text);
    }
}
