//! Look-up and slugs.

use std::sync::Arc;

use mortise_plugin_api::EndpointMethod::{self, Delete, Get, Head, Post};

use super::*;

fn registration(path: &str, methods: &[EndpointMethod]) -> EndpointRegistration {
    EndpointRegistration::new(path, methods.iter().copied())
}

fn table(registrations: &[(&str, &[EndpointMethod])]) -> Table {
    let all = registrations.iter().map(|(path, methods)| registration(path, methods));
    Table::new("plugin", all.collect::<Vec<_>>().into())
}

fn at(table: &Table, method: EndpointMethod, path: &str) -> Option<usize> {
    table.find(method, path).registration().map(|(at, _)| at)
}

#[test]
fn exact_path_goes_before_wildcard_and_the_longer_wildcard_before_the_shorter() {
    let table = table(&[("/*", &[Get]), ("/users/*", &[Get]), ("/users/me", &[Get])]);
    for (path, expected) in [
        ("/users/me", 2),
        ("/users/me/", 1),
        ("/users/7/profile", 1),
        ("/users/", 1),
        ("/users", 0),
        ("/", 0),
        ("/other", 0),
    ] {
        assert_eq!(at(&table, Get, path), Some(expected), "{path}");
    }
}

#[test]
fn method_that_an_exact_path_does_not_have_is_left_to_a_wildcard() {
    let table = table(&[("/token", &[Post]), ("/*", &[Get])]);
    assert_eq!(at(&table, Post, "/token"), Some(0));
    assert_eq!(at(&table, Get, "/token"), Some(1));
    assert_eq!(at(&table, Delete, "/token"), None);
    assert_eq!(at(&table, Head, "/token"), None, "no method comes with another");
    assert_eq!(table.methods("/token"), [Get, Post]);
}

#[test]
fn later_registration_of_a_path_and_method_counts() {
    let table = table(&[("/a", &[Get, Post]), ("/a", &[Get])]);
    assert_eq!((at(&table, Get, "/a"), at(&table, Post, "/a")), (Some(1), Some(0)));
}

#[test]
fn registrations_that_mean_nothing_are_left_out() {
    let table = table(&[("a", &[Get]), ("/a/../b", &[Get]), ("/c", &[]), ("", &[Get])]);
    for path in ["a", "/a", "/a/../b", "/b", "/c", "", "/"] {
        assert_eq!(at(&table, Get, path), None, "{path}");
    }
}

#[test]
fn slugs_are_one_segment_of_a_path_and_none_of_the_gateways_own() {
    for slug in ["my-mcp", "oidc", "v1.2", "A_b~c", "stats2", "0"] {
        assert!(is_slug(slug), "{slug}");
    }
    let long = "x".repeat(129);
    for wrong in
        ["", "a/b", ".well-known", "-a", "größe", "a b", "a%2f", "stats", "reload", "openapi.json", &long]
    {
        assert!(!is_slug(wrong), "{wrong}");
    }
}

fn entry(name: &str, offers: bool, slug: Option<&str>) -> PluginEntry {
    let mut entry = PluginEntry::new(name, "process");
    if offers {
        entry.offers.push(crate::config::OfferName::CustomEndpoint);
    }
    let config = slug.map(|slug| ("slug".to_owned(), slug.into()));
    entry.with_config(config.into_iter().collect())
}

fn checked(entries: &[PluginEntry]) -> Vec<String> {
    let mut claims = Claims::default();
    let checked = entries.iter().map(|entry| check(entry, || true, &mut claims));
    let told = checked.filter_map(|found| match found {
        Ok(word) => word.map(|word| word.message.to_string()),
        Err(error) => Some(error.message.to_string()),
    });
    told.collect()
}

#[test]
fn two_plugins_with_one_slug_are_an_error_and_a_disabled_one_claims_none() {
    let two = [entry("a", true, Some("x")), entry("b", true, Some("x"))];
    assert_eq!(checked(&two), ["two plugins have the slug `x`"]);
    let unsaid = [entry("a", true, Some("x")), entry("b", false, Some("x"))];
    assert!(
        checked(&unsaid)[0].contains("the first serves there"),
        "only its program knows whether it has any"
    );
    let mut off = entry("b", true, Some("x"));
    off.mode = Mode::Disabled;
    assert!(checked(&[entry("a", true, Some("x")), off]).is_empty());
}

#[test]
fn entry_without_slug_is_told_what_the_documents_say() {
    let told = checked(&[entry("a", true, None)]);
    assert!(told[0].starts_with("Plugin has endpoint registrations but no 'slug' in config"), "{told:?}");
    assert!(checked(&[entry("a", false, None)]).is_empty(), "only its program knows whether it has any");
    assert_eq!(checked(&[entry("a", true, Some("stats"))]), ["this slug is the gateway's own"]);
    assert_eq!(checked(&[entry("a", true, Some("a/b"))]), ["this cannot be a slug"]);
}

#[test]
fn table_is_sorted_again_only_when_the_plugin_gives_out_another_list() {
    let registrations: Arc<[_]> = Arc::new([registration("/a", &[Get])]);
    let table = Table::new("plugin", registrations.clone());
    assert!(Arc::ptr_eq(table.registrations(), &registrations));
}
