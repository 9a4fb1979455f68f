//! The templates that `mortise plugin new` makes plugins of.
//!
//! A template is a folder under `templates/`: its files are written out with a few words put in, and nothing else
//! happens to them, so that what an author will have can be read there. A file that would mean something where it
//! stands in this repository ends in `.tmpl`.

use clap::builder::PossibleValue;

/// The template that is taken unless one is named.
pub(crate) const DEFAULT: &str = "python-external";

/// All templates: name, and files by path.
pub(crate) static TEMPLATES: &[(&str, &[(&str, &str)])] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// What each is.
const ABOUT: &[(&str, &str)] = &[
    ("go-process", "Go, a program that the gateway starts"),
    (
        "python-class",
        "Python, a class that the gateway runs in a worker; as in the documents of ContextForge",
    ),
    ("python-external", "Python, a server with the official MCP SDK"),
    ("python-process", "Python, a program that the gateway starts"),
    ("rust-external", "Rust, a server over MCP, gRPC or a Unix socket"),
    ("rust-native", "Rust, within a gateway of one's own build"),
    ("rust-process", "Rust, a program that the gateway starts"),
    ("typescript-external", "TypeScript, a server with the official MCP SDK"),
];

/// The names, for the command line.
pub(crate) fn values() -> Vec<PossibleValue> {
    let about = |name| ABOUT.iter().find(|(known, _)| *known == name).map_or("", |(_, about)| about);
    TEMPLATES.iter().map(|(name, _)| PossibleValue::new(*name).help(about(*name))).collect()
}

/// The files of a template.
pub(crate) fn files(template: &str) -> Option<&'static [(&'static str, &'static str)]> {
    TEMPLATES.iter().find(|(name, _)| *name == template).map(|(_, files)| *files)
}

/// The words that are put into a template.
#[derive(Debug)]
pub(crate) struct Words {
    /// `word-filter`: folders, packages, programs.
    pub(crate) name: String,
    /// `word_filter`: modules, kinds.
    pub(crate) module: String,
    /// `WordFilter`: the plugin in configurations.
    pub(crate) plugin: String,
    /// What it does.
    pub(crate) about: String,
    /// Who wrote it.
    pub(crate) author: String,
    /// The checkout that Rust builds on.
    pub(crate) source: String,
}

impl Words {
    /// A text with the words in it.
    pub(crate) fn put_into(&self, text: &str) -> String {
        let pairs = [
            ("{{name}}", &self.name),
            ("{{module}}", &self.module),
            ("{{plugin}}", &self.plugin),
            ("{{about}}", &self.about),
            ("{{author}}", &self.author),
            ("{{mortise-source}}", &self.source),
        ];
        pairs.iter().fold(text.to_owned(), |text, (mark, word)| text.replace(mark, word))
    }

    /// The path that a file of a template gets.
    pub(crate) fn path(&self, path: &str) -> String {
        let path = path.replace("__module__", &self.module);
        let path = path.strip_suffix(".tmpl").unwrap_or(&path);
        match path.strip_suffix("gitignore") {
            Some(folder) if folder.is_empty() || folder.ends_with('/') => format!("{folder}.gitignore"),
            _ => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words {
            name: "word-filter".to_owned(),
            module: "word_filter".to_owned(),
            plugin: "WordFilter".to_owned(),
            about: "Does something.".to_owned(),
            author: "Ann".to_owned(),
            source: "/src/mortise".to_owned(),
        }
    }

    #[test]
    fn every_template_says_what_it_is_and_has_what_authors_expect() {
        assert!(files(DEFAULT).is_some());
        for (name, files) in TEMPLATES {
            assert!(ABOUT.iter().any(|(known, _)| known == name), "{name} says nothing of itself");
            let paths: Vec<String> = files.iter().map(|(path, _)| words().path(path)).collect();
            for wanted in ["plugin-manifest.yaml", "README.md"] {
                assert!(paths.iter().any(|path| path == wanted), "{name} has no {wanted}: {paths:?}");
            }
            if *name == "python-class" {
                continue;
            }
            for wanted in [".env.template", "Makefile", "Containerfile", ".gitignore"] {
                assert!(paths.iter().any(|path| path == wanted), "{name} has no {wanted}: {paths:?}");
            }
            let make = files.iter().find(|(path, _)| *path == "Makefile").map_or("", |(_, text)| text);
            for target in ["install-dev:", "test:", "build:", "start:"] {
                assert!(make.lines().any(|line| line.starts_with(target)), "{name}: no target {target}");
            }
        }
    }

    #[test]
    fn no_mark_is_left_in_what_is_made() {
        for (name, files) in TEMPLATES {
            for (path, text) in *files {
                let made = words().put_into(text);
                assert!(
                    !made.contains("{{") && !words().path(path).contains("__module__"),
                    "{name}/{path}:\n{made}"
                );
            }
        }
    }

    #[test]
    fn manifests_are_what_the_gateway_reads() {
        for (name, files) in TEMPLATES {
            let text = files.iter().find(|(path, _)| *path == "plugin-manifest.yaml").unwrap().1;
            let node = mortise_framework::config::Node::parse(name, &words().put_into(text)).unwrap();
            let manifest: mortise_plugin_api::Manifest = serde_json::from_value(node.to_json()).unwrap();
            assert_eq!(manifest.name.as_deref(), Some("WordFilter"), "{name}");
        }
    }
}
