use std::collections::BTreeSet;

use http::{HeaderMap, Method, Uri};

use super::*;
use crate::config::{Listen, Token};

fn app(name: &str, tokens: &[(&str, Option<&str>)]) -> App {
    App {
        name: name.to_owned(),
        tokens: tokens
            .iter()
            .map(|(token, end)| Token {
                digest: TokenDigest::of(token.as_bytes()),
                scopes: vec!["tools".to_owned()],
                expires: end.map(|end| end.parse().unwrap()),
            })
            .collect(),
        user: Some("ci@example.com".to_owned()),
        full_name: None,
        tenant: Some("acme".to_owned()),
        teams: vec!["platform".to_owned()],
        is_admin: false,
        metadata: serde_json::Map::new(),
        llms: None,
        servers: None,
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn a_token_of_either_header_gives_its_apps_caller() {
    let auth = Authenticator::new(Some(&[app("ci", &[("t1", None)]), app("other", &[("t2", None)])]));
    for pairs in [("authorization", "Bearer t1"), ("authorization", "bEaReR  t1 "), ("x-api-key", "t1")] {
        let caller = auth.authenticate(&headers(&[pairs])).unwrap();
        assert_eq!(caller.app.as_deref(), Some("ci"));
        assert_eq!(caller.user.as_deref(), Some("ci@example.com"));
        assert_eq!(caller.tenant.as_deref(), Some("acme"));
        assert_eq!((&*caller.teams[0], &*caller.scopes[0]), ("platform", "tools"));
    }
}

#[test]
fn what_is_no_known_token_is_refused_with_a_challenge() {
    let auth = Authenticator::new(Some(&[app("ci", &[("t1", None)])]));
    let long = "x".repeat(10_000);
    for (pairs, expected) in [
        (vec![], Unauthorized::Missing),
        (vec![("authorization", "Basic t1")], Unauthorized::Missing),
        (vec![("authorization", "Bearer ")], Unauthorized::Missing),
        (vec![("authorization", "Bearer t2")], Unauthorized::Unknown),
        (vec![("x-api-key", &*long)], Unauthorized::Unknown),
    ] {
        assert_eq!(auth.grant(&headers(&pairs)).unwrap_err(), expected, "{pairs:?}");
        let response = expected.response();
        assert_eq!(response.status(), 401);
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        assert!(serde_json::from_slice::<serde_json::Value>(response.body()).unwrap()["detail"].is_string());
    }
}

#[test]
fn a_token_ends_when_it_says() {
    let past = [("old", Some("2020-01-01T00:00:00Z")), ("new", Some("2999-01-01T00:00:00Z"))];
    let auth = Authenticator::new(Some(&[app("ci", &past)]));
    assert_eq!(auth.grant(&headers(&[("x-api-key", "old")])).unwrap_err(), Unauthorized::Expired);
    assert!(auth.grant(&headers(&[("x-api-key", "new")])).is_ok());
}

#[test]
fn without_apps_everyone_is_the_same_anonymous_caller_and_with_none_nobody_is_let_in() {
    let open = Authenticator::new(None);
    let (one, two) = (open.authenticate(&headers(&[])).unwrap(), open.authenticate(&headers(&[])).unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(*one, Caller::default());
    let closed = Authenticator::new(Some(&[]));
    assert_eq!(closed.grant(&headers(&[("x-api-key", "x")])).unwrap_err(), Unauthorized::Unknown);
}

#[test]
fn an_app_with_listed_servers_has_these_and_not_everything() {
    let mut listed = app("ci", &[("t", None)]);
    listed.servers = Some(BTreeSet::from(["support".to_owned()]));
    let auth = Authenticator::new(Some(&[listed, app("free", &[("f", None)])]));
    let grant = auth.grant(&headers(&[("x-api-key", "t")])).unwrap();
    assert!(grant.may_use_server(Some("support")));
    assert!(!grant.may_use_server(Some("billing")) && !grant.may_use_server(None));
    assert!(auth.grant(&headers(&[("x-api-key", "f")])).unwrap().may_use_server(None));
}

#[test]
fn debug_output_holds_no_tokens() {
    let auth = Authenticator::new(Some(&[app("ci", &[("hunter2", None)])]));
    assert_eq!(format!("{auth:?}"), "Authenticator { open: false, tokens: 1 }");
}

fn check(address: &str, origins: &[&str], hosts: &[&str]) -> OriginCheck {
    let listen = Listen {
        address: address.parse().unwrap(),
        tls: None,
        trusted_proxies: vec![],
        allowed_origins: origins.iter().map(|o| normal_origin(o).unwrap()).collect(),
        allowed_hosts: hosts.iter().map(ToString::to_string).collect(),
        max_body_bytes: 1,
        max_connections: 1,
        idle_timeout: std::time::Duration::ZERO,
        drain_timeout: std::time::Duration::ZERO,
        workers: 1,
    };
    OriginCheck::new(&listen, listen.address.port())
}

fn verdict(check: &OriginCheck, host: &str, origin: Option<&str>) -> Result<bool, OriginRefused> {
    let mut headers = headers(&[("host", host)]);
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse().unwrap());
    }
    check.check(&Uri::from_static("/mcp"), &headers).map(|shared| shared.is_some())
}

#[test]
fn on_loopback_only_loopback_names_and_listed_ones_are_served() {
    let check = check("127.0.0.1:8081", &[], &["gw.example.com"]);
    for host in
        ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:9", "app.localhost:8081", "gw.example.com"]
    {
        assert_eq!(verdict(&check, host, None), Ok(false), "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example:8081", "127.0.0.1.evil.example", "", "a b", "10.0.0.1"]
    {
        assert_eq!(verdict(&check, host, None), Err(OriginRefused::Host), "{host}");
    }
}

#[test]
fn the_authority_of_http2_counts_as_host() {
    let check = check("127.0.0.1:8081", &[], &[]);
    let uri = Uri::from_static("http://evil.example/mcp");
    assert_eq!(check.check(&uri, &HeaderMap::new()), Err(OriginRefused::Host));
}

#[test]
fn pages_of_the_own_origin_are_served_and_others_are_not() {
    let check = check("127.0.0.1:8081", &[], &[]);
    for own in
        ["http://127.0.0.1:8081", "http://localhost:8081", "http://[::1]:8081", "https://localhost:8081"]
    {
        assert_eq!(verdict(&check, "localhost:8081", Some(own)), Ok(false), "{own}");
    }
    for other in ["http://localhost:3000", "http://localhost", "https://evil.example", "null", "nonsense", ""]
    {
        assert_eq!(verdict(&check, "localhost:8081", Some(other)), Err(OriginRefused::Origin), "{other}");
    }
}

#[test]
fn elsewhere_the_own_origin_is_what_the_request_is_addressed_to() {
    let check = check("0.0.0.0:8081", &[], &[]);
    assert_eq!(verdict(&check, "gw.example.com", Some("https://gw.example.com")), Ok(false));
    assert_eq!(verdict(&check, "gw.example.com:8081", Some("http://gw.example.com:8081")), Ok(false));
    assert_eq!(verdict(&check, "gw.example.com", Some("https://evil.example")), Err(OriginRefused::Origin));
    assert_eq!(verdict(&check, "gw.example.com", Some("http://localhost:8081")), Err(OriginRefused::Origin));
}

#[test]
fn listed_origins_are_served_and_their_answers_shared() {
    let listed = check("127.0.0.1:8081", &["https://App.Example.com:443/", "null"], &[]);
    for origin in ["https://app.example.com", "null"] {
        assert_eq!(verdict(&listed, "localhost", Some(origin)), Ok(true), "{origin}");
    }
    assert_eq!(
        verdict(&check("127.0.0.1:1", &["*"], &[]), "localhost", Some("https://any.example")),
        Ok(true)
    );
    let asked =
        headers(&[("access-control-request-method", "POST"), ("access-control-request-headers", "x-a")]);
    let origin = HeaderValue::from_static("https://app.example.com");
    let answer = OriginCheck::preflight(&Method::OPTIONS, &asked, Some(&origin)).unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], origin);
    assert_eq!(answer.headers()["access-control-allow-headers"], "x-a");
    assert!(OriginCheck::preflight(&Method::OPTIONS, &asked, None).is_none());
}
