//! The edge: listener, authentication, snapshot, surfaces, upstreams.
