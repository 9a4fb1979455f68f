//! Finding plugins.

use mortise_plugin_api::HookTable;
use mortise_plugin_api::manifest::Tier;

use super::{Catalogue, Item};
use crate::config::nearest;

/// What is looked for. All that is given must fit; the case of letters does not matter.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Tags, each of which it must have.
    pub tags: Vec<String>,
    /// A hook it can run at, by name or alias.
    pub hook: Option<String>,
    /// Part of its author's name.
    pub author: Option<String>,
    /// Its language.
    pub language: Option<String>,
    /// Its tier.
    pub tier: Option<Tier>,
    /// Words, each of which is in its name, kind, description, author or tags.
    pub text: String,
}

impl Catalogue {
    /// The plugins that fit, by name, the newest version of each first. What has a word of the text in its name comes
    /// before what has it elsewhere.
    #[must_use]
    pub fn search(&self, query: &Query, hooks: &HookTable) -> Vec<&Item> {
        let words: Vec<String> = query.text.split_whitespace().map(str::to_lowercase).collect();
        let mut found: Vec<&Item> =
            self.items().iter().filter(|item| fits(item, query, &words, hooks)).collect();
        let elsewhere = |item: &Item| {
            let name = item.name.to_lowercase();
            !words.is_empty() && !words.iter().any(|word| name.contains(word))
        };
        found.sort_by(|a, b| {
            let (one, other) = (&a.manifest.version, &b.manifest.version);
            (elsewhere(a), a.name.to_lowercase())
                .cmp(&(elsewhere(b), b.name.to_lowercase()))
                .then_with(|| other.cmp_precedence(one))
        });
        found
    }

    /// Tags, authors and languages that are near to what found nothing, each with the word it is near to.
    #[must_use]
    pub fn near_misses(&self, query: &Query) -> Vec<(String, String)> {
        let manifests = || self.items().iter().map(|item| &item.manifest);
        let near = |word: &String, known: &mut dyn Iterator<Item = &str>| {
            let near = nearest(word, known).first().map(ToString::to_string)?;
            (!near.eq_ignore_ascii_case(word)).then(|| (word.clone(), near))
        };
        let mut misses = Vec::new();
        for tag in &query.tags {
            misses.extend(near(tag, &mut manifests().flat_map(|m| m.tags.iter().map(String::as_str))));
        }
        let authors = query.author.iter();
        misses.extend(authors.filter_map(|word| near(word, &mut manifests().map(|m| m.author.as_str()))));
        let languages = query.language.iter();
        misses.extend(
            languages.filter_map(|word| near(word, &mut manifests().filter_map(|m| m.language.as_deref()))),
        );
        misses
    }
}

fn fits(item: &Item, query: &Query, words: &[String], hooks: &HookTable) -> bool {
    let manifest = &item.manifest;
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let tagged = query.tags.iter().all(|tag| manifest.tags.iter().any(|known| same(known, tag)));
    let hooked = query.hook.as_ref().is_none_or(|hook| {
        let name = hooks.get(hook).map_or(hook.as_str(), |row| &row.name);
        manifest.available_hooks.iter().any(|known| known == name)
    });
    let by = query
        .author
        .as_ref()
        .is_none_or(|author| manifest.author.to_lowercase().contains(&author.to_lowercase()));
    let spoken = query
        .language
        .as_ref()
        .is_none_or(|word| manifest.language.as_ref().is_some_and(|language| same(language, word)));
    let fast = query.tier.is_none_or(|tier| manifest.performance_tier == Some(tier));
    tagged && hooked && by && spoken && fast && says(item, words)
}

fn says(item: &Item, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let manifest = &item.manifest;
    let kind = manifest.kind.as_deref().unwrap_or_default();
    let text = [&item.name, kind, &manifest.description, &manifest.author, &manifest.tags.join(" ")];
    let text = text.join("\n").to_lowercase();
    words.iter().all(|word| text.contains(word))
}
