//! The plugin's own service: its life, its hooks, its endpoints. What gateways never ask for is answered as unknown.

use std::sync::{Arc, OnceLock};

use mortise_plugin_api::{
    Headers, Host, Init, Json, Part, PluginError, Violation,
    hooks::{
        HttpAuthResolveUser, HttpPostForwardingCall, HttpPreRequest, LlmInput, LlmOutput, RecordAnalytics,
        RecordBudgetUsage, RecordProxyLog,
        http::{Credentials, ForwardingPayload, HttpPreRequestPayload, ResolveUserPayload},
        llm::{LlmInputPayload, LlmOutputPayload},
        record::RecordPayload,
    },
};
use mortise_proto::tyk::plugin::{plugin_service_server::PluginService, *};
use serde_json::Value;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{
    About, Config, Make,
    answers::{accepted, canonical, client, failed, lower, refusal, unless_same},
    calls::{Asked, Asking, Decided},
    endpoints,
    host::Gateway,
    records,
    session::Sessions,
    way_back::WayBack,
};

type Answer<T> = Result<Response<T>, Status>;

/// One plugin, called by its gateway.
pub(super) struct Service {
    about: Arc<About>,
    make: Box<Make>,
    way: Arc<WayBack>,
    gateway: Arc<Gateway>,
    /// There from its initialisation on.
    asking: OnceLock<Asking>,
    sessions: Sessions,
}

impl Service {
    pub(super) fn new(about: Arc<About>, make: Box<Make>, way: &Arc<WayBack>) -> Self {
        let gateway = Arc::new(Gateway::new(way.clone()));
        Self {
            about,
            make,
            way: way.clone(),
            gateway,
            asking: OnceLock::new(),
            sessions: Sessions::default(),
        }
    }

    fn asking(&self) -> Result<&Asking, Status> {
        self.asking.get().ok_or_else(|| Status::failed_precondition("the plugin has not been initialised"))
    }

    fn know(&self, service: u32, plugin: u32) {
        self.way.know(service);
        self.gateway.know(plugin);
    }

    async fn start(&self, config: Config) -> Result<(), PluginError> {
        let number = |names: [&str; 2]| {
            names.iter().find_map(|name| config.text(name)?.parse::<u32>().ok()).unwrap_or(0)
        };
        let (service, own) = (["_service_broker_id", "service_broker_id"], ["_plugin_id", "plugin_id"]);
        self.know(number(service), number(own));
        if self.asking.get().is_some() {
            return Err(PluginError::failed("the plugin has been initialised already"));
        }
        let plugin = (self.make)(config)?;
        let host: Arc<dyn Host> = self.gateway.clone();
        let init = Init {
            name: self.about.name.as_str().into(),
            instance: uuid::Uuid::new_v4().simple().to_string().into(),
            host: host.clone(),
            inherited: None,
        };
        plugin.initialize(init).await?;
        let _ = self.asking.set(Asking::new(plugin, host, &self.about.name));
        Ok(())
    }

    async fn log<H>(
        &self,
        record: Value,
        about: Option<&PluginContext>,
        metadata: &MetadataMap,
    ) -> Answer<DataCollectionResponse>
    where
        H: mortise_plugin_api::Hook<Payload = RecordPayload>,
    {
        let asked = Asked::of(about, metadata);
        let asking = self.asking()?;
        let has = asking.plugin().needs(H::ID).is_some();
        let told = asking.ask::<H>(RecordPayload(Json::from(record)), Part::Complete, asked).await;
        Ok(Response::new(match told {
            Ok(_) => {
                DataCollectionResponse { success: true, handled: has, ..DataCollectionResponse::default() }
            }
            Err(error) => DataCollectionResponse {
                error_message: error.to_string(),
                ..DataCollectionResponse::default()
            },
        }))
    }
}

fn plain(headers: &Headers) -> PluginResponse {
    PluginResponse { modified: true, headers: canonical(headers), ..PluginResponse::default() }
}

/// The refusal of a hook that cannot refuse at the gateway.
fn cannot_block(violation: &Violation) -> Status {
    Status::unknown(format!("an answer cannot be withheld here: {}", violation.reason))
}

fn model(body: &Json) -> Option<String> {
    body.value().ok()?.get("model")?.as_str().map(str::to_owned)
}

