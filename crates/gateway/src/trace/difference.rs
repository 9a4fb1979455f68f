//! What differs between two revisions of a payload: where, and how much; the text itself only where that is asked for.
//!
//! Compared is the JSON that plugin servers are shown, since a change may be of anything in it: a text, a number, a name,
//! a header. Names of members are part of a path, and people put data in them; one that does not look like a name is
//! shown as `*`.

use std::time::{Duration, Instant};

use mortise_plugin_api::{Revision, Wire};
use mortise_telemetry::redact::{HIDDEN, is_secret_name};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// Differences told of one plugin at one hook; the rest is counted.
const MOST_PARTS: usize = 100;

/// Stretches told of one text; past that they are told as one.
const MOST_STRETCHES: usize = 32;

/// Longest text that is compared word by word, in bytes.
const MOST_BYTES: usize = 256 << 10;

/// Longest time for one text.
const PATIENCE: Duration = Duration::from_millis(50);

/// Longest value that is shown, in bytes.
const MOST_SHOWN: usize = 2_000;

/// Longest name of a member that is shown.
const LONGEST_NAME: usize = 64;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Part {
    /// Where it stands: `args.user.name`, `result.content[0].text`. A name that may hold data is `*`.
    pub path: String,
    /// `changed`, `added` or `removed`.
    pub change: &'static str,
    /// Length before, in bytes of text or of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_before: Option<usize>,
    /// Length after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_after: Option<usize>,
    /// Of a text that changed: which stretches of it did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<Stretch>,
    /// What stood there, where text is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there now, where text is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// A stretch of a text that another has taken the place of, in bytes of the text before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stretch {
    /// Where it begins.
    pub at: usize,
    /// How long it was.
    pub removed: usize,
    /// How long what stands there now is.
    pub inserted: usize,
}

/// What differs, and how many more things did.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) parts: Vec<Part>,
    pub(super) more: usize,
}

/// Compares two revisions. Payloads that cannot be written as JSON differ in nothing that could be told.
pub(super) fn between(before: &Revision, after: &Revision, show_text: bool) -> Difference {
    let tree = |revision: &Revision| -> Option<Value> {
        serde_json::from_slice(revision.json(Wire::Json).ok()?).ok()
    };
    let mut found = Finder { show_text, out: Difference::default() };
    if let (Some(before), Some(after)) = (tree(before), tree(after)) {
        found.compare("", "", Some(&before), Some(&after));
    }
    found.out
}

struct Finder {
    show_text: bool,
    out: Difference,
}

impl Finder {
    fn compare(&mut self, path: &str, key: &str, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                for (name, value) in before {
                    self.compare(&member(path, name), name, Some(value), after.get(name));
                }
                for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                    self.compare(&member(path, name), name, None, Some(value));
                }
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                for at in 0..before.len().max(after.len()) {
                    self.compare(&format!("{path}[{at}]"), key, before.get(at), after.get(at));
                }
            }
            (before, after) => self.tell(path, key, before, after),
        }
    }

    fn tell(&mut self, path: &str, key: &str, before: Option<&Value>, after: Option<&Value>) {
        if self.out.parts.len() == MOST_PARTS {
            self.out.more += 1;
            return;
        }
        let value = |value: Option<&Value>| value.filter(|_| self.show_text).map(|value| shown(key, value));
        let stretches = match (before, after) {
            (Some(Value::String(before)), Some(Value::String(after))) => stretches(before, after),
            _ => Vec::new(),
        };
        let part = Part {
            path: path.to_owned(),
            change: match (before, after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            },
            bytes_before: before.map(size),
            bytes_after: after.map(size),
            stretches,
            before: value(before),
            after: value(after),
        };
        self.out.parts.push(part);
    }
}

fn member(path: &str, name: &str) -> String {
    let is_name = name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let name = if is_name { name } else { "*" };
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Bytes of a text, or of the JSON of anything else.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

fn shown(key: &str, value: &Value) -> Value {
    if is_secret_name(key) {
        return HIDDEN.into();
    }
    match value {
        Value::String(text) if text.len() > MOST_SHOWN => {
            let end = text.floor_char_boundary(MOST_SHOWN);
            format!("{} … and {} bytes more", &text[..end], text.len() - end).into()
        }
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), shown(key, value))).collect()
        }
        Value::Array(items) => items.iter().map(|item| shown(key, item)).collect(),
        other => other.clone(),
    }
}

