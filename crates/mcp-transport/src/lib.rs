//! The Model Context Protocol over HTTP and pipes, client and server side.

mod http;
mod tls;
