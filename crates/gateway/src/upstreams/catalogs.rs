//! The merged lists, as the gateway shows them: at its root, and per virtual server.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use mortise_mcp::{
    catalog::{Catalog, Filter, Kind, NameTable, Names, Offer, View},
    initialize::{merge_capabilities, merge_instructions},
    raw::Raw,
};

use super::{fleet::Fleet, lists::Offered, upstream::Upstream};

/// A virtual server: a part of what the upstreams offer. A list left out means all, an empty one none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSpec {
    /// Its id, part of its path.
    pub id: String,
    /// Names of its upstreams.
    pub upstreams: Option<Vec<String>>,
    /// Tools by exposed, original or qualified name.
    pub tools: Option<Vec<String>>,
    /// Prompts, likewise.
    pub prompts: Option<Vec<String>>,
    /// Resources by URI, and templates by URI template.
    pub resources: Option<Vec<String>>,
}

impl ServerSpec {
    /// The filter for one kind.
    pub fn filter(&self, kind: Kind, upstreams: &[Arc<Upstream>]) -> Filter {
        let allowed = match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources | Kind::ResourceTemplates => &self.resources,
        };
        Filter {
            upstreams: self.visible(upstreams),
            allowed: allowed.as_ref().map(|names| names.iter().cloned().collect()),
        }
    }

    /// Positions of its upstreams, `None` for all.
    pub fn visible(&self, upstreams: &[Arc<Upstream>]) -> Option<HashSet<usize>> {
        let named = self.upstreams.as_ref()?;
        let at = |name: &String| upstreams.iter().position(|upstream| *upstream.name == **name);
        Some(named.iter().filter_map(at).collect())
    }
}

/// What one audience is shown.
#[derive(Debug)]
pub struct Views {
    /// The fleet whose positions these are.
    pub fleet: u64,
    /// Tools.
    pub tools: View,
    /// Prompts.
    pub prompts: View,
    /// Resources.
    pub resources: View,
    /// Resource templates.
    pub templates: View,
    /// The virtual server, `None` at the root.
    pub server: Option<Arc<ServerSpec>>,
    /// Positions of the upstreams behind it.
    pub upstreams: Vec<usize>,
    /// What the upstreams behind it announced, merged.
    pub capabilities: Raw,
    /// How they want to be used.
    pub instructions: Option<String>,
}

impl Views {
    /// The view of one kind.
    pub fn of(&self, kind: Kind) -> &View {
        match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources => &self.resources,
            Kind::ResourceTemplates => &self.templates,
        }
    }

    /// Where a resource is: listed, fitting a template, or at the only upstream there is.
    pub fn find_resource(&self, uri: &str) -> Option<usize> {
        let listed = self.resources.find(uri).or_else(|| self.templates.find_template(uri));
        listed.map(|entry| entry.upstream).or(match self.upstreams[..] {
            [only] if self.server.as_ref().is_none_or(|server| server.resources.is_none()) => Some(only),
            _ => None,
        })
    }
}

/// The merged lists at one moment.
#[derive(Debug)]
pub struct Catalogs {
    /// The upstreams behind them; entries name these by position.
    pub fleet: Arc<Fleet>,
    /// What each of them offered.
    pub lists: Vec<Arc<Offered>>,
    /// What is shown at the root.
    pub root: Views,
    /// What is shown per virtual server.
    pub servers: HashMap<String, Views>,
}

impl Catalogs {
    /// Nothing.
    pub fn empty() -> Self {
        Self::build(&Arc::new(Fleet::new(Vec::new(), Vec::new())), &mut Names::default())
    }

    /// Merges what the upstreams offer now.
    pub fn build(fleet: &Arc<Fleet>, names: &mut Names) -> Self {
        let lists: Vec<_> = fleet.upstreams().iter().map(|upstream| upstream.offered()).collect();
        let catalogs = Merged::of(fleet.upstreams(), &lists, names);
        let servers = fleet.servers().iter();
        let all = servers.map(|server| (server.id.clone(), catalogs.views(fleet, Some(server.clone()))));
        Self { servers: all.collect(), root: catalogs.views(fleet, None), lists, fleet: fleet.clone() }
    }

