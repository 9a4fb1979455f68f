//! A native plugin that writes down what it is shown and changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use mortise_plugin_api::{End, HookId, HookTable, Native, Needs, Plugin, Reply, Wire};
use serde_json::Value;
use tokio::sync::watch;

use crate::PATIENCE;

/// What a recorder was shown at one hook.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The hook.
    pub hook: String,
    /// The payload as JSON.
    pub payload: Value,
    /// How the call ended.
    pub end: End,
    /// Id of the request.
    pub request: String,
    /// The app that called.
    pub app: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The virtual server, or the upstream.
    pub server: Option<String>,
    /// The upstream.
    pub upstream: Option<String>,
    /// What the same recorder left for itself at an earlier hook of the request: that hook's name.
    pub mark: Option<String>,
}

#[derive(Default)]
struct Pages {
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
}

/// The record. Clones share it.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Pages>);

impl Recorder {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plugin that writes it, at these hooks.
    pub fn plugin(&self, hooks: &[HookId]) -> Arc<dyn Plugin> {
        let table = HookTable::standard();
        Native::new((self.clone(), table))
            .on_each(hooks, Needs::observe(), |(recorder, table), payload, cx| {
                let hook = table.spec(cx.call.hook).map(|spec| spec.name.to_string()).unwrap_or_default();
                let request = cx.request();
                let owned = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
                let seen = Seen {
                    payload: payload
                        .encode(Wire::Json)
                        .ok()
                        .and_then(|json| serde_json::from_slice(&json).ok())
                        .unwrap_or_default(),
                    end: cx.call.end,
                    request: request.id.to_string(),
                    app: owned(&request.caller.app),
                    user: owned(&request.caller.user),
                    tenant: owned(&request.caller.tenant),
                    server: owned(&request.server_id),
                    upstream: owned(&request.upstream),
                    mark: cx.context.get("mark").and_then(Value::as_str).map(str::to_owned),
                    hook: hook.clone(),
                };
                cx.context.set("mark", hook);
                recorder.write(seen);
                Ok(Reply::pass())
            })
            .into_plugin()
    }

    fn write(&self, seen: Seen) {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.0.count.send_modify(|count| *count += 1);
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything at one hook so far.
    pub fn at(&self, hook: &str) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.hook == hook).collect()
    }

    /// Waits until it was shown something at a hook `count` times.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn wait_for(&self, hook: &str, count: usize) -> Vec<Seen> {
        let mut news = self.0.count.subscribe();
        let waiting = news.wait_for(|_| self.at(hook).len() >= count);
        let waited = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(waited, "{hook} was not seen {count} times: {:#?}", self.all());
        self.at(hook)
    }
}
