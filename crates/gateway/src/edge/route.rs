//! Which surface a path belongs to.

use crate::llm::Place;

/// A surface.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// MCP, at the root or at a virtual server.
    Mcp(Option<&'a str>),
    /// Plugins' own endpoints.
    Endpoints,
    /// A tool over HTTP, by its slug.
    Tool(&'a str),
    /// A data source, by its slug, and what follows that.
    Datasource(&'a str, &'a str),
    /// Models, in the vendors' wire formats.
    Llm,
    /// Management, and whatever is nowhere.
    Manage,
}

impl<'a> Route<'a> {
    /// The surface of a path. A slash at the end makes no difference.
    pub(super) fn of(path: &'a str) -> Self {
        if path.strip_prefix("/plugins/").is_some_and(is_plugins_own) {
            return Self::Endpoints;
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == "/mcp" {
            return Self::Mcp(None);
        }
        if let Some(tool) = path.strip_prefix("/tools/").filter(|rest| !rest.is_empty()) {
            return match tool.split_once('/') {
                None => Self::Tool(tool),
                // As virtual servers are: `tools/{slug}` is the id of one.
                Some((slug, "mcp")) if !slug.is_empty() => {
                    Self::Mcp(Some(&path[1..path.len() - "/mcp".len()]))
                }
                Some(_) => Self::Manage,
            };
        }
        if let Some(source) = path.strip_prefix("/datasource/").filter(|rest| !rest.is_empty()) {
            let (slug, rest) = source.split_once('/').unwrap_or((source, ""));
            return Self::Datasource(slug, rest);
        }
        let server = path.strip_prefix("/servers/").and_then(|rest| rest.strip_suffix("/mcp"));
        match server {
            Some(id) if !id.is_empty() && !id.contains('/') => Self::Mcp(Some(id)),
            _ if Place::of(path).is_some() => Self::Llm,
            _ => Self::Manage,
        }
    }
}

/// Whether what follows `/plugins/` is a plugin's, and not the management's.
fn is_plugins_own(rest: &str) -> bool {
    !matches!(rest.split('/').next(), None | Some("" | "stats" | "reload"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_surface() {
        for (path, route) in [
            ("/mcp", Route::Mcp(None)),
            ("/mcp/", Route::Mcp(None)),
            ("/servers/support/mcp", Route::Mcp(Some("support"))),
            ("/servers//mcp", Route::Manage),
            ("/tools/pets", Route::Tool("pets")),
            ("/tools/pets/", Route::Tool("pets")),
            ("/tools/pets/mcp", Route::Mcp(Some("tools/pets"))),
            ("/tools//mcp", Route::Manage),
            ("/tools/pets/mcp/sse", Route::Manage),
            ("/tools", Route::Manage),
            ("/datasource/docs", Route::Datasource("docs", "")),
            ("/datasource/docs/vector", Route::Datasource("docs", "vector")),
            ("/datasource/", Route::Manage),
            ("/servers/a/b/mcp", Route::Manage),
            ("/mcpx", Route::Manage),
            ("/health", Route::Manage),
            ("/v1/chat/completions", Route::Llm),
            ("/llm/call/gpt/v1/messages", Route::Llm),
            ("/ai/gpt/v1/models", Route::Llm),
            ("/api/v1/status", Route::Manage),
            ("/plugins", Route::Manage),
            ("/plugins/", Route::Manage),
            ("/plugins/stats", Route::Manage),
            ("/plugins/stats/reset", Route::Manage),
            ("/plugins/reload/pii", Route::Manage),
            ("/plugins/statistics", Route::Endpoints),
            ("/plugins/oidc", Route::Endpoints),
            ("/plugins/oidc/mcp", Route::Endpoints),
            ("/plugins/openapi.json", Route::Endpoints),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
