//! Who a request acts for, and what is known of the request before any hook looks at its payload.
//!
//! One type serves both worlds Mortise is compatible with: the user, tenant and teams of an MCP gateway and the
//! app with its metadata of an LLM gateway.

use std::{net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who a request acts for.
///
/// An anonymous caller (a loopback gateway without apps) has every field empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Caller {
    /// Name of the app whose token was presented.
    pub app: Option<Arc<str>>,
    /// The user, usually an e-mail address.
    pub user: Option<Arc<str>>,
    /// The user's name for people.
    pub full_name: Option<Arc<str>>,
    /// Whether the user administers this gateway.
    pub is_admin: bool,
    /// The tenant the call belongs to.
    pub tenant: Option<Arc<str>>,
    /// Teams the user is a member of.
    pub teams: Vec<Arc<str>>,
    /// Scopes of the presented token; empty means unrestricted.
    pub scopes: Vec<Arc<str>>,
    /// How the caller was authenticated (`token`, a plugin's own word, …).
    pub auth_method: Option<Arc<str>>,
    /// Free data of the app, shown to plugins.
    pub metadata: Map<String, Value>,
}

impl Caller {
    /// Nobody in particular, shared by the requests of one thread.
    #[must_use]
    pub fn anonymous() -> Arc<Self> {
        thread_local! {
            // By thread, since a count that every request of every thread changes would travel between their caches.
            static NOBODY: Arc<Caller> = Arc::default();
        }
        NOBODY.try_with(Arc::clone).unwrap_or_default()
    }
}

/// The request a hook belongs to: everything about it that is no payload.
///
/// Made once per request by the surface and shared by all its hooks.
#[derive(Clone, Debug)]
pub struct Request {
    /// Id of the request, returned to the client and written to every log line about it.
    pub id: Arc<str>,
    /// Who it acts for.
    pub caller: Arc<Caller>,
    /// The virtual server where there is one, else the upstream.
    pub server_id: Option<Arc<str>>,
    /// The upstream the call goes to, once it is known.
    pub upstream: Option<Arc<str>>,
    /// The configured LLM that is asked, once it is known: from the start where the path names it.
    pub llm: Option<Arc<str>>,
    /// Name of the tool at the upstream where it differs from the exposed name.
    pub original_name: Option<Arc<str>>,
    /// `Content-Type` of the request.
    pub content_type: Option<Arc<str>>,
    /// Path of the HTTP request; only where a binding or a recording asks for it.
    pub path: Option<Arc<str>>,
    /// Address of the client.
    pub client: Option<SocketAddr>,
    /// W3C `traceparent` the request came with or was given.
    pub traceparent: Option<Arc<str>>,
}

impl Request {
    /// A request with this id, an anonymous caller and nothing else known.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            caller: Caller::anonymous(),
            server_id: None,
            upstream: None,
            llm: None,
            original_name: None,
            content_type: None,
            path: None,
            client: None,
            traceparent: None,
        }
    }
}
