//! What plugins may ask about LLMs, what their models cost, and what apps have spent.
//!
//! LLMs have names here and numbers there, made of the names as everywhere. What there is in force is active; of others
//! nothing is known.

use mortise_plugin_api::host::Apps;
use mortise_proto::tyk::microgateway_management::{
    GetBudgetStatusRequest, GetBudgetStatusResponse, GetLlmResponse, GetModelPriceRequest,
    GetModelPriceResponse, ListLlMsRequest, ListLlMsResponse, ListModelPricesResponse, LlmInfo,
    ModelPriceInfo,
};
use serde_json::{Map, Value};
use tonic::{Response, Status};

use super::{Answered, Management, host_failed, page_of};
use crate::about;

/// What covers LLMs, prices and budgets.
const LLMS: &str = "llms.read";
const PRICES: &str = "pricing.read";
const BUDGETS: &str = "budget.read";

type Fields = Map<String, Value>;

impl Management {
    fn host(&self) -> Result<&dyn Apps, Status> {
        self.0.host.apps().map_err(|error| host_failed(&error))
    }

    async fn llms(&self) -> Result<Vec<Fields>, Status> {
        self.0.may(LLMS)?;
        self.host()?.llms().await.map_err(|error| host_failed(&error))
    }

    pub(super) async fn list_llms(&self, request: ListLlMsRequest) -> Answered<ListLlMsResponse> {
        let mut llms: Vec<LlmInfo> = self.llms().await?.iter().map(llm_info).collect();
        let active = request.is_active.unwrap_or(true);
        llms.retain(|llm| {
            llm.is_active == active && (request.vendor.is_empty() || llm.vendor == request.vendor)
        });
        let total_count = i64::try_from(llms.len()).unwrap_or(i64::MAX);
        let llms = page_of(llms, request.page, request.limit);
        Ok(Response::new(ListLlMsResponse { llms, total_count }))
    }

    pub(super) async fn llm(&self, number: u32) -> Answered<GetLlmResponse> {
        let found = self.llms().await?.iter().map(llm_info).find(|llm| llm.id == number);
        let llm = Some(found.ok_or_else(|| Status::not_found("LLM not found"))?);
        Ok(Response::new(GetLlmResponse { llm }))
    }

    pub(super) async fn prices(&self, vendor: &str) -> Answered<ListModelPricesResponse> {
        self.0.may(PRICES)?;
        let prices = self.host()?.prices().await.map_err(|error| host_failed(&error))?;
        let told = prices.iter().map(price_info).filter(|price| vendor.is_empty() || price.vendor == vendor);
        Ok(Response::new(ListModelPricesResponse { model_prices: told.collect() }))
    }

    pub(super) async fn price(&self, request: GetModelPriceRequest) -> Answered<GetModelPriceResponse> {
        self.0.may(PRICES)?;
        let found = self.host()?.price(&request.vendor, &request.model_name).await;
        let found = found.map_err(|error| host_failed(&error))?;
        let price = found.ok_or_else(|| Status::not_found("model price not found"))?;
        Ok(Response::new(GetModelPriceResponse { model_price: Some(price_info(&price)) }))
    }

    pub(super) async fn budget(&self, request: GetBudgetStatusRequest) -> Answered<GetBudgetStatusResponse> {
        self.0.may(BUDGETS)?;
        let failed = |error| host_failed(&error);
        let host = self.host()?;
        let apps = host.list().await.map_err(failed)?;
        let app = named(&apps, request.app_id).ok_or_else(|| Status::not_found("app not found"))?;
        let llms = match request.llm_id {
            Some(_) => host.llms().await.map_err(failed)?,
            None => Vec::new(),
        };
        let llm = match request.llm_id {
            Some(number) => Some(named(&llms, number).ok_or_else(|| Status::not_found("LLM not found"))?),
            None => None,
        };
        let budget = host.budget(app, llm).await.map_err(failed)?;
        let budget = budget.ok_or_else(|| Status::not_found("app not found"))?;
        Ok(Response::new(budget_status(&budget, &request)))
    }
}

/// The name that a number stands for.
fn named(all: &[Fields], number: u32) -> Option<&str> {
    all.iter().filter_map(|fields| fields.get("name")?.as_str()).find(|name| about::number(name) == number)
}

