//! Which surface a path belongs to.

/// A surface.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// MCP, at the root or at a virtual server.
    Mcp(Option<&'a str>),
    /// Management, and whatever is nowhere.
    Manage,
}

impl<'a> Route<'a> {
    /// The surface of a path. A slash at the end makes no difference.
    pub(super) fn of(path: &'a str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == "/mcp" {
            return Self::Mcp(None);
        }
        let server = path.strip_prefix("/servers/").and_then(|rest| rest.strip_suffix("/mcp"));
        match server {
            Some(id) if !id.is_empty() && !id.contains('/') => Self::Mcp(Some(id)),
            _ => Self::Manage,
        }
    }
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
            ("/servers/a/b/mcp", Route::Manage),
            ("/mcpx", Route::Manage),
            ("/health", Route::Manage),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