/// Which stretches of a text changed.
fn stretches(before: &str, after: &str) -> Vec<Stretch> {
    if before.len().max(after.len()) <= MOST_BYTES {
        let (old, new) = (words(before), words(after));
        let deadline = Some(Instant::now() + PATIENCE);
        let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
        let found = by_words(before, after, &old, &new, &ops);
        if found.len() <= MOST_STRETCHES {
            return found;
        }
    }
    narrowed(before, after, 0).into_iter().collect()
}

/// Letters and digits together, everything else by itself.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() {
            rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, next) = rest.split_at(end);
        words.push(word);
        rest = next;
    }
    words
}

fn by_words(before: &str, after: &str, old: &[&str], new: &[&str], ops: &[DiffOp]) -> Vec<Stretch> {
    let ends = |words: &[&str]| -> Vec<usize> {
        let mut at = 0;
        let ends = words.iter().map(|word| {
            at += word.len();
            at
        });
        std::iter::once(0).chain(ends.collect::<Vec<_>>()).collect()
    };
    let (old, new) = (ends(old), ends(new));
    let mut found: Vec<Stretch> = Vec::new();
    // What is next to each other is one stretch.
    let mut open: Option<(std::ops::Range<usize>, std::ops::Range<usize>)> = None;
    let mut close = |open: &mut Option<(std::ops::Range<usize>, std::ops::Range<usize>)>| {
        if let Some((was, is)) = open.take() {
            found.extend(narrowed(&before[was.clone()], &after[is], was.start));
        }
    };
    for op in ops {
        if matches!(op, DiffOp::Equal { .. }) {
            close(&mut open);
            continue;
        }
        let (was, is) = (op.old_range(), op.new_range());
        let (was, is) = (old[was.start]..old[was.end], new[is.start]..new[is.end]);
        open = Some(match open.take() {
            Some((before, after)) => (before.start..was.end, after.start..is.end),
            None => (was, is),
        });
    }
    close(&mut open);
    found
}

/// The stretch without what is the same at both of its ends.
fn narrowed(before: &str, after: &str, offset: usize) -> Option<Stretch> {
    let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    // What is the same in both has its characters' borders in the same places.
    let head = before.floor_char_boundary(same);
    let (before, after) = (&before[head..], &after[head..]);
    let same = before.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
    let tail = before.len() - before.ceil_char_boundary(before.len() - same);
    let (removed, inserted) = (before.len() - tail, after.len() - tail);
    (removed + inserted > 0).then_some(Stretch { at: offset + head, removed, inserted })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(at: usize, removed: usize, inserted: usize) -> Stretch {
        Stretch { at, removed, inserted }
    }

    #[test]
    fn stretches_are_told_one_by_one() {
        let before = "mail alice@example.com or bob@example.com now";
        let after = "mail [REDACTED] or [REDACTED] now";
        assert_eq!(stretches(before, after), [at(5, 17, 10), at(26, 15, 10)]);
        assert_eq!(stretches("same", "same"), []);
        assert_eq!(stretches("", "new"), [at(0, 0, 3)]);
        assert_eq!(stretches("é é", "é è"), [at(3, 2, 2)]);
    }

    #[test]
    fn names_that_may_hold_data_are_not_shown() {
        assert_eq!(member("args", "user_name"), "args.user_name");
        assert_eq!(member("args", "alice@example.com"), "args.*");
        assert_eq!(member("args", "078-05-1120"), "args.*");
        assert_eq!(member("", "name"), "name");
    }

    proptest! {
        #[test]
        fn stretches_turn_one_text_into_the_other(before in "[ab é]{0,24}", after in "[ab é]{0,24}") {
            let found = stretches(&before, &after);
            // What lies between stretches is the same in both texts.
            let (mut old, mut new) = (0, 0);
            for stretch in &found {
                let same = stretch.at - old;
                prop_assert_eq!(&before[old..stretch.at], &after[new..new + same]);
                old = stretch.at + stretch.removed;
                new += same + stretch.inserted;
            }
            prop_assert_eq!(&before[old..], &after[new..]);
        }
    }
}
