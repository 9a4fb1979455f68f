//! The cases, each with a database of its own.

use std::collections::BTreeSet;

use mortise_store::{
    App, Change, Day, Filter, Kind, Llm, Page, Plugin, Price, Record, Spent, Store, StoreError, Token, Usage,
    What,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use super::Database;

fn token(app: i64, seed: u8) -> Token {
    Token {
        app,
        name: Some(format!("token {seed}")),
        prefix: "mrt_abc".to_owned(),
        scopes: vec!["read".to_owned()],
        expires: Some("2027-01-31T00:00:00Z".to_owned()),
        active: true,
        last_used: None,
        digest: format!("{seed:064x}"),
    }
}

pub(crate) async fn entities_are_kept_over_closing_and_opening(database: Database) {
    let app = App { owner: Some("é@example.com".to_owned()), ..App::new("ci") };
    let made = database.store.apps().create(app.clone()).await.unwrap();
    database.store.close().await;

    let again = Store::open(&database.place).await.unwrap();

    let read = again.apps().get(made.id).await.unwrap().unwrap();
    assert_eq!(read, made);
    assert_eq!(read.fields, app);
    assert_eq!(again.apps().get(made.id + 1).await.unwrap(), None);
    again.close().await;
}

pub(crate) async fn names_are_taken_once(database: Database) {
    let apps = database.store.apps();
    let first = apps.create(App::new("ci")).await.unwrap();
    let second = apps.create(App::new("cd")).await.unwrap();

    let twice = apps.create(App::new("ci")).await.unwrap_err();
    let renamed = apps.replace(second.id, App::new("ci")).await.unwrap_err();

    for error in [twice, renamed] {
        assert_eq!(error.to_string(), "another app has this name already");
        assert!(error.is_the_askers());
    }
    apps.replace(first.id, App { active: false, ..App::new("ci") }).await.unwrap();
    let llms = database.store.llms();
    llms.create(Llm::new("GPT 4", "openai")).await.unwrap();
    let same_slug = llms.create(Llm::new("gpt-4", "openai")).await.unwrap_err();
    assert!(same_slug.to_string().contains("slug"), "{same_slug}");
}

pub(crate) async fn tokens_belong_to_an_app_and_go_with_it(database: Database) {
    let (apps, tokens) = (database.store.apps(), database.store.tokens());
    let app = apps.create(App::new("ci")).await.unwrap().id;
    let other = apps.create(App::new("cd")).await.unwrap().id;
    let made = tokens.create(token(app, 1)).await.unwrap();
    tokens.create(token(other, 2)).await.unwrap();

    assert!(matches!(tokens.create(token(99, 3)).await, Err(StoreError::Unfit { field: "app", .. })));
    assert!(matches!(tokens.create(token(app, 1)).await, Err(StoreError::Taken { .. })));
    let read = tokens.get(made.id).await.unwrap().unwrap();
    assert_eq!(read.fields.digest, token(app, 1).digest);
    let shown = serde_json::to_string(&read).unwrap();
    assert!(!shown.contains(&read.fields.digest), "{shown}");
    assert_eq!(tokens.list(&Filter::new().app(app), Page::default()).await.unwrap().total, 1);

    apps.delete(app).await.unwrap();

    let left = tokens.all(&Filter::new()).await.unwrap();
    assert_eq!(left.iter().map(|token| token.fields.app).collect::<Vec<_>>(), [other]);
    assert!(matches!(apps.delete(app).await, Err(StoreError::Missing { what: "app", .. })));
}

pub(crate) async fn last_use_is_noted_and_no_change(database: Database) {
    let app = database.store.apps().create(App::new("ci")).await.unwrap().id;
    let made = database.store.tokens().create(token(app, 1)).await.unwrap();
    let before = database.store.revision().await.unwrap();

    database.store.tokens().used(&[(made.id, 60_000), (99, 5)]).await.unwrap();
    database.store.tokens().used(&[(made.id, 30_000)]).await.unwrap();

    let read = database.store.tokens().get(made.id).await.unwrap().unwrap();
    assert_eq!(read.fields.last_used.as_deref(), Some("1970-01-01T00:01:00Z"));
    assert_eq!(database.store.revision().await.unwrap(), before);
}

pub(crate) async fn changes_are_told_once_and_in_order(database: Database) {
    let store = &database.store;
    assert_eq!(store.revision().await.unwrap(), 0);
    let app = store.apps().create(App::new("ci")).await.unwrap().id;
    let token = store.tokens().create(token(app, 1)).await.unwrap().id;
    let first = store.changes_since(0).await.unwrap();
    let changed = [Change { what: What::App, id: app }, Change { what: What::Token, id: token }];
    assert_eq!(first.changed.as_deref(), Some(&changed[..]));

    store.apps().replace(app, App { active: false, ..App::new("ci") }).await.unwrap();
    store.apps().replace(app, App::new("ci")).await.unwrap();
    store.tokens().delete(token).await.unwrap();

    let second = store.changes_since(first.revision).await.unwrap();
    assert_eq!(second.changed.as_deref(), Some(&changed[..]), "each once, the last change counts");
    let third = store.changes_since(second.revision).await.unwrap();
    assert_eq!(third.changed.as_deref(), Some(&[][..]));
    assert_eq!(store.changes_since(second.revision + 50).await.unwrap().changed, None);
    store.forget_changes().await.unwrap();
    assert_eq!(store.revision().await.unwrap(), second.revision, "only old ones are let go");
}

pub(crate) async fn another_gateway_sees_the_same(database: Database) {
    let other = Store::open(&database.place).await.unwrap();
    let seen = other.revision().await.unwrap();

    let app = database.store.apps().create(App::new("ci")).await.unwrap();

    let changes = other.changes_since(seen).await.unwrap();
    assert_eq!(changes.changed, Some(vec![Change { what: What::App, id: app.id }]));
    assert_eq!(other.apps().get(app.id).await.unwrap().unwrap(), app);
    other.close().await;
}

pub(crate) async fn every_kind_of_entity_comes_back_as_it_was(database: Database) {
    let store = &database.store;
    let plugin = Plugin {
        slug: Some("echo".to_owned()),
        hook_types: vec!["pre_auth".to_owned(), "on_response".to_owned()],
        config: json!({ "depth": 3, "text": "ü\u{0}" }).as_object().unwrap().clone(),
        ..Plugin::new("echo", vec!["file:///opt/echo".to_owned(), "--loud".to_owned()])
    };
    let made = store.plugins().create(plugin.clone()).await.unwrap();
    assert_eq!(store.plugins().get(made.id).await.unwrap().unwrap().fields, plugin);
    let llm = Llm {
        api_key: Some("${OPENAI_API_KEY}".to_owned()),
        models: Some(vec!["gpt-*".to_owned()]),
        plugins: vec!["echo".to_owned()],
        ..Llm::new("gpt", "openai")
    };
    let made = store.llms().create(llm.clone()).await.unwrap();
    assert_eq!(store.llms().get(made.id).await.unwrap().unwrap().fields, llm);
    let price = Price {
        vendor: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        input: 0.000_002_5,
        output: 0.000_01,
        cache_read: Some(0.000_001_25),
        cache_write: None,
        currency: "USD".to_owned(),
        valid_from: Some("2026-11-01".to_owned()),
    };
    let made = store.prices().create(price.clone()).await.unwrap();
    assert_eq!(store.prices().get(made.id).await.unwrap().unwrap().fields, price);
    let same_day = store.prices().create(Price { input: 1.0, ..price.clone() }).await.unwrap_err();
    assert!(matches!(same_day, StoreError::Taken { what: "price", .. }), "{same_day}");
    let later = Price { valid_from: Some("2026-12-01".to_owned()), ..price };
    store.prices().create(later).await.unwrap();
}

pub(crate) async fn what_is_wrong_is_refused_with_its_field(database: Database) {
    let store = &database.store;
    for (app, field) in [
        (App::new(""), "name"),
        (App::new(" ci"), "name"),
        (App::new("c\ni"), "name"),
        (App { budget_reset_day: 31, ..App::new("a") }, "budget_reset_day"),
        (App { monthly_budget: Some(-1.0), ..App::new("a") }, "monthly_budget"),
        (App { description: Some("x".repeat(5_000)), ..App::new("a") }, "description"),
    ] {
        let refused = store.apps().create(app).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unfit { field: found, .. } if found == field), "{refused}");
    }
    let key = Llm { api_key: Some("sk-live-secret".to_owned()), ..Llm::new("gpt", "openai") };
    let refused = store.llms().create(key).await.unwrap_err().to_string();
    assert!(refused.contains("`api_key`") && !refused.contains("secret"), "{refused}");
    let numbered = store.plugins().create(Plugin::new("17", Vec::new())).await.unwrap_err();
    assert!(matches!(numbered, StoreError::Unfit { field: "name", .. }));
    assert_eq!(store.revision().await.unwrap(), 0, "what was refused is no change");
}

