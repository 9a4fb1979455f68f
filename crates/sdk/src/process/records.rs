//! Records as the gateway sends them, in the open form in which plugins are shown them.

use bytes::Bytes;
use mortise_proto::tyk::plugin::{AnalyticsRequest, BudgetUsageRequest, ProxyLogRequest};
use serde_json::{Value, json};

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a finished call looked like.
pub(super) fn log(told: &ProxyLogRequest) -> Value {
    json!({
        "app_id": told.app_id, "user_id": told.user_id, "vendor": told.vendor,
        "request_body": text(&told.request_body), "response_body": text(&told.response_body),
        "response_code": told.response_code, "status": told.response_code,
        "timestamp": told.timestamp, "request_id": told.request_id,
    })
}

/// What a finished call used.
pub(super) fn analytics(told: &AnalyticsRequest) -> Value {
    json!({
        "llm_id": told.llm_id, "model": told.model_name, "vendor": told.vendor,
        "prompt_tokens": told.prompt_tokens, "response_tokens": told.response_tokens,
        "cache_write_prompt_tokens": told.cache_write_prompt_tokens,
        "cache_read_prompt_tokens": told.cache_read_prompt_tokens, "total_tokens": told.total_tokens,
        "cost": told.cost, "currency": told.currency, "app_id": told.app_id, "user_id": told.user_id,
        "timestamp": told.timestamp, "tool_calls": told.tool_calls, "choices": told.choices,
        "request_id": told.request_id,
    })
}

/// What a finished call cost.
pub(super) fn budget_usage(told: &BudgetUsageRequest) -> Value {
    json!({
        "app_id": told.app_id, "llm_id": told.llm_id, "tokens_used": told.tokens_used, "cost": told.cost,
        "requests_count": told.requests_count, "prompt_tokens": told.prompt_tokens,
        "completion_tokens": told.completion_tokens, "period_start": told.period_start,
        "period_end": told.period_end, "timestamp": told.timestamp, "request_id": told.request_id,
    })
}
