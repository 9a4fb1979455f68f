//! That what was spent is counted once, over restarts and months.

use tokio::runtime::Handle;

use super::*;
use crate::config;

fn storage(folder: &std::path::Path) -> Arc<Storage> {
    let place = Place::File(folder.join("store.db"));
    let settings = config::Storage {
        place,
        given: false,
        namespace: String::new(),
        records: config::Records::default(),
    };
    Storage::new(settings, Handle::current())
}

fn cost(cost: f64) -> Spent {
    Spent { requests: 1, input_tokens: 10, output_tokens: 5, cost }
}

#[tokio::test]
async fn what_was_spent_counts_before_it_is_written_after_and_in_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(storage(folder.path()));
    let app = ledger.of(Side::App, "a");
    assert_eq!(ledger.spent(&app, 1).await, 0.0);
    assert!(!folder.path().join("store.db").exists(), "looking opens nothing");
    ledger.spend(("a", "gpt"), cost(2.0), [Some(&app), None]);
    assert_eq!(ledger.spent(&app, 1).await, 2.0);
    ledger.write().await;
    ledger.spend(("a", "gpt"), cost(1.0), [Some(&app), None]);
    ledger.spend(("b", "gpt"), cost(4.0), [None, None]);
    assert_eq!(ledger.spent(&app, 1).await, 3.0);
    // The first look at the LLM: some of it is in the database, some is not.
    let llm = ledger.of(Side::Llm, "gpt");
    assert_eq!(ledger.spent(&llm, 1).await, 7.0);
    app.calls.take(1).unwrap();
    ledger.stop().await;

    let next = Ledger::new(storage(folder.path()));
    next.begin().await;
    let app = next.of(Side::App, "a");
    assert_eq!(next.spent(&app, 1).await, 3.0);
    assert!(app.calls.take(1).is_err(), "the minute goes on where it was");
    next.of(Side::App, "b").calls.take(1).unwrap();
}

#[tokio::test]
async fn month_before_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(storage(folder.path()));
    let app = ledger.of(Side::App, "a");
    *lock(&app.sum) = Some(Sum { from: Day(month(1).0 - 28), spent: 5.0, again: None });
    app.add(1.0);
    assert_eq!(ledger.spent(&app, 1).await, 0.0);
    assert!((1..=31 * 86_400).contains(&left(1)));
}

#[tokio::test]
async fn what_cannot_be_written_is_kept_for_later() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("store.db");
    std::fs::create_dir(&place).unwrap();
    let ledger = Ledger::new(storage(folder.path()));
    let app = ledger.of(Side::App, "a");
    ledger.spend(("a", "gpt"), cost(2.0), [Some(&app), None]);
    ledger.write().await;
    assert_eq!(ledger.spent(&app, 1).await, 2.0);
    std::fs::remove_dir(&place).unwrap();
    ledger.write().await;
    assert!(lock(&ledger.pending).is_empty());
    let next = Ledger::new(storage(folder.path()));
    assert_eq!(next.spent(&next.of(Side::App, "a"), 1).await, 2.0);
}
