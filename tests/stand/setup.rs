//! What a gateway is started from, and the gateway while it runs.

use std::{net::SocketAddr, path::Path, sync::Arc};

use mortise_framework::{
    Framework,
    config::{Environment, Errors},
    runtime::NativeRuntime,
};
use mortise_gateway::{
    Gateway,
    config::{LoadOptions, Settled, TokenDigest},
    reload::Reloader,
};
use mortise_plugin_api::{HookId, HookTable, Plugin};
use mortise_runtime_external::ExternalRuntime;
use mortise_runtime_process::ProcessRuntime;
use mortise_runtime_python::PythonRuntime;
use mortise_testkit::mcp_server::scripted::Scripted;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    Client, PATIENCE,
    given::{Given, GivenPlugin},
};

/// A configuration in the making. Knows the built-in plugins, the test kit's misbehaving ones, and those given.
pub struct Setup {
    config: Map<String, Value>,
    native: Vec<GivenPlugin>,
    foreign: Vec<GivenPlugin>,
    external: bool,
    process: bool,
    python: bool,
    folder: Arc<TempDir>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// On a free loopback port, in a folder of its own.
    pub fn new() -> Self {
        Self::in_folder(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// In a folder that may hold the state of an earlier gateway.
    pub fn in_folder(folder: Arc<TempDir>) -> Self {
        let setup = Self {
            config: Map::new(),
            native: Vec::new(),
            foreign: Vec::new(),
            external: false,
            process: false,
            python: false,
            folder,
        };
        setup.set("listen", json!({ "address": "127.0.0.1:0" }))
    }

    /// Sets a key of the configuration, over what was there; maps merge.
    #[must_use]
    pub fn set(mut self, key: &str, value: Value) -> Self {
        match (self.config.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (_, value) => {
                self.config.insert(key.to_owned(), value);
            }
        }
        self
    }

    /// Adds an upstream.
    #[must_use]
    pub fn upstream(self, name: &str, server: &Scripted) -> Self {
        self.upstream_with(name, json!({ "url": server.url() }))
    }

    /// Adds an upstream with these keys.
    #[must_use]
    pub fn upstream_with(self, name: &str, upstream: Value) -> Self {
        self.set("upstreams", Value::Object(Map::from_iter([(name.to_owned(), upstream)])))
    }

    /// Adds an app with this token and further keys.
    #[must_use]
    pub fn app(self, name: &str, token: &str, more: Value) -> Self {
        let digest = TokenDigest::of(token.as_bytes()).to_hex();
        let app = json!({ "name": name, "tokens": [{ "sha256": digest }] });
        self.push("apps", over(app, more))
    }

    /// Adds a plugin entry.
    #[must_use]
    pub fn entry(self, entry: Value) -> Self {
        self.push("plugins", entry)
    }

    /// Adds a native plugin that the test holds.
    #[must_use]
    pub fn plugin(self, name: &str, plugin: Arc<dyn Plugin>) -> Self {
        self.plugin_with(name, plugin, json!({}))
    }

    /// Adds a native plugin that the test holds, with further keys of its entry.
    #[must_use]
    pub fn plugin_with(mut self, name: &str, plugin: Arc<dyn Plugin>, more: Value) -> Self {
        let kind = format!("builtin.given_{name}");
        self.native.push(GivenPlugin::new(kind.clone(), plugin));
        self.entry(over(json!({ "name": name, "kind": kind }), more))
    }

    /// Adds a plugin that counts as foreign, with further keys of its entry, `hooks` among them.
    #[must_use]
    pub fn foreign(mut self, name: &str, plugin: Arc<dyn Plugin>, more: Value) -> Self {
        let kind = format!("builtin.given_{name}");
        self.foreign.push(GivenPlugin::new(kind.clone(), plugin));
        self.entry(over(json!({ "name": name, "kind": kind }), more))
    }

    /// Runs entries of kind `process`, as the program does.
    #[must_use]
    pub fn process(mut self) -> Self {
        self.process = true;
        self
    }

    /// Runs entries of kind `external`, as the program does.
    #[must_use]
    pub fn external(mut self) -> Self {
        self.external = true;
        self
    }

    /// Runs Python classes, as the program does.
    #[must_use]
    pub fn python(mut self) -> Self {
        self.python = true;
        self
    }

    /// Knows a kind of native plugin, `builtin.NAME`, that the test makes anew for each start; no entry is added.
    #[must_use]
    pub fn kind(
        mut self,
        name: &str,
        hooks: &[HookId],
        make: impl Fn(&Value) -> Arc<dyn Plugin> + Send + Sync + 'static,
    ) -> Self {
        self.native.push(GivenPlugin::made(format!("builtin.{name}"), hooks, Arc::new(make)));
        self
    }

    fn push(mut self, key: &str, value: Value) -> Self {
        let list = self.config.entry(key).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(value);
        self
    }

    /// The framework of the setup, without plugins yet.
    pub fn framework(&self) -> Framework {
        let kinds = mortise::builtins::all().into_iter().chain(mortise_testkit::plugins::kinds());
        let mut builder = Framework::builder();
        if self.process {
            builder = builder.runtime(ProcessRuntime::new());
        }
        if self.external {
            builder = builder.runtime(ExternalRuntime::new(Arc::new(HookTable::standard())));
        }
        if self.python {
            let python = PythonRuntime::new(Arc::new(HookTable::standard()));
            builder = builder.runtime(python.known(mortise::awaited::bundled));
        }
        builder
            .runtime(Given { foreign: false, plugins: self.native.clone() })
            .runtime(Given { foreign: true, plugins: self.foreign.clone() })
            .runtime(NativeRuntime::new(kinds))
            .awaited(mortise::awaited::reason)
            .build()
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, framework: &Framework) -> Result<Settled, Errors> {
        let file = self.folder.path().join("mortise.yaml");
        std::fs::write(file, serde_json::to_string_pretty(&self.config).unwrap()).unwrap();
        let options = LoadOptions::new(self.folder.path(), Environment::default());
        Settled::load(&options, framework)
    }

    /// The same once `prepare` has put files into its folder.
    pub async fn start_with(self, prepare: impl FnOnce(&Path)) -> Stand {
        prepare(self.folder.path());
        self.start().await
    }

    /// Starts the gateway and waits until everything had its attempt to start.
    ///
    /// # Panics
    /// When the configuration is wrong or nothing starts.
    pub async fn start(self) -> Stand {
        let framework = self.framework();
        let settled = self.load(&framework).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        let gateway = Gateway::start(settled, framework.clone()).await.unwrap();
        let (address, edge) = (gateway.address(), gateway.edge().clone());
        edge.calls().recordings().mask_with(mortise::masking::mask());
        let reloader = gateway.reloader().clone();
        let admin_token = gateway.fresh_admin_token().map(|token| token.expose().to_owned());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(gateway.run(async {
            // Dropping the stand ends it too.
            let _ = stopped.await;
        }));
        tokio::time::timeout(PATIENCE, edge.ready()).await.expect("the gateway is ready in time");
        Stand {
            address,
            admin_token,
            framework,
            reloader,
            config: self.config,
            folder: self.folder,
            stop: Some(stop),
            running: Some(running),
        }
    }
}

/// A running gateway. Dropping it ends it.
pub struct Stand {
    address: SocketAddr,
    /// The admin token, at the first start in its folder.
    pub admin_token: Option<String>,
    /// The framework its plugins run in.
    pub framework: Framework,
    /// What changes its configuration.
    pub reloader: Arc<Reloader>,
    config: Map<String, Value>,
    folder: Arc<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

impl Stand {
    /// A client at `/mcp`, without token or session.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its folder, for one that is started beside it.
    pub fn folder_kept(&self) -> Arc<TempDir> {
        self.folder.clone()
    }

    /// Writes another configuration, as an editor does: to a file of another name, which then takes the place.
    pub fn write(&mut self, change: impl FnOnce(&mut Map<String, Value>)) {
        change(&mut self.config);
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        let aside = self.folder().join("mortise.yaml.new");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, self.folder().join("mortise.yaml")).unwrap();
    }

    /// A client with the admin token.
    pub fn admin(&self) -> Client {
        self.client().token(self.admin_token.as_deref().expect("the first start in its folder"))
    }

    /// Tells it to end.
    pub fn begin_stop(&mut self) {
        self.stop = None;
    }

    /// Waits until it has ended, and gives back its folder.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(mut self) -> Arc<TempDir> {
        self.begin_stop();
        let running = self.running.take().expect("it runs");
        tokio::time::timeout(PATIENCE, running).await.expect("the gateway ends in time").unwrap();
        self.folder.clone()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn over(mut entry: Value, more: Value) -> Value {
    if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), more) {
        entry.extend(more);
    }
    entry
}
