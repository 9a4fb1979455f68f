//! A plugin's `config:` as the map of texts that it is initialised with.
//!
//! Plugins are written against texts that Go printed: a text as it is, a truth value as `true`, a number as Go's `%v`
//! of a float, anything else as JSON. With one difference: a whole number stays one. Go would print `1e+06` for a
//! million, since it has read it as a float, and no plugin means to be told that.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

/// All keys of a configuration.
pub(crate) fn texts(config: &Map<String, Value>) -> HashMap<String, String> {
    config.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// One value.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number_text(number),
        Value::Null | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn number_text(number: &Number) -> String {
    match (number.is_i64() || number.is_u64(), number.as_f64()) {
        (false, Some(float)) => go_float(float),
        _ => number.to_string(),
    }
}

/// The shortest digits that mean this float, with an exponent where the decimal one is below -4 or above 5, as Go's
/// `%v` has it.
fn go_float(float: f64) -> String {
    // Rust's exponent form has the same shortest digits: `1.5e-7`.
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return float.to_string() };
    let Ok(exponent) = exponent.parse::<i32>() else { return float.to_string() };
    if (-4..GO_EXPONENT).contains(&exponent) {
        return float.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// From this decimal exponent on Go writes a float with an exponent.
const GO_EXPONENT: i32 = 6;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_the_texts_that_plugins_expect() {
        let config = json!({
            "text": "a", "yes": true, "none": null, "list": [1, "b"], "map": {"k": 1.5},
            "whole": 1_000_000, "large": 9_007_199_254_740_993_u64, "negative": -3,
        });
        let texts = texts(config.as_object().unwrap());
        for (key, expected) in [
            ("text", "a"),
            ("yes", "true"),
            ("none", "null"),
            ("list", r#"[1,"b"]"#),
            ("map", r#"{"k":1.5}"#),
            ("whole", "1000000"),
            ("large", "9007199254740993"),
            ("negative", "-3"),
        ] {
            assert_eq!(texts[key], expected, "{key}");
        }
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (float, expected) in [
            (0.5, "0.5"),
            (3.0, "3"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e300, "1.5e+300"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(go_float(float), expected);
        }
    }
}