    /// Ids of the upstreams whose list of a kind is another one than `before`.
    pub fn changed_upstreams(&self, before: &Self, kind: Kind) -> Vec<u64> {
        let was = |id: u64| {
            let at = before.fleet.upstreams().iter().position(|upstream| upstream.id == id)?;
            before.lists.get(at)
        };
        let all = self.fleet.upstreams().iter().zip(&self.lists);
        let changed = all.filter(|(upstream, list)| {
            was(upstream.id).is_none_or(|was| !Arc::ptr_eq(was, list) && was.of(kind) != list.of(kind))
        });
        changed.map(|(upstream, _)| upstream.id).collect()
    }

    /// What is shown at the root or at a virtual server.
    pub fn views(&self, server: Option<&str>) -> Option<&Views> {
        match server {
            None => Some(&self.root),
            Some(id) => self.servers.get(id),
        }
    }
}

/// The merged lists before anything is filtered.
pub(crate) struct Merged {
    tools: Arc<Catalog>,
    prompts: Arc<Catalog>,
    resources: Arc<Catalog>,
    templates: Arc<Catalog>,
}

impl Merged {
    pub(crate) fn of(upstreams: &[Arc<Upstream>], lists: &[Arc<Offered>], names: &mut Names) -> Self {
        let mut unnamed = NameTable::default();
        let mut merge = |kind: Kind| {
            let offers: Vec<Offer<'_>> = upstreams
                .iter()
                .zip(lists)
                .map(|(upstream, list)| Offer { upstream: &upstream.name, items: list.of(kind) })
                .collect();
            let table = match kind {
                Kind::Tools => &mut names.tools,
                Kind::Prompts => &mut names.prompts,
                Kind::Resources | Kind::ResourceTemplates => &mut unnamed,
            };
            Arc::new(Catalog::build(kind, &offers, table))
        };
        Self {
            tools: merge(Kind::Tools),
            prompts: merge(Kind::Prompts),
            resources: merge(Kind::Resources),
            templates: merge(Kind::ResourceTemplates),
        }
    }

    pub(crate) fn views(&self, fleet: &Fleet, server: Option<Arc<ServerSpec>>) -> Views {
        let upstreams = fleet.upstreams();
        let filter = |kind: Kind| server.as_ref().map(|s| s.filter(kind, upstreams)).unwrap_or_default();
        let visible = server.as_ref().and_then(|server| server.visible(upstreams));
        let behind: Vec<usize> =
            (0..upstreams.len()).filter(|at| visible.as_ref().is_none_or(|set| set.contains(at))).collect();
        let live: Vec<_> = behind.iter().filter_map(|at| Some((at, upstreams[*at].live()?))).collect();
        let instructions = live.iter().filter_map(|(at, live)| {
            Some((&*upstreams[**at].name, live.initialized.instructions.as_deref()?))
        });
        Views {
            fleet: fleet.id,
            tools: View::new(self.tools.clone(), &filter(Kind::Tools), 0),
            prompts: View::new(self.prompts.clone(), &filter(Kind::Prompts), 0),
            resources: View::new(self.resources.clone(), &filter(Kind::Resources), 0),
            templates: View::new(self.templates.clone(), &filter(Kind::ResourceTemplates), 0),
            capabilities: with_changes(merge_capabilities(
                live.iter().map(|(_, live)| &live.initialized.capabilities),
            )),
            instructions: merge_instructions(instructions),
            upstreams: behind,
            server,
        }
    }
}

/// What the upstreams announced, and that the lists they have may change: a reload of the gateway changes them, also
/// where no upstream does.
fn with_changes(merged: Raw) -> Raw {
    let Ok(serde_json::Value::Object(mut families)) = merged.decode() else { return merged };
    for family in ["tools", "prompts", "resources"] {
        if let Some(family) = families.get_mut(family).and_then(serde_json::Value::as_object_mut) {
            family.insert("listChanged".to_owned(), true.into());
        }
    }
    Raw::from_serialize(&families).unwrap_or(merged)
}
