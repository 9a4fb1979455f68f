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
        monthly_budget: None,
        budget_reset_day: 1,
        rate_limit: None,
        token_limit: None,
        llms: None,
        tools: None,
        datasources: None,
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
    let shown = "Authenticator { open: false, tokens: 1, stored: Roster { apps: 0, tokens: 0 } }";
    assert_eq!(format!("{auth:?}"), shown);
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

fn stored_app(id: i64, name: &str) -> mortise_store::Stored<mortise_store::App> {
    let fields =
        mortise_store::App { owner: Some(format!("{name}@example.com")), ..mortise_store::App::new(name) };
    mortise_store::Stored { id, fields, created: String::new(), updated: String::new() }
}

fn stored_token(id: i64, app: i64, token: &str) -> mortise_store::Stored<mortise_store::Token> {
    let fields = mortise_store::Token {
        app,
        name: None,
        prefix: String::new(),
        scopes: vec!["read".to_owned()],
        expires: None,
        active: true,
        last_used: None,
        digest: TokenDigest::of(token.as_bytes()).to_hex(),
    };
    mortise_store::Stored { id, fields, created: String::new(), updated: String::new() }
}

#[test]
fn apps_of_storage_are_let_in_beside_those_of_the_configuration() {
    let roster = Roster::of(vec![stored_app(1, "kept")], vec![stored_token(7, 1, "t-kept")], false);
    let auth = Authenticator::new(Some(&[app("ci", &[("t1", None)])])).with_stored(roster);

    for (token, name) in [("t1", "ci"), ("t-kept", "kept")] {
        let grant = auth.grant_token(token.as_bytes()).unwrap();
        assert_eq!(grant.caller.app.as_deref(), Some(name));
    }
    let grant = auth.grant_token(b"t-kept").unwrap();
    assert_eq!((grant.caller.user.as_deref(), &*grant.caller.scopes[0]), (Some("kept@example.com"), "read"));
    assert_eq!(grant.app.as_ref().unwrap().id, Some(1));
    assert_eq!(auth.apps(), ["ci", "kept"]);
    assert_eq!(auth.credential(b"t-kept").unwrap().app, "kept");
    assert_eq!(auth.credential(b"t2"), None);
    let used = auth.stored().take_used();
    assert_eq!(used.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [7]);
    assert!(auth.stored().take_used().is_empty(), "told once");
}

#[test]
fn roster_that_was_changed_step_by_step_lets_in_whom_one_made_anew_does() {
    let inactive = |mut app: mortise_store::Stored<mortise_store::App>| {
        app.fields.active = false;
        app
    };
    let mut roster = Roster::default();
    assert!(!roster.guards());
    roster.put_app(1, Some(stored_app(1, "a")));
    roster.put_token(7, Some(stored_token(7, 1, "t7")));
    roster.put_token(8, Some(stored_token(8, 1, "t8")));
    roster.put_app(2, Some(stored_app(2, "b")));
    roster.put_token(9, Some(stored_token(9, 2, "t9")));
    roster.put_token(10, Some(stored_token(10, 99, "of nobody")));
    let lets_in = |roster: &Roster| {
        let auth = Authenticator::new(Some(&[])).with_stored(roster.clone());
        ["t7", "t8", "t9", "of nobody"].map(|token| auth.grant_token(token.as_bytes()).is_ok())
    };
    assert_eq!(lets_in(&roster), [true, true, true, false]);
    let before = roster.clone();

    roster.put_token(8, None);
    assert_eq!(lets_in(&roster), [true, false, true, false]);
    roster.put_app(1, Some(inactive(stored_app(1, "a"))));
    assert_eq!(lets_in(&roster), [false, false, true, false]);
    roster.put_app(1, Some(stored_app(1, "renamed")));
    assert_eq!(lets_in(&roster), [true, false, true, false]);
    assert!(roster.app("a").is_none() && roster.app("renamed").is_some());
    roster.put_app(2, None);
    assert_eq!(lets_in(&roster), [true, false, false, false]);
    roster.put_app(1, None);
    assert_eq!(lets_in(&roster), [false; 4]);
    assert!(roster.guards(), "that the last app is gone opens nothing");
    assert_eq!(lets_in(&before), [true, true, true, false], "what a request has taken stays as it is");
}

#[test]
fn without_apps_anywhere_everyone_is_let_in_until_storage_has_had_one() {
    let open = Authenticator::new(None);
    assert!(open.is_open());
    assert!(!open.with_stored(Roster::default().guarding()).is_open());
    let mut roster = Roster::default();
    roster.put_app(1, Some(stored_app(1, "a")));
    let guarded = open.with_stored(roster);
    assert_eq!(guarded.grant(&HeaderMap::new()).unwrap_err(), Unauthorized::Missing);
}

#[test]
fn one_change_among_many_tokens_copies_little() {
    let many = 20_000;
    let apps = (1..=many).map(|id| stored_app(id, &format!("app {id}"))).collect();
    let tokens = (1..=many).map(|id| stored_token(id, id, &format!("token {id}"))).collect();
    let roster = Roster::of(apps, tokens, false);
    let begun = std::time::Instant::now();
    let mut changed = roster.clone();
    for id in 1..=200 {
        changed.put_token(id, None);
    }
    assert_eq!((roster.len(), changed.len()), (20_000, 19_800));
    // A copy of the whole for each change takes more than a minute here.
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}
