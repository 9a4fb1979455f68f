//! Which fields of structured data are looked at.
//!
//! Paths are asked only for texts in which something was found, since finding a path reads the payload. That costs a
//! look at the payload for each such text, so there is a budget: beyond it every field counts, and a payload made to
//! exhaust it gains nothing.

use mortise_plugin_api::{BuildError, Payload, TextId};

/// Bytes that are read to find paths, for one call.
const BUDGET: usize = 256 << 20;

/// The lists of the configuration.
#[derive(Debug, Default)]
pub(super) struct Fields {
    allow: Vec<String>,
    deny: Vec<String>,
}

impl Fields {
    /// Checks the lists.
    pub(super) fn new(allow: &[String], deny: &[String]) -> Result<Self, BuildError> {
        for (name, list) in [("field_allowlist", allow), ("field_denylist", deny)] {
            for (at, path) in list.iter().enumerate() {
                if path.split('.').any(|segment| segment.trim().is_empty()) {
                    let message = format!("`{path}` is no path: write names with single dots between them");
                    return Err(BuildError::new(format!("{name}[{at}]"), message));
                }
            }
        }
        Ok(Self { allow: allow.to_vec(), deny: deny.to_vec() })
    }

    /// How many paths may be asked for in a payload.
    pub(super) fn budget(&self, payload: &dyn Payload) -> usize {
        BUDGET / payload.size().max(1)
    }

    /// Whether what was found in the text `id` counts.
    pub(super) fn count(&self, budget: &mut usize, payload: &dyn Payload, id: TextId) -> bool {
        if (self.allow.is_empty() && self.deny.is_empty()) || *budget == 0 {
            return true;
        }
        *budget -= 1;
        self.allows(&payload.text_path(id))
    }

    /// Whether a text at this path, such as `args.users[3].token`, is looked at.
    fn allows(&self, path: &str) -> bool {
        let Some((_, inner)) =
            path.split_once(['.', '[']).filter(|(root, _)| matches!(*root, "args" | "result"))
        else {
            // The whole of a payload's text is no field.
            return true;
        };
        let path = without_positions(inner, path.as_bytes().get(path.len() - inner.len() - 1) == Some(&b'['));
        let under = |entry: &String| {
            path.strip_prefix(entry.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !self.deny.iter().any(under) && (self.allow.is_empty() || self.allow.iter().any(under))
    }
}

/// `users[3].token` as `users.token`; `inside` says that the text begins within brackets.
fn without_positions(path: &str, inside: bool) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = inside;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' if inside => inside = false,
            '.' if out.is_empty() => {}
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(allow: &[&str], deny: &[&str]) -> Fields {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Fields::new(&owned(allow), &owned(deny)).unwrap()
    }

    #[test]
    fn paths_hold_with_all_below_them_and_positions_do_not_count() {
        let fields =
            fields(&["layer1", "accounts.credentials"], &["layer1.layer2", "accounts.credentials.test"]);
        assert!(fields.allows("args.layer1"));
        assert!(fields.allows("args.layer1.x[3].y"));
        assert!(fields.allows("result.accounts[7].credentials[0].token"));
        assert!(fields.allows("result"), "a bare text is no field");
        for path in
            ["args.layer10", "args.layer1.layer2[0]", "args.other", "args.accounts.credentials.test.x"]
        {
            assert!(!fields.allows(path), "{path}");
        }
        assert_eq!(without_positions("0].a[1].b", true), "a.b");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", " ", ".a", "a.", "a..b"] {
            let error = Fields::new(&[], &[path.to_owned()]).unwrap_err();
            assert_eq!(error.field, "field_denylist[0]", "{path:?}");
        }
    }
}