pub(crate) async fn all_of_a_batch_or_none(database: Database) {
    let batch = vec![App::new("a"), App::new("b"), App::new("a")];

    assert!(matches!(database.store.apps().create_all(batch).await, Err(StoreError::Taken { .. })));

    assert_eq!(database.store.apps().list(&Filter::new(), Page::default()).await.unwrap().total, 0);
    assert_eq!(database.store.revision().await.unwrap(), 0);
}

pub(crate) async fn pages_and_filters_are_those_of_a_list_in_memory(database: Database) {
    const LETTERS: &str = "[a-bA-B%_!Éé ]{1,3}";
    let mut runner = TestRunner::new(Config::default());
    let mut draw = |strategy: &str| strategy.new_tree(&mut runner).unwrap().current();
    let apps = database.store.apps();
    let mut all = Vec::new();
    for number in 0..60_i32 {
        let app = App {
            description: Some(draw(LETTERS)),
            active: number % 3 != 0,
            ..App::new(format!("{number}{}x", draw(LETTERS)))
        };
        all.push(apps.create(app).await.unwrap());
    }
    for round in 0..60_u32 {
        let search = draw(LETTERS);
        let active = [None, Some(true), Some(false)][round as usize % 3];
        let (number, size) = (round % 4, [0, 1, 7, 100][round as usize % 4]);
        let mut filter = Filter::new();
        if round % 2 == 0 {
            filter = filter.search(&search);
        }
        if let Some(active) = active {
            filter = filter.active(active);
        }
        let wanted: Vec<_> = all
            .iter()
            .filter(|app| active.is_none_or(|active| app.fields.active == active))
            .filter(|app| {
                let description = app.fields.description.clone().unwrap_or_default();
                let needle = search.to_lowercase();
                round % 2 != 0
                    || [&app.fields.name, &description]
                        .iter()
                        .any(|text| text.to_lowercase().contains(&needle))
            })
            .cloned()
            .collect();
        let (first, size) = (number.max(1) - 1, size.clamp(1, 100));
        let page = wanted.iter().skip((first * size) as usize).take(size as usize).cloned();

        let listed = apps.list(&filter, Page::new(number, size)).await.unwrap();

        assert_eq!(listed.total as usize, wanted.len(), "{search:?} {active:?}");
        assert_eq!(listed.items, page.collect::<Vec<_>>(), "{search:?} {active:?} page {number} of {size}");
        assert_eq!(apps.all(&filter).await.unwrap(), wanted);
    }
    let plugins = database.store.plugins();
    for (name, namespace) in [("a", ""), ("b", "east"), ("c", "west")] {
        let plugin = Plugin { namespace: namespace.to_owned(), ..Plugin::new(name, Vec::new()) };
        plugins.create(plugin).await.unwrap();
    }
    for (namespace, names) in [(None, "abc"), (Some(""), "a"), (Some("east"), "ab"), (Some("north"), "a")] {
        let filter = namespace.map_or_else(Filter::new, |namespace| Filter::new().namespace(namespace));
        let found = plugins.all(&filter).await.unwrap();
        let found: String = found.iter().map(|plugin| plugin.fields.name.as_str()).collect();
        assert_eq!(found, names, "{namespace:?}");
    }
}

