//! What the program says of itself: before it is initialised what its author has written, afterwards what it turned out
//! to have.

use std::sync::Arc;

use mortise_plugin_api::{Plugin, hooks::words::PROCESS_WORDS};
use mortise_proto::tyk::config_provider::{
    ConfigPingRequest, ConfigPingResponse, ConfigSchemaRequest, ConfigSchemaResponse, GetManifestRequest,
    GetManifestResponse, config_provider_service_server::ConfigProviderService,
};
use serde_json::{Value, json};
use tonic::{Request, Response, Status};

/// The word for endpoints.
const ENDPOINTS: &str = "custom_endpoint";

/// What a program says of its plugin.
#[derive(Clone, Debug)]
pub struct About {
    pub(super) name: String,
    id: String,
    version: String,
    description: String,
    hooks: Vec<String>,
    services: Vec<String>,
    schema: Value,
}

impl About {
    /// A plugin of this name and version.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id: format!("plugin.{name}"),
            name,
            version: version.into(),
            description: String::new(),
            hooks: Vec::new(),
            services: Vec::new(),
            schema: json!({}),
        }
    }

    /// Its id, a reverse domain name by habit; made of the name unless set.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// What it does, in a sentence.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// What it has, in the words of manifests (`pre_auth`, `auth`, `post_auth`, `on_response`, `data_collection`,
    /// `custom_endpoint`), for hosts that want to know before they start it. Mortise asks it afterwards, so that it need
    /// not be said twice.
    #[must_use]
    pub fn hooks(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hooks = words.into_iter().map(Into::into).collect();
        self
    }

    /// What it may ask of its gateway: `kv.readwrite`, `apps.read`, ….
    #[must_use]
    pub fn services(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.services = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// A JSON Schema of its configuration.
    #[must_use]
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = schema;
        self
    }

    pub(super) fn schema_text(&self) -> String {
        self.schema.to_string()
    }

    /// The manifest of a plugin that has what these words say.
    fn manifest(&self, words: &[String]) -> String {
        json!({
            "id": self.id,
            "version": self.version,
            "name": self.name,
            "description": self.description,
            "capabilities": { "hooks": words, "primary_hook": words.first().map_or("", String::as_str) },
            "permissions": { "services": self.services },
        })
        .to_string()
    }

    /// The manifest once the plugin is there to be asked.
    pub(super) fn late(&self, plugin: &Arc<dyn Plugin>) -> String {
        if !self.hooks.is_empty() {
            return self.manifest(&self.hooks);
        }
        let mut words: Vec<String> = Vec::new();
        let mut told = Vec::new();
        for (word, hooks) in PROCESS_WORDS {
            let new = hooks.iter().any(|(id, _)| !told.contains(id) && plugin.needs(*id).is_some());
            if new {
                words.push((*word).to_owned());
                told.extend(hooks.iter().map(|(id, _)| *id));
            }
        }
        if plugin.clone().endpoints().is_some() {
            words.push(ENDPOINTS.to_owned());
        }
        self.manifest(&words)
    }
}

/// Answers before the plugin is initialised.
pub(super) struct Describer(pub(super) Arc<About>);

#[tonic::async_trait]
impl ConfigProviderService for Describer {
    async fn get_manifest(
        &self,
        _: Request<GetManifestRequest>,
    ) -> Result<Response<GetManifestResponse>, Status> {
        let About { hooks, .. } = &*self.0;
        // No manifest yet is an empty one: the plugin is asked again when it is there.
        let manifest_json = if hooks.is_empty() { "{}".to_owned() } else { self.0.manifest(hooks) };
        Ok(Response::new(GetManifestResponse {
            success: true,
            manifest_json,
            ..GetManifestResponse::default()
        }))
    }

    async fn get_config_schema(
        &self,
        _: Request<ConfigSchemaRequest>,
    ) -> Result<Response<ConfigSchemaResponse>, Status> {
        let schema_json = self.0.schema_text();
        Ok(Response::new(ConfigSchemaResponse {
            success: true,
            schema_json,
            ..ConfigSchemaResponse::default()
        }))
    }

    async fn ping(
        &self,
        request: Request<ConfigPingRequest>,
    ) -> Result<Response<ConfigPingResponse>, Status> {
        let timestamp = request.into_inner().timestamp;
        Ok(Response::new(ConfigPingResponse { timestamp, healthy: true }))
    }
}
