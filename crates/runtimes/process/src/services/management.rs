//! What a gateway's management offers to plugins: their own values, apps, whose a token is, what licence the gateway has,
//! and what apps ask (`models`): LLMs, prices and budgets.
//!
//! What the gateway does not have (a control plane) is answered with `UNIMPLEMENTED` and says what is missing, so that a
//! plugin that can do without goes on.

mod models;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mortise_plugin_api::PluginError;
use mortise_proto::tyk::{
    Timestamp,
    microgateway_management::{
        AppInfo, DeletePluginKvRequest, DeletePluginKvResponse, GetAppRequest, GetAppResponse,
        GetBudgetStatusRequest, GetBudgetStatusResponse, GetLicenseInfoRequest, GetLicenseInfoResponse,
        GetLlmRequest, GetLlmResponse, GetModelPriceRequest, GetModelPriceResponse, ListAppsRequest,
        ListAppsResponse, ListLlMsRequest, ListLlMsResponse, ListModelPricesRequest, ListModelPricesResponse,
        QueueControlPayloadRequest, QueueControlPayloadResponse, ReadPluginKvRequest, ReadPluginKvResponse,
        ValidateCredentialRequest, ValidateCredentialResponse, WritePluginKvRequest, WritePluginKvResponse,
        microgateway_management_service_server::MicrogatewayManagementService,
    },
};
use serde_json::{Map, Value};
use tonic::{Request, Response, Status};

use super::{Asker, host_failed};
use crate::{about, kv::MAX_KEY};

/// What covers a plugin's own values.
const VALUES: &str = "kv.readwrite";

/// What covers apps.
const APPS: &str = "apps.read";

/// What covers whose a token is.
const CREDENTIALS: &str = "credentials.validate";

/// Most that are told of at once.
const MAX_PAGE: usize = 1_000;

/// The service of one plugin.
pub(super) struct Management(pub(super) Arc<Asker>);

type Answered<T> = Result<Response<T>, Status>;

/// One page of a list: the first, of ten, unless another is asked for.
fn page_of<T>(all: Vec<T>, page: i32, limit: i32) -> Vec<T> {
    let given = |number: i32, otherwise: usize| {
        usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(otherwise)
    };
    let (page, limit) = (given(page, 1), given(limit, 10).min(MAX_PAGE));
    all.into_iter().skip((page - 1).saturating_mul(limit)).take(limit).collect()
}

impl Management {
    async fn apps(&self) -> Result<Vec<Map<String, Value>>, Status> {
        let apps = self.0.host.apps().map_err(|error| host_failed(&error))?;
        apps.list().await.map_err(|error| host_failed(&error))
    }

    fn checked(&self, key: &str) -> Result<(), Status> {
        self.0.may(VALUES)?;
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Status::invalid_argument(format!("a key has 1 to {MAX_KEY} bytes")));
        }
        Ok(())
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, Status> {
        match self.0.host.kv() {
            Ok(values) => values.get(key).await.map_err(|error| host_failed(&error)),
            Err(PluginError::NoService(_)) => Ok(self.0.store.get(key)),
            Err(error) => Err(host_failed(&error)),
        }
    }

    async fn write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<bool, Status> {
        match self.0.host.kv() {
            Ok(values) => {
                let failed = |error| host_failed(&error);
                let new = values.get(key).await.map_err(failed)?.is_none();
                values.set(key, value, ttl).await.map_err(failed)?;
                Ok(new)
            }
            Err(PluginError::NoService(_)) => self
                .0
                .store
                .set(key, &value, ttl)
                .map_err(|full| Status::resource_exhausted(full.to_string())),
            Err(error) => Err(host_failed(&error)),
        }
    }

    async fn remove(&self, key: &str) -> Result<bool, Status> {
        match self.0.host.kv() {
            Ok(values) => {
                let failed = |error| host_failed(&error);
                let was = values.get(key).await.map_err(failed)?.is_some();
                values.delete(key).await.map_err(failed)?;
                Ok(was)
            }
            Err(PluginError::NoService(_)) => Ok(self.0.store.delete(key)),
            Err(error) => Err(host_failed(&error)),
        }
    }
}

/// An app as plugins know it: by the number that its calls carry.
fn app_info(app: &Map<String, Value>) -> AppInfo {
    let text = |key: &str| app.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number =
        |key: &str| app.get(key).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
    let moment = |key: &str| moment(&text(key));
    AppInfo {
        id: about::number(&text("name")),
        name: text("name"),
        description: text("description"),
        owner_email: text("owner"),
        is_active: app.get("active").and_then(Value::as_bool).unwrap_or(true),
        monthly_budget: app.get("monthly_budget").and_then(Value::as_f64).unwrap_or_default(),
        budget_reset_day: number("budget_reset_day").unwrap_or(1),
        rate_limit_rpm: number("rate_limit").unwrap_or(0),
        allowed_ips: Vec::new(),
        created_at: moment("created"),
        updated_at: moment("updated"),
        metadata: app.get("metadata").map(Value::to_string).unwrap_or_default(),
    }
}

