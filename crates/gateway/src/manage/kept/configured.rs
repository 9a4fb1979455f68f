//! What gateways are configured by and storage keeps: put in force first, kept only then.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use mortise_store::{Collection, Filter, Llm, Plugin, Store, Stored};

use super::{Kind, crud, number, refusing, storage, told};
use crate::{
    config::Kept,
    history::Source,
    manage::{
        answers::{Refused, made, nothing, ok, refused},
        asked::Asked,
        changes::change,
    },
    reload::{Report, Trigger},
    storage::StorageError,
};

/// A kind that gateways are configured by.
pub(super) trait Configured: Kind {
    /// The name that is taken once.
    fn name(&self) -> &str;

    /// Those that are kept.
    fn among(kept: &mut Kept) -> &mut Vec<Stored<Self>>;
}

impl Kind for Plugin {
    fn of(store: &Store) -> Collection<'_, Self> {
        store.plugins()
    }

    fn admit(&self, asked: &Asked<'_>) -> Result<(), Refused> {
        super::plugins::admit(self, asked)
    }

    fn shown(stored: Stored<Self>) -> Stored<Self> {
        super::plugins::masked(stored)
    }
}

impl Configured for Plugin {
    fn name(&self) -> &str {
        &self.name
    }

    fn among(kept: &mut Kept) -> &mut Vec<Stored<Self>> {
        &mut kept.plugins
    }
}

impl Kind for Llm {
    fn of(store: &Store) -> Collection<'_, Self> {
        store.llms()
    }

    fn narrowed(asked: &Asked<'_>, filter: Filter) -> Result<Filter, Refused> {
        let filter =
            asked.parameter("vendor").into_iter().fold(filter, |filter, vendor| filter.vendor(&vendor));
        // An empty one is asked for too.
        let namespace = asked.query.split('&').filter_map(|pair| pair.split_once('='));
        let namespace = namespace.filter(|(key, _)| *key == "namespace").map(|(_, value)| value).next();
        let namespace = namespace.map(|_| asked.parameter("namespace").unwrap_or_default());
        Ok(namespace.into_iter().fold(filter, |filter, namespace| filter.namespace(&namespace)))
    }
}

impl Configured for Llm {
    fn name(&self) -> &str {
        &self.name
    }

    fn among(kept: &mut Kept) -> &mut Vec<Stored<Self>> {
        &mut kept.llms
    }
}

/// Makes one.
pub(super) async fn create<K: Configured>(asked: &Asked<'_>) -> Response<Bytes> {
    let created = async {
        let fields: K = asked.json()?;
        let name = fields.name().to_owned();
        let new = Stored { id: 0, fields: fields.clone(), created: String::new(), updated: String::new() };
        let keep = move |store: Store| async move { K::of(&store).create(fields).await };
        let change = |all: &mut Vec<Stored<K>>| all.push(new);
        keep_changed(asked, &name, change, keep).await.map(|(stored, _)| stored)
    };
    crud::answer(created.await.map(|stored| made(&K::shown(stored))))
}

/// Puts other fields in the place of one's.
pub(super) async fn replace<K: Configured>(asked: &Asked<'_>) -> Response<Bytes> {
    let replaced = async { put(asked, number(asked)?, asked.json::<K>()?).await };
    crud::answer(replaced.await.map(|(stored, _)| ok(&K::shown(stored))))
}

/// Changes fields of one.
pub(super) async fn patch<K: Configured>(asked: &Asked<'_>) -> Response<Bytes> {
    let patched = async {
        let id = number(asked)?;
        let fields = crud::patched(asked, &crud::get::<K>(asked, id).await?.fields)?;
        put(asked, id, fields).await
    };
    crud::answer(patched.await.map(|(stored, _)| ok(&K::shown(stored))))
}

/// Keeps other fields of the one with a number.
pub(super) async fn put<K: Configured>(
    asked: &Asked<'_>,
    id: i64,
    fields: K,
) -> Result<(Stored<K>, Report), Refused> {
    let (name, next) = (fields.name().to_owned(), fields.clone());
    let keep = move |store: Store| async move { K::of(&store).replace(id, fields).await };
    let change = |all: &mut Vec<Stored<K>>| {
        if let Some(known) = all.iter_mut().find(|known| known.id == id) {
            known.fields = next;
        }
    };
    crud::get::<K>(asked, id).await?;
    keep_changed(asked, &name, change, keep).await
}

/// Removes one.
pub(super) async fn delete<K: Configured>(asked: &Asked<'_>) -> Response<Bytes> {
    let deleted = async { remove::<K>(asked, number(asked)?).await };
    crud::answer(deleted.await.map(|()| nothing()))
}

/// Removes the one with a number.
pub(super) async fn remove<K: Configured>(asked: &Asked<'_>, id: i64) -> Result<(), Refused> {
    let name = crud::get::<K>(asked, id).await?.fields.name().to_owned();
    let keep = move |store: Store| async move { K::of(&store).delete(id).await };
    let change = |all: &mut Vec<Stored<K>>| all.retain(|known| known.id != id);
    keep_changed(asked, &name, change, keep).await.map(drop)
}

/// Puts a change in force, and keeps it then.
async fn keep_changed<K, T, F, Fut>(
    asked: &Asked<'_>,
    about: &str,
    change_kept: impl FnOnce(&mut Vec<Stored<K>>),
    keep: F,
) -> Result<(T, Report), Refused>
where
    K: Configured,
    T: Send + 'static,
    F: FnOnce(Store) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, mortise_store::StoreError>> + Send,
{
    let storage = storage(asked)?;
    let _one_at_a_time = storage.change().await;
    let mut next = Kept::clone(&storage.kept());
    change_kept(K::among(&mut next));
    check(K::among(&mut next), about, asked)?;
    let before = storage.expect(Arc::new(next));
    let report = match change(asked, Trigger::stored(Source::Api, asked.who.clone(), about)).await {
        Ok(report) => report,
        Err(refused) => {
            storage.expect(before);
            return Err(refused);
        }
    };
    match storage.write(keep).await {
        Ok(kept) => {
            storage.catch_up().await.map_err(refusing)?;
            Ok((kept, report))
        }
        Err(error) => {
            storage.expect(before);
            // What cannot be kept is not done.
            let undone = change(asked, Trigger::new(Source::Api, asked.who.clone())).await;
            undone.and(Err(refusing(error)))
        }
    }
}

/// What can be told before anything is tried.
fn check<K: Configured>(all: &[Stored<K>], about: &str, asked: &Asked<'_>) -> Result<(), Refused> {
    let mut named = all.iter().filter(|one| one.fields.name() == about);
    let Some(one) = named.next() else { return Ok(()) };
    if named.next().is_some() {
        let why = format!("another {} has this name already", K::WORD);
        return Err(refused(StatusCode::CONFLICT, &why));
    }
    one.fields.admit(asked)?;
    one.fields.check().map_err(|error| Box::new(told(&StorageError::Store(error))))
}

/// The one of a name.
pub(super) fn named<K: Configured>(asked: &Asked<'_>, name: &str) -> Result<Option<Stored<K>>, Refused> {
    let mut kept = Kept::clone(&storage(asked)?.kept());
    let all = std::mem::take(K::among(&mut kept));
    Ok(all.into_iter().find(|one| one.fields.name() == name))
}
