//! The seam between a plugin that is served elsewhere and the transport it is reached over.
//!
//! What is the same for every transport stays above it: which hooks there are, contexts read out and merged back,
//! results read, time limits, the number of calls at once, caching, when to connect again, what is logged. A [`Link`]
//! only carries: it opens one way to a server, asks it, and says what became of that. So a transport is an encoder and
//! a connection, and none has a back-off or a state machine of its own.
//!
//! What a link must keep to:
//!
//! - **Many calls at once.** [`Link::invoke`] is called from many requests at the same time. A transport whose
//!   connection carries one call at a time keeps a bounded number of connections.
//! - **Cancel on drop.** Dropping the future of a call gives it up: on the wire where the protocol can say so, by
//!   closing the connection where it cannot. An answer that comes all the same is read past or dropped, and never
//!   taken for the answer to another call. Time limits are applied from outside, by dropping.
//! - **Bounds before buffers.** An answer longer than allowed is refused before it is held in memory.
//! - **Nothing before [`Link::open`].** Building a link is pure: no connection, no process, no task.
//! - **No second try.** A call is sent once. [`Fault`] says whether sending it again would be safe. Only what the
//!   server cannot have looked at (an idle connection that was closed, a session it no longer knows) may be sent again
//!   by the link itself.

use mortise_plugin_api::{Fut, HookSpec, PluginError, Revision, Wire, wire::WireContext, wire::WireResult};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A way to one plugin on one server.
pub trait Link: Send + Sync + 'static {
    /// What it goes to, for messages: `http://host:8000/mcp`, `grpc://host:50051`, `unix:/run/plugins.sock`, or a
    /// command. Without credentials.
    fn target(&self) -> String;

    /// Opens the way and asks the server for the configuration of `plugin` (`get_plugin_config`).
    ///
    /// One attempt: whoever calls it pauses and repeats. Called again after a connection was lost, possibly while
    /// calls over the old one are still under way; what is new then takes the place of what was.
    ///
    /// # Errors
    /// When the server could not be reached, did not speak the protocol, or does not know the plugin.
    fn open<'a>(&'a self, plugin: &'a str) -> Fut<'a, Result<Remote, Fault>>;

    /// Has the plugin look at one call. Only between a successful [`open`](Link::open) and [`close`](Link::close).
    ///
    /// # Errors
    /// When there was no answer, or one that is none. What the plugin itself said of a failure is in
    /// [`Told::outcome`].
    fn invoke<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Told, Fault>>;

    /// Asks the server what it has, over a connection that is closed again, where the transport has a question for
    /// that; which is MCP. Else there is nothing in it.
    ///
    /// # Errors
    /// As [`open`](Link::open).
    fn survey(&self) -> Fut<'_, Result<Survey, Fault>> {
        Box::pin(async { Ok(Survey::default()) })
    }

    /// Whether the server could serve a call now: a question that has no effect there.
    ///
    /// # Errors
    /// When it could not, or did not say.
    fn health(&self) -> Fut<'_, Result<(), Fault>>;

    /// Resolves when the connection is known to have ended by itself: a child that exited, a socket that was closed.
    /// Then the plugin is connected anew without waiting for a call to fail. Never resolves for transports without
    /// a lasting connection, which is the default.
    fn lost(&self) -> Fut<'_, String> {
        Box::pin(std::future::pending())
    }

    /// The process that was started for it, where there is one and it is connected.
    fn process_id(&self) -> Option<u32> {
        None
    }

    /// Ends it: sessions are deleted, children stopped, connections closed. Takes a few seconds at most. May be
    /// followed by another [`open`](Link::open).
    fn close(&self) -> Fut<'_, ()>;
}

/// A question: one call at one hook.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The hook, by the table's row. Its `name` goes out.
    pub hook: &'a HookSpec,
    /// The name the server knows the plugin by, in its own letter case.
    pub plugin: &'a str,
    /// The payload. Its encoding is asked of the revision ([`Revision::json`], [`Revision::wire`]), which keeps it,
    /// so that five plugins of one wire share one encoding.
    pub payload: &'a Arc<Revision>,
    /// The plugin's context as it travels.
    pub context: &'a WireContext,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Told {
    /// The context that came back, if one did. It is merged before the outcome is looked at, failures included.
    pub context: Option<WireContext>,
    /// What the plugin decided, or what it said of its failure.
    pub outcome: Result<WireResult, PluginError>,
    /// The wire form that `modified_payload` is in: [`Wire::Json`], or [`Wire::JsonLegacy`] for servers of the first
    /// generation. A protobuf transport answers JSON made of its message.
    pub wire: Wire,
}

/// What a server says of a plugin when a link to it is opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remote {
    /// Its entry there (`hooks`, `mode`, `priority`, `config`, …), where the transport takes it over. `None` where the
    /// server only confirmed that it has the plugin, or could not say.
    pub entry: Option<Map<String, Value>>,
    /// Hooks that can be called over this link; `None` when any can.
    pub hooks: Option<Vec<String>>,
}

/// What a server has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Generations of the contract, by the words of the key `dialect`.
    pub dialects: Vec<&'static str>,
    /// Names of its plugins, where it tells.
    pub plugins: Vec<String>,
}

/// Why a link gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Nobody has seen the call: not connected, connection refused, turned away before reading. Trying again is safe,
    /// and the plugin counts as away until it is connected anew.
    #[error("{0}")]
    Unreached(String),
    /// The connection ended after the call went out: the plugin may have seen it. Not tried again, and the plugin
    /// counts as away until it is connected anew.
    #[error("{0}")]
    Lost(String),
    /// The server answered, with a failure or with something that is no answer. Costs this call only.
    #[error("{0}")]
    Refused(PluginError),
}

impl From<PluginError> for Fault {
    fn from(error: PluginError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for PluginError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreached(why) | Fault::Lost(why) => Self::Unavailable(why),
            Fault::Refused(error) => error,
        }
    }
}
