//! Fake upstreams, misbehaving plugins and a load generator, for tests, benches and plugin authors.
