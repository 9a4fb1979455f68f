//! Which categories count, from which score on, and what becomes of a text that is of them.
//!
//! A name that is configured covers the service's subcategories too (`self_harm`: `self-harm`, `self-harm/intent`),
//! unless one of those is configured itself; dashes and underscores are the same.

use std::collections::BTreeMap;

use mortise_plugin_api::BuildError;

use super::{config::Settled, wire::Judged};

/// Name that is told where a text is flagged and no category is.
const UNNAMED: &str = "flagged";

/// What becomes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Block,
    Redact,
    Warn,
}

/// A category that a text is of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    pub(super) category: String,
    pub(super) score: f64,
    pub(super) measure: Measure,
}

/// What is configured of one category.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Score from which on it counts; the service's own word where there is none.
    pub(super) threshold: Option<f64>,
    pub(super) measure: Measure,
}

/// The categories that count.
pub(super) struct Categories {
    /// By name as [`plain`] has it.
    rules: BTreeMap<String, Rule>,
    /// For all others.
    others: Option<Rule>,
}

impl Categories {
    pub(super) fn new(settled: &Settled) -> Result<Self, BuildError> {
        let mut rules = BTreeMap::new();
        for (name, rule) in &settled.rules {
            let field = || format!("categories.{name}.threshold");
            if rule.threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
                return Err(BuildError::new(field(), "must be from 0 to 1"));
            }
            rules.insert(plain(name), *rule);
        }
        Ok(Self { rules, others: settled.others })
    }

    /// What a text is of, by what the service says of it.
    pub(super) fn hits(&self, judged: &Judged) -> Vec<Hit> {
        let names = judged.category_scores.keys().chain(judged.categories.keys());
        let mut hits: Vec<Hit> = Vec::new();
        let mut named = false;
        for name in names {
            if hits.iter().any(|hit| hit.category == *name) {
                continue;
            }
            let says = judged.categories.get(name).copied().flatten();
            named |= says == Some(true);
            let score = judged.category_scores.get(name).copied().flatten();
            let Some(rule) = self.rule(name) else { continue };
            let counts = match (rule.threshold, score) {
                (Some(threshold), Some(score)) => score >= threshold,
                _ => says == Some(true),
            };
            if counts {
                let score = score.unwrap_or(1.0);
                hits.push(Hit { category: name.clone(), score, measure: rule.measure });
            }
        }
        if judged.flagged
            && !named
            && hits.is_empty()
            && let Some(rule) = self.others
        {
            hits.push(Hit { category: UNNAMED.to_owned(), score: 1.0, measure: rule.measure });
        }
        hits
    }

    fn rule(&self, name: &str) -> Option<Rule> {
        let plain = plain(name);
        let parent = plain.split('/').next().unwrap_or_default();
        self.rules.get(&plain).or_else(|| self.rules.get(parent)).copied().or(self.others)
    }
}

fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('_', "-")
}
