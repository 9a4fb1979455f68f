//! A plugin's configuration as a gateway gives it to a process: texts only.
//!
//! A text where a type wants a text is that text, even if it looks like a number; where a type wants anything else, it is
//! read as JSON. So a configuration of the author's own type is read as it would be within a gateway.

use std::collections::{BTreeMap, HashMap};

use mortise_plugin_api::PluginError;
use serde::{
    Deserializer, de,
    de::{DeserializeOwned, IntoDeserializer, Visitor, value::MapDeserializer},
};
use serde_json::Value;

/// Keys and texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(BTreeMap<String, String>);

impl Config {
    /// The text of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The value of a key: what its text is as JSON, else the text.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value> {
        self.text(key).map(value)
    }

    /// All of it as a type of the author's own. Keys that the gateway adds (`_plugin_id`, …) are left out.
    ///
    /// # Errors
    /// Where a key is missing, or is none of its type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, PluginError> {
        let own = self.0.iter().filter(|(key, _)| !key.starts_with('_'));
        let own = own.map(|(key, text)| (key.as_str(), Text(text)));
        T::deserialize(MapDeserializer::<_, serde_json::Error>::new(own))
            .map_err(|error| PluginError::failed(format!("reading the plugin's configuration: {error}")))
    }
}

impl From<HashMap<String, String>> for Config {
    fn from(config: HashMap<String, String>) -> Self {
        Self(config.into_iter().collect())
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A text that is what its reader wants.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de, serde_json::Error> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        value(self.0).deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0 == "null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match value(self.0) {
            Value::Object(map) => Value::Object(map).deserialize_enum(name, variants, visitor),
            _ => de::value::StrDeserializer::<Self::Error>::new(self.0)
                .deserialize_enum(name, variants, visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Own {
        name: String,
        limit: u32,
        ratio: f64,
        #[serde(default)]
        on: bool,
        list: Vec<String>,
        mode: Mode,
        maybe: Option<String>,
        missing: Option<u32>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
    }

    fn config(pairs: &[(&str, &str)]) -> Config {
        let pairs = pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        Config::from(pairs.collect::<HashMap<_, _>>())
    }

    #[test]
    fn texts_are_what_their_type_wants() {
        let given = [
            ("name", "12"),
            ("limit", "1000000"),
            ("ratio", "0.5"),
            ("on", "true"),
            ("list", r#"["a","b"]"#),
            ("mode", "fast"),
            ("maybe", "true"),
            ("_plugin_id", "7"),
        ];
        let own: Own = config(&given).read().unwrap();
        let expected = Own {
            name: "12".to_owned(),
            limit: 1_000_000,
            ratio: 0.5,
            on: true,
            list: vec!["a".to_owned(), "b".to_owned()],
            mode: Mode::Fast,
            maybe: Some("true".to_owned()),
            missing: None,
        };
        assert_eq!(own, expected);
        assert_eq!(config(&given).value("list"), Some(serde_json::json!(["a", "b"])));
        assert_eq!(config(&given).text("nothing"), None);
    }

    #[test]
    fn text_that_is_none_of_its_type_is_named() {
        let error = config(&[("name", "a"), ("limit", "many")]).read::<Own>().unwrap_err();
        assert!(error.to_string().contains("many"), "{error}");
    }
}
