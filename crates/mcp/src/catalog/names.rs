//! Which name which item has, once and for good.
//!
//! A client learns names, writes them into prompts and permissions, and calls by them long after. So a name that
//! was given stays with its item, also while the upstream is away, and nobody else gets it: an upstream that is
//! added later can neither rename nor take over what is there.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Offer;

/// How many names of one upstream are kept before those it no longer offers are let go. A bound against
/// upstreams that make up names without end.
const MAX_NAMES_PER_UPSTREAM: usize = 20_000;

/// All names, in the form to keep on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// Names of tools.
    pub tools: NameTable,
    /// Names of prompts.
    pub prompts: NameTable,
}

/// The names given to the items of one kind: by upstream and original name.
///
/// Serialises as an object of objects. A table that was edited by hand into giving a name twice is mended: the
/// first keeps it, the other gets a new one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameTable {
    upstreams: IndexMap<String, IndexMap<String, Given>>,
    #[serde(skip)]
    changed: bool,
}

impl PartialEq for NameTable {
    fn eq(&self, other: &Self) -> bool {
        self.upstreams == other.upstreams
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    /// The exposed name.
    name: String,
    /// The qualified name, where it is not simply `upstream-original`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    qualified: Option<String>,
}

/// The names of one item.
pub(super) struct Assigned {
    pub(super) exposed: Arc<str>,
    pub(super) qualified: Arc<str>,
}

/// The names that someone has.
type Claims = HashSet<String>;

/// An item that has no name yet.
struct Newcomer<'a> {
    upstream: &'a str,
    original: &'a str,
    exposed: Option<String>,
}

impl NameTable {
    /// Whether names were added since this was last asked, so that the table should be written to disk.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Lets go of all names of an upstream that is gone for good.
    pub fn forget(&mut self, upstream: &str) {
        self.changed |= self.upstreams.shift_remove(upstream).is_some();
    }

    /// Gives every item its names: for each offer one per item, `None` where the upstream lists the same name
    /// twice and this is not the first.
    pub(super) fn assign(&mut self, offers: &[Offer<'_>]) -> Vec<Vec<Option<Assigned>>> {
        let mut claims = self.claims();
        for newcomer in self.newcomers(offers, &mut claims) {
            self.admit(newcomer, &mut claims);
        }
        self.let_go(offers);
        offers.iter().map(|offer| self.names_of(offer)).collect()
    }

    /// What is given already. Exposed names first: they are what clients see.
    fn claims(&mut self) -> Claims {
        let mut claims = Claims::new();
        for names in self.upstreams.values_mut() {
            let before = names.len();
            names.retain(|_, given| claims.insert(given.name.clone()));
            self.changed |= names.len() != before;
        }
        for (upstream, names) in &mut self.upstreams {
            for (original, given) in names {
                let wanted = given.qualified.clone().unwrap_or_else(|| qualified(upstream, original));
                let free = claim_qualified(&mut claims, &wanted, Some(&given.name));
                if free != wanted {
                    given.qualified = Some(free);
                    self.changed = true;
                }
            }
        }
        claims
    }

    /// The items that are not in the table, in file order, with their own name where nobody has it.
    fn newcomers<'a>(&self, offers: &[Offer<'a>], claims: &mut Claims) -> Vec<Newcomer<'a>> {
        let mut newcomers = Vec::new();
        let mut seen = HashSet::new();
        for offer in offers {
            let known = self.upstreams.get(offer.upstream);
            for item in offer.items {
                let is_known = known.is_some_and(|names| names.contains_key(&*item.name));
                if !is_known && seen.insert((offer.upstream, &*item.name)) {
                    newcomers.push(Newcomer {
                        upstream: offer.upstream,
                        original: &item.name,
                        exposed: claims.insert(item.name.to_string()).then(|| item.name.to_string()),
                    });
                }
            }
        }
        newcomers
    }

    fn admit(&mut self, newcomer: Newcomer<'_>, claims: &mut Claims) {
        let wanted = qualified(newcomer.upstream, newcomer.original);
        let free = claim_qualified(claims, &wanted, newcomer.exposed.as_deref());
        let given = Given {
            name: newcomer.exposed.unwrap_or_else(|| free.clone()),
            qualified: (free != wanted).then_some(free),
        };
        let names = self.upstreams.entry(newcomer.upstream.to_owned()).or_default();
        names.insert(newcomer.original.to_owned(), given);
        self.changed = true;
    }

    fn let_go(&mut self, offers: &[Offer<'_>]) {
        for offer in offers {
            if let Some(names) = self.upstreams.get_mut(offer.upstream)
                && names.len() > MAX_NAMES_PER_UPSTREAM
                && !offer.items.is_empty()
            {
                let live: HashSet<&str> = offer.items.iter().map(|item| &*item.name).collect();
                names.retain(|original, _| live.contains(original.as_str()));
                self.changed = true;
            }
        }
    }

    fn names_of(&self, offer: &Offer<'_>) -> Vec<Option<Assigned>> {
        let mut seen = HashSet::new();
        let names = self.upstreams.get(offer.upstream);
        let assigned = offer.items.iter().map(|item| {
            let given = names?.get(&*item.name)?;
            if !seen.insert(&*item.name) {
                return None;
            }
            let exposed =
                if given.name == *item.name { item.name.clone() } else { given.name.as_str().into() };
            let qualified = match &given.qualified {
                Some(name) => name.as_str().into(),
                None => qualified(offer.upstream, &item.name).into(),
            };
            Some(Assigned { exposed, qualified })
        });
        assigned.collect()
    }
}

fn qualified(upstream: &str, original: &str) -> String {
    format!("{upstream}-{original}")
}

/// Claims the wanted name for an item, or the first free of the same name with a number behind. `own` is the
/// item's exposed name, which it may be called by twice.
fn claim_qualified(claims: &mut Claims, wanted: &str, own: Option<&str>) -> String {
    let mut name = wanted.to_owned();
    let mut attempt = 1_usize;
    while Some(&*name) != own && !claims.insert(name.clone()) {
        attempt += 1;
        name = format!("{wanted}-{attempt}");
    }
    name
}
