//! Reading JSON Schemas as the schema library writes them, for people.

use serde_json::Value;

/// A schema with its reference followed and the `null` of an optional value taken away.
pub(super) fn plain<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    if let Some(target) = reference(schema).and_then(|name| root["$defs"].get(name)) {
        return plain(target, root);
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(parts) = schema[choice].as_array() {
            let mut parts = parts.iter().filter(|part| part["type"] != "null");
            if let (Some(one), None) = (parts.next(), parts.next()) {
                return plain(one, root);
            }
        }
    }
    schema
}

/// The definition a schema refers to.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    let direct = schema["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/"));
    direct.or_else(|| {
        let parts = schema["anyOf"].as_array()?;
        let mut parts = parts.iter().filter(|part| part["type"] != "null");
        match (parts.next(), parts.next()) {
            (Some(one), None) => reference(one),
            _ => None,
        }
    })
}

/// What a value may be, in words.
pub(super) fn type_words(schema: &Value, root: &Value) -> String {
    let schema = plain(schema, root);
    if let Some(words) = constants(schema) {
        return words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(parts) = schema[choice].as_array() {
            let parts: Vec<String> = parts.iter().map(|part| type_words(part, root)).collect();
            return parts.join(" or ");
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).filter(|word| *word != "null").collect(),
        _ => Vec::new(),
    };
    match types[..] {
        ["string"] => "text".to_owned(),
        ["integer"] => "whole number".to_owned(),
        ["number"] => "number".to_owned(),
        ["boolean"] => "true or false".to_owned(),
        ["array"] => match &schema["items"] {
            Value::Object(_) => format!("list of {}", type_words(&schema["items"], root)),
            _ => "list".to_owned(),
        },
        ["object"] if schema["properties"].is_object() => "map".to_owned(),
        ["object"] => match &schema["additionalProperties"] {
            Value::Object(_) => {
                format!("map of name to {}", type_words(&schema["additionalProperties"], root))
            }
            _ => "any map".to_owned(),
        },
        [] => "anything".to_owned(),
        ref several => several.join(" or "),
    }
}

/// The words of an enumeration, each with what it means.
pub(super) fn constants(schema: &Value) -> Option<Vec<(&str, &str)>> {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| Some((word.as_str()?, ""))).collect();
    }
    let parts = schema["oneOf"].as_array()?;
    let mut words = Vec::new();
    for part in parts {
        let about = part["description"].as_str().unwrap_or_default();
        match (part["const"].as_str(), part["enum"].as_array()) {
            (Some(word), _) => words.push((word, about)),
            (None, Some(several)) => {
                words.extend(several.iter().filter_map(|word| Some((word.as_str()?, about))));
            }
            (None, None) => return None,
        }
    }
    Some(words)
}

/// The description of a property, or of what it refers to.
pub(super) fn description(schema: &Value, root: &Value) -> String {
    let own = schema["description"].as_str();
    own.or_else(|| plain(schema, root)["description"].as_str()).unwrap_or_default().to_owned()
}
