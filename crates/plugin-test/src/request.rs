//! One request: who makes it, and the hooks it passes.

use std::sync::Arc;

use mortise_plugin_api::{
    Answer, Call, Caller, Context, End, HookSpec, Part, PluginError, Reply, Request, Revision, Shared, State,
    Wire,
};
use serde_json::{Value, json};

use super::{Decision, Harness};

/// A request, and what the plugin keeps for it from hook to hook.
pub struct Visit<'h> {
    pub(super) harness: &'h Harness,
    request: Request,
    end: End,
    own: Option<Box<State>>,
    shared: Shared,
}

impl<'h> Visit<'h> {
    pub(super) fn new(harness: &'h Harness, request: Request) -> Self {
        Self { harness, request, end: End::Ok, own: None, shared: Shared::default() }
    }

    /// Changes who the request acts for; nobody known unless said.
    #[must_use]
    pub fn caller(mut self, change: impl FnOnce(&mut Caller)) -> Self {
        change(Arc::make_mut(&mut self.request.caller));
        self
    }

    /// Of this user.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.caller(|caller| caller.user = Some(user.into()))
    }

    /// Of this tenant.
    #[must_use]
    pub fn tenant(self, tenant: &str) -> Self {
        self.caller(|caller| caller.tenant = Some(tenant.into()))
    }

    /// Of this app.
    #[must_use]
    pub fn app(self, app: &str) -> Self {
        self.caller(|caller| caller.app = Some(app.into()))
    }

    /// Changes what else is known of the request: upstream, server, client.
    #[must_use]
    pub fn about(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    /// How the call has ended, for the hooks after it; well unless said.
    #[must_use]
    pub fn ended(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Any hook, by name or alias. The payload is JSON: a [`Value`], or text where every byte matters.
    ///
    /// # Panics
    /// Where there is no such hook, the payload is none of it, or the plugin does not run at it.
    pub async fn at(&mut self, hook: &str, payload: impl ToString) -> Decision {
        let row = self.harness.row(hook);
        let payload = row.decode(payload.to_string().as_bytes(), Wire::Json);
        let payload = payload.unwrap_or_else(|error| panic!("{hook} has another payload: {error}"));
        let payload = Revision::new(payload);
        let answer = self.call(row, &payload, Part::Whole).await;
        Decision::new(row, payload, answer)
    }

    /// `tool_pre_invoke`: a call of `name` with these arguments.
    pub async fn tool_pre(&mut self, name: &str, args: Value) -> Decision {
        self.at("tool_pre_invoke", json!({ "name": name, "args": args })).await
    }

    /// `tool_post_invoke`: what `name` has answered, as MCP has it (`{"content": […]}`).
    pub async fn tool_post(&mut self, name: &str, result: Value) -> Decision {
        self.at("tool_post_invoke", json!({ "name": name, "result": result })).await
    }

    /// `tool_post_invoke` where the answer is one text.
    pub async fn tool_text(&mut self, name: &str, text: &str) -> Decision {
        self.tool_post(name, json!({ "content": [{ "type": "text", "text": text }] })).await
    }

    /// `prompt_pre_fetch`: prompt `name` is wanted with these arguments.
    pub async fn prompt_pre(&mut self, name: &str, args: Value) -> Decision {
        self.at("prompt_pre_fetch", json!({ "prompt_id": name, "args": args })).await
    }

    /// `prompt_post_fetch`: the prompt as MCP has it (`{"messages": […]}`).
    pub async fn prompt_post(&mut self, name: &str, result: Value) -> Decision {
        self.at("prompt_post_fetch", json!({ "prompt_id": name, "result": result })).await
    }

    /// `resource_pre_fetch`: resource `uri` is wanted.
    pub async fn resource_pre(&mut self, uri: &str) -> Decision {
        self.at("resource_pre_fetch", json!({ "uri": uri })).await
    }

    /// `resource_post_fetch`: the text of resource `uri`.
    pub async fn resource_post(&mut self, uri: &str, text: &str) -> Decision {
        let content = json!({ "type": "resource", "uri": uri, "mime_type": "text/plain", "text": text });
        self.at("resource_post_fetch", json!({ "uri": uri, "content": content })).await
    }

    /// What the plugin has left to other plugins of the request.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What another plugin has left to this one.
    pub fn shared_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }

    pub(super) async fn call(
        &mut self,
        row: &HookSpec,
        payload: &Arc<Revision>,
        part: Part<'_>,
    ) -> Result<Reply, PluginError> {
        let plugin = self.harness.plugin().await;
        if plugin.needs(row.id).is_none() {
            panic!("the plugin does not run at {}, but at: {}", row.name, self.harness.hooks_of(&**plugin));
        }
        let (host, limit) = (self.harness.host(), self.harness.limit());
        let deadline = host.instant() + limit;
        let (hook, request, end) = (row.id, &self.request, self.end);
        let call = Call { hook, payload, part, request, end, deadline, host };
        let mut patch = None;
        let answer = match plugin.call(call, Context::new(&mut self.own, &self.shared, &mut patch)) {
            Answer::Ready(answer) => answer,
            Answer::Later(answer) => match tokio::time::timeout(limit, answer).await {
                Ok(answer) => answer,
                Err(_) => Err(PluginError::Timeout(limit)),
            },
        };
        if let Some(patch) = patch {
            self.shared.merge(*patch);
        }
        answer
    }
}

impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("request", &self.request.id).finish_non_exhaustive()
    }
}
