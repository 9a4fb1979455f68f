//! What an endpoint is asked.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::EndpointMethod;
use crate::Headers;

/// An HTTP request to an endpoint.
#[derive(Clone)]
pub struct EndpointRequest {
    /// The method.
    pub method: EndpointMethod,
    /// The whole path, decoded: `/plugins/oidc/users/123`.
    pub path: String,
    /// The path below the plugin's own: `/users/123`; `/` where there is nothing.
    pub relative_path: String,
    /// Its segments: `["users", "123"]`; none of `/`.
    pub path_segments: Vec<String>,
    /// Headers, the first value of each; `host` is not among them.
    pub headers: Headers,
    /// The body, may be empty.
    pub body: Bytes,
    /// What follows the question mark, as it was sent. May hold a credential (`token=`).
    pub query_string: String,
    /// Address of the client, without port; behind believed proxies the one they tell.
    pub remote_addr: String,
    /// Host the request was addressed to.
    pub host: String,
    /// How it came: `http`.
    pub protocol: &'static str,
    /// Whether the gateway knows who calls. It asks only where the registration says `require_auth`.
    pub authenticated: bool,
    /// The app that calls, where the caller is one.
    pub app: Option<Arc<EndpointApp>>,
    /// Scopes of the token.
    pub scopes: Vec<Arc<str>>,
}

/// Method and path only: the rest may hold credentials.
impl fmt::Debug for EndpointRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body", &self.body.len())
            .field("authenticated", &self.authenticated)
            .finish_non_exhaustive()
    }
}

/// An app as endpoints are told of it.
#[derive(Clone, Default, PartialEq)]
pub struct EndpointApp {
    /// Its number; 0 where it has none and each runtime makes one of the name.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// E-mail address of whoever it belongs to.
    pub owner_email: String,
    /// Whether it may call.
    pub is_active: bool,
    /// Money it may spend a month; 0 for no limit.
    pub monthly_budget: f64,
    /// Requests a minute; 0 for no limit.
    pub rate_limit: u32,
    /// Free data, for example what it may do at this endpoint.
    pub metadata: Map<String, Value>,
}

/// Its free data may hold secrets.
impl fmt::Debug for EndpointApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointApp").field("name", &self.name).finish_non_exhaustive()
    }
}
