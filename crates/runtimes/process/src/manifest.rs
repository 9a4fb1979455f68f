//! What a plugin's program says of itself, as far as the gateway goes by it.
//!
//! A claim by whoever wrote the program: it tells which hooks the program has where the entry does not say, and which
//! of the gateway's services it wants. What it does not ask for it does not get.

use serde::Deserialize;

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    pub(crate) id: String,
    pub(crate) version: String,
    capabilities: Abilities,
    permissions: Permissions,
}

/// What the program can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Abilities {
    hooks: Vec<String>,
}

/// What the program asks to be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Permissions {
    services: Vec<String>,
}

impl Manifest {
    /// Reads one; `None` for none (`{}`) and for what cannot be read.
    pub(crate) fn read(json: &str) -> Option<Self> {
        let manifest: Self = serde_json::from_str(json).ok()?;
        (manifest != Self::default()).then_some(manifest)
    }

    /// Words of the hooks it has.
    pub(crate) fn hooks(&self) -> &[String] {
        &self.capabilities.hooks
    }

    /// Whether it asks for a service of the gateway.
    pub(crate) fn asks_for(&self, scope: &str) -> bool {
        self.permissions.services.iter().any(|asked| asked == scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_tells_hooks_and_services_and_keeps_the_rest_to_itself() {
        let manifest = Manifest::read(
            r#"{"id": "com.acme.echo", "version": "1.0.0", "name": "Echo", "ui": {"slots": []},
                "capabilities": {"hooks": ["pre_auth", "studio_ui"], "primary_hook": "pre_auth"},
                "permissions": {"services": ["kv.readwrite"], "kv": ["read"]}}"#,
        )
        .unwrap();
        assert_eq!(manifest.hooks(), ["pre_auth", "studio_ui"]);
        assert!(manifest.asks_for("kv.readwrite") && !manifest.asks_for("apps.read"));
    }

    #[test]
    fn no_manifest_is_none() {
        for text in ["{}", "", "[]", "no json", r#"{"id": 3}"#] {
            assert_eq!(Manifest::read(text), None, "{text}");
        }
    }
}
