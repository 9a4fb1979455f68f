//! Conditions: for which calls a plugin runs.
//!
//! Condition objects are alternatives; inside one, every field that is present must match; an empty list counts as
//! absent, and so does a field of another hook family. A value matches by **superset**: when it equals a listed
//! word, or matches it as a glob (`*` crosses `/`), or as an anchored regular expression; user patterns also when
//! they are contained. A guard that runs once too often is safe, one that silently never runs is not. A value that
//! the call does not have never matches.
//!
//! Compiled ahead: plain words into sets, patterns into one automaton, so a call pays a hash look-up for each field.

use std::collections::HashSet;

use mortise_plugin_api::{Family, Payload, Request};
use regex::{RegexSet, RegexSetBuilder};

use super::{
    coverage::facts::{Facts, Fields, Truth},
    row::{Field, Key},
    scope,
};
use crate::config::Condition;

/// The conditions of one plugin, compiled for one hook family.
#[derive(Debug, Default)]
pub struct Conditions(Vec<All>);

/// One condition object: everything in it must match.
#[derive(Debug, Default)]
struct All {
    servers: Option<Words>,
    tenants: Option<Words>,
    subjects: Option<Words>,
    users: Option<Words>,
    content_types: Option<HashSet<String>>,
}

/// Listed words of one field.
#[derive(Debug)]
struct Words {
    exact: HashSet<Box<str>>,
    patterns: Option<RegexSet>,
    contained: Vec<Box<str>>,
}

/// Most memory one field's patterns may compile to.
const PATTERN_BYTES: usize = 4 << 20;

impl Words {
    fn compile(words: &[String], exact_only: bool, contained: bool) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        let patterns: Vec<String> =
            if exact_only { Vec::new() } else { words.iter().flat_map(|word| patterns(word)).collect() };
        Some(Self {
            exact: words.iter().map(|word| word.as_str().into()).collect(),
            patterns: (!patterns.is_empty())
                .then(|| RegexSetBuilder::new(&patterns).size_limit(PATTERN_BYTES).build().ok())
                .flatten(),
            contained: if contained {
                words.iter().map(|word| word.as_str().into()).collect()
            } else {
                Vec::new()
            },
        })
    }

    fn matches(&self, value: &str) -> bool {
        self.exact.contains(value)
            || self.contained.iter().any(|word| value.contains(&**word))
            || self.patterns.as_ref().is_some_and(|patterns| patterns.is_match(value))
    }

    fn matches_any<'a>(&self, values: impl IntoIterator<Item = Option<&'a str>>) -> bool {
        values.into_iter().flatten().any(|value| self.matches(value))
    }
}

/// The readings of a word as a pattern: as glob and as anchored regular expression, where it can be one.
pub(crate) fn patterns(word: &str) -> Vec<String> {
    let mut readings = Vec::new();
    if word.contains(['*', '?', '[']) {
        readings.push(glob(word));
    }
    if word.contains(['.', '*', '+', '?', '[', '(', '{', '|', '^', '$', '\\']) {
        let anchored = format!("^(?:{word})$");
        if regex::RegexBuilder::new(&anchored).size_limit(PATTERN_BYTES / 16).build().is_ok() {
            readings.push(anchored);
        }
    }
    readings
        .retain(|reading| regex::RegexBuilder::new(reading).size_limit(PATTERN_BYTES / 16).build().is_ok());
    readings
}

/// A glob as a regular expression. `*` is anything, `?` one character, `[…]` a class.
fn glob(word: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match rest.as_str().find(']') {
                Some(end) if end > 0 => {
                    let class = &rest.as_str()[..end];
                    let (not, class) =
                        class.strip_prefix(['!', '^']).map_or(("", class), |class| ("^", class));
                    regex.push_str(&format!("[{not}{}]", class.replace('\\', "\\\\").replace('[', "\\[")));
                    rest = rest.as_str()[end + 1..].chars();
                }
                _ => regex.push_str("\\["),
            },
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    regex
}

impl Conditions {
    /// Compiles conditions for the hooks of one family.
    pub fn compile(conditions: &[Condition], family: Family, exact: bool) -> Self {
        let one = |condition: &Condition| {
            let subjects = match family {
                Family::Tool => &condition.tools,
                Family::Prompt => &condition.prompts,
                Family::Resource => &condition.resources,
                Family::Agent => &condition.agents,
                _ => &Vec::new(),
            };
            let content_types: HashSet<String> =
                condition.content_types.iter().map(|word| normalised(word)).collect();
            All {
                servers: Words::compile(&condition.server_ids, exact, false),
                tenants: Words::compile(&condition.tenant_ids, exact, false),
                subjects: Words::compile(subjects, exact, false),
                users: Words::compile(&condition.user_patterns, exact, true),
                content_types: (!content_types.is_empty()).then_some(content_types),
            }
        };
        Self(conditions.iter().map(one).collect())
    }

