//! What the agent decides.

use serde::Deserialize;
use serde_json::Value;

/// Code of a refusal that names none.
const CODE: &str = "POLICY_DENIED";
/// Characters of a reason that are told at most.
const MOST_TOLD: usize = 1000;

/// What is answered. Without a result there is no rule of that name, or none that applies.
#[derive(Deserialize)]
pub(super) struct Answer {
    result: Option<Value>,
}

/// A decision.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    Refused { code: String, reason: String },
}

impl Decision {
    /// Reads a decision, of which the member `allow` says whether the call may go on; `None` where it is none.
    pub(super) fn of(answer: Answer, allow: &str) -> Option<Self> {
        let refused = |code: Option<&str>, reason: &str| Self::Refused {
            code: code.unwrap_or(CODE).chars().take(100).collect(),
            reason: reason.chars().take(MOST_TOLD).collect(),
        };
        match answer.result {
            None => Some(refused(None, "The policy has no decision on this call")),
            Some(Value::Bool(true)) => Some(Self::Allowed),
            Some(Value::Bool(false)) => Some(refused(None, "The policy does not allow this call")),
            Some(Value::Object(result)) => match result.get(allow)? {
                Value::Bool(true) => Some(Self::Allowed),
                Value::Bool(false) => {
                    let code = result.get("code").and_then(Value::as_str).filter(|code| !code.is_empty());
                    let mut names = ["reason", "reasons", "message", "deny"].iter();
                    let reason = names.find_map(|name| text(result.get(*name)?));
                    Some(refused(code, reason.as_deref().unwrap_or("The policy does not allow this call")))
                }
                _ => None,
            },
            Some(_) => None,
        }
    }
}

/// A text, or texts with commas between.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}
