//! What is the same for every kind of entity.

use bytes::Bytes;
use http::{Response, StatusCode};
use mortise_store::{Filter, Page, Stored};
use serde_json::Value;

use super::{Kind, Paged, missing, number, refusing, storage};
use crate::manage::{
    answers::{Refused, made, nothing, ok, refused},
    asked::Asked,
};

/// A page of them.
pub(super) async fn list<K: Kind>(asked: &Asked<'_>) -> Response<Bytes> {
    answer(listed::<K>(asked).await.map(|page| ok(&page)))
}

async fn listed<K: Kind>(asked: &Asked<'_>) -> Result<Paged<K>, Refused> {
    let size = u32::try_from(asked.number("limit", 20, 100)?).unwrap_or(20);
    let at = u32::try_from(asked.number("page", 1, 1 << 30)?).unwrap_or(1);
    let page = Page::new(at, size);
    let mut filter = Filter::new();
    if let Some(active) = asked.parameter("active") {
        let active =
            active.parse().map_err(|_| refused(StatusCode::BAD_REQUEST, "`active` is true or false"))?;
        filter = filter.active(active);
    }
    if let Some(text) = asked.parameter("search") {
        filter = filter.search(&text);
    }
    let filter = K::narrowed(asked, filter)?;
    let read =
        storage(asked)?.read(move |store| async move { K::of(&store).list(&filter, page).await }).await;
    let (items, total) = match read.map_err(refusing)? {
        Some(listing) => (listing.items, listing.total),
        None => (Vec::new(), 0),
    };
    let items = items.into_iter().map(K::shown).collect();
    Ok(Paged { items, total, page: page.number(), limit: page.size() })
}

/// One.
pub(super) async fn show<K: Kind>(asked: &Asked<'_>) -> Response<Bytes> {
    let one = async { get::<K>(asked, number(asked)?).await };
    answer(one.await.map(|stored| ok(&K::shown(stored))))
}

/// The one with a number.
pub(super) async fn get<K: Kind>(asked: &Asked<'_>, id: i64) -> Result<Stored<K>, Refused> {
    let read = storage(asked)?.read(move |store| async move { K::of(&store).get(id).await }).await;
    read.map_err(refusing)?.flatten().ok_or_else(|| missing(K::WORD, id))
}

/// Makes one.
pub(super) async fn create<K: Kind>(asked: &Asked<'_>) -> Response<Bytes> {
    let created = async {
        let fields: K = asked.json()?;
        fields.admit(asked)?;
        let storage = storage(asked)?;
        let stored = storage.write(move |store| async move { K::of(&store).create(fields).await }).await;
        let stored = stored.map_err(refusing)?;
        storage.catch_up().await.map_err(refusing)?;
        Ok(stored)
    };
    answer(created.await.map(|stored| made(&K::shown(stored))))
}

/// Puts other fields in the place of one's.
pub(super) async fn replace<K: Kind>(asked: &Asked<'_>) -> Response<Bytes> {
    let replaced = async { put(asked, number(asked)?, asked.json::<K>()?).await };
    answer(replaced.await.map(|stored| ok(&K::shown(stored))))
}

/// Changes fields of one.
pub(super) async fn patch<K: Kind>(asked: &Asked<'_>) -> Response<Bytes> {
    let patched = async {
        let id = number(asked)?;
        let fields = patched(asked, &get::<K>(asked, id).await?.fields)?;
        put(asked, id, fields).await
    };
    answer(patched.await.map(|stored| ok(&K::shown(stored))))
}

/// Fields with the body laid over them.
pub(super) fn patched<K: Kind>(asked: &Asked<'_>, fields: &K) -> Result<K, Refused> {
    let patch: Value = asked.json()?;
    let mut document = serde_json::to_value(fields).unwrap_or_default();
    merge(&mut document, patch);
    serde_path_to_error::deserialize(document).map_err(|error| {
        refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("the body does not fit: `{}`: {}", error.path(), error.inner()),
        )
    })
}

/// RFC 7396: null removes.
fn merge(document: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *document = patch;
        return;
    };
    if !document.is_object() {
        *document = Value::Object(serde_json::Map::new());
    }
    let Some(map) = document.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(&key);
        } else {
            merge(map.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// Keeps other fields, in force when this returns.
pub(super) async fn put<K: Kind>(asked: &Asked<'_>, id: i64, fields: K) -> Result<Stored<K>, Refused> {
    fields.admit(asked)?;
    let storage = storage(asked)?;
    let stored = storage.read(move |store| async move { K::of(&store).replace(id, fields).await }).await;
    let stored = stored.map_err(refusing)?.ok_or_else(|| missing(K::WORD, id))?;
    storage.catch_up().await.map_err(refusing)?;
    Ok(stored)
}

/// Removes one.
pub(super) async fn delete<K: Kind>(asked: &Asked<'_>) -> Response<Bytes> {
    let deleted = async {
        let id = number(asked)?;
        let storage = storage(asked)?;
        let deleted = storage.read(move |store| async move { K::of(&store).delete(id).await }).await;
        deleted.map_err(refusing)?.ok_or_else(|| missing(K::WORD, id))?;
        storage.catch_up().await.map(drop).map_err(refusing)
    };
    answer(deleted.await.map(|()| nothing()))
}

pub(super) fn answer(done: Result<Response<Bytes>, Refused>) -> Response<Bytes> {
    done.unwrap_or_else(|refused| *refused)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_merge_deep_and_null_removes() {
        let mut document = json!({ "a": { "b": 1, "c": [1, 2] }, "d": 2 });
        merge(&mut document, json!({ "a": { "b": null, "c": [3], "e": { "f": 1 } }, "d": "x" }));
        assert_eq!(document, json!({ "a": { "c": [3], "e": { "f": 1 } }, "d": "x" }));
    }
}
