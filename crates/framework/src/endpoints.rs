//! Plugins' own HTTP endpoints: which plugin answers below which name, and at which of its registrations.
//!
//! Part of what a configuration is compiled to, so a request sees one state of it and a reload leaves no moment in between:
//! a [`Mount`] is a slug and the instance behind it. What the plugin registers is not: a process that was started again
//! may register something else, so a mount looks at its plugin's list and sorts it anew when that is another one. Who may
//! call, HTTP, time limits: not here.

mod claim;
mod serve;
mod table;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwapOption;
use mortise_plugin_api::{EndpointMethod, EndpointRegistration, Endpoints};

use crate::{
    config::{Mode, PluginEntry},
    instance::Instance,
};

pub(crate) use claim::{Claims, check, listed, slug};
pub use claim::{RESERVED, is_slug};
pub use table::Found;
use table::Table;

/// The mounts of a configuration, by slug.
pub(crate) type Mounts = HashMap<Arc<str>, Mount>;

/// A plugin's endpoints at their place.
pub struct Mount {
    slug: Arc<str>,
    instance: Arc<Instance>,
    /// None where the plugin has not started.
    endpoints: Option<Arc<dyn Endpoints>>,
    table: ArcSwapOption<Table>,
}

impl Mount {
    fn new(slug: Arc<str>, instance: Arc<Instance>) -> Self {
        let endpoints = instance.plugin().and_then(|plugin| plugin.clone().endpoints());
        Self { slug, instance, endpoints, table: ArcSwapOption::empty() }
    }

    /// The name it stands under.
    #[must_use]
    pub fn slug(&self) -> &Arc<str> {
        &self.slug
    }

    /// The plugin.
    #[must_use]
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// What it has registered, as it was understood; `None` while its plugin has not started.
    #[must_use]
    pub fn registrations(&self) -> Option<Arc<[EndpointRegistration]>> {
        Some(self.table()?.registrations().clone())
    }

    /// What a method and a path below the plugin's own lead to; `None` while its plugin has not started.
    #[must_use]
    pub fn find(&self, method: EndpointMethod, path: &str) -> Option<Found> {
        Some(self.table()?.find(method, path))
    }

    /// The methods that are served at a path.
    #[must_use]
    pub fn methods(&self, path: &str) -> Vec<EndpointMethod> {
        self.table().map(|table| table.methods(path)).unwrap_or_default()
    }

    fn table(&self) -> Option<Arc<Table>> {
        let now = self.endpoints.as_ref()?.registrations();
        if let Some(known) = self.table.load_full()
            && Arc::ptr_eq(known.registrations(), &now)
        {
            return Some(known);
        }
        let table = Arc::new(Table::new(&self.instance.name, now));
        self.table.store(Some(table.clone()));
        Some(table)
    }
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mount").field("slug", &self.slug).field("plugin", &self.instance.name).finish()
    }
}

/// Mounts the endpoints of what is listed. `may_have` says of an entry without `offers` whether it may have some.
pub(crate) fn mount(listed: &[Arc<Instance>], may_have: impl Fn(&PluginEntry) -> bool) -> Mounts {
    let mut mounts = Mounts::new();
    for instance in listed.iter().filter(|instance| instance.entry.mode != Mode::Disabled) {
        let entry = &instance.entry;
        if let claim::Offered::No = claim::offered(entry) {
            continue;
        }
        let serves = || instance.plugin().and_then(|plugin| plugin.clone().endpoints());
        let Some(slug) = slug(entry).filter(|slug| is_slug(slug)) else {
            if serves().is_some_and(|endpoints| !endpoints.registrations().is_empty()) {
                // The words of the documents, which people search for.
                tracing::warn!(
                    plugin = &*instance.name,
                    "Plugin has endpoint registrations but no 'slug' in config"
                );
            }
            continue;
        };
        let has = match instance.plugin() {
            Some(_) => serves().is_some(),
            // What it has is not known before it has started.
            None => claim::offered(entry) == claim::Offered::Yes || may_have(entry),
        };
        if !has {
            continue;
        }
        if let Some(first) = mounts.get(slug) {
            let (plugin, first) = (&*instance.name, &*first.instance.name);
            tracing::error!(plugin, first, slug, "two plugins have one slug; the first serves there");
            continue;
        }
        let slug: Arc<str> = slug.into();
        mounts.insert(slug.clone(), Mount::new(slug, instance.clone()));
    }
    mounts
}
