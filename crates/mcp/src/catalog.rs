//! The lists of many upstreams as one: tools, prompts, resources, resource templates.
//!
//! Items stay raw; only the name (or URI) is looked at, and replaced where two upstreams use the same. Three
//! steps, so that a call costs a hash lookup and a list request nothing at all: upstreams' pages are read into
//! [`Item`]s when they change, a [`Catalog`] gives every item its name, and a [`View`] of it (everything, or what
//! a virtual server shows) holds the answers to list requests ready as bytes.
//!
//! Names (see [`NameTable`]): an item keeps its own name where no other has it; of several, the first upstream in
//! file order keeps it and the others' become `upstream-name`. That qualified name works for every item, listed
//! or not. Names once given stick. A resource has no name to change: a URI belongs to the first upstream in file
//! order that offers it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::envelope::method;
use crate::raw::{Object, Raw, RawError};

mod names;
mod template;
#[cfg(test)]
mod tests;
mod view;

pub use names::{NameTable, Names};
pub use template::template_matches;
pub use view::{Filter, InvalidCursor, View};

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    ResourceTemplates,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::ResourceTemplates];

    /// The method that lists it.
    #[must_use]
    pub fn list_method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST,
            Self::Prompts => method::PROMPTS_LIST,
            Self::Resources => method::RESOURCES_LIST,
            Self::ResourceTemplates => method::RESOURCES_TEMPLATES_LIST,
        }
    }

    /// The notification that says the list is another now.
    #[must_use]
    pub fn changed_method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST_CHANGED,
            Self::Prompts => method::PROMPTS_LIST_CHANGED,
            Self::Resources | Self::ResourceTemplates => method::RESOURCES_LIST_CHANGED,
        }
    }

    /// The member of the result that holds the list.
    #[must_use]
    pub fn list_member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
        }
    }

    /// The member of an item that it is called by.
    #[must_use]
    pub fn key_member(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }

    fn has_names(self) -> bool {
        matches!(self, Self::Tools | Self::Prompts)
    }
}

/// One thing an upstream offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name or URI at the upstream.
    pub name: Arc<str>,
    /// The whole object.
    pub raw: Raw,
}

/// One page of an upstream's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// What to ask the next page with; `None` on the last.
    pub next_cursor: Option<String>,
    /// How many items were left out: no objects, without a name, or with two.
    pub skipped: usize,
}

impl Page {
    /// Reads the result of a list request. One bad item does not cost the others.
    ///
    /// # Errors
    /// [`RawError`] where the result is no object or does not hold a list.
    pub fn parse(kind: Kind, result: &Raw) -> Result<Self, RawError> {
        let object = result.object()?;
        let member = kind.list_member();
        let list = object.get(member)?.ok_or(RawError::Missing { name: member })?;
        let body = result.clone().into_bytes();
        let mut reader = serde_json::Deserializer::from_str(list.get());
        let (items, skipped) = reader
            .deserialize_seq(ItemsVisitor { kind, body: &body })
            .map_err(|_| RawError::wrong_type(member, "an array"))?;
        let next_cursor = match object.get("nextCursor")? {
            Some(value) if value.get() != "null" => object.get_str("nextCursor")?.map(Into::into),
            _ => None,
        };
        Ok(Self { items, next_cursor, skipped })
    }
}

/// Takes items one by one, so that what is none costs no memory.
struct ItemsVisitor<'a> {
    kind: Kind,
    body: &'a Bytes,
}

impl<'de> Visitor<'de> for ItemsVisitor<'_> {
    type Value = (Vec<Item>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut skipped) = (Vec::new(), 0);
        while let Some(item) = seq.next_element::<&RawValue>()? {
            match item_name(self.kind, item) {
                Some(name) => items.push(Item { name, raw: Raw::within(self.body, item) }),
                None => skipped += 1,
            }
        }
        Ok((items, skipped))
    }
}

fn item_name(kind: Kind, item: &RawValue) -> Option<Arc<str>> {
    let name = Object::of(item).ok()?.get_str(kind.key_member()).ok()??;
    (!name.is_empty()).then(|| name.into())
}

/// What one upstream offers of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The upstream's name in the configuration.
    pub upstream: &'a str,
    /// Its items, all pages; empty while it cannot be reached.
    pub items: &'a [Item],
}

/// One thing of the merged list.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The number of the upstream in the offers that the catalog was built from.
    pub upstream: usize,
    /// Its name or URI at the upstream.
    pub original: Arc<str>,
    /// The name it is listed under.
    pub exposed: Arc<str>,
    /// The name that says where it is from, unlisted mostly.
    pub qualified: Arc<str>,
    /// The object as it is listed: the upstream's, under the exposed name.
    pub raw: Raw,
}

/// The merged list of one kind.
#[derive(Debug)]
pub struct Catalog {
    kind: Kind,
    entries: Vec<Entry>,
    index: HashMap<Arc<str>, usize>,
}

impl Catalog {
    /// Merges what the upstreams offer, given in file order. Names new to the table are added to it; for
    /// resources the table is left alone.
    #[must_use]
    pub fn build(kind: Kind, offers: &[Offer<'_>], names: &mut NameTable) -> Self {
        let entries = if kind.has_names() { named_entries(kind, offers, names) } else { uri_entries(offers) };
        let mut index = HashMap::with_capacity(entries.len() * 2);
        for (at, entry) in entries.iter().enumerate() {
            index.insert(entry.exposed.clone(), at);
        }
        for (at, entry) in entries.iter().enumerate() {
            index.entry(entry.qualified.clone()).or_insert(at);
        }
        Self { kind, entries, index }
    }

    /// What the list is of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// All entries in the order they are listed: by upstream in file order, within one as it listed them.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Finds an entry by exposed or qualified name, or by URI. One hash lookup.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.position(name).map(|at| &self.entries[at])
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}

fn named_entries(kind: Kind, offers: &[Offer<'_>], names: &mut NameTable) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (upstream, (offer, given)) in offers.iter().zip(names.assign(offers)).enumerate() {
        for (item, given) in offer.items.iter().zip(given) {
            let Some(given) = given else { continue };
            let raw = if given.exposed == item.name {
                Some(item.raw.clone())
            } else {
                renamed(kind, &item.raw, &given.exposed)
            };
            // An item whose name can be read can be renamed; should it not be so, it is not offered.
            entries.extend(raw.map(|raw| Entry {
                upstream,
                original: item.name.clone(),
                exposed: given.exposed,
                qualified: given.qualified,
                raw,
            }));
        }
    }
    entries
}

fn renamed(kind: Kind, item: &Raw, name: &str) -> Option<Raw> {
    let name = Raw::string(name);
    let object = item.object().ok()?;
    let renamed = object.splice().set(kind.key_member(), &name).ok()?.finish();
    Some(renamed)
}

fn uri_entries(offers: &[Offer<'_>]) -> Vec<Entry> {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut entries = Vec::new();
    for (upstream, offer) in offers.iter().enumerate() {
        let first = offer.items.iter().filter(|item| seen.insert(&item.name));
        entries.extend(first.map(|item| Entry {
            upstream,
            original: item.name.clone(),
            exposed: item.name.clone(),
            qualified: item.name.clone(),
            raw: item.raw.clone(),
        }));
    }
    entries
}
