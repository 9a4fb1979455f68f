//! What one audience sees of a catalog: the answers to its list requests, ready, and the calls it may make.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Catalog, Entry, Kind, template_matches};
use crate::envelope::ErrorObject;
use crate::raw::{Raw, write_string};

/// What a view shows. A set left out means all, an empty one none.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Numbers of the upstreams whose entries are shown.
    pub upstreams: Option<HashSet<usize>>,
    /// Names of the entries that are shown: exposed, original or qualified, or URIs.
    pub allowed: Option<HashSet<String>>,
}

impl Filter {
    fn shows(&self, entry: &Entry) -> bool {
        let upstream = self.upstreams.as_ref().is_none_or(|set| set.contains(&entry.upstream));
        let names = [&entry.exposed, &entry.original, &entry.qualified];
        upstream && self.allowed.as_ref().is_none_or(|set| names.iter().any(|name| set.contains(&***name)))
    }
}

/// A cursor that no page of this list gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("could not find the page: the cursor is none that this list gave out")]
pub struct InvalidCursor;

impl InvalidCursor {
    /// The error to answer with.
    #[must_use]
    pub fn to_error(self) -> ErrorObject {
        ErrorObject::invalid_params(self.to_string())
    }
}

/// A part of a catalog and its pages. Immutable; make a new one when catalog or filter change.
#[derive(Debug, Clone)]
pub struct View {
    catalog: Arc<Catalog>,
    /// One flag per entry; `None` shows all.
    shown: Option<Box<[bool]>>,
    page_size: usize,
    pages: Vec<Raw>,
}

impl View {
    /// Selects entries and writes their pages, of `page_size` entries each, or a single one where it is 0.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, filter: &Filter, page_size: usize) -> Self {
        let shown = (filter.upstreams.is_some() || filter.allowed.is_some())
            .then(|| catalog.entries().iter().map(|entry| filter.shows(entry)).collect());
        let mut view = Self { catalog, shown, page_size, pages: Vec::new() };
        let entries: Vec<&Entry> = view.entries().collect();
        let size = if page_size == 0 { entries.len().max(1) } else { page_size };
        let mut pages: Vec<Raw> = Vec::new();
        for (at, page) in entries.chunks(size).enumerate() {
            let next = (at + 1) * size;
            pages.push(write_page(view.catalog.kind(), page, (next < entries.len()).then_some(next)));
        }
        if pages.is_empty() {
            pages.push(write_page(view.catalog.kind(), &[], None));
        }
        view.pages = pages;
        view
    }

    /// The catalog this is a view of.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The entries shown, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.catalog.entries().iter().enumerate();
        entries.filter(|(at, _)| self.is_shown(*at)).map(|(_, entry)| entry)
    }

    /// Finds a shown entry by exposed or qualified name, or by URI. One hash lookup.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let at = self.catalog.position(name)?;
        self.is_shown(at).then(|| &self.catalog.entries()[at])
    }

    /// Finds the shown resource template that a URI fits; of several, the one that spells out most of it, then
    /// the first. Looks at all templates.
    #[must_use]
    pub fn find_template(&self, uri: &str) -> Option<&Entry> {
        if self.catalog.kind() != Kind::ResourceTemplates {
            return None;
        }
        let mut best: Option<(usize, &Entry)> = None;
        for entry in self.entries() {
            if let Some(literal) = template_matches(&entry.original, uri)
                && best.is_none_or(|(most, _)| literal > most)
            {
                best = Some((literal, entry));
            }
        }
        best.map(|(_, entry)| entry)
    }

    /// The result of a list request, ready to send.
    ///
    /// # Errors
    /// [`InvalidCursor`] where the cursor is not one of this list's. A cursor from before the list changed may
    /// give the page that is now at its place.
    pub fn page(&self, cursor: Option<&str>) -> Result<&Raw, InvalidCursor> {
        let at = match cursor {
            None => 0,
            Some(cursor) => {
                let offset = parse_cursor(cursor).ok_or(InvalidCursor)?;
                if self.page_size == 0 || offset % self.page_size != 0 {
                    return Err(InvalidCursor);
                }
                offset / self.page_size
            }
        };
        self.pages.get(at).ok_or(InvalidCursor)
    }

    /// All pages.
    #[must_use]
    pub fn pages(&self) -> &[Raw] {
        &self.pages
    }

    /// The same view with every page changed, to hold the answers in the form of another protocol revision
    /// ready too.
    #[must_use]
    pub fn map_pages(&self, change: impl FnMut(&Raw) -> Raw) -> Self {
        Self { pages: self.pages.iter().map(change).collect(), ..self.clone() }
    }

    fn is_shown(&self, at: usize) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown[at])
    }
}

fn write_page(kind: Kind, entries: &[&Entry], next: Option<usize>) -> Raw {
    let size: usize = entries.iter().map(|entry| entry.raw.as_bytes().len() + 1).sum();
    let mut out = Vec::with_capacity(size + 64);
    out.push(b'{');
    write_string(&mut out, kind.list_member());
    out.extend_from_slice(b":[");
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(entry.raw.as_bytes());
    }
    out.push(b']');
    if let Some(next) = next {
        out.extend_from_slice(format!(",\"nextCursor\":\"{}\"", cursor(next)).as_bytes());
    }
    out.push(b'}');
    Raw::trusted(out)
}

/// Not for clients to understand; the letter tells it from numbers they make up.
fn cursor(offset: usize) -> String {
    format!("m{offset:x}")
}

fn parse_cursor(text: &str) -> Option<usize> {
    let offset = usize::from_str_radix(text.strip_prefix('m')?, 16).ok()?;
    (cursor(offset) == text).then_some(offset)
}
