//! `mortise plugin test`: a plugin server, held against the contract of plugin servers.
//!
//! The server is asked as a gateway asks it, by the same code ([`mortise_runtime_external::link`]), so that what passes
//! here passes there. No pipeline: modes and conditions are the gateway's, and a refusal is as good an answer as any.

mod checks;
mod server;

use std::time::Duration;

use mortise_plugin_api::HookTable;
use mortise_runtime_external::ExternalRuntime;
use serde_json::json;

use super::block_on;
use crate::{
    Assembly, Exit,
    cli::{Format, PluginTestArgs},
    output::{Output, Paint, counted},
};
use checks::Probe;
use server::Server;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    /// Worth a look; the contract is kept.
    Warning,
    Bad,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Bad => "failed",
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// The generation that was spoken; empty where there is only one.
    pub(super) dialect: &'static str,
    pub(super) check: String,
    pub(super) mark: Mark,
    pub(super) took: Duration,
    pub(super) note: String,
}

pub(super) fn test(args: &PluginTestArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let server = Server::of(args)?;
    server.build(output)?;
    let table = assembly.framework.hooks().clone();
    let rows = block_on(run(args, &server, &table))??;
    let bad = rows.iter().filter(|row| row.mark == Mark::Bad).count();
    let warnings = rows.iter().filter(|row| row.mark == Mark::Warning).count();
    match args.format {
        Format::Json => output.json(&json!({
            "target": server.shown,
            "ok": bad == 0,
            "failed": bad,
            "warnings": warnings,
            "checks": rows.iter().map(as_json).collect::<Vec<_>>(),
        })),
        Format::Text => tell(&server, &rows, bad, warnings, output),
    }
    Ok(if bad == 0 { Exit::Ok } else { Exit::Failed })
}

fn as_json(row: &Row) -> serde_json::Value {
    let dialect = Some(row.dialect).filter(|word| !word.is_empty());
    json!({
        "check": row.check,
        "dialect": dialect,
        "result": row.mark.word(),
        "took_ms": (row.took.as_secs_f64() * 1e5).round() / 1e2,
        "note": row.note,
    })
}

fn tell(server: &Server, rows: &[Row], bad: usize, warnings: usize, output: &mut Output) {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let took = format!("{:.1} ms", row.took.as_secs_f64() * 1e3);
            vec![
                row.mark.word().to_owned(),
                row.dialect.to_owned(),
                row.check.clone(),
                took,
                row.note.clone(),
            ]
        })
        .collect();
    output.table(&["RESULT", "SPOKEN", "CHECK", "TOOK", "NOTE"], &cells);
    let summary =
        format!("{}: {} checks, {bad} failed, {}", server.shown, rows.len(), counted(warnings, "warning"));
    let summary = output.paint(if bad == 0 { Paint::Good } else { Paint::Bad }, &summary);
    output.line(format!("\n{summary}"));
}

/// All checks, over each generation of the contract that the server has.
async fn run(
    args: &PluginTestArgs,
    server: &Server,
    table: &std::sync::Arc<HookTable>,
) -> anyhow::Result<Vec<Row>> {
    let runtime = ExternalRuntime::new(table.clone());
    let patience = Duration::from_secs_f64(args.timeout.clamp(0.01, 3600.0));
    let survey = runtime.way_to(&server.entry("survey", None)).map_err(|error| anyhow::anyhow!("{error}"))?;
    let asked = tokio::time::timeout(patience.max(server::STARTING), survey.survey()).await;
    let survey = match asked {
        Ok(Ok(survey)) => survey,
        Ok(Err(fault)) => return Ok(vec![unreached(fault.to_string())]),
        Err(_) => return Ok(vec![unreached("it did not answer in time".to_owned())]),
    };
    let plugin = server.plugin(&survey.plugins)?;
    let mut rows = Vec::new();
    let spoken: Vec<Option<&'static str>> = match survey.dialects.as_slice() {
        [] => vec![None],
        known => known
            .iter()
            .copied()
            .filter(|word| args.dialect.as_deref().is_none_or(|only| only == *word))
            .map(Some)
            .collect(),
    };
    if spoken.is_empty() {
        let wanted = args.dialect.as_deref().unwrap_or_default();
        return Ok(vec![unreached(format!("it does not speak {wanted}"))]);
    }
    for dialect in spoken {
        let entry = server.entry(&plugin, dialect);
        let link = runtime.way_to(&entry).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut probe = Probe::new(&*link, &plugin, table, args, patience, dialect.unwrap_or_default());
        probe.run().await;
        rows.append(&mut probe.rows);
    }
    Ok(rows)
}

fn unreached(note: String) -> Row {
    Row {
        dialect: "",
        check: "the server is reached".to_owned(),
        mark: Mark::Bad,
        took: Duration::ZERO,
        note,
    }
}
