//! Two native plugins: one that knows invoices, one that knows text.

use std::sync::Arc;

use mortise_plugin_api::{
    BuildError, Cx, Native, NativeKind, Needs, Outcome, Payload, Plugin, PluginError, Verdict, Violation,
    hooks::open::Open,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::hooks::HOOKS;

/// All kinds of this program.
pub(crate) fn kinds() -> [NativeKind; 2] {
    [amount_limit(), polite()]
}

/// Holds invoices back that are larger than anybody means.
pub(crate) fn amount_limit() -> NativeKind {
    NativeKind {
        name: "amount_limit",
        class_paths: &[],
        about: "Blocks invoices over an amount.",
        hooks: &[],
        config_schema: NativeKind::schema_of::<AmountLimit>,
        build: |config| {
            let limit: AmountLimit = NativeKind::read(config)?;
            if limit.most <= 0.0 {
                return Err(BuildError::new("most", "must be more than 0"));
            }
            Ok(Native::new(limit).on_each(&[HOOKS.1], Needs::block(), AmountLimit::check).into_plugin())
        },
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AmountLimit {
    /// The largest amount that is sent.
    most: f64,
}

impl AmountLimit {
    fn check(&self, payload: &dyn Payload, _cx: &mut Cx<'_>) -> Outcome {
        let invoice = payload.as_any().downcast_ref::<Open>();
        let invoice = invoice.and_then(|open| open.0.value().ok()).unwrap_or(&Value::Null);
        let Some(amount) = invoice["amount"].as_f64() else {
            return Err(PluginError::failed("the invoice has no amount"));
        };
        if amount <= self.most {
            return Ok(Verdict::<()>::Pass.into());
        }
        let violation = Violation::new("AMOUNT_LIMIT", "the amount is too large")
            .describe(format!("{amount} is more than {}", self.most))
            .detail("most", self.most);
        Ok(Verdict::<()>::from(violation).into())
    }
}

/// Says it politely.
pub(crate) fn polite() -> NativeKind {
    NativeKind {
        name: "polite",
        class_paths: &[],
        about: "Replaces ASAP in every text.",
        hooks: &[],
        config_schema: || schemars::json_schema!({ "type": "object", "additionalProperties": false }),
        build: |_| Ok(polite_plugin()),
    }
}

fn polite_plugin() -> Arc<dyn Plugin> {
    let plugin = Native::new(()).on_texts(&[HOOKS.1], Needs::change(), |(), part, verdict, _| {
        for (at, found) in part.text.match_indices("ASAP") {
            verdict.edits.replace(part.id, at..at + found.len(), "at your convenience");
        }
        Ok(())
    });
    plugin.into_plugin()
}

#[cfg(test)]
mod tests {
    use mortise_plugin_test::Harness;
    use serde_json::json;

    use super::*;
    use crate::hooks::PRE_SEND;

    fn harness(kind: NativeKind) -> Harness {
        Harness::of(kind).hooks(HOOKS.0.clone())
    }

    #[tokio::test]
    async fn amount_over_the_limit_is_blocked_and_one_at_it_is_not() {
        let limit = harness(amount_limit()).config(json!({ "most": 10 }));
        limit.at(PRE_SEND, json!({ "amount": 10 })).await.assert_passed();
        limit.at(PRE_SEND, json!({ "amount": 10.5 })).await.assert_blocked("AMOUNT_LIMIT");
    }

    #[tokio::test]
    async fn invoice_without_amount_is_no_decision() {
        let limit = harness(amount_limit()).config(json!({ "most": 10 }));
        limit.at(PRE_SEND, json!({ "amount": "ten" })).await.assert_failed("error");
    }

    #[test]
    fn limit_of_nothing_is_refused() {
        harness(amount_limit()).config(json!({ "most": 0 })).assert_config_refused("most");
    }

    #[tokio::test]
    async fn text_is_changed_wherever_it_stands() {
        let polite = harness(polite());
        let decision = polite.at(PRE_SEND, json!({ "note": "ASAP", "lines": [{ "text": "x" }] })).await;
        decision.assert_texts(["at your convenience", "x"]);
    }
}
