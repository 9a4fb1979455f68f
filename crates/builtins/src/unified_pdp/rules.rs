//! Rules about roles, and what they say of a call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a call is refused with that no rule allows.
const UNMATCHED: &str = "Native RBAC: no matching allow rule (fail closed)";

/// A rule. One whose `id` begins with `deny:` refuses what it matches, and comes first; the others allow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Its name.
    #[serde(default)]
    pub id: String,
    /// Roles that it is about; `*` for every caller.
    #[serde(default = "any")]
    pub roles: Vec<String>,
    /// Actions, as patterns: `tools.invoke.NAME`, `resources.fetch`.
    #[serde(default = "any")]
    pub actions: Vec<String>,
    /// `tool`, `resource`, or `*`.
    #[serde(default = "any")]
    pub resource_types: Vec<String>,
    /// Names of tools or URIs of resources, as patterns.
    #[serde(default = "any")]
    pub resource_ids: Vec<String>,
    /// What must hold of the caller and the call beside.
    #[serde(default)]
    pub conditions: Map<String, Value>,
    /// What a refusal says.
    #[serde(default)]
    pub reason: Option<String>,
}

fn any() -> Vec<String> {
    vec!["*".to_owned()]
}

/// A call, as rules see it.
pub(super) struct Asked<'a> {
    pub(super) roles: Vec<&'a str>,
    pub(super) action: String,
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
    /// `subject.email`, `context.ip`, ….
    pub(super) facts: Map<String, Value>,
}

/// Why a call is refused; `None` where it is allowed.
pub(super) fn refusal(rules: &[Rule], asked: &Asked<'_>) -> Option<String> {
    let denies = |rule: &&Rule| rule.id.starts_with("deny:");
    if let Some(rule) = rules.iter().filter(denies).find(|rule| rule.matches(asked)) {
        return Some(rule.reason.clone().unwrap_or_else(|| format!("Denied by rule {}", rule.id)));
    }
    let allowed = rules.iter().filter(|rule| !denies(rule)).any(|rule| rule.matches(asked));
    (!allowed).then(|| UNMATCHED.to_owned())
}

impl Rule {
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let role = |role: &String| role == "*" || asked.roles.contains(&role.as_str());
        let fits = |patterns: &[String], text: &str| patterns.iter().any(|pattern| glob(pattern, text));
        self.roles.iter().any(role)
            && fits(&self.actions, &asked.action)
            && self.resource_types.iter().any(|kind| kind == "*" || kind == asked.kind)
            && fits(&self.resource_ids, asked.id)
            && self.conditions.iter().all(|(key, wanted)| holds(key, wanted, asked))
    }
}

/// Whether a condition holds: equality, or by the end of its key a beginning or a member.
fn holds(key: &str, wanted: &Value, asked: &Asked<'_>) -> bool {
    if let Some(key) = key.strip_suffix("_prefix") {
        let text = asked.facts.get(key).map(text).unwrap_or_default();
        return text.starts_with(&self::text(wanted));
    }
    if let Some(key) = key.strip_suffix("_contains") {
        let Some(wanted) = wanted.as_str() else { return false };
        return match key {
            "subject.roles" => asked.roles.contains(&wanted),
            _ => asked.facts.get(key).and_then(Value::as_str).is_some_and(|text| text.contains(wanted)),
        };
    }
    asked.facts.get(key).unwrap_or(&Value::Null) == wanted
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether a pattern of `*`, `?` and classes in brackets fits all of a text.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where the last star stood, and how much of the text it takes.
    let (mut at, mut pos, mut star) = (0, 0, None);
    while pos < text.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, pos));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[at..], text[pos]),
            Some(plain) if *plain == text[pos] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => (at, pos) = (at + width, pos + 1),
            (None, Some((from, taken))) => {
                star = Some((from, taken + 1));
                (at, pos) = (from + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|left| *left == '*')
}

/// How long a class is that a character is in; one that is not closed is a bracket.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let inverted = pattern.get(1) == Some(&'!');
    let first = if inverted { 2 } else { 1 };
    // A bracket that comes first belongs to the class.
    let Some(length) = pattern.iter().skip(first + 1).position(|c| *c == ']') else {
        return (c == '[').then_some(1);
    };
    let end = first + 1 + length;
    let members = &pattern[first..end];
    let mut found = false;
    let mut at = 0;
    while let Some(from) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some('-'), Some(to)) => {
                found |= (*from..=*to).contains(&c);
                at += 3;
            }
            _ => {
                found |= *from == c;
                at += 1;
            }
        }
    }
    (found != inverted).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_the_whole_text() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("tools.invoke.*", "tools.invoke.pay", true),
            ("tools.invoke.*", "resources.fetch", false),
            ("*.invoke.p?y", "tools.invoke.pay", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("[ab]x", "bx", true),
            ("[!ab]x", "bx", false),
            ("[a-c]x", "bx", true),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("pay", "payment", false),
            ("ä?", "äö", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