fn text(fields: &Fields, key: &str) -> String {
    fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn float(fields: &Fields, key: &str) -> f64 {
    fields.get(key).and_then(Value::as_f64).unwrap_or_default()
}

fn whole(fields: &Fields, key: &str) -> i64 {
    fields.get(key).and_then(Value::as_i64).unwrap_or_default()
}

/// As many as the field of the message holds.
fn small(fields: &Fields, key: &str) -> i32 {
    i32::try_from(whole(fields, key)).unwrap_or(i32::MAX)
}

fn llm_info(fields: &Fields) -> LlmInfo {
    let name = text(fields, "name");
    let models = fields.get("models").and_then(Value::as_array).into_iter().flatten();
    LlmInfo {
        id: about::number(&name),
        vendor: text(fields, "vendor"),
        // It is found by its name, whose case does not matter.
        slug: name.to_lowercase().replace(' ', "-"),
        name,
        endpoint: text(fields, "endpoint"),
        has_api_key: fields.get("has_api_key").and_then(Value::as_bool).unwrap_or_default(),
        default_model: text(fields, "default_model"),
        allowed_models: models.filter_map(Value::as_str).map(str::to_owned).collect(),
        is_active: true,
        timeout_seconds: small(fields, "timeout_seconds"),
        retry_count: small(fields, "retries"),
        monthly_budget: fields.get("monthly_budget").and_then(Value::as_f64),
        rate_limit_rpm: small(fields, "rate_limit"),
        ..LlmInfo::default()
    }
}

fn price_info(fields: &Fields) -> ModelPriceInfo {
    let (vendor, model_name) = (text(fields, "vendor"), text(fields, "model"));
    ModelPriceInfo {
        id: about::number(&format!("{vendor}/{model_name}")),
        vendor,
        model_name,
        cpt: float(fields, "output"),
        cpit: float(fields, "input"),
        cache_write_pt: float(fields, "cache_write"),
        cache_read_pt: float(fields, "cache_read"),
        currency: "USD".to_owned(),
        ..ModelPriceInfo::default()
    }
}

/// Without a budget there is nothing to be over, and nothing remains.
fn budget_status(fields: &Fields, request: &GetBudgetStatusRequest) -> GetBudgetStatusResponse {
    let (budget, spent) = (fields.get("budget").and_then(Value::as_f64), float(fields, "spent"));
    let percentage_used = match budget {
        Some(budget) if budget > 0.0 => spent / budget * 100.0,
        Some(_) => 100.0,
        None => 0.0,
    };
    GetBudgetStatusResponse {
        app_id: request.app_id,
        llm_id: request.llm_id,
        monthly_budget: budget.unwrap_or_default(),
        current_usage: spent,
        remaining_budget: budget.map_or(0.0, |budget| (budget - spent).max(0.0)),
        tokens_used: whole(fields, "tokens"),
        requests_count: small(fields, "requests"),
        period_start: whole(fields, "begins"),
        period_end: whole(fields, "ends"),
        is_over_budget: budget.is_some_and(|budget| spent >= budget),
        percentage_used,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn budget_says_what_remains_and_whether_it_is_used_up() {
        let request = GetBudgetStatusRequest { app_id: 7, ..GetBudgetStatusRequest::default() };
        let status = |budget: Value, spent: f64| {
            let told = fields(json!({ "budget": budget, "spent": spent, "tokens": 12, "requests": 3 }));
            let told = budget_status(&told, &request);
            (told.remaining_budget, told.percentage_used, told.is_over_budget)
        };
        assert_eq!(status(json!(10.0), 2.5), (7.5, 25.0, false));
        assert_eq!(status(json!(10.0), 12.0), (0.0, 120.0, true));
        assert_eq!(status(json!(0.0), 0.0), (0.0, 100.0, true));
        assert_eq!(status(Value::Null, 5.0), (0.0, 0.0, false));
    }

    #[test]
    fn llm_is_known_by_the_number_of_its_name() {
        let llm = llm_info(&fields(json!({ "name": "GPT Four", "vendor": "openai", "models": ["gpt-4*"] })));
        assert_eq!((llm.id, llm.slug.as_str()), (about::number("GPT Four"), "gpt-four"));
        assert_eq!((llm.allowed_models.as_slice(), llm.monthly_budget), (&["gpt-4*".to_owned()][..], None));
        let all = [fields(json!({ "name": "GPT Four" }))];
        assert_eq!(named(&all, llm.id), Some("GPT Four"));
    }
}
