//! Records of what has happened: `HandleProxyLog`, `HandleAnalytics`, `HandleBudgetUsage`.
//!
//! A record is an open object. Its members are read by the names that messages have, and by those that Mortise's own
//! records have; what is not there is left empty. Costs travel in ten-thousandths of a dollar.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mortise_plugin_api::{
    Call, Context, Outcome, PluginError, Reply,
    hooks::{RecordAnalytics, RecordBudgetUsage, RecordProxyLog},
};
use mortise_proto::tyk::plugin::{
    AnalyticsRequest, BudgetUsageRequest, DataCollectionResponse, PluginContext, ProxyLogRequest,
};
use serde_json::Value;

use super::{failed, left, payload, timed};
use crate::{about, running::Client};

/// What a dollar is in the units that costs travel in.
const PER_DOLLAR: f64 = 10_000.0;

pub(super) async fn proxy_log(mut client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    let record = payload::<RecordProxyLog>(&call)?.0.value().map_err(|error| unreadable(&error))?;
    let left = left(&call);
    let request = log_of(&Record(record), about::context(call.request, &context), call.host.now());
    let answer = client.handle_proxy_log(timed(request, left)).await;
    settled("HandleProxyLog", &answer.map_err(failed("HandleProxyLog", left))?.into_inner())
}

pub(super) async fn analytics(mut client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    let record = payload::<RecordAnalytics>(&call)?.0.value().map_err(|error| unreadable(&error))?;
    let left = left(&call);
    let request = analytics_of(&Record(record), about::context(call.request, &context), call.host.now());
    let answer = client.handle_analytics(timed(request, left)).await;
    settled("HandleAnalytics", &answer.map_err(failed("HandleAnalytics", left))?.into_inner())
}

pub(super) async fn budget_usage(mut client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    let record = payload::<RecordBudgetUsage>(&call)?.0.value().map_err(|error| unreadable(&error))?;
    let left = left(&call);
    let request = budget_of(&Record(record), about::context(call.request, &context), call.host.now());
    let answer = client.handle_budget_usage(timed(request, left)).await;
    settled("HandleBudgetUsage", &answer.map_err(failed("HandleBudgetUsage", left))?.into_inner())
}

fn settled(method: &str, answer: &DataCollectionResponse) -> Outcome {
    if answer.success {
        return Ok(Reply::pass());
    }
    Err(PluginError::failed(format!("{method}: {}", answer.error_message)))
}

fn unreadable(error: &mortise_plugin_api::json::JsonError) -> PluginError {
    PluginError::Payload { hook: "record", action: "encoded", reason: error.to_string() }
}

/// A record whose members are looked up by several names.
struct Record<'a>(&'a Value);

impl Record<'_> {
    fn find(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.0.get(*name)).filter(|value| !value.is_null())
    }

    fn text(&self, names: &[&str]) -> String {
        match self.find(names) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn bytes(&self, names: &[&str]) -> Bytes {
        self.text(names).into()
    }

    fn float(&self, names: &[&str]) -> f64 {
        self.find(names).and_then(Value::as_f64).unwrap_or(0.0)
    }

    fn whole(&self, names: &[&str]) -> i64 {
        self.find(names).and_then(Value::as_i64).unwrap_or(0)
    }

    fn small(&self, names: &[&str]) -> i32 {
        i32::try_from(self.whole(names)).unwrap_or(i32::MAX)
    }

    /// The number of something with a name, or the number itself.
    fn id(&self, names: &[&str], otherwise: u32) -> u32 {
        match self.find(names) {
            Some(Value::String(name)) => about::number(name),
            Some(other) => other.as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or(otherwise),
            None => otherwise,
        }
    }

    /// In seconds since 1970; now, where the record does not say.
    fn time(&self, names: &[&str], now: SystemTime) -> i64 {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self.whole(names) {
            0 => i64::try_from(now).unwrap_or(i64::MAX),
            given => given,
        }
    }

    fn request(&self, about: &PluginContext) -> String {
        match self.text(&["request_id"]) {
            id if id.is_empty() => about.request_id.clone(),
            id => id,
        }
    }
}

