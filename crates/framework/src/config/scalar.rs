//! What an unquoted scalar means.
//!
//! Mortise's own file follows YAML 1.2 (`no` is a text, `010` is ten). Foreign files were written for a YAML 1.1
//! loader, so `no` is false there and `010` is eight. Two things that loader does are left out on purpose:
//! sexagesimal numbers (`1:30`) and dates, which stay text, as nobody writing a plugin file means them.

use serde_json::Number;

use super::node::Value;

/// The rules for unquoted scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// YAML 1.2, core schema.
    Core,
    /// YAML 1.1 as common loaders read it.
    Yaml11,
}

/// The value of an unquoted scalar.
pub(super) fn resolve(text: &str, flavour: Flavour) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" if flavour == Flavour::Yaml11 => return Value::Bool(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" if flavour == Flavour::Yaml11 => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let starts_like_number = matches!(text.as_bytes().first(), Some(b'0'..=b'9' | b'+' | b'-' | b'.'));
    if !starts_like_number || text.len() > 64 {
        return Value::String(text.to_owned());
    }
    let number = match flavour {
        Flavour::Core => integer(text, "0o").or_else(|| float(text, false)),
        Flavour::Yaml11 => yaml11_number(text),
    };
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// A number in the core schema, as used where a schema wants a number and a text was given.
pub(super) fn number(text: &str) -> Option<Number> {
    match resolve(text.trim(), Flavour::Core) {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// A boolean word in any case, as used where a schema wants a boolean and a text was given.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn yaml11_number(text: &str) -> Option<Number> {
    let digits = text.replace('_', "");
    let unsigned = digits.trim_start_matches(['+', '-']);
    let octal = unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.contains(['.', 'x', 'b']);
    if octal {
        let negative = digits.starts_with('-');
        return radix(unsigned.get(1..)?, 8, negative);
    }
    integer(&digits, "0b").or_else(|| float(&digits, true))
}

/// Decimal, hexadecimal, and `extra` (`0o` octal or `0b` binary) integers.
fn integer(text: &str, extra: &str) -> Option<Number> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(hex) = unsigned.strip_prefix("0x") {
        return radix(hex, 16, negative);
    }
    if let Some(rest) = unsigned.strip_prefix(extra) {
        return radix(rest, if extra == "0b" { 2 } else { 8 }, negative);
    }
    radix(unsigned, 10, negative)
}

fn radix(digits: &str, radix: u32, negative: bool) -> Option<Number> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(value.into());
    }
    0i64.checked_sub_unsigned(value).map(Number::from)
}

/// A finite decimal; infinities, not-a-number and integers too long for 64 bits have no place in JSON and stay
/// text.
fn float(text: &str, needs_point: bool) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let shape_holds = unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(if needs_point { &['.'][..] } else { &['.', 'e', 'E'][..] });
    if !shape_holds { None } else { text.parse::<f64>().ok().and_then(Number::from_f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, flavour: Flavour) -> String {
        match resolve(text, flavour) {
            Value::Null => "null".into(),
            Value::Bool(b) => b.to_string(),
            Value::Number(n) => n.to_string(),
            Value::String(s) => format!("{s:?}"),
            Value::List(_) | Value::Map(_) => unreachable!(),
        }
    }

    #[test]
    fn own_files_follow_yaml_1_2() {
        let cases = [
            ("no", "\"no\""),
            ("010", "10"),
            ("0o10", "8"),
            ("0x1F", "31"),
            ("-7", "-7"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("1.2.3", "\"1.2.3\""),
            ("-", "\"-\""),
            (".inf", "\".inf\""),
            ("99999999999999999999999", "\"99999999999999999999999\""),
            ("~", "null"),
            ("TRUE", "true"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text, Flavour::Core), expected, "{text}");
        }
    }

    #[test]
    fn foreign_files_follow_yaml_1_1() {
        let cases = [
            ("no", "false"),
            ("On", "true"),
            ("010", "8"),
            ("089", "\"089\""),
            ("1_000", "1000"),
            ("0b101", "5"),
            ("1e3", "\"1e3\""),
            ("1.5", "1.5"),
            ("1:30", "\"1:30\""),
            ("127.0.0.1", "\"127.0.0.1\""),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text, Flavour::Yaml11), expected, "{text}");
        }
    }
}