#[tonic::async_trait]
impl PluginService for Service {
    async fn initialize(&self, request: Request<InitRequest>) -> Answer<InitResponse> {
        let config = Config::from(request.into_inner().config);
        let starting = std::panic::AssertUnwindSafe(self.start(config));
        let started = futures_util::FutureExt::catch_unwind(starting).await;
        let error_message = match started {
            Ok(Ok(())) => {
                return Ok(Response::new(InitResponse { success: true, error_message: String::new() }));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the plugin panicked when it was started".to_owned(),
        };
        Ok(Response::new(InitResponse { success: false, error_message }))
    }

    async fn ping(&self, request: Request<PingRequest>) -> Answer<PingResponse> {
        let timestamp = request.into_inner().timestamp;
        let healthy = match self.asking.get() {
            Some(asking) => asking.plugin().health().await.is_ok(),
            None => true,
        };
        Ok(Response::new(PingResponse { timestamp, healthy }))
    }

    async fn shutdown(&self, _: Request<ShutdownRequest>) -> Answer<ShutdownResponse> {
        if let Some(asking) = self.asking.get() {
            asking.plugin().shutdown().await;
        }
        Ok(Response::new(ShutdownResponse { success: true }))
    }

    async fn process_pre_auth(&self, request: Request<PluginRequest>) -> Answer<PluginResponse> {
        let (metadata, _, told) = request.into_parts();
        let (client_host, client_port) = client(&told.remote_addr);
        let asked = Asked::of(told.context.as_ref(), &metadata);
        let payload = HttpPreRequestPayload {
            path: told.path,
            method: told.method,
            client_host,
            client_port,
            headers: lower(&told.headers),
        };
        let answered = self.asking()?.ask::<HttpPreRequest>(payload, Part::Whole, asked).await;
        let (decided, context_updates) = answered.map_err(failed)?;
        let answer = match decided {
            Decided::Pass => PluginResponse::default(),
            Decided::Block(violation) => refusal(*violation),
            Decided::Change(headers) => plain(&headers),
        };
        Ok(Response::new(PluginResponse { context_updates, ..answer }))
    }

    async fn authenticate(&self, request: Request<AuthRequest>) -> Answer<AuthResponse> {
        let (metadata, _, told) = request.into_parts();
        let inner = told.request.unwrap_or_default();
        let (client_host, client_port) = client(&inner.remote_addr);
        let asked = Asked::of(told.context.as_ref(), &metadata);
        let presented = Some(told.credential).filter(|credential| !credential.is_empty());
        let payload = ResolveUserPayload {
            credentials: presented
                .map(|credentials| Credentials { scheme: "Bearer".to_owned(), credentials }),
            headers: lower(&inner.headers),
            client_host,
            client_port,
        };
        let answered = self.asking()?.ask::<HttpAuthResolveUser>(payload, Part::Whole, asked).await;
        let refused = |error_message: String| AuthResponse { error_message, ..AuthResponse::default() };
        Ok(Response::new(match answered.map_err(failed)?.0 {
            Decided::Pass => refused("the plugin does not know the caller".to_owned()),
            Decided::Block(violation) => refused(violation.reason),
            Decided::Change(record) => accepted(&record),
        }))
    }

    async fn process_post_auth(&self, request: Request<EnrichedRequest>) -> Answer<PluginResponse> {
        let (metadata, _, told) = request.into_parts();
        let inner = told.request.unwrap_or_default();
        let about = inner.context.clone().unwrap_or_default();
        let asked = Asked::of(Some(&about), &metadata).by(&told.user_id, &told.app_id);
        let body = Json::assume_valid(inner.body.clone());
        let payload = LlmInputPayload {
            llm: about.llm_slug,
            vendor: about.vendor,
            model: model(&body),
            path: inner.path,
            headers: lower(&inner.headers),
            body,
        };
        let answered = self.asking()?.ask::<LlmInput>(payload, Part::Whole, asked).await;
        let (decided, context_updates) = answered.map_err(failed)?;
        let answer = match decided {
            Decided::Pass => PluginResponse::default(),
            Decided::Block(violation) => refusal(*violation),
            Decided::Change(changed) => PluginResponse {
                body: unless_same(changed.body.text(), &inner.body),
                ..plain(&changed.headers)
            },
        };
        Ok(Response::new(PluginResponse { context_updates, ..answer }))
    }

    async fn on_before_write_headers(&self, request: Request<HeadersRequest>) -> Answer<HeadersResponse> {
        let (metadata, _, told) = request.into_parts();
        let about = told.context.unwrap_or_default();
        let asked = Asked::of(Some(&about), &metadata);
        let mut headers = lower(&told.headers);
        let payload = ForwardingPayload {
            upstream: about.llm_slug,
            headers: headers.clone(),
            ended: Some("ok".to_owned()),
            ..ForwardingPayload::default()
        };
        let answered = self.asking()?.ask::<HttpPostForwardingCall>(payload, Part::Whole, asked).await;
        Ok(Response::new(match answered.map_err(failed)?.0 {
            Decided::Pass => HeadersResponse::default(),
            Decided::Block(violation) => return Err(cannot_block(&violation)),
            Decided::Change(changed) => {
                headers.merge(&changed);
                HeadersResponse { modified: true, headers: canonical(&headers) }
            }
        }))
    }

    async fn on_before_write(&self, request: Request<ResponseWriteRequest>) -> Answer<ResponseWriteResponse> {
        let (metadata, _, told) = request.into_parts();
        let about = told.context.unwrap_or_default();
        let asked = Asked::of(Some(&about), &metadata);
        let payload = output(about, lower(&told.headers), told.body, None, false);
        let answered = self.asking()?.ask::<LlmOutput>(payload, Part::Whole, asked).await;
        Ok(Response::new(match answered.map_err(failed)?.0 {
            Decided::Pass => ResponseWriteResponse::default(),
            Decided::Block(violation) => return Err(cannot_block(&violation)),
            Decided::Change(changed) => ResponseWriteResponse {
                modified: true,
                body: changed.body.text().clone(),
                headers: canonical(&changed.headers),
            },
        }))
    }

    async fn on_stream_complete(
        &self,
        request: Request<StreamCompleteRequest>,
    ) -> Answer<StreamCompleteResponse> {
        let (metadata, _, told) = request.into_parts();
        let about = told.context.unwrap_or_default();
        let asked = Asked::of(Some(&about), &metadata);
        let status = u16::try_from(told.status_code).ok();
        let payload = output(about, lower(&told.headers), told.accumulated_response, status, true);
        let asking = self.asking()?;
        let handled = asking.plugin().needs(<LlmOutput as mortise_plugin_api::Hook>::ID).is_some();
        asking.ask::<LlmOutput>(payload, Part::Complete, asked).await.map_err(failed)?;
        Ok(Response::new(StreamCompleteResponse { handled, ..StreamCompleteResponse::default() }))
    }

    async fn handle_proxy_log(&self, request: Request<ProxyLogRequest>) -> Answer<DataCollectionResponse> {
        let (metadata, _, told) = request.into_parts();
        let record = records::log(&told);
        self.log::<RecordProxyLog>(record, told.context.as_ref(), &metadata).await
    }

    async fn handle_analytics(&self, request: Request<AnalyticsRequest>) -> Answer<DataCollectionResponse> {
        let (metadata, _, told) = request.into_parts();
        let record = records::analytics(&told);
        self.log::<RecordAnalytics>(record, told.context.as_ref(), &metadata).await
    }

    async fn handle_budget_usage(
        &self,
        request: Request<BudgetUsageRequest>,
    ) -> Answer<DataCollectionResponse> {
        let (metadata, _, told) = request.into_parts();
        let record = records::budget_usage(&told);
        self.log::<RecordBudgetUsage>(record, told.context.as_ref(), &metadata).await
    }

    async fn get_manifest(&self, _: Request<GetManifestRequest>) -> Answer<GetManifestResponse> {
        let manifest_json = self.about.late(self.asking()?.plugin());
        Ok(Response::new(GetManifestResponse {
            success: true,
            manifest_json,
            ..GetManifestResponse::default()
        }))
    }

    async fn get_config_schema(&self, _: Request<GetConfigSchemaRequest>) -> Answer<GetConfigSchemaResponse> {
        let schema_json = self.about.schema_text();
        Ok(Response::new(GetConfigSchemaResponse {
            success: true,
            schema_json,
            ..GetConfigSchemaResponse::default()
        }))
    }

    async fn get_endpoint_registrations(
        &self,
        _: Request<GetEndpointRegistrationsRequest>,
    ) -> Answer<GetEndpointRegistrationsResponse> {
        let registrations = endpoints::registered(self.asking()?.plugin());
        Ok(Response::new(GetEndpointRegistrationsResponse { registrations }))
    }

    async fn handle_endpoint_request(&self, request: Request<EndpointRequest>) -> Answer<EndpointResponse> {
        let (metadata, _, wanted) = request.into_parts();
        let (asking, asked) = (self.asking()?, Asked::of(wanted.context.as_ref(), &metadata));
        let answer = endpoints::ask(asking.plugin(), asking.host(), wanted, asked, false).await?;
        endpoints::whole(answer).map(Response::new)
    }

    type HandleEndpointRequestStreamStream = endpoints::Chunks;

    async fn handle_endpoint_request_stream(
        &self,
        request: Request<EndpointRequest>,
    ) -> Answer<endpoints::Chunks> {
        let (metadata, _, wanted) = request.into_parts();
        let (asking, asked) = (self.asking()?, Asked::of(wanted.context.as_ref(), &metadata));
        let answer = endpoints::ask(asking.plugin(), asking.host(), wanted, asked, true).await?;
        Ok(Response::new(endpoints::pieces(answer)))
    }

    async fn open_session(&self, request: Request<OpenSessionRequest>) -> Answer<OpenSessionResponse> {
        let request = request.into_inner();
        self.know(request.service_broker_id, request.plugin_id);
        Ok(Response::new(self.sessions.open(&request).await))
    }

    async fn close_session(&self, request: Request<CloseSessionRequest>) -> Answer<CloseSessionResponse> {
        self.sessions.close(request.into_inner().reason);
        Ok(Response::new(CloseSessionResponse { success: true, error_message: String::new() }))
    }

    async fn get_object_hook_registrations(
        &self,
        _: Request<GetObjectHookRegistrationsRequest>,
    ) -> Answer<GetObjectHookRegistrationsResponse> {
        Ok(Response::new(GetObjectHookRegistrationsResponse::default()))
    }

    /// An answer of nothing would refuse.
    async fn handle_object_hook(&self, _: Request<ObjectHookRequest>) -> Answer<ObjectHookResponse> {
        Ok(Response::new(ObjectHookResponse { allow_operation: true, ..ObjectHookResponse::default() }))
    }

    async fn get_resource_type_registrations(
        &self,
        _: Request<GetResourceTypeRegistrationsRequest>,
    ) -> Answer<GetResourceTypeRegistrationsResponse> {
        Ok(Response::new(GetResourceTypeRegistrationsResponse::default()))
    }

    type HandleAgentMessageStream = NoAgent;

    async fn handle_agent_message(&self, _: Request<AgentMessageRequest>) -> Answer<NoAgent> {
        unknown()
    }

    async fn get_app_by_credential(&self, _: Request<GetAppRequest>) -> Answer<GetAppResponse> {
        unknown()
    }

    async fn get_user_by_credential(&self, _: Request<GetUserRequest>) -> Answer<GetUserResponse> {
        unknown()
    }

    async fn get_asset(&self, _: Request<GetAssetRequest>) -> Answer<GetAssetResponse> {
        unknown()
    }

    async fn list_assets(&self, _: Request<ListAssetsRequest>) -> Answer<ListAssetsResponse> {
        unknown()
    }

    async fn call(&self, _: Request<CallRequest>) -> Answer<CallResponse> {
        unknown()
    }

    async fn portal_call(&self, _: Request<PortalCallRequest>) -> Answer<PortalCallResponse> {
        unknown()
    }

    async fn execute_scheduled_task(
        &self,
        _: Request<ExecuteScheduledTaskRequest>,
    ) -> Answer<ExecuteScheduledTaskResponse> {
        unknown()
    }

    async fn accept_edge_payload(&self, _: Request<EdgePayloadRequest>) -> Answer<EdgePayloadResponse> {
        unknown()
    }

    async fn list_resource_instances(
        &self,
        _: Request<ListResourceInstancesRequest>,
    ) -> Answer<ListResourceInstancesResponse> {
        unknown()
    }

    async fn get_resource_instance(
        &self,
        _: Request<GetResourceInstanceRequest>,
    ) -> Answer<GetResourceInstanceResponse> {
        unknown()
    }

    async fn validate_resource_selection(
        &self,
        _: Request<ValidateResourceSelectionRequest>,
    ) -> Answer<ValidateResourceSelectionResponse> {
        unknown()
    }

    async fn create_resource_instance(
        &self,
        _: Request<CreateResourceInstanceRequest>,
    ) -> Answer<CreateResourceInstanceResponse> {
        unknown()
    }
}

type NoAgent = futures_util::stream::Empty<Result<AgentMessageChunk, Status>>;

fn unknown<T>() -> Answer<T> {
    Err(Status::unimplemented("the plugin has nothing of the kind"))
}

/// What a model answered.
fn output(
    about: PluginContext,
    headers: Headers,
    body: bytes::Bytes,
    status_code: Option<u16>,
    streamed: bool,
) -> LlmOutputPayload {
    let body = Json::assume_valid(body);
    LlmOutputPayload {
        llm: about.llm_slug,
        vendor: about.vendor,
        model: model(&body),
        status_code,
        headers,
        streamed,
        body,
    }
}