fn log_of(record: &Record<'_>, about: PluginContext, now: SystemTime) -> ProxyLogRequest {
    ProxyLogRequest {
        app_id: record.id(&["app_id", "app"], about.app_id),
        user_id: record.id(&["user_id", "user"], about.user_id),
        vendor: record.text(&["vendor"]),
        request_body: record.bytes(&["request_body"]),
        response_body: record.bytes(&["response_body"]),
        response_code: record.small(&["response_code", "status"]),
        timestamp: record.time(&["timestamp"], now),
        request_id: record.request(&about),
        context: Some(about),
    }
}

fn analytics_of(record: &Record<'_>, about: PluginContext, now: SystemTime) -> AnalyticsRequest {
    let (asked, answered) = (&["prompt_tokens", "input_tokens"], &["response_tokens", "output_tokens"]);
    let total = record.small(&["total_tokens"]);
    let sum = record.small(asked).saturating_add(record.small(answered));
    AnalyticsRequest {
        llm_id: record.id(&["llm_id", "llm"], 0),
        model_name: record.text(&["model_name", "model"]),
        vendor: record.text(&["vendor"]),
        prompt_tokens: record.small(asked),
        response_tokens: record.small(answered),
        cache_write_prompt_tokens: record.small(&["cache_write_prompt_tokens"]),
        cache_read_prompt_tokens: record.small(&["cache_read_prompt_tokens"]),
        total_tokens: if total == 0 { sum } else { total },
        cost: record.float(&["cost"]) * PER_DOLLAR,
        currency: match record.text(&["currency"]) {
            currency if currency.is_empty() => "USD".to_owned(),
            currency => currency,
        },
        app_id: record.id(&["app_id", "app"], about.app_id),
        user_id: record.id(&["user_id", "user"], about.user_id),
        timestamp: record.time(&["timestamp"], now),
        tool_calls: record.small(&["tool_calls"]),
        choices: record.small(&["choices"]),
        request_id: record.request(&about),
        context: Some(about),
    }
}

fn budget_of(record: &Record<'_>, about: PluginContext, now: SystemTime) -> BudgetUsageRequest {
    let (asked, answered) = (&["prompt_tokens", "input_tokens"], &["completion_tokens", "output_tokens"]);
    let total = record.whole(&["tokens_used"]);
    let sum = record.whole(asked).saturating_add(record.whole(answered));
    BudgetUsageRequest {
        app_id: record.id(&["app_id", "app"], about.app_id),
        llm_id: record.id(&["llm_id", "llm"], 0),
        tokens_used: if total == 0 { sum } else { total },
        cost: record.float(&["cost"]) * PER_DOLLAR,
        requests_count: record.small(&["requests_count"]).max(1),
        prompt_tokens: record.whole(asked),
        completion_tokens: record.whole(answered),
        period_start: record.whole(&["period_start"]),
        period_end: record.whole(&["period_end"]),
        timestamp: record.time(&["timestamp"], now),
        request_id: record.request(&about),
        context: Some(about),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn record_is_read_by_either_vocabulary() {
        let now = UNIX_EPOCH + std::time::Duration::from_secs(1000);
        let about = PluginContext { request_id: "r".to_owned(), app_id: 3, ..PluginContext::default() };
        let record =
            json!({"llm": "gpt", "model": "large", "input_tokens": 120, "output_tokens": 48, "cost": 0.0042});
        let request = analytics_of(&Record(&record), about.clone(), now);
        assert_eq!((request.prompt_tokens, request.response_tokens, request.total_tokens), (120, 48, 168));
        assert_eq!((request.cost, request.currency.as_str(), request.app_id), (42.0, "USD", 3));
        assert_eq!((request.timestamp, request.request_id.as_str()), (1000, "r"));

        let record =
            json!({"app_id": 9, "status": 200, "request_body": {"a": 1}, "timestamp": 5, "request_id": "x"});
        let request = log_of(&Record(&record), about, now);
        assert_eq!((request.app_id, request.response_code, request.timestamp), (9, 200, 5));
        assert_eq!(request.request_body, r#"{"a":1}"#);
        assert_eq!(request.request_id, "x");
    }
}
