//! What the plugin decides: some paths of the gateway are not there.

use mortise_sdk::{
    plugin_api::{Native, Needs, PluginError, Verdict, Violation, hooks::HttpPreRequest},
    process::{About, Program},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Called with the `config:` of the entry.
    let program = Program::new(About::new("{{name}}", "0.1.0"), |config| {
        let hidden = config.text("hidden").unwrap_or("/internal").to_owned();
        let plugin =
            Native::new(hidden).on::<HttpPreRequest>(Needs::block(), |hidden, asked, _| {
                let refused = is_hidden(hidden, &asked.path).then(nothing_here);
                Ok::<_, PluginError>(refused.map_or(Verdict::Pass, Into::into))
            });
        Ok(plugin.into_plugin())
    });
    program.serve().await?;
    Ok(())
}

fn is_hidden(hidden: &str, path: &str) -> bool {
    !hidden.is_empty() && path.starts_with(hidden)
}

fn nothing_here() -> Violation {
    Violation::new("HIDDEN", "nothing here").http_status(404)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_paths_are_not_there() {
        assert!(is_hidden("/internal", "/internal/x"));
        assert!(!is_hidden("/internal", "/mcp") && !is_hidden("", "/mcp"));
    }
}
