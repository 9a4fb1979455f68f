//! What an app may use of tools and data sources.
//!
//! A tool is served at a place of its own, `/tools/{slug}`, and stands in the lists of `/mcp` and of virtual servers
//! beside all others; what an app may not use is in none of them. So there are two questions: whether it may come in at
//! that place, and which of the tools in a list it may see.

use std::{collections::BTreeSet, sync::Arc};

/// Before the slug in the id of the place where one tool is served, which is a virtual server like any other.
pub const TOOLS: &str = "tools/";

type Listed = Option<Arc<BTreeSet<String>>>;

/// Tools and data sources that may be used; everything by default.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    tools: Listed,
    datasources: Listed,
}

impl Reach {
    /// Those that are listed; without a list, all.
    pub fn new<'a, I>(tools: Option<I>, datasources: Option<I>) -> Self
    where
        I: IntoIterator<Item = &'a String>,
    {
        let set = |names: Option<I>| {
            names.map(|names| Arc::new(names.into_iter().cloned().collect::<BTreeSet<String>>()))
        };
        Self { tools: set(tools), datasources: set(datasources) }
    }

    /// Whether everything may be used.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.tools.is_none() && self.datasources.is_none()
    }

    /// Whether every tool may be used.
    #[must_use]
    pub fn has_all_tools(&self) -> bool {
        self.tools.is_none()
    }

    /// Whether every data source may be used.
    #[must_use]
    pub fn has_all_datasources(&self) -> bool {
        self.datasources.is_none()
    }

    /// Whether a tool may be used.
    #[must_use]
    pub fn may_use_tool(&self, slug: &str) -> bool {
        self.tools.as_ref().is_none_or(|listed| listed.contains(slug))
    }

    /// Whether a data source may be used.
    #[must_use]
    pub fn may_use_datasource(&self, slug: &str) -> bool {
        self.datasources.as_ref().is_none_or(|listed| listed.contains(slug))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_list_means_all_and_an_empty_one_none() {
        let all = Reach::default();
        assert!(all.is_all() && all.may_use_tool("pets") && all.may_use_datasource("docs"));
        let (one, none) = (vec!["pets".to_owned()], Vec::new());
        let some = Reach::new(Some(&one), Some(&none));
        assert!(some.may_use_tool("pets") && !some.may_use_tool("other") && !some.may_use_datasource("docs"));
        assert!(!some.is_all() && !some.has_all_tools() && !some.has_all_datasources());
    }
}
