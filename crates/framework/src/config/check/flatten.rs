//! From nested schema errors to the few findings that matter.
//!
//! `anyOf` and `oneOf` fail with one list of errors per branch. Which branch the writer meant shows in how the
//! branches fail: one that wants another type altogether was not meant; branches that differ in one word want that
//! word; else the branch with the fewest complaints was meant.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

/// One thing that is wrong at one place.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// JSON Pointer into the checked tree.
    pub(super) pointer: String,
    /// JSON Pointer of the failed keyword in the schema.
    pub(super) schema_pointer: String,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// Keys nothing reads.
    Unknown(Vec<String>),
    /// A key that must be there.
    Missing(String),
    /// These types are wanted.
    Type(Vec<JsonType>),
    /// These words are wanted.
    Word(Vec<String>),
    /// A rule in words that follows the value: "is below the minimum of 3".
    Other(String),
}

/// The findings of one schema error.
pub(super) fn flatten(error: &ValidationError<'_>) -> Vec<Finding> {
    let pointer = error.instance_path().as_str().to_owned();
    match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => choose(&pointer, context),
        kind => vec![Finding {
            pointer,
            schema_pointer: error.schema_path().as_str().to_owned(),
            what: what(kind),
        }],
    }
}

fn what(kind: &Kind) -> What {
    match kind {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            What::Unknown(unexpected.clone())
        }
        Kind::Required { property } => What::Missing(text(property)),
        Kind::Type { kind: TypeKind::Single(one) } => What::Type(vec![*one]),
        Kind::Type { kind: TypeKind::Multiple(several) } => What::Type(several.iter().collect()),
        Kind::Enum { options } => {
            What::Word(options.as_array().map(|all| all.iter().map(text).collect()).unwrap_or_default())
        }
        Kind::Constant { expected_value } => What::Word(vec![text(expected_value)]),
        other => What::Other(rule(other)),
    }
}

fn rule(kind: &Kind) -> String {
    match kind {
        Kind::Minimum { limit } => format!("is below the minimum of {limit}"),
        Kind::Maximum { limit } => format!("is above the maximum of {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be greater than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("is not a multiple of {multiple_of}"),
        Kind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        Kind::MinLength { limit } => format!("is shorter than {limit} characters"),
        Kind::MaxLength { limit } => format!("is longer than {limit} characters"),
        Kind::MinItems { limit } => format!("has fewer than {limit} items"),
        Kind::MaxItems { limit } => format!("has more than {limit} items"),
        Kind::MinProperties { limit } => format!("has fewer than {limit} keys"),
        Kind::MaxProperties { limit } => format!("has more than {limit} keys"),
        Kind::UniqueItems => "holds an item twice".to_owned(),
        Kind::Pattern { pattern } => format!("does not match the pattern `{pattern}`"),
        Kind::Format { format } => format!("is no valid {format}"),
        Kind::OneOfMultipleValid { .. } => "fits more than one of the allowed forms".to_owned(),
        Kind::FalseSchema => "is not allowed here".to_owned(),
        Kind::Custom { message, .. } => message.clone(),
        other => format!("breaks the schema's rule `{}`", other.keyword()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The findings of the branch that was probably meant.
fn choose(pointer: &str, context: &[Vec<ValidationError<'static>>]) -> Vec<Finding> {
    let branches: Vec<Vec<Finding>> =
        context.iter().map(|errors| errors.iter().flat_map(flatten).collect()).collect();
    let mut types = Vec::new();
    let mut meant: Vec<Vec<Finding>> = Vec::new();
    for branch in branches {
        match wrong_type_here(&branch, pointer) {
            Some(wanted) => types.extend(wanted),
            None => meant.push(branch),
        }
    }
    if meant.is_empty() {
        return vec![at(pointer, What::Type(unique(types)))];
    }
    if let Some(words) = all_want_a_word(&meant, pointer) {
        return vec![at(pointer, What::Word(words))];
    }
    if let Some(tagged) = by_tag(&mut meant, pointer) {
        return vec![tagged];
    }
    meant.sort_by_key(|branch| {
        let deepest = branch.iter().map(|f| f.pointer.len()).max().unwrap_or(0);
        (branch.len(), std::cmp::Reverse(deepest))
    });
    meant.into_iter().next().unwrap_or_default()
}

fn at(pointer: &str, what: What) -> Finding {
    Finding { pointer: pointer.to_owned(), schema_pointer: String::new(), what }
}

fn unique(types: Vec<JsonType>) -> Vec<JsonType> {
    let mut kept: Vec<JsonType> = Vec::new();
    for kind in types {
        if !kept.contains(&kind) {
            kept.push(kind);
        }
    }
    kept
}

/// The types a branch wants, when the type of the value itself is what it complains about.
fn wrong_type_here(branch: &[Finding], pointer: &str) -> Option<Vec<JsonType>> {
    branch.iter().find_map(|finding| match &finding.what {
        What::Type(wanted) if finding.pointer == pointer => Some(wanted.clone()),
        _ => None,
    })
}

/// The words of all branches together, when a word is all each of them wants.
fn all_want_a_word(branches: &[Vec<Finding>], pointer: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for branch in branches {
        match branch.as_slice() {
            [Finding { pointer: place, what: What::Word(wanted), .. }] if place == pointer => {
                words.extend(wanted.iter().cloned());
            }
            _ => return None,
        }
    }
    Some(words)
}

/// Branches told apart by one word under a key: keeps those where that word is right. Where it is right nowhere, the
/// finding is that word, with all that are allowed.
fn by_tag(branches: &mut Vec<Vec<Finding>>, pointer: &str) -> Option<Finding> {
    let tag_of = |finding: &Finding| -> Option<String> {
        let below = finding.pointer.strip_prefix(pointer)?.strip_prefix('/')?;
        (matches!(finding.what, What::Word(_)) && !below.contains('/')).then(|| finding.pointer.clone())
    };
    let tag = branches.iter().flatten().find_map(tag_of)?;
    let has_wrong_tag = |branch: &Vec<Finding>| branch.iter().any(|f| tag_of(f).as_ref() == Some(&tag));
    if branches.iter().all(has_wrong_tag) {
        let mut words: Vec<String> = Vec::new();
        for finding in branches.iter().flatten().filter(|f| f.pointer == tag) {
            let What::Word(wanted) = &finding.what else { continue };
            for word in wanted {
                if !words.contains(word) {
                    words.push(word.clone());
                }
            }
        }
        return Some(at(&tag, What::Word(words)));
    }
    branches.retain(|branch| !has_wrong_tag(branch));
    None
}

/// Types in words: "an integer or a list". Nothing (null) is named only where it is all that is allowed.
pub(super) fn words(types: &[JsonType]) -> String {
    let named: Vec<&str> = types
        .iter()
        .filter(|kind| **kind != JsonType::Null || types.len() == 1)
        .map(|kind| match kind {
            JsonType::Null => "nothing (null)",
            JsonType::Boolean => "true or false",
            JsonType::Integer => "an integer",
            JsonType::Number => "a number",
            JsonType::String => "a text",
            JsonType::Array => "a list",
            JsonType::Object => "a map",
        })
        .collect();
    named.join(" or ")
}
