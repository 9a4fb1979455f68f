//! Records of finished calls: what data-collection plugins get, after the fact and without influence.

use serde::{Deserialize, Serialize};

use super::define::{from_wire, hook, payload};
use crate::Json;

/// A record of a finished call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct RecordPayload(pub Json);

payload!(RecordPayload, "record_proxy_log",
    subject: |_p| None,
    size: |p| p.0.size(),
    carriers: |p| [],
    replace: |p, edited| {});

from_wire!(RecordPayload);

fn nothing(_: &RecordPayload, _: RecordPayload) -> crate::hook::Applied<RecordPayload> {
    crate::hook::Applied { payload: None, refused: Vec::new() }
}

hook! {
    /// What a finished call looked like: for logs.
    RecordProxyLog = 27, "record_proxy_log", proxy_log_row {
        aliases: &[], family: Record, moment: AfterTheFact, block: false, change: false, rule: Chain,
        limit: Content, pair: None, writable: &[],
        about: "What a finished call looked like: for logs.",
        payload: RecordPayload, answer: RecordPayload,
        apply: nothing,
        example: r#"{"request_id": "5f0c", "app": "ci", "upstream": "docs", "method": "tools/call", "status": 200, "duration_ms": 12}"#,
    }
}

hook! {
    /// What a finished call used: for analytics.
    RecordAnalytics = 28, "record_analytics", analytics_row {
        aliases: &[], family: Record, moment: AfterTheFact, block: false, change: false, rule: Chain,
        limit: Content, pair: None, writable: &[],
        about: "What a finished call used: for analytics.",
        payload: RecordPayload, answer: RecordPayload,
        apply: nothing,
        example: r#"{"request_id": "5f0c", "llm": "gpt", "model": "large", "input_tokens": 120, "output_tokens": 48}"#,
    }
}

hook! {
    /// What a finished call cost: for budgets.
    RecordBudgetUsage = 29, "record_budget_usage", budget_usage_row {
        aliases: &[], family: Record, moment: AfterTheFact, block: false, change: false, rule: Chain,
        limit: Content, pair: None, writable: &[],
        about: "What a finished call cost: for budgets.",
        payload: RecordPayload, answer: RecordPayload,
        apply: nothing,
        example: r#"{"request_id": "5f0c", "app": "ci", "llm": "gpt", "cost": 0.0042}"#,
    }
}
