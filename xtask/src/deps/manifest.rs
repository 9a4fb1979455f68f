//! What each `Cargo.toml` must take from the workspace. Read as lines: cargo does not tell what was inherited.

use std::{fs, path::Path};

use anyhow::Context;

/// Keys of `[package]` that are the workspace's.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// What authors of plugins take from a registry; nothing else is published.
const PUBLISHED: [&str; 2] = ["mortise-plugin-api", "mortise-plugin-test"];

/// Checks the manifests of all own packages.
pub(super) fn check(root: &Path, manifests: &[(&str, &Path)]) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (name, path) in manifests {
        let path = if path.is_absolute() { path.to_path_buf() } else { root.join(path) };
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        problems.extend(problems_of(name, &text));
    }
    Ok(problems)
}

fn problems_of(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !lines(text, "lints").any(|line| plain(line) == "workspace=true") {
        problems
            .push(format!("{name} does not take its lints from the workspace: `[lints] workspace = true`"));
    }
    let published = PUBLISHED.contains(&name);
    for key in INHERITED.into_iter().filter(|key| !(published && *key == "publish")) {
        if !lines(text, "package").any(|line| plain(line) == format!("{key}.workspace=true")) {
            problems.push(format!("{name} does not take `{key}` from the workspace"));
        }
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for line in lines(text, section) {
            let line = plain(line);
            if !line.contains(".workspace=true")
                && !line.contains("workspace=true,")
                && !line.contains("{workspace=true}")
            {
                let dependency = line.split(['=', '.']).next().unwrap_or_default();
                problems
                    .push(format!("{name} does not take the version of `{dependency}` from the workspace"));
            }
        }
    }
    problems
}

/// The lines of a section that say something.
fn lines<'t>(text: &'t str, section: &'t str) -> impl Iterator<Item = &'t str> {
    let mut current = "";
    text.lines().map(str::trim).filter(move |line| {
        if let Some(header) = line.strip_prefix('[') {
            current = header.trim_end_matches(']');
            return false;
        }
        current == section && !line.is_empty() && !line.starts_with('#')
    })
}

fn plain(line: &str) -> String {
    line.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n\n\
        [dependencies]\n# why\na.workspace = true\nb = { workspace = true, optional = true }\n";

    #[test]
    fn a_manifest_that_takes_everything_from_the_workspace_is_good() {
        assert_eq!(problems_of("x", GOOD), Vec::<String>::new());
    }

    #[test]
    fn only_what_authors_take_may_be_published() {
        let published = GOOD.replace("publish.workspace = true\n", "");
        assert_eq!(problems_of("mortise-plugin-api", &published), Vec::<String>::new());
        assert_eq!(problems_of("x", &published).len(), 1);
    }

    #[test]
    fn own_versions_and_missing_lints_are_found() {
        let bad = GOOD.replace("[lints]\nworkspace = true\n", "").replace("a.workspace = true", "a = \"1\"");
        let problems = problems_of("x", &bad.replace("license.workspace = true\n", "license = \"MIT\"\n"));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[2].contains("`a`"));
    }
}
