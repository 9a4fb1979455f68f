//! How a chain of plugins runs: configuration, pipeline, context, registry. Embeddable, no server.
