//! References within a document. One that leads out of it is an error: nothing is ever fetched for a document.

use serde_json::Value;

use crate::encode::decode;

/// Longest chain of references that lead to references.
const LONGEST_CHAIN: usize = 32;

/// The value itself, or what its reference leads to at last.
pub(crate) fn resolve<'d>(root: &'d Value, value: &'d Value) -> Result<&'d Value, String> {
    let mut at = value;
    for _ in 0..LONGEST_CHAIN {
        match at.get("$ref").and_then(Value::as_str) {
            Some(reference) => at = find(root, reference)?,
            None => return Ok(at),
        }
    }
    Err("references lead to one another without end".to_owned())
}

/// What a reference leads to.
pub(crate) fn find<'d>(root: &'d Value, reference: &str) -> Result<&'d Value, String> {
    let Some(pointer) = reference.strip_prefix('#') else {
        return Err(format!("the reference `{reference}` leads out of the document"));
    };
    let found = root.pointer(pointer).or_else(|| root.pointer(&decode(pointer)));
    found.ok_or_else(|| format!("the reference `{reference}` leads nowhere"))
}

/// The last word of a reference, as a name.
pub(crate) fn last_word(reference: &str) -> String {
    let word = reference.rsplit('/').next().unwrap_or_default();
    let word = decode(word).replace("~1", "-").replace("~0", "-");
    let name: String = word
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' })
        .collect();
    if name.is_empty() { "schema".to_owned() } else { name }
}
