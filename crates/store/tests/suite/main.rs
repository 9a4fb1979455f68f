//! What a database must do, asked of SQLite and of PostgreSQL alike.
#![expect(clippy::unwrap_used, reason = "tests")]

mod cases;

use mortise_store::{Place, Store};

/// A database of a test's own, and the folder that it may be in.
pub(crate) struct Database {
    pub(crate) place: Place,
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

async fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("store.db"));
    Database { store: Store::open(&place).await.unwrap(), place, _folder: folder }
}

async fn postgres() -> Database {
    let place = Place::Postgres(mortise_testkit::postgres::database());
    Database { store: Store::open(&place).await.unwrap(), place, _folder: tempfile::tempdir().unwrap() }
}

/// Every case, once for each database.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $case() { super::cases::$case(super::sqlite().await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $case() { super::cases::$case(super::postgres().await).await; })*
        }
    };
}

on_both! {
    entities_are_kept_over_closing_and_opening,
    names_are_taken_once,
    tokens_belong_to_an_app_and_go_with_it,
    last_use_is_noted_and_no_change,
    changes_are_told_once_and_in_order,
    another_gateway_sees_the_same,
    every_kind_of_entity_comes_back_as_it_was,
    what_is_wrong_is_refused_with_its_field,
    all_of_a_batch_or_none,
    pages_and_filters_are_those_of_a_list_in_memory,
    values_are_a_plugins_own_and_end_in_time,
    values_are_bounded,
    spending_adds_up_by_day_app_and_llm,
    limits_that_are_used_up_are_known_until_they_are_not,
    records_come_back_newest_first,
    a_thousand_apps_are_read_at_once,
    writers_at_once_lose_nothing,
    documents_are_found_by_nearness_and_by_data,
}
