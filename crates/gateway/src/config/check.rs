//! What no schema can say of the own file: names that must exist, be unique, or have a certain form.

use std::collections::HashMap;

use mortise_framework::{
    config::{Diagnostic, DiagnosticKind, nearest},
    pipeline::scope::Scope,
};

use super::{
    Config, Kept,
    listen::shown,
    place::{Findings, key},
};

/// An error about a flag, which has no place in a file.
pub(super) fn flag_error(flag: &str, message: String) -> Diagnostic {
    Diagnostic::new(DiagnosticKind::InvalidValue, message).path(flag)
}

/// LLMs that are in no file.
pub(super) struct Beside<'k> {
    /// Those that storage is known to have.
    pub(super) kept: &'k Kept,
    /// Whether there may be a database that has some.
    pub(super) possible: bool,
}

impl Beside<'_> {
    /// An error unless an LLM of this name is configured, or may be kept in storage.
    fn known(&self, name: &str, config: &Config, path: &str, found: &mut Findings<'_>) {
        let kept = &self.kept.llms;
        if kept.iter().any(|llm| llm.fields.name == name) {
            return;
        }
        if !self.possible || config.llms.contains_key(name) {
            return known("LLM", name, config.llms.keys(), path, found);
        }
        // Before storage is read, nothing is known of what it has.
        if !kept.is_empty() {
            found.notice(path, format!("there is no LLM `{}`, neither configured nor stored", shown(name)));
        }
    }
}

/// Checks names, and references between the sections.
pub(super) fn names(config: &Config, beside: &Beside<'_>, found: &mut Findings<'_>) {
    for (section, names) in [
        ("upstreams", config.upstreams.keys().collect::<Vec<_>>()),
        ("servers", config.servers.keys().collect()),
        ("llms", config.llms.keys().collect()),
        ("tools", config.tools.keys().collect()),
        ("datasources", config.datasources.keys().collect()),
    ] {
        for name in names.into_iter().filter(|name| !is_name(name)) {
            found
                .key_error(section, name, format!("`{}` cannot be a name in `{section}`", shown(name)))
                .help =
                Some("a name is letters, digits, `_`, `.` and `-`, and begins with a letter or digit".into());
        }
    }
    // They are upstreams like the others, told from these by name.
    for slug in config.tools.keys().filter(|slug| config.upstreams.contains_key(*slug)) {
        let message = format!("an upstream has the name `{}`, too", shown(slug));
        found.key_error("tools", slug, message).kind = DiagnosticKind::Duplicate;
    }
    let behind = || config.upstreams.keys().chain(config.tools.keys());
    for (id, server) in &config.servers {
        let path = key(&key("servers", id), "upstreams");
        for (index, upstream) in server.upstreams.iter().flatten().enumerate() {
            known("upstream", upstream, behind(), &format!("{path}[{index}]"), found);
        }
    }
    apps(config, beside, found);
    bindings(config, beside, found);
}

fn apps(config: &Config, beside: &Beside<'_>, found: &mut Findings<'_>) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, app) in config.apps.iter().flatten().enumerate() {
        let path = format!("apps[{index}]");
        if app.name.trim().is_empty() {
            found.error(&format!("{path}.name"), "an app needs a name");
        }
        if let Some(earlier) = first.insert(&app.name, index) {
            let span = found.node(&format!("apps[{earlier}].name")).map(|node| node.span().clone());
            let message = format!("two apps have the name `{}`", shown(&app.name));
            let error = found.error(&format!("{path}.name"), message);
            error.kind = DiagnosticKind::Duplicate;
            if let Some(span) = span {
                *error = error.clone().related(span, "the first is here");
            }
        }
        for (at, name) in app.servers.iter().flatten().enumerate() {
            known("virtual server", name, config.servers.keys(), &format!("{path}.servers[{at}]"), found);
        }
        for (at, name) in app.llms.iter().flatten().enumerate() {
            beside.known(name, config, &format!("{path}.llms[{at}]"), found);
        }
        for (at, slug) in app.tools.iter().flatten().enumerate() {
            known("tool", slug, config.tools.keys(), &format!("{path}.tools[{at}]"), found);
        }
        for (at, slug) in app.datasources.iter().flatten().enumerate() {
            let path = format!("{path}.datasources[{at}]");
            known("data source", slug, config.datasources.keys(), &path, found);
        }
    }
    digests(config, found);
}

/// The same token twice would make it chance who calls.
fn digests(config: &Config, found: &mut Findings<'_>) {
    let mut first: HashMap<String, String> = HashMap::new();
    for (index, app) in config.apps.iter().flatten().enumerate() {
        for (at, token) in app.tokens.iter().enumerate() {
            let path = format!("apps[{index}].tokens[{at}].sha256");
            if let Some(earlier) = first.insert(token.sha256.to_ascii_lowercase(), path.clone()) {
                let span = found.node(&earlier).map(|node| node.span().clone());
                let error = found.error(&path, "two tokens are the same");
                error.kind = DiagnosticKind::Duplicate;
                if let Some(span) = span {
                    *error = error.clone().related(span, "the first is here");
                }
            }
        }
    }
}

/// A binding whose scope names nothing that exists would silently never hold. A pattern may be meant for what is still to
/// come, so that is only told.
fn bindings(config: &Config, beside: &Beside<'_>, found: &mut Findings<'_>) {
    let apps: Vec<&String> = config.apps.iter().flatten().map(|app| &app.name).collect();
    for (index, binding) in config.bindings.iter().enumerate() {
        let path = format!("bindings[{index}].scope");
        let scope = &binding.scope;
        let sections: [(&str, &str, &Option<String>, Vec<&String>); 4] = [
            (
                "upstream",
                "upstream",
                &scope.upstream,
                config.upstreams.keys().chain(config.tools.keys()).collect(),
            ),
            ("virtual server", "server", &scope.server, config.servers.keys().collect()),
            ("LLM", "llm", &scope.llm, config.llms.keys().collect()),
            ("app", "app", &scope.app, apps.clone()),
        ];
        for (what, field, name, names) in sections {
            let Some(name) = name else { continue };
            let path = format!("{path}.{field}");
            if field == "llm" && !name.contains('*') {
                beside.known(name, config, &path, found);
            } else if !name.contains('*') {
                known(what, name, names, &path, found);
            } else if found.errors.is_empty() && !names.iter().any(|there| Scope::fits(name, there)) {
                found.notice(&path, format!("no {what} that is configured fits `{}`", shown(name)));
            }
        }
    }
}

/// An error unless `name` is among `names`, with the nearest of them.
pub(super) fn known<'n>(
    what: &str,
    name: &str,
    names: impl IntoIterator<Item = &'n String>,
    path: &str,
    found: &mut Findings<'_>,
) {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.contains(&name) || found.unread.may_be(what, name) {
        return;
    }
    let help = match nearest(name, names.iter().copied()).first() {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("no {what} is configured"),
        None => format!("there are: {}", names.iter().take(20).copied().collect::<Vec<_>>().join(", ")),
    };
    found.error(path, format!("there is no {what} `{}`", shown(name))).help = Some(help.into());
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}