pub(crate) async fn values_are_a_plugins_own_and_end_in_time(database: Database) {
    let store = &database.store;
    let (a, b) = (store.values_of("a"), store.values_of("b"));
    assert!(a.set("k", b"1\0\xff", None).await.unwrap());
    assert!(!a.set("k", b"2", None).await.unwrap());
    assert_eq!(a.get("k").await.unwrap().unwrap(), b"2");
    assert_eq!(b.get("k").await.unwrap(), None);
    assert!(!b.delete("k").await.unwrap());
    assert!(a.set("gone", b"1", Some(1)).await.unwrap());
    assert_eq!(a.get("gone").await.unwrap(), None);
    assert!(a.set("gone", b"1", Some(1)).await.unwrap(), "what has ended is not there");
    assert!(!a.delete("gone").await.unwrap());
    a.set("later", b"1", Some(i64::MAX)).await.unwrap();
    a.set("ended", b"1", Some(1)).await.unwrap();
    a.set("Kx", b"", None).await.unwrap();
    assert_eq!(a.list("", 10).await.unwrap(), ["Kx", "k", "later"]);
    assert_eq!(a.list("k", 10).await.unwrap(), ["k"]);
    assert_eq!(a.list("", 1).await.unwrap(), ["Kx"]);
    assert_eq!(store.drop_ended_values().await.unwrap(), 1);
    assert!(a.delete("k").await.unwrap());
    assert_eq!(a.clear().await.unwrap(), 2);
    assert_eq!(a.list("", 10).await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn values_are_bounded(database: Database) {
    let values = database.store.values_of("a");
    for key in ["", &"k".repeat(256), "k\0"] {
        assert!(matches!(values.set(key, b"", None).await, Err(StoreError::Unfit { field: "key", .. })));
    }
    let large = vec![0; mortise_store::MAX_VALUE];
    for key in 0..7 {
        values.set(&key.to_string(), &large, None).await.unwrap();
    }
    assert!(matches!(values.set("more", &large, None).await, Err(StoreError::Full { .. })));
    values.set("0", b"small", None).await.unwrap();
    values.set("more", &large, None).await.unwrap();
    assert_eq!(values.get("more").await.unwrap().unwrap().len(), large.len());
}

fn usage(day: i64, app: &str, llm: &str, cost: f64) -> Usage {
    let spent = Spent { requests: 1, input_tokens: 10, output_tokens: 5, cost };
    Usage { day: Day(day), app: app.to_owned(), llm: llm.to_owned(), spent }
}

pub(crate) async fn spending_adds_up_by_day_app_and_llm(database: Database) {
    let store = &database.store;
    let all = [
        usage(100, "ci", "gpt", 0.5),
        usage(100, "ci", "gpt", 0.25),
        usage(101, "ci", "gpt", 1.0),
        usage(101, "ci", "claude", 2.0),
        usage(102, "cd", "gpt", 4.0),
    ];
    store.append(&[], &all).await.unwrap();
    store.append(&[], &[usage(100, "ci", "gpt", 8.0)]).await.unwrap();

    for (app, llm, from, to, requests, cost) in [
        (Some("ci"), Some("gpt"), 100, 101, 3, 8.75),
        (Some("ci"), Some("gpt"), 0, 1_000, 4, 9.75),
        (Some("ci"), None, 0, 1_000, 5, 11.75),
        (None, Some("gpt"), 101, 103, 2, 5.0),
        (Some("nobody"), None, 0, 1_000, 0, 0.0),
    ] {
        let spent = store.spent(app, llm, Day(from), Day(to)).await.unwrap();
        assert_eq!((spent.requests, spent.cost), (requests, cost), "{app:?} {llm:?} {from}..{to}");
        assert_eq!((spent.input_tokens, spent.output_tokens), (10 * requests, 5 * requests));
    }
    let days = store.spent_by_day(Some("ci"), None, (Day(0), Day(1_000)), 2).await.unwrap();
    let days: Vec<_> = days.iter().map(|line| (line.day.0, &*line.llm, line.spent.cost)).collect();
    assert_eq!(days, [(101, "claude", 2.0), (101, "gpt", 1.0)]);
    let by_all = store.spent_by_all(Day(101)).await.unwrap();
    let by_all: Vec<_> = by_all.iter().map(|(app, llm, spent)| (&**app, &**llm, spent.cost)).collect();
    assert_eq!(by_all, [("cd", "gpt", 4.0), ("ci", "claude", 2.0), ("ci", "gpt", 1.0)]);
}

pub(crate) async fn limits_that_are_used_up_are_known_until_they_are_not(database: Database) {
    let store = &database.store;
    let limit = |name: &str, ends| (name.to_owned(), ends);
    store.keep_limits(&[limit("a", 1_000), limit("b", 2_000)], 0).await.unwrap();
    store.keep_limits(&[limit("b", 1_500), limit("c", 3_000)], 500).await.unwrap();

    let mut known = store.limits(500).await.unwrap();
    known.sort();
    assert_eq!(known, [limit("a", 1_000), limit("b", 2_000), limit("c", 3_000)]);
    store.keep_limits(&[], 2_000).await.unwrap();
    assert_eq!(store.limits(0).await.unwrap(), [limit("c", 3_000)]);
}

pub(crate) async fn records_come_back_newest_first(database: Database) {
    let store = &database.store;
    let record = |at, kind, app: &str| Record {
        kind,
        at,
        app: app.to_owned(),
        llm: "gpt".to_owned(),
        document: json!({ "status": 200, "at": at }),
    };
    let mut all: Vec<Record> = (0..1_100).map(|at| record(at, Kind::ProxyLog, "ci")).collect();
    all.push(record(2_000, Kind::ProxyLog, "cd"));
    all.push(record(3_000, Kind::Analytics, "ci"));

    store.append(&all, &[]).await.unwrap();

    let last = store.last_records(Kind::ProxyLog, None, 2).await.unwrap();
    assert_eq!(last.iter().map(|kept| kept.app.as_str()).collect::<Vec<_>>(), ["cd", "ci"]);
    assert_eq!(last[1].document, json!({ "status": 200, "at": 1_099 }));
    assert_eq!(store.last_records(Kind::ProxyLog, Some("ci"), 5_000).await.unwrap().len(), 1_000);
    assert_eq!(store.drop_records_before(2_000).await.unwrap(), 1_100);
    assert_eq!(store.last_records(Kind::ProxyLog, None, 10).await.unwrap().len(), 1);
    assert_eq!(store.last_records(Kind::Analytics, None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn a_thousand_apps_are_read_at_once(database: Database) {
    let apps = (0..4_500).map(|number| App::new(format!("app {number}"))).collect();
    let made = database.store.apps().create_all(apps).await.unwrap();

    let read = database.store.apps().all(&Filter::new()).await.unwrap();

    assert_eq!(read, made);
    assert_eq!(read.iter().map(|app| app.id).collect::<BTreeSet<_>>().len(), 4_500);
    let changes = database.store.changes_since(1).await.unwrap();
    assert_eq!(changes.changed.map(|changed| changed.len()), Some(4_499));
}

pub(crate) async fn writers_at_once_lose_nothing(database: Database) {
    let writers = (0..40).map(|number| {
        let store = database.store.clone();
        tokio::spawn(async move {
            store.apps().create(App::new(format!("app {number}"))).await.unwrap();
            store.values_of("p").set(&number.to_string(), b"x", None).await.unwrap();
            store.append(&[], &[usage(1, "ci", "gpt", 1.0)]).await.unwrap();
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }

    assert_eq!(database.store.apps().all(&Filter::new()).await.unwrap().len(), 40);
    assert_eq!(database.store.changes_since(0).await.unwrap().changed.unwrap().len(), 40);
    assert_eq!(database.store.values_of("p").list("", 100).await.unwrap().len(), 40);
    assert_eq!(database.store.spent(None, None, Day(0), Day(9)).await.unwrap().requests, 40);
}

pub(crate) async fn documents_are_found_by_nearness_and_by_data(database: Database) {
    use mortise_store::documents::{Document, Documents as _, Matching};
    let store = &database.store;
    let document = |name: &str, page: i64, embedding: &[f32]| Document {
        id: 0,
        content: name.to_owned(),
        metadata: json!({ "source": "manual", "page": page }).as_object().unwrap().clone(),
        embedding: embedding.to_vec(),
    };
    let filter =
        |wanted: serde_json::Value, any| Matching { wanted: wanted.as_object().unwrap().clone(), any };
    let documents = vec![
        document("north", 1, &[0.0, 2.0]),
        document("east", 2, &[3.0, 0.0]),
        document("between", 3, &[1.0, 1.0]),
    ];
    let ids = store.add("docs", documents, 1_000).await.unwrap();
    store.add("other", vec![document("elsewhere", 1, &[0.0, 1.0])], 10).await.unwrap();
    // More than are looked at together.
    for _ in 0..3 {
        let far = (0..100).map(|at| document("far", at, &[-1.0, 0.0])).collect();
        store.add("docs", far, 1_000).await.unwrap();
    }

    let near = store.nearest("docs", &[0.0, 1.0], 2, 0.0).await.unwrap();
    let names: Vec<&str> = near.iter().map(|near| near.document.content.as_str()).collect();
    assert_eq!(names, ["north", "between"]);
    assert!((near[0].score - 1.0).abs() < 1e-6 && (near[1].score - 0.5_f64.sqrt()).abs() < 1e-6);
    assert_eq!(near[0].document.id, ids[0]);
    assert_eq!(store.nearest("docs", &[0.0, 1.0], 10, 0.9).await.unwrap().len(), 1);
    assert_eq!(store.nearest("docs", &[0.0, 1.0, 0.0], 10, -1.0).await.unwrap().len(), 0);
    assert_eq!(store.nearest("docs", &[0.0, 1.0], 0, -1.0).await.unwrap().len(), 0);

    let (found, total) = store.matching("docs", &filter(json!({ "page": "2" }), false), 2, 1).await.unwrap();
    assert_eq!((found.len(), total), (2, 4));
    let both = filter(json!({ "page": 3, "source": "none" }), false);
    assert_eq!(store.matching("docs", &both, 10, 0).await.unwrap().1, 0);
    let any = filter(json!({ "page": 3, "source": "none" }), true);
    assert_eq!(store.matching("docs", &any, 10, 0).await.unwrap().1, 4);

    let full = store.add("other", vec![document("x", 1, &[1.0]), document("y", 1, &[1.0])], 2).await;
    assert!(full.unwrap_err().to_string().contains("has at most 2"));
    assert!(store.add("other", vec![document("x", 1, &[])], 10).await.is_err());
    assert!(store.add("other", vec![document("x", 1, &[f32::NAN])], 10).await.is_err());
    assert_eq!(store.matching("other", &Matching::default(), 10, 0).await.unwrap().1, 1, "all or none");

    assert_eq!(store.remove("docs", &filter(json!({ "page": 1 }), false)).await.unwrap(), 4);
    assert_eq!(store.matching("docs", &Matching::default(), 10, 0).await.unwrap().1, 299);
}
