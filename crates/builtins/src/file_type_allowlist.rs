//! Lets only resources of certain types be read: by the extension of their URI before, by their MIME type after.

pub mod config;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_plugin_api::{
    BuildError, Cx, Hook, Native, NativeKind, Needs, Plugin, PluginError, Verdict, Violation,
    hooks::{
        ResourcePostFetch, ResourcePreFetch,
        resource::{ResourcePostFetchPayload, ResourcePreFetchPayload},
    },
};
use serde_json::Value;

use config::Config;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "file_type_allowlist",
        class_paths: &["plugins.file_type_allowlist.file_type_allowlist.FileTypeAllowlistPlugin"],
        about: "Lets only resources of certain file extensions and MIME types be read.",
        hooks: &[ResourcePreFetch::ID, ResourcePostFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let plain = |words: &[String], cut: &[char]| -> Vec<String> {
        words.iter().map(|word| word.trim().trim_start_matches(cut).to_ascii_lowercase()).collect()
    };
    let list = FileTypeAllowlist {
        types: plain(&config.allowed_mime_types, &[]),
        extensions: plain(&config.allowed_extensions, &['.']),
    };
    Ok(Native::new(list)
        .on::<ResourcePreFetch>(Needs::block().without_body(), FileTypeAllowlist::before)
        .on::<ResourcePostFetch>(Needs::block(), FileTypeAllowlist::after)
        .into_plugin())
}

struct FileTypeAllowlist {
    types: Vec<String>,
    extensions: Vec<String>,
}

impl FileTypeAllowlist {
    fn before(
        &self,
        payload: &ResourcePreFetchPayload,
        _: &mut Cx<'_>,
    ) -> Result<Verdict<ResourcePreFetchPayload>, PluginError> {
        let Some(extension) = extension(&payload.uri) else { return Ok(Verdict::Pass) };
        if self.extensions.is_empty() || self.extensions.contains(&extension) {
            return Ok(Verdict::Pass);
        }
        let violation = Violation::new("FILETYPE_BLOCK", "File type not allowed")
            .describe(format!("Extension '.{extension}' is not in the list of allowed ones"));
        Ok(violation.detail("extension", extension).into())
    }

    fn after(
        &self,
        payload: &ResourcePostFetchPayload,
        _: &mut Cx<'_>,
    ) -> Result<Verdict<ResourcePostFetchPayload>, PluginError> {
        if self.types.is_empty() {
            return Ok(Verdict::Pass);
        }
        let content = payload.content.value().map_err(|error| PluginError::failed(error.to_string()))?;
        let content = content.get("contents").unwrap_or(content);
        let one = std::slice::from_ref(content);
        let items = content.as_array().map_or(one, Vec::as_slice);
        let stranger = items.iter().filter_map(mime_type).find(|named| !self.allows(named));
        let Some(stranger) = stranger else { return Ok(Verdict::Pass) };
        let violation = Violation::new("FILETYPE_BLOCK", "File type not allowed")
            .describe("The MIME type of the content is not in the list of allowed ones");
        Ok(violation.detail("mime_type", stranger.chars().take(100).collect::<String>()).into())
    }

    fn allows(&self, named: &str) -> bool {
        self.types.iter().any(|allowed| match allowed.strip_suffix("/*") {
            Some(family) => named.split_once('/').is_some_and(|(of, _)| of == family),
            None => named == allowed,
        })
    }
}

/// What a content says of its type, in lower case and without parameters.
fn mime_type(item: &Value) -> Option<String> {
    let named = ["mime_type", "mimeType"].iter().find_map(|name| item.get(*name)?.as_str())?;
    let plain = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(plain).filter(|plain| !plain.is_empty())
}

/// The extension of what a URI names, in lower case.
fn extension(uri: &str) -> Option<String> {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let path =
        path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    // `a%2Eexe` is `a.exe` for whoever reads it.
    let name = name.replace("%2e", ".").replace("%2E", ".");
    let (_, extension) = name.trim_end_matches('.').rsplit_once('.')?;
    (!extension.is_empty()).then(|| extension.to_ascii_lowercase())
}
