//! JSON as a plain tree that keeps what a map would lose: members in order, those of the same name too. The slow
//! reading that the scanner's fast one is compared with.

use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value of which only the text matters.
#[derive(Debug, PartialEq)]
pub enum Tree {
    /// `null`, a boolean or a number.
    Plain,
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Tree>),
    /// An object.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads JSON; `None` where it is none, is too deep, or holds half of a surrogate pair.
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether an object in it has two members of one name.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Plain | Self::Text(_) => false,
            Self::List(items) => items.iter().any(Self::is_ambiguous),
            Self::Map(members) => {
                let names: BTreeSet<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.len() < members.len() || members.iter().any(|(_, value)| value.is_ambiguous())
            }
        }
    }

    /// Its strings, in order, member names not counted.
    pub fn texts<'t>(&'t self, out: &mut Vec<&'t str>) {
        match self {
            Self::Plain => {}
            Self::Text(text) => out.push(text),
            Self::List(items) => items.iter().for_each(|item| item.texts(out)),
            Self::Map(members) => members.iter().for_each(|(_, value)| value.texts(out)),
        }
    }

    /// The same as JSON in which every character of every name and string is an escape.
    pub fn spelled_out(&self, out: &mut String) {
        match self {
            Self::Plain => out.push('0'),
            Self::Text(text) => spell(text, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { " , " } else { "" });
                    item.spelled_out(out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { " , " } else { "" });
                    spell(name, out);
                    out.push_str(" : ");
                    value.spelled_out(out);
                }
                out.push('}');
            }
        }
    }
}

fn spell(text: &str, out: &mut String) {
    out.push('"');
    text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
    out.push('"');
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Map(members))
    }
}

/// The members of an object, in order, values as they are written.
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object; `None` where the text is none.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
