//! A plugin's request, checked before anything is resolved: where it goes, and what it sends.
//!
//! What belongs to the connection is the host's: a plugin that could frame messages itself could put a second request
//! behind its first, past the guard.

use std::net::IpAddr;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{HOST, USER_AGENT},
};
use http_body_util::Full;
use mortise_mcp_transport::http::origin::Origin;
use mortise_plugin_api::host::HttpRequest;
use url::{Host, Position, Url};

use super::guard::{Asked, Class, Forbidden};

/// Headers that frame a message or belong to the connection.
const HOSTS_OWN: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Who asks, where the plugin does not say.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("mortise/", env!("CARGO_PKG_VERSION")));

/// Why a request of a plugin is not made. Repeats nothing of a URL but scheme, host and port.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The URL is none.
    #[error("a request needs an absolute `http` or `https` URL")]
    Url(#[source] url::ParseError),
    /// Another protocol.
    #[error("a request goes over `http` or `https`, not over `{0}`")]
    Scheme(String),
    /// A host that is none, or a path that cannot be sent.
    #[error("the URL of a request to {0} cannot be sent")]
    Unsendable(String),
    /// User name or password in the URL.
    #[error("the URL of a request to {0} carries a user name or password; send them in a header")]
    Credentials(String),
    /// A method that is none, or that asks for a tunnel.
    #[error("a request cannot have the method `{0}`")]
    Method(String),
    /// A header that is none, or that is the host's.
    #[error("a plugin cannot set the header `{0}`")]
    Header(String),
    /// The address is not public.
    #[error(
        "plugins may not reach {origin}: it {verb} {class}; what they may reach beside public addresses is listed \
         under `egress.allow` in mortise.yaml"
    )]
    Address {
        /// Scheme, host and port.
        origin: Origin,
        /// `is`, or `resolves to`.
        verb: &'static str,
        /// What kind of address.
        class: Class,
        /// The address, for the operator: a plugin is not told what names mean in the house.
        address: IpAddr,
    },
    /// Only what is listed may be reached.
    #[error(
        "plugins may not reach {0}: it is not listed under `egress.allow` in mortise.yaml, and `egress.public` is false"
    )]
    NotListed(Origin),
}

/// A checked request.
pub(crate) struct Outgoing {
    pub(crate) origin: Origin,
    url: Url,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Outgoing {
    pub(crate) fn new(request: HttpRequest) -> Result<Self, Refusal> {
        let url = Url::parse(&request.url).map_err(Refusal::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme(url.scheme().to_owned()));
        }
        let shown = || url.origin().ascii_serialization();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials(shown()));
        }
        let origin = Origin::of(&url).map_err(|_| Refusal::Unsendable(shown()))?;
        let path = &url[Position::BeforePath..Position::AfterQuery];
        let uri = Uri::try_from(path).map_err(|_| Refusal::Unsendable(shown()))?;
        let method = Method::from_bytes(request.method.as_bytes());
        let method = method.ok().filter(|method| !matches!(*method, Method::CONNECT | Method::TRACE));
        let method =
            method.ok_or_else(|| Refusal::Method(request.method.escape_debug().take(32).collect()))?;
        let headers = headers(&request, &origin)?;
        Ok(Self { origin, method, uri, headers, body: request.body, url })
    }

    /// Where it goes.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            secure: self.origin.is_secure(),
            host: self.url.host().unwrap_or(Host::Domain("")),
            port: self.url.port_or_known_default().unwrap_or_default(),
        }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The message.
    pub(crate) fn message(&self) -> Request<Full<Bytes>> {
        let mut message = Request::new(Full::new(self.body.clone()));
        message.method_mut().clone_from(&self.method);
        message.uri_mut().clone_from(&self.uri);
        message.headers_mut().clone_from(&self.headers);
        message
    }

    /// What is said of an address that may not be reached.
    pub(crate) fn forbidden(&self, address: IpAddr, why: Forbidden) -> Refusal {
        let origin = self.origin.clone();
        match why {
            Forbidden::NotListed => Refusal::NotListed(origin),
            Forbidden::Class(class) => {
                let named = matches!(self.url.host(), Some(Host::Domain(_)));
                Refusal::Address { origin, verb: if named { "resolves to" } else { "is" }, class, address }
            }
        }
    }
}

fn headers(request: &HttpRequest, origin: &Origin) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
    headers.insert(HOST, origin.authority().clone());
    headers.insert(USER_AGENT, AGENT);
    for (name, value) in request.headers.iter() {
        let refused = || Refusal::Header(name.escape_debug().take(64).collect());
        let header = HeaderName::try_from(name).map_err(|_| refused())?;
        if HOSTS_OWN.contains(&header.as_str()) {
            return Err(refused());
        }
        headers.insert(header, HeaderValue::try_from(value).map_err(|_| refused())?);
    }
    Ok(headers)
}
