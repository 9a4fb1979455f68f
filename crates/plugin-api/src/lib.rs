//! What plugins and their host say to each other.
//!
//! This crate is the contract every runtime, surface and SDK of Mortise stands on. It is a leaf: no async
//! runtime, no server, no transport. It holds
//!
//! - the **hook table** ([`HookTable`], [`hooks`]): every named point a plugin can attach to, with its typed
//!   payload, what an answer there may do, and how the payload is written on the wire;
//! - the **erased call** ([`Plugin`]): the one trait that native, external, process, python and wasm plugins all
//!   implement, so that every pipeline takes any runtime;
//! - the **typed convenience** for native authors ([`Native`], [`Cx`], [`Verdict`]): a plugin lists the hooks it
//!   has and writes one function for each;
//! - the **content view** ([`Payload::texts`], [`Edits`], [`Windows`]): the human-readable text of any payload,
//!   readable and replaceable without knowing its shape, streams included;
//! - **endpoints** ([`Endpoints`]): HTTP paths of a plugin's own, answered whole or piece by piece;
//! - **host services** ([`Host`]) a plugin may ask for.
//!
//! Payloads are immutable [`Revision`]s. A plugin that changes something makes a new one; nobody copies what
//! nobody changes, and a foreign runtime's encoding is made at most once per revision and [`Wire`] form.
//!
//! # A plugin
//!
//! ```
//! use mortise_plugin_api::{Cx, Native, Needs, PluginError, Verdict, Violation, hooks::ToolPreInvoke};
//! use mortise_plugin_api::hooks::tool::ToolPreInvokePayload;
//!
//! struct NoShell;
//!
//! impl NoShell {
//!     fn check(
//!         &self,
//!         call: &ToolPreInvokePayload,
//!         _cx: &mut Cx<'_>,
//!     ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
//!         if call.name == "shell" {
//!             return Ok(Violation::new("NO_SHELL", "shell access is not allowed").into());
//!         }
//!         Ok(Verdict::Pass)
//!     }
//! }
//!
//! let plugin = Native::new(NoShell).on::<ToolPreInvoke>(Needs::block(), NoShell::check);
//! # let _ = plugin;
//! ```

pub mod caller;
pub mod confinement;
pub mod content;
pub mod context;
pub mod endpoint;
pub mod error;
pub mod headers;
pub mod hook;
pub mod hooks;
pub mod host;
pub mod json;
pub mod kind;
pub mod manifest;
pub mod native;
pub mod needs;
pub mod payload;
pub mod plugin;
pub mod verdict;
pub mod wire;

pub use caller::{Caller, Request};
pub use confinement::Confinement;
pub use content::{
    edits::{Edit, EditError, Edits, TextId},
    view::TextPart,
    window::Windows,
};
pub use context::{Context, Shared, State};
pub use endpoint::{
    EndpointAnswer, EndpointApp, EndpointCall, EndpointChunk, EndpointMethod, EndpointRegistration,
    EndpointRequest, EndpointResponse, EndpointSink, EndpointStream, Endpoints,
};
pub use error::PluginError;
pub use headers::Headers;
pub use hook::{Family, Hook, HookId, HookSpec, HookTable, Limit, May, Moment, OpenHook, Rule};
pub use host::Host;
pub use json::Json;
pub use kind::{BuildError, NativeKind};
pub use manifest::Manifest;
pub use native::{Cx, Native};
pub use needs::{Body, Effect, Needs, Stream};
pub use payload::{Payload, Revision, Wire};
pub use plugin::{Answer, Call, End, Fut, Init, Outcome, Part, Plugin};
pub use verdict::{Change, Notes, Reply, Verdict, Violation};
