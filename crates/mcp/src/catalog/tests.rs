use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn raw(text: &str) -> Raw {
    Raw::parse(text.to_owned()).unwrap()
}

fn items(names: &[&str]) -> Vec<Item> {
    names
        .iter()
        .map(|name| Item {
            name: (*name).into(),
            raw: raw(&format!(r#"{{"x":1.0, "name":"{name}" ,"big":123456789012345678901}}"#)),
        })
        .collect()
}

fn build(offers: &[(&str, &[&str])], names: &mut NameTable) -> Catalog {
    let all: Vec<_> = offers.iter().map(|(upstream, tools)| (*upstream, items(tools))).collect();
    let offers: Vec<_> = all.iter().map(|(upstream, items)| Offer { upstream, items }).collect();
    Catalog::build(Kind::Tools, &offers, names)
}

fn exposed(catalog: &Catalog) -> Vec<&str> {
    catalog.entries().iter().map(|entry| &*entry.exposed).collect()
}

fn target<'a>(catalog: &'a Catalog, name: &str) -> Option<(usize, &'a str)> {
    catalog.find(name).map(|entry| (entry.upstream, &*entry.original))
}

#[test]
fn first_in_file_order_keeps_the_name_and_qualified_names_always_work() {
    let catalog = build(&[("a", &["x", "y"]), ("b", &["x", "z"])], &mut NameTable::default());
    assert_eq!(exposed(&catalog), ["x", "y", "b-x", "z"]);
    assert_eq!(target(&catalog, "x"), Some((0, "x")));
    assert_eq!(target(&catalog, "b-x"), Some((1, "x")));
    assert_eq!(target(&catalog, "a-x"), Some((0, "x")));
    assert_eq!(target(&catalog, "b-z"), Some((1, "z")));
    assert_eq!(target(&catalog, "c-x"), None);
}

#[test]
fn renamed_item_keeps_all_else_byte_for_byte() {
    let catalog = build(&[("a", &["x"]), ("b", &["x"])], &mut NameTable::default());
    assert_eq!(
        catalog.find("b-x").unwrap().raw.as_str(),
        r#"{"x":1.0, "name":"b-x" ,"big":123456789012345678901}"#
    );
}

#[test]
fn adding_an_upstream_in_front_renames_nothing() {
    let mut names = NameTable::default();
    build(&[("a", &["x"]), ("b", &["y"])], &mut names);
    assert!(names.take_changed());
    let text = serde_json::to_string(&names).unwrap();
    assert_eq!(text, r#"{"a":{"x":{"name":"x"}},"b":{"y":{"name":"y"}}}"#);
    let mut names: NameTable = serde_json::from_str(&text).unwrap();
    let catalog = build(&[("new", &["x", "y", "b-y"]), ("a", &["x"]), ("b", &["y"])], &mut names);
    assert_eq!(exposed(&catalog), ["new-x", "new-y", "new-b-y", "x", "y"]);
    assert_eq!(target(&catalog, "b-y"), Some((2, "y")), "a newcomer takes over no qualified name");
}

#[test]
fn name_of_an_upstream_that_is_away_stays_reserved() {
    let mut names = NameTable::default();
    build(&[("a", &["x"])], &mut names);
    let catalog = build(&[("a", &[]), ("b", &["x"])], &mut names);
    assert_eq!(exposed(&catalog), ["b-x"]);
    names.forget("a");
    let catalog = build(&[("b", &["x"]), ("c", &["x"])], &mut names);
    assert_eq!(exposed(&catalog), ["b-x", "x"]);
}

#[test]
fn qualified_name_that_is_a_plain_one_gets_a_number() {
    let mut names = NameTable::default();
    let offers: &[(&str, &[&str])] = &[("a", &["x", "b-x"]), ("b", &["x"])];
    let catalog = build(offers, &mut names);
    assert_eq!(exposed(&catalog), ["x", "b-x", "b-x-2"]);
    assert_eq!(target(&catalog, "b-x"), Some((0, "b-x")));
    assert_eq!(target(&catalog, "b-x-2"), Some((1, "x")));
    let mut again: NameTable = serde_json::from_str(&serde_json::to_string(&names).unwrap()).unwrap();
    assert_eq!(exposed(&build(offers, &mut again)), ["x", "b-x", "b-x-2"]);
    assert!(!again.take_changed());
}

#[test]
fn two_qualified_names_that_read_the_same_are_told_apart() {
    let catalog = build(&[("a", &["b-c"]), ("a-b", &["c"])], &mut NameTable::default());
    assert_eq!(target(&catalog, "a-b-c"), Some((0, "b-c")));
    assert_eq!(target(&catalog, "a-b-c-2"), Some((1, "c")));
}

#[test]
fn tool_listed_twice_by_one_upstream_is_offered_once() {
    let mut names = NameTable::default();
    for _ in 0..2 {
        assert_eq!(exposed(&build(&[("a", &["x", "x", "y"])], &mut names)), ["x", "y"]);
    }
}

#[test]
fn table_that_gives_a_name_twice_is_mended() {
    let mut names: NameTable = serde_json::from_str(
        r#"{"a":{"x":{"name":"n"}},"b":{"x":{"name":"n"},"y":{"name":"y","qualified":"n"}}}"#,
    )
    .unwrap();
    let catalog = build(&[("a", &["x"]), ("b", &["x", "y"])], &mut names);
    assert_eq!(exposed(&catalog), ["n", "x", "y"]);
    assert_eq!(target(&catalog, "n"), Some((0, "x")));
    assert_eq!(target(&catalog, "n-2"), Some((1, "y")));
}

#[test]
fn names_made_up_without_end_do_not_fill_the_table() {
    let mut names = NameTable::default();
    for round in 0..3 {
        let made_up: Vec<String> = (0..15_000).map(|n| format!("t{round}-{n}")).collect();
        let made_up: Vec<&str> = made_up.iter().map(String::as_str).collect();
        build(&[("a", &made_up)], &mut names);
    }
    let kept: serde_json::Value = serde_json::to_value(&names).unwrap();
    assert!(kept["a"].as_object().unwrap().len() <= 20_000);
}

#[test]
fn page_of_an_upstream_is_read_and_bad_items_are_counted() {
    let result = raw(
        r#"{"tools":[{"name":"a"}, {"title":"no name"}, 5, {"name":"b","name":"c"}, {"na\u006de":"d"}, {"name":""}],"nextCursor":"n"}"#,
    );
    let page = Page::parse(Kind::Tools, &result).unwrap();
    assert_eq!(page.items.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["a", "d"]);
    assert_eq!((page.skipped, page.next_cursor.as_deref()), (4, Some("n")));
    assert_eq!(page.items[1].raw.as_str(), r#"{"na\u006de":"d"}"#);
    for text in ["[]", "{}", r#"{"tools":{}}"#, r#"{"tools":[],"nextCursor":5}"#] {
        assert!(Page::parse(Kind::Tools, &raw(text)).is_err(), "{text}");
    }
}

fn resources(kind: Kind, uris: &[&str]) -> Vec<Item> {
    let list: Vec<String> =
        uris.iter().map(|uri| format!(r#"{{"{}":"{uri}"}}"#, kind.key_member())).collect();
    let result = raw(&format!(r#"{{"{}":[{}]}}"#, kind.list_member(), list.join(",")));
    Page::parse(kind, &result).unwrap().items
}

#[test]
fn resource_offered_twice_belongs_to_the_first() {
    let (a, b) = (resources(Kind::Resources, &["u:1", "u:2"]), resources(Kind::Resources, &["u:2", "u:3"]));
    let offers = [Offer { upstream: "a", items: &a }, Offer { upstream: "b", items: &b }];
    let mut names = NameTable::default();
    let catalog = Catalog::build(Kind::Resources, &offers, &mut names);
    assert_eq!(exposed(&catalog), ["u:1", "u:2", "u:3"]);
    assert_eq!(target(&catalog, "u:2"), Some((0, "u:2")));
    assert!(!names.take_changed());
}

#[test]
fn template_that_spells_out_most_of_a_uri_wins() {
    let a = resources(Kind::ResourceTemplates, &["file:///{+path}", "db://{table}"]);
    let b = resources(Kind::ResourceTemplates, &["file:///logs/{name}.txt"]);
    let offers = [Offer { upstream: "a", items: &a }, Offer { upstream: "b", items: &b }];
    let catalog = Arc::new(Catalog::build(Kind::ResourceTemplates, &offers, &mut NameTable::default()));
    let view = View::new(catalog, &Filter::default(), 0);
    let of = |uri| view.find_template(uri).map(|entry| entry.upstream);
    assert_eq!(of("file:///logs/x.txt"), Some(1));
    assert_eq!(of("file:///logs/y/x.txt"), Some(0));
    assert_eq!(of("db://a"), Some(0));
    assert_eq!(of("db://a/b"), None);
    assert_eq!(of(""), None);
}

#[test]
fn template_matching_takes_odd_templates() {
    assert_eq!(template_matches("", ""), Some(0));
    assert_eq!(template_matches("{", "{"), Some(1));
    assert_eq!(template_matches("a{x", "a{x"), Some(3));
    assert_eq!(template_matches("a{x}{y}b{?q,r}", "a12b?q=1&r=/"), Some(2));
    assert_eq!(template_matches("ä{x}ö", "äüö"), Some(4));
    assert_eq!(template_matches("a{x}c", "abd"), None);
}

fn view(filter: &Filter, page_size: usize) -> View {
    let catalog = build(&[("a", &["x", "y"]), ("b", &["x", "z"])], &mut NameTable::default());
    View::new(Arc::new(catalog), filter, page_size)
}

fn set(names: &[&str]) -> Option<HashSet<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn view_shows_and_finds_what_its_filter_lets_through() {
    let shown = |filter: &Filter| {
        let view = view(filter, 0);
        view.entries().map(|entry| entry.exposed.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown(&Filter::default()), "x y b-x z");
    assert_eq!(shown(&Filter { upstreams: Some([1].into()), allowed: None }), "b-x z");
    assert_eq!(shown(&Filter { upstreams: None, allowed: set(&["x"]) }), "x b-x", "original names count");
    assert_eq!(shown(&Filter { upstreams: None, allowed: set(&["a-x", "z"]) }), "x z");
    assert_eq!(shown(&Filter { upstreams: Some([1].into()), allowed: set(&["x", "y"]) }), "b-x");
    assert_eq!(shown(&Filter { upstreams: None, allowed: set(&[]) }), "");
    let narrow = view(&Filter { upstreams: Some([1].into()), allowed: None }, 0);
    assert!(narrow.find("x").is_none() && narrow.find("a-x").is_none());
    assert!(narrow.find("b-x").is_some() && narrow.find("b-z").is_some());
    let none = view(&Filter { upstreams: None, allowed: set(&[]) }, 2);
    assert_eq!(none.page(None).unwrap().as_str(), r#"{"tools":[]}"#);
}

#[test]
fn pages_lead_through_the_whole_list() {
    for page_size in 0..6 {
        let view = view(&Filter::default(), page_size);
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = Page::parse(Kind::Tools, view.page(cursor.as_deref()).unwrap()).unwrap();
            assert!(page_size == 0 || page.items.len() <= page_size);
            found.extend(page.items.iter().map(|item| item.name.to_string()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, ["x", "y", "b-x", "z"], "pages of {page_size}");
    }
}

#[test]
fn cursor_of_nobody_is_refused() {
    for page_size in [0, 3] {
        let view = view(&Filter::default(), page_size);
        for cursor in ["", "m", "m1", "m9", "m03", "M3", "3", "mffffffffffffffffffff", "m+3"] {
            assert_eq!(view.page(Some(cursor)), Err(InvalidCursor), "{cursor}");
        }
    }
}

#[test]
fn pages_can_be_kept_in_another_form() {
    let view = view(&Filter::default(), 0).map_pages(|_| raw("{}"));
    assert_eq!(view.page(None).unwrap().as_str(), "{}");
    assert!(view.find("x").is_some());
}

proptest! {
    #[test]
    fn names_are_unique_and_never_change(rounds in prop::collection::vec(prop::collection::vec(prop::collection::vec("[ab-]{1,3}", 0..5), 3), 1..5), order in prop::collection::vec(0_usize..3, 5)) {
        let upstreams = ["a", "a-b", "b"];
        let mut names = NameTable::default();
        let mut known: HashMap<(String, String), (String, String)> = HashMap::new();
        for (round, tools) in rounds.iter().enumerate() {
            let mut offers: Vec<(&str, Vec<&str>)> = tools.iter().zip(upstreams).map(|(tools, name)| (name, tools.iter().map(String::as_str).collect())).collect();
            offers.rotate_left(order[round]);
            let borrowed: Vec<(&str, &[&str])> = offers.iter().map(|(name, tools)| (*name, &**tools)).collect();
            let catalog = build(&borrowed, &mut names);
            let mut taken: HashMap<Arc<str>, usize> = HashMap::new();
            for (at, entry) in catalog.entries().iter().enumerate() {
                for name in [&entry.exposed, &entry.qualified] {
                    prop_assert_eq!(*taken.entry(name.clone()).or_insert(at), at, "{} is given twice", name);
                    prop_assert_eq!(target(&catalog, name), Some((entry.upstream, &*entry.original)));
                }
                let key = (offers[entry.upstream].0.to_owned(), entry.original.to_string());
                let given = (entry.exposed.to_string(), entry.qualified.to_string());
                prop_assert_eq!(known.entry(key).or_insert_with(|| given.clone()), &given);
            }
            let text = serde_json::to_string(&names).unwrap();
            names = serde_json::from_str(&text).unwrap();
        }
    }
}
