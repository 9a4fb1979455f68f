//! Paths taken apart, and tokens found.

use http::{Request as HttpRequest, header::AUTHORIZATION};

use super::{
    admit::place_token,
    target::{NoTarget, Target},
};

fn target(path: &str) -> (String, String, Vec<String>) {
    let target = Target::of(path).unwrap();
    let segments = target.segments();
    (target.slug, target.relative, segments)
}

#[test]
fn path_is_taken_apart_as_the_documents_show() {
    for (path, relative, segments) in [
        ("/plugins/my-mcp/", "/", vec![]),
        ("/plugins/my-mcp", "/", vec![]),
        ("/plugins/my-mcp/mcp", "/mcp", vec!["mcp"]),
        ("/plugins/my-mcp/users/123/profile", "/users/123/profile", vec!["users", "123", "profile"]),
        (
            "/plugins/my-mcp/.well-known/openid-configuration",
            "/.well-known/openid-configuration",
            vec![".well-known", "openid-configuration"],
        ),
        ("/plugins/my-mcp/a/", "/a/", vec!["a"]),
        ("/plugins/my-mcp/a//b", "/a//b", vec!["a", "", "b"]),
        ("/plugins/my-mcp/gr%C3%B6%C3%9Fe/a%20b", "/größe/a b", vec!["größe", "a b"]),
        ("/plugins/my-mcp/a%2Fb", "/a/b", vec!["a", "b"]),
    ] {
        let segments = segments.into_iter().map(str::to_owned).collect();
        assert_eq!(target(path), ("my-mcp".to_owned(), relative.to_owned(), segments), "{path}");
    }
}

#[test]
fn path_that_leads_out_of_a_plugins_own_is_refused() {
    for path in [
        "/plugins/x/..",
        "/plugins/x/../y",
        "/plugins/x/a/%2e%2e/b",
        "/plugins/../x",
        "/plugins/x/a%5C..%5Cb",
    ] {
        assert_eq!(Target::of(path), Err(NoTarget::Traversal), "{path}");
    }
    assert!(Target::of("/plugins/x/a..b/...").is_ok(), "a name may have dots");
    assert_eq!(Target::of("/plugins//x"), Err(NoTarget::NoSlug));
    for path in ["/plugins/x/%", "/plugins/x/%2", "/plugins/x/%zz", "/plugins/x/%ff"] {
        assert_eq!(Target::of(path), Err(NoTarget::Encoding), "{path}");
    }
}

/// What stands in `Authorization` once the token has been put there, and whether anything was changed.
fn placed(uri: &str, authorization: Option<&str>) -> (Option<String>, bool) {
    let mut request = HttpRequest::builder().uri(uri);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let changed = place_token(&mut parts).is_some();
    let value = parts.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    (value, changed)
}

#[test]
fn token_comes_in_the_header_or_in_the_query_and_the_header_wins() {
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    assert_eq!(placed("/p?token=abc", None), (bearer("abc"), true));
    assert_eq!(placed("/p?a=1&token=a%2Bb&token=c", None), (bearer("a+b"), true));
    assert_eq!(placed("/p?token=abc", Some("Bearer xyz")), (bearer("xyz"), false));
    assert_eq!(placed("/p", Some("xyz")), (bearer("xyz"), true), "without a scheme, as the documents allow");
    assert_eq!(placed("/p?token=abc", Some("Basic eHl6")), (Some("Basic eHl6".to_owned()), false));
    for without in ["/p", "/p?token=", "/p?tokens=abc", "/p?token=%0A"] {
        assert_eq!(placed(without, None).0, None, "{without}");
    }
}
