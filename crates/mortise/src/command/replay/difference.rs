//! Whether two decisions on the same input are the same.

use std::collections::BTreeSet;

use mortise_gateway::trace::recording::Decision;
use serde_json::Value;

/// That they are not, and where the payloads differ that they left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) paths: Vec<String>,
}

/// Compares what was decided with what would be. `exact`: both saw the same text, so that what they made of it can be
/// compared too; otherwise only the places they changed are.
pub(super) fn compared(
    was: &Option<Decision>,
    would: &Option<Decision>,
    input: &Value,
    exact: bool,
) -> Option<Difference> {
    let none = || Some(Difference { paths: Vec::new() });
    let (was, would) = match (was, would) {
        (Some(was), Some(would)) => (was, would),
        (None, None) => return None,
        _ => return none(),
    };
    if was.result != would.result {
        return none();
    }
    match was.result.as_str() {
        "block" if was.plugin != would.plugin || was.code != would.code => none(),
        "change" => {
            let (Some(was), Some(would)) = (&was.payload, &would.payload) else { return None };
            let paths = if exact {
                places(was, would)
            } else {
                let (was, would) = (places(input, was), places(input, would));
                was.symmetric_difference(&would).cloned().collect()
            };
            (!paths.is_empty()).then(|| Difference { paths: paths.into_iter().collect() })
        }
        _ => None,
    }
}

/// Where two trees differ.
fn places(a: &Value, b: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk("", Some(a), Some(b), &mut found);
    found
}

fn walk(path: &str, a: Option<&Value>, b: Option<&Value>, found: &mut BTreeSet<String>) {
    match (a, b) {
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&format!("{path}{dot}{name}"), a.get(name), b.get(name), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for at in 0..a.len().max(b.len()) {
                walk(&format!("{path}[{at}]"), a.get(at), b.get(at), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}
