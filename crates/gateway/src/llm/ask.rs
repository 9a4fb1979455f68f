//! One request to the surface, once it is known who asks.

use std::sync::Arc;

use http::request::Parts;
use mortise_framework::Contexts;
use mortise_plugin_api::Request;

use crate::{auth::Grant, snapshot::Snapshot, spans::TraceContext, trace::Following};

/// A request of which it is settled who asks.
pub(crate) struct Ask {
    /// Its head.
    pub(crate) parts: Parts,
    /// As plugins see it.
    pub(crate) request: Request,
    /// What the caller was let in by; `None` where a plugin said who it is.
    pub(crate) grant: Option<Arc<Grant>>,
    /// What plugins noted about it so far.
    pub(crate) contexts: Contexts,
    /// What it is served by.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Set where it is followed.
    pub(crate) call: Option<Following>,
    /// The trace it belongs to.
    pub(crate) context: Option<Arc<TraceContext>>,
}
