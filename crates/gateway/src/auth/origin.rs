//! Requests that a browser sends for a page, and names that a request may be addressed to.
//!
//! Two attacks are meant. A page of another origin may have the visitor's browser call a gateway that only this
//! machine can reach: its `Origin` tells. And it may point its own host name at this machine (DNS rebinding), so that
//! the browser takes the gateway for the page's own origin: then the `Host` is not one of ours. So a gateway that
//! listens on loopback is addressed by loopback names or listed ones only. On other addresses callers have tokens,
//! which a rebound page has not, and the gateway cannot know its public names.
//!
//! The own origins are: what `Host` says, and on loopback every loopback name **with the own port**. Another port of
//! this machine is another origin, as for browsers: a web app under development there needs to be listed.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HOST, ORIGIN, VARY,
    },
};
use url::{Host, Url};

use crate::config::Listen;

const ANY: &str = "*";

/// Decides by `Origin` and `Host` whether a request is served.
#[derive(Clone, Debug)]
pub struct OriginCheck {
    loopback: bool,
    port: u16,
    /// The listener's authority under the usual names of loopback.
    usual: [String; 3],
    origins: Vec<String>,
    hosts: Vec<String>,
}

/// Why a request is not served. Answered with status 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginRefused {
    /// It is addressed to a name that is not this gateway's.
    #[error("the host name of this request is not one of this gateway's: list it in `listen.allowed_hosts`")]
    Host,
    /// A page of another origin sent it.
    #[error("requests of pages of this origin are not accepted: list it in `listen.allowed_origins`")]
    Origin,
}

impl OriginRefused {
    /// The answer: 403 and a JSON body that says why.
    #[must_use]
    pub fn response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(format!("{{\"detail\":{:?}}}", self.to_string())));
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl OriginCheck {
    /// The check for a listener; `port` is the one it is bound to.
    #[must_use]
    pub fn new(listen: &Listen, port: u16) -> Self {
        Self {
            loopback: crate::config::is_loopback(listen.address.ip()),
            port,
            usual: ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")),
            origins: listen.allowed_origins.clone(),
            hosts: listen.allowed_hosts.clone(),
        }
    }

    /// Passes or refuses a request. For one that a page of another, listed origin sent, returns that origin: the
    /// answer then needs [`share`].
    ///
    /// # Errors
    /// When `Host` or `Origin` are not acceptable.
    pub fn check<'h>(
        &self,
        uri: &Uri,
        headers: &'h HeaderMap,
    ) -> Result<Option<&'h HeaderValue>, OriginRefused> {
        let host = uri.authority().map(http::uri::Authority::as_str);
        let host = match (host, headers.get(HOST)) {
            (Some(host), _) => Some(host),
            (None, Some(value)) => Some(value.to_str().map_err(|_| OriginRefused::Host)?),
            // Browsers always send one.
            (None, None) => None,
        };
        // The names nearly every client uses are known by sight; parsing a host costs as much as parsing the request.
        let by_sight = |host: &str| self.usual.iter().any(|usual| usual == host);
        if self.loopback && host.is_some_and(|host| !by_sight(host) && !self.names_us(host)) {
            return Err(OriginRefused::Host);
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(None) };
        let text = origin.to_str().map_err(|_| OriginRefused::Origin)?;
        if self.origins.iter().any(|listed| listed == ANY) {
            return Ok(Some(origin));
        }
        let normal = normal_origin(text).ok_or(OriginRefused::Origin)?;
        if self.is_own(&normal, host) {
            Ok(None)
        } else if self.origins.contains(&normal) {
            Ok(Some(origin))
        } else {
            Err(OriginRefused::Origin)
        }
    }

    /// The answer to a browser that asks whether it may send a request for a page of a listed origin; `None` where
    /// this is no such question.
    #[must_use]
    pub fn preflight(
        method: &Method,
        headers: &HeaderMap,
        shared_with: Option<&HeaderValue>,
    ) -> Option<Response<Bytes>> {
        let origin = shared_with?;
        if *method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        share(answer, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(response)
    }

    fn names_us(&self, authority: &str) -> bool {
        let Some((host, _)) = split(authority) else { return false };
        is_loopback_name(&host) || self.hosts.iter().any(|listed| listed == ANY || *listed == plain(&host))
    }

    fn is_own(&self, origin: &str, host: Option<&str>) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let usual = if scheme == "https" { 443 } else { 80 };
        let Some((name, port)) = split(authority).map(|(name, port)| (name, port.unwrap_or(usual))) else {
            return false;
        };
        let as_addressed =
            host.and_then(split).is_some_and(|(host, p)| host == name && p.unwrap_or(usual) == port);
        as_addressed || (self.loopback && port == self.port && is_loopback_name(&name))
    }
}

/// Lets the page of `origin` read an answer.
pub fn share(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.append(VARY, HeaderValue::from_static("origin"));
    let exposed = HeaderValue::from_static("mcp-session-id, mcp-protocol-version, www-authenticate");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// An origin in the form they are compared in: lower case, without the scheme's usual port; `*` and `null` are kept.
/// `None` for what is no origin.
#[must_use]
pub fn normal_origin(text: &str) -> Option<String> {
    if text == ANY || text == "null" {
        return Some(text.to_owned());
    }
    let url = Url::parse(text).ok()?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let named = url.has_host() && url.username().is_empty() && url.password().is_none();
    if !bare || !named || url.cannot_be_a_base() {
        return None;
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", url.scheme(), url.host_str()?.to_ascii_lowercase()))
}

/// Host and port of an authority.
fn split(authority: &str) -> Option<(Host, Option<u16>)> {
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[bracket..].rfind(':') {
        Some(colon) => authority.split_at(bracket + colon),
        None => (authority, ""),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => Some(digits.parse().ok()?),
        None => None,
    };
    Some((Host::parse(host).ok()?, port))
}

fn is_loopback_name(host: &Host) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.to_canonical().is_loopback(),
    }
}

fn plain(host: &Host) -> String {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    }
}