    /// Whether the plugin runs for this call.
    #[inline]
    pub fn match_call(&self, request: &Request, payload: &dyn Payload) -> bool {
        self.0.is_empty() || self.0.iter().any(|all| all.matches(request, payload))
    }

    /// Words of which every call it runs for has one; `None` where there are calls without.
    pub(crate) fn keys(&self) -> Option<Vec<Key>> {
        let keys: Option<Vec<_>> = self.0.iter().map(All::keys).collect();
        keys.map(|keys| keys.concat()).filter(|keys| !keys.is_empty())
    }

    /// Whether it runs for a call of which not everything is known.
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Truth {
        if self.0.is_empty() {
            return Truth::Yes;
        }
        self.0.iter().fold(Truth::No, |so_far, all| so_far.or(all.judge(facts)))
    }

    /// Whether there is nothing to match.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl All {
    fn matches(&self, request: &Request, payload: &dyn Payload) -> bool {
        let holds = |words: &Option<Words>, test: &dyn Fn(&Words) -> bool| words.as_ref().is_none_or(test);
        holds(&self.servers, &|words| {
            words.matches_any([request.server_id.as_deref(), request.upstream.as_deref()])
        }) && holds(&self.tenants, &|words| words.matches_any([request.caller.tenant.as_deref()]))
            && holds(&self.users, &|words| words.matches_any([request.caller.user.as_deref()]))
            && holds(&self.subjects, &|words| subject_matches(words, request, payload))
            && self.content_types.as_ref().is_none_or(|types| {
                let of_request = request.content_type.as_deref().map(normalised);
                let of_payload = payload.content_type().map(|word| normalised(&word));
                [of_request, of_payload].into_iter().flatten().any(|word| types.contains(&word))
            })
    }

    /// The words of one of its fields, where that lists plain words only.
    fn keys(&self) -> Option<Vec<Key>> {
        let fields =
            [(Field::Subject, &self.subjects), (Field::Place, &self.servers), (Field::Tenant, &self.tenants)];
        fields.into_iter().find_map(|(field, words)| {
            let words = words.as_ref()?;
            let plain = words.patterns.is_none() && words.contained.is_empty();
            plain.then(|| words.exact.iter().map(|word| (field, word.clone())).collect())
        })
    }

    fn judge(&self, facts: &Facts<'_>) -> Truth {
        let request = facts.request;
        let judge =
            |words: &Option<Words>, test: &dyn Fn(&Words) -> Truth| words.as_ref().map_or(Truth::Yes, test);
        let any = |words: &Words, value: Option<&str>| Truth::of(words.matches_any([value]));
        judge(&self.servers, &|words| {
            Truth::of(words.matches_any([request.server_id.as_deref(), request.upstream.as_deref()]))
        })
        .and(facts.who.tenant.judge(self.tenants.as_ref(), Fields::TENANT, |tenant| {
            judge(&self.tenants, &|words| any(words, tenant))
        }))
        .and(
            facts.who.user.judge(self.users.as_ref(), Fields::USER, |user| {
                judge(&self.users, &|words| any(words, user))
            }),
        )
        .and(judge(&self.subjects, &|words| match facts.subject {
            Some(_) => Truth::of(named(words, request, facts.subject)),
            None if words.exact.contains("*") => Truth::Yes,
            None => Truth::Unknown(Fields::NAME),
        }))
        .and(self.content_types.as_ref().map_or(Truth::Yes, |types| {
            let listed = |word: &str| types.contains(&normalised(word));
            let of_request = request.content_type.as_deref().is_some_and(listed);
            match facts.content_type {
                _ if of_request => Truth::Yes,
                Some(known) => Truth::of(known.is_some_and(listed)),
                None => Truth::Unknown(Fields::CONTENT_TYPE),
            }
        }))
    }
}

/// Tools match by their exposed name, the name at the upstream, and `upstream-tool`.
fn subject_matches(words: &Words, request: &Request, payload: &dyn Payload) -> bool {
    named(words, request, payload.subject())
}

fn named(words: &Words, request: &Request, subject: Option<&str>) -> bool {
    scope::names(request, subject, |name| words.matches(name))
}

/// A content type without parameters, in lower case.
fn normalised(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
