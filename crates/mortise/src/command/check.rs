//! `mortise config check`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::anyhow;
use mortise_framework::config::{
    DEFAULT_PLUGINS_FILE, Environment, Errors, FileKind, Mode, PluginEntry, recognise,
};
use mortise_gateway::{
    config::{DEFAULT_FILE, LoadOptions, Settled},
    overrides::OverrideSource,
};
use serde_json::{Value, json};

use super::manifest;
use crate::{
    Assembly, Exit,
    cli::{CheckArgs, Format},
    output::{Output, Paint, counted},
};

pub(super) fn check(args: &CheckArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let files = match &args.files[..] {
        [] => usual(),
        named => named.to_vec(),
    };
    if files.is_empty() {
        let missing =
            anyhow!("name a file: neither {DEFAULT_FILE} nor {DEFAULT_PLUGINS_FILE} is in this folder");
        output.error(&missing);
        return Ok(Exit::Usage);
    }
    let groups: Vec<Vec<PathBuf>> =
        if args.together { vec![files] } else { files.into_iter().map(|file| vec![file]).collect() };
    let mut results = Vec::new();
    let mut exit = Exit::Ok;
    for files in groups {
        if let [file] = files.as_slice()
            && let Some((result, json)) = manifest::check(file, args.strict, args.format, assembly, output)
        {
            exit = if result == Exit::Ok { exit } else { result };
            results.push(json);
            continue;
        }
        let name = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" + ");
        let result = load(&files, args.strict, assembly);
        if result.is_err() {
            exit = Exit::Failed;
        }
        match args.format {
            Format::Text => tell(&name, &result, assembly, output),
            Format::Json => results.push(as_json(&name, &result, assembly)),
        }
    }
    if args.format == Format::Json {
        output.json(&json!({ "ok": exit == Exit::Ok, "files": results }));
    }
    Ok(exit)
}

/// What `serve` would begin with where no file is named. A plugin file beside an own one is read with it.
fn usual() -> Vec<PathBuf> {
    let usual = [DEFAULT_FILE, DEFAULT_PLUGINS_FILE].map(PathBuf::from);
    usual.into_iter().find(|file| file.is_file()).into_iter().collect()
}

fn load(files: &[PathBuf], strict: bool, assembly: &Assembly) -> Result<Settled, Errors> {
    let mut options = LoadOptions::new(".", Environment::from_process());
    options.strict = strict;
    // Files are checked for themselves, whatever was changed of a gateway that runs with them.
    options.runtime_overrides = OverrideSource::Ignored;
    let mut errors = Vec::new();
    // What `serve` would read beside an own file belongs to it; a plugin file is checked for itself.
    options.defaults = false;
    for file in files {
        match options.add_file(file) {
            Ok(kind) => options.defaults |= kind == FileKind::Own,
            Err(found) => errors.extend(found.into_list()),
        }
    }
    match Errors::from_list(errors) {
        Some(errors) => Err(errors),
        None => Settled::load(&options, &assembly.framework),
    }
}

fn tell(name: &str, result: &Result<Settled, Errors>, assembly: &Assembly, output: &mut Output) {
    let settled = match result {
        Ok(settled) => settled,
        Err(errors) => return output.errors_of(name, errors),
    };
    output.notices(&settled.notices);
    let word = output.paint(Paint::Good, "ok");
    output.line(format!("{name}: {word}"));
    if settled.files.iter().any(|file| recognise(file).is_ok_and(|kind| kind == FileKind::Own)) {
        tell_own(settled, output);
    }
    if !settled.plan.enabled {
        output.line("  plugins are switched off by PLUGINS_ENABLED");
    }
    let idle = assembly.framework.idle(&settled.plan.entries);
    for entry in &settled.plan.entries {
        tell_plugin(entry, &idle, assembly, output);
    }
}

fn tell_own(settled: &Settled, output: &mut Output) {
    let callers = match &settled.apps {
        None => "anyone on this machine may call".to_owned(),
        Some(apps) => format!("{} may call", counted(apps.len(), "app")),
    };
    output.line(format!(
        "  {}, {}, {callers}",
        counted(settled.upstreams.len(), "upstream"),
        counted(settled.config.servers.len(), "virtual server"),
    ));
}

