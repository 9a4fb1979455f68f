//! `mortise hooks`.

use anyhow::anyhow;
use mortise_framework::config::nearest;
use mortise_plugin_api::{HookSpec, HookTable, Rule};
use serde_json::{Value, json};

use crate::{
    Exit,
    cli::{Format, HooksArgs},
    output::{Output, Paint},
};

pub(super) fn hooks(args: &HooksArgs, table: &HookTable, output: &mut Output) -> anyhow::Result<Exit> {
    if let Some(name) = &args.name {
        let row = table.get(name).ok_or_else(|| {
            let near = nearest(name, table.names()).first().map(|near| format!("; did you mean `{near}`?"));
            anyhow!("there is no hook `{name}`{}", near.unwrap_or_default())
        })?;
        match args.format {
            Format::Json => output.json(&as_json(row, true)),
            Format::Text => one(row, output),
        }
        return Ok(Exit::Ok);
    }
    if args.format == Format::Json {
        output.json(&table.rows().iter().map(|row| as_json(row, false)).collect());
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> =
        table.rows().iter().map(|row| vec![row.name.to_string(), may(row), row.about.to_string()]).collect();
    output.table(&["HOOK", "MAY", "WHEN"], &rows);
    Ok(Exit::Ok)
}

/// What an answer at a hook may do, in words.
pub(crate) fn may(row: &HookSpec) -> String {
    match (row.rule, row.may.block, row.may.change) {
        (Rule::FirstAnswer, _, _) => "answer",
        (_, true, true) => "block, change",
        (_, true, false) => "block",
        (_, false, true) => "change",
        (_, false, false) => "observe",
    }
    .to_owned()
}

fn as_json(row: &HookSpec, with_schema: bool) -> Value {
    let mut hook = json!({
        "name": &*row.name,
        "aliases": row.aliases,
        "family": row.family,
        "moment": row.moment,
        "may": row.may,
        "rule": row.rule,
        "limit": row.limit,
        "writable": row.writable,
        "about": &*row.about,
    });
    if with_schema {
        hook["payload"] = row.payload_schema().to_value();
        hook["answer"] = row.change_schema().to_value();
        let example = |text: &str| serde_json::from_str::<Value>(text).ok();
        hook["example"] =
            json!({ "payload": example(row.example.payload), "answer": example(row.example.answer) });
    }
    hook
}

fn one(row: &HookSpec, output: &mut Output) {
    let name = output.paint(Paint::Bold, &row.name);
    output.line(format!("{name}: {}", row.about));
    output.line(format!("\nA plugin may: {}", may(row)));
    if !row.aliases.is_empty() {
        output.line(format!("Also called:  {}", row.aliases.join(", ")));
    }
    if !row.writable.is_empty() {
        output.line(format!("It may change: {}", row.writable.join(", ")));
    }
    output.line(format!("\nPayload:\n{:#}", row.payload_schema().to_value()));
    if row.example.payload != "null" {
        output.line(format!("\nFor example:\n{}", row.example.payload));
    }
    if !row.example.answer.is_empty() {
        output.line(format!("\nAn answer to it: {}\n{}", row.example.about, row.example.answer));
    }
}
