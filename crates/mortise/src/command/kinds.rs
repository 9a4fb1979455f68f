//! `mortise plugins kinds`.

use anyhow::anyhow;
use mortise_framework::config::nearest;
use mortise_plugin_api::{HookTable, NativeKind};
use serde_json::{Value, json};

use crate::{
    Assembly, Exit,
    cli::{Format, KindsArgs},
    output::{Output, Paint},
};

pub(super) fn kinds(args: &KindsArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let hooks = assembly.framework.hooks();
    if let Some(name) = &args.name {
        let plain = name.strip_prefix("builtin.").unwrap_or(name);
        let kind =
            assembly.kinds.iter().rev().find(|kind| kind.name == plain || kind.class_paths.contains(&plain));
        let kind = kind.ok_or_else(|| {
            let near = nearest(plain, assembly.kinds.iter().map(|kind| kind.name));
            let hint = near.first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            anyhow!("there is no built-in plugin `{name}`{hint}")
        })?;
        match args.format {
            Format::Json => output.json(&as_json(kind, hooks)),
            Format::Text => one(kind, hooks, output),
        }
        return Ok(Exit::Ok);
    }
    let mut kinds: Vec<&NativeKind> = assembly.kinds.iter().collect();
    kinds.sort_by_key(|kind| kind.name);
    if args.format == Format::Json {
        output.json(&kinds.into_iter().map(|kind| as_json(kind, hooks)).collect());
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> =
        kinds.iter().map(|kind| vec![format!("builtin.{}", kind.name), kind.about.to_owned()]).collect();
    output.table(&["KIND", "WHAT IT DOES"], &rows);
    Ok(Exit::Ok)
}

fn hook_names(kind: &NativeKind, hooks: &HookTable) -> Vec<String> {
    kind.hooks.iter().filter_map(|id| hooks.spec(*id)).map(|row| row.name.to_string()).collect()
}

fn as_json(kind: &NativeKind, hooks: &HookTable) -> Value {
    json!({
        "kind": format!("builtin.{}", kind.name),
        "about": kind.about,
        "hooks": hook_names(kind, hooks),
        "class_paths": kind.class_paths,
        "config_schema": (kind.config_schema)(),
    })
}

fn one(kind: &NativeKind, hooks: &HookTable, output: &mut Output) {
    let name = output.paint(Paint::Bold, &format!("builtin.{}", kind.name));
    output.line(format!("{name}: {}", kind.about));
    output
        .line(format!("\nRuns at, where an entry names no hooks:\n  {}", hook_names(kind, hooks).join(", ")));
    if !kind.class_paths.is_empty() {
        output.line(format!("\nKnown elsewhere as:\n  {}", kind.class_paths.join("\n  ")));
    }
    let schema = (kind.config_schema)().to_value();
    let rows: Vec<Vec<String>> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, property)| {
            let default = property.get("default").map(ToString::to_string).unwrap_or_default();
            let about = property["description"].as_str().unwrap_or_default().replace('\n', " ");
            vec![format!("  {key}"), default, about]
        })
        .collect();
    if !rows.is_empty() {
        output.line("");
        output.table(&["CONFIG", "DEFAULT", "WHAT IT DOES"], &rows);
    }
}