fn tell_plugin(entry: &PluginEntry, idle: &Idle, assembly: &Assembly, output: &mut Output) {
    let (name, kind) = (&entry.name, &entry.kind);
    let line = match standing(entry, idle, assembly) {
        Standing::Runs => format!("{} {name} ({kind})", output.paint(Paint::Good, "runs ")),
        Standing::Degraded(reason) => {
            format!("{} {name} ({kind}): {reason}", output.paint(Paint::Warn, "runs "))
        }
        Standing::Disabled => format!("{} {name} ({kind})", output.paint(Paint::Dim, "off  ")),
        Standing::Idle(reason) => format!("{} {name} ({kind}): {reason}", output.paint(Paint::Dim, "idle ")),
        Standing::Waits(reason) => {
            format!("{} {name} ({kind}): {reason}", output.paint(Paint::Warn, "waits"))
        }
    };
    output.line(format!("  {line}"));
}

/// What becomes of an entry when the gateway starts.
pub(super) enum Standing {
    Runs,
    /// Runs, but not at all of its hooks.
    Degraded(String),
    Disabled,
    /// Not started, since nothing would call it.
    Idle(Arc<str>),
    Waits(String),
}

/// Entries that would not be started, by name, with the reason.
pub(super) type Idle = BTreeMap<String, Arc<str>>;

pub(super) fn standing(entry: &PluginEntry, idle: &Idle, assembly: &Assembly) -> Standing {
    match (assembly.framework.waits_for(entry), idle.get(&entry.name)) {
        _ if entry.mode == Mode::Disabled => Standing::Disabled,
        (Some(reason), _) => Standing::Waits(reason),
        (None, Some(reason)) => Standing::Idle(reason.clone()),
        (None, None) => assembly.framework.lacks(entry).map_or(Standing::Runs, Standing::Degraded),
    }
}

impl Standing {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Degraded(_) => "degraded",
            Self::Disabled => "disabled",
            Self::Idle(_) => "idle",
            Self::Waits(_) => "waits",
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Waits(reason) | Self::Degraded(reason) => Some(reason),
            Self::Idle(reason) => Some(reason),
            _ => None,
        }
    }
}

fn as_json(name: &str, result: &Result<Settled, Errors>, assembly: &Assembly) -> Value {
    match result {
        Err(errors) => json!({ "file": name, "ok": false, "errors": errors }),
        Ok(settled) => {
            let idle = assembly.framework.idle(&settled.plan.entries);
            let entries = settled.plan.entries.iter();
            let plugins: Vec<Value> = entries.map(|entry| summary(entry, &idle, assembly)).collect();
            json!({
                "file": name,
                "ok": true,
                "errors": [],
                "notices": settled.notices,
                "plugins_enabled": settled.plan.enabled,
                "plugins": plugins,
                "upstreams": settled.upstreams.iter().map(|upstream| &upstream.name).collect::<Vec<_>>(),
                "servers": settled.config.servers.keys().collect::<Vec<_>>(),
            })
        }
    }
}

/// A plugin of a configuration that does not run here, in the words of a running gateway's list.
pub(super) fn summary(entry: &PluginEntry, idle: &Idle, assembly: &Assembly) -> Value {
    let standing = standing(entry, idle, assembly);
    let mut summary = json!({
        "name": entry.name,
        "priority": entry.priority,
        "mode": entry.mode,
        "hooks": entry.hooks,
        "tags": entry.tags,
        "status": standing.word(),
        "reason": standing.reason(),
        "kind": entry.kind,
        "description": entry.description,
        "author": entry.author,
        "version": entry.version,
        "depends_on": entry.dependencies.iter().map(|one| one.dependency.to_string()).collect::<Vec<_>>(),
        "source": entry.span.to_string(),
    });
    if entry.kind == "process" {
        // What its program asks for is known when it runs.
        summary["sandbox"] =
            entry.process.sandbox.as_ref().map_or("compat", |keys| keys.profile.word()).into();
    }
    summary
}
