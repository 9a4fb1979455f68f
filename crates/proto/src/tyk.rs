//! Process plugins over go-plugin: messages and services of the plugin, of the library it is built with, and of what it
//! may ask of its gateway.
//!
//! The library and the plugins' own contract share the package `plugin`, and so the module.

pub use packages::{config_provider, grpc, microgateway_management, plugin, plugin_events};
/// Points in time, as messages carry them.
pub use prost_types::Timestamp;

mod packages {
    #![expect(
        missing_docs,
        clippy::allow_attributes,
        reason = "generated code documents what its contract does, and is as its generator writes it"
    )]
    include!(concat!(env!("OUT_DIR"), "/tyk/packages.rs"));
}
