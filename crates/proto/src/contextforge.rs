//! Plugin servers of the ContextForge family: messages, services, and their conversions from and to the JSON that the
//! same servers speak over MCP.
//!
//! The package was renamed between releases, and only names of methods tell: [`cpex`] is today's,
//! [`mcpgateway::plugins`] has the same services under the older name with the same messages.

mod convert;

pub use convert::{context_of, context_to, error_of, error_to, outcome_of, payload_of};
pub use packages::{cpex, mcpgateway};

mod packages {
    #![expect(
        missing_docs,
        clippy::allow_attributes,
        reason = "generated code documents what its contract does, and is as its generator writes it"
    )]
    include!(concat!(env!("OUT_DIR"), "/contextforge/packages.rs"));
}