/// A moment in UTC as it is sent; `None` for a text that is none.
fn moment(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

/// How long until a point in time; nothing where it has passed.
fn until(end: Timestamp, now: SystemTime) -> Duration {
    let seconds = u64::try_from(end.seconds).unwrap_or(0);
    let nanos = u32::try_from(end.nanos).unwrap_or(0).min(999_999_999);
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos));
    // What lies beyond the end of time never comes.
    end.map_or(Duration::MAX, |end| end.duration_since(now).unwrap_or(Duration::ZERO))
}

#[tonic::async_trait]
impl MicrogatewayManagementService for Management {
    async fn write_plugin_kv(
        &self,
        request: Request<WritePluginKvRequest>,
    ) -> Answered<WritePluginKvResponse> {
        let request = request.into_inner();
        self.checked(&request.key)?;
        let ttl = request.expire_at.map(|end| until(end, self.0.host.now()));
        let created = self.write(&request.key, request.value, ttl).await?;
        Ok(Response::new(WritePluginKvResponse { created }))
    }

    async fn read_plugin_kv(&self, request: Request<ReadPluginKvRequest>) -> Answered<ReadPluginKvResponse> {
        let request = request.into_inner();
        self.checked(&request.key)?;
        let value = self.read(&request.key).await?.ok_or_else(|| Status::not_found("key not found"))?;
        Ok(Response::new(ReadPluginKvResponse { value }))
    }

    async fn delete_plugin_kv(
        &self,
        request: Request<DeletePluginKvRequest>,
    ) -> Answered<DeletePluginKvResponse> {
        let request = request.into_inner();
        self.checked(&request.key)?;
        Ok(Response::new(DeletePluginKvResponse { deleted: self.remove(&request.key).await? }))
    }

    async fn get_license_info(&self, _: Request<GetLicenseInfoRequest>) -> Answered<GetLicenseInfoResponse> {
        Ok(Response::new(GetLicenseInfoResponse {
            license_valid: true,
            days_remaining: -1,
            license_type: "community".to_owned(),
            ..GetLicenseInfoResponse::default()
        }))
    }

    async fn list_ll_ms(&self, request: Request<ListLlMsRequest>) -> Answered<ListLlMsResponse> {
        self.list_llms(request.into_inner()).await
    }

    async fn get_llm(&self, request: Request<GetLlmRequest>) -> Answered<GetLlmResponse> {
        self.llm(request.into_inner().llm_id).await
    }

    async fn list_apps(&self, request: Request<ListAppsRequest>) -> Answered<ListAppsResponse> {
        self.0.may(APPS)?;
        let request = request.into_inner();
        let is_active = request.is_active.unwrap_or(true);
        let mut apps: Vec<AppInfo> = self.apps().await?.iter().map(app_info).collect();
        apps.retain(|app| app.is_active == is_active);
        let total_count = i64::try_from(apps.len()).unwrap_or(i64::MAX);
        Ok(Response::new(ListAppsResponse { apps: page_of(apps, request.page, request.limit), total_count }))
    }

    async fn get_app(&self, request: Request<GetAppRequest>) -> Answered<GetAppResponse> {
        self.0.may(APPS)?;
        let wanted = request.into_inner().app_id;
        let app = self.apps().await?.iter().map(app_info).find(|app| app.id == wanted);
        let app = Some(app.ok_or_else(|| Status::not_found("app not found"))?);
        Ok(Response::new(GetAppResponse { app }))
    }

    async fn get_budget_status(
        &self,
        request: Request<GetBudgetStatusRequest>,
    ) -> Answered<GetBudgetStatusResponse> {
        self.budget(request.into_inner()).await
    }

    async fn list_model_prices(
        &self,
        request: Request<ListModelPricesRequest>,
    ) -> Answered<ListModelPricesResponse> {
        self.prices(&request.into_inner().vendor).await
    }

    async fn get_model_price(
        &self,
        request: Request<GetModelPriceRequest>,
    ) -> Answered<GetModelPriceResponse> {
        self.price(request.into_inner()).await
    }

    async fn validate_credential(
        &self,
        request: Request<ValidateCredentialRequest>,
    ) -> Answered<ValidateCredentialResponse> {
        self.0.may(CREDENTIALS)?;
        let secret = request.into_inner().secret;
        let apps = self.0.host.apps().map_err(|error| host_failed(&error))?;
        let found = apps.credential(secret.as_bytes()).await.map_err(|error| host_failed(&error))?;
        Ok(Response::new(match found {
            Some(found) => ValidateCredentialResponse {
                valid: true,
                app_id: about::number(&found.app),
                credential_id: found.number,
                expires_at: found.expires,
            },
            None => ValidateCredentialResponse::default(),
        }))
    }

    async fn queue_control_payload(
        &self,
        _: Request<QueueControlPayloadRequest>,
    ) -> Answered<QueueControlPayloadResponse> {
        Err(Status::unimplemented("this gateway tells nothing to a control plane, as there is none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_to_an_end_is_never_negative_and_never_overflows() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let at = |seconds, nanos| until(Timestamp { seconds, nanos }, now);
        assert_eq!(at(130, 500_000_000), Duration::from_millis(30_500));
        assert_eq!(at(99, 0), Duration::ZERO);
        assert_eq!(at(-5, -5), Duration::ZERO);
        assert!(at(i64::MAX, i32::MAX) > Duration::from_secs(1 << 32));
    }
}
