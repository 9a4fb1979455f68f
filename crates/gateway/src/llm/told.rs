//! What plugins are told of LLMs: which there are, what their models cost, and what apps have spent. Never a key, nor
//! anything of an address that could hold one.

use mortise_llm::price::{Price, PriceRow};
use mortise_telemetry::redact;
use serde_json::{Map, Value, json};

use super::{
    LlmSurface,
    ledger::{Side, month, period},
    prices::Prices,
    table::{Limits, Llm, Llms},
};
use crate::auth::GrantedApp;

/// The LLMs of a configuration, in its order.
pub(crate) fn llms(llms: &Llms) -> Vec<Map<String, Value>> {
    llms.all().iter().map(|llm| fields(shown(llm))).collect()
}

fn shown(llm: &Llm) -> Value {
    let settings = &llm.settings;
    json!({
        "name": settings.name,
        "vendor": settings.vendor.name(),
        "endpoint": redact::url(settings.endpoint.as_str()),
        "has_api_key": settings.api_key.is_some(),
        "default_model": settings.default_model,
        "models": settings.models,
        "timeout_seconds": settings.first_byte_timeout.as_secs(),
        "retries": settings.retries,
        "monthly_budget": llm.limits.budget,
        "rate_limit": llm.limits.calls,
    })
}

/// What a token of each model costs now: of LLMs that have prices of their own, then of those that are kept.
pub(crate) fn prices(llms: &Llms, kept: &Prices) -> Vec<Map<String, Value>> {
    let own = llms.all().iter().flat_map(|llm| {
        let rows = llm.settings.prices.0.iter();
        rows.map(|row| price(llm.settings.vendor.name(), row))
    });
    let now = super::prices::now();
    let mut all: Vec<_> = own.collect();
    all.extend(kept.rows().map(|(vendor, row)| price(vendor, row)));
    // One that is yet to come is none.
    all.retain(|price| price["from"].as_str().is_none_or(|from| from <= now.as_str()));
    all.into_iter().map(fields).collect()
}

fn price(vendor: &str, row: &PriceRow) -> Value {
    let Price { input, output, cache_read, cache_write } = row.price;
    json!({
        "vendor": vendor,
        "model": row.model,
        "from": row.from,
        "input": input.units(),
        "output": output.units(),
        "cache_read": cache_read.unwrap_or(input).units(),
        "cache_write": cache_write.unwrap_or(input).units(),
    })
}

/// What a model of a vendor costs now, by the rows that count.
pub(crate) fn price_of(llms: &Llms, kept: &Prices, vendor: &str, model: &str) -> Option<Map<String, Value>> {
    let now = super::prices::now();
    let of_vendor = |llm: &&std::sync::Arc<Llm>| llm.settings.vendor.name() == vendor;
    let own = llms.all().iter().filter(of_vendor).find_map(|llm| llm.settings.prices.price(model, &now));
    let found = own.or_else(|| kept.price(vendor, model, &now))?;
    Some(fields(price(vendor, &PriceRow { model: model.to_owned(), from: String::new(), price: found })))
}

/// What an app has spent in the month that is now: at all LLMs, or at one.
pub(crate) async fn budget(surface: &LlmSurface, app: &GrantedApp, llm: Option<&str>) -> Map<String, Value> {
    let limits = Limits { budget: app.monthly_budget, reset: app.budget_reset_day, ..Limits::default() };
    let (begins, ends) = period(limits.reset);
    let used = surface.ledger.used(&app.name, llm, month(limits.reset)).await;
    // The sum that calls are held to; of one LLM there is none.
    let spent = match llm {
        None => surface.ledger.spent(&surface.ledger.of(Side::App, &app.name), limits.reset).await,
        Some(_) => used.cost,
    };
    fields(json!({
        "budget": limits.budget,
        "spent": spent,
        "tokens": used.input_tokens.saturating_add(used.output_tokens),
        "requests": used.requests,
        "begins": begins,
        "ends": ends,
    }))
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_is_told_per_token_and_what_is_cached_costs_as_what_is_not_unless_said() {
        let row = PriceRow {
            model: "gpt-*".to_owned(),
            from: String::new(),
            price: Price { input: Price::of_token(2e-6), output: Price::of_token(8e-6), ..Price::default() },
        };
        let told = price("openai", &row);
        let near = |key: &str, wanted: f64| (told[key].as_f64().unwrap() - wanted).abs() < 1e-12;
        assert!(near("input", 2e-6) && near("output", 8e-6) && near("cache_read", 2e-6), "{told}");
    }
}
