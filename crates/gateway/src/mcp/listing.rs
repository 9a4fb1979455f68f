//! Lists, and finding what a name means.
//!
//! Callers without a session see what the shared connections list, merged ahead. A session sees what its own
//! connections list: servers may offer more to a client that can do more. Names come from one table either way, so
//! a name means the same to everybody.

use std::{collections::HashSet, sync::Arc};

use futures_util::future::join_all;
use mortise_mcp::{
    catalog::{Filter, Kind, View},
    params::cursor,
};
use mortise_mcp_transport::upstream::Outcome;

use super::{exchange::Inbound, invalid_params, rpc, session::Session};
use crate::upstreams::{
    Views,
    catalogs::Merged,
    lists::{self, Offered},
};

/// Answers a list request.
pub(crate) async fn list(inbound: &Inbound, kind: Kind) -> Outcome {
    let cursor = cursor(inbound.params.as_ref()).map_err(invalid_params)?;
    let page = |views: &Views| {
        let allowed = only_granted(inbound, views, kind);
        let view = allowed.as_ref().unwrap_or(views.of(kind));
        view.page(cursor.as_deref()).cloned().map_err(|error| rpc(&error.to_error()))
    };
    match &inbound.session {
        None => page(inbound.views()),
        Some(session) => {
            let views = refresh(inbound, session, kind).await;
            page(&views)
        }
    }
}

/// What is left of a view for a caller who may not use all of the tools in it; `None` where that is everything.
fn only_granted(inbound: &Inbound, views: &Views, kind: Kind) -> Option<View> {
    if kind != Kind::Tools || !inbound.snapshot.catalogs.fleet.has_tools() {
        return None;
    }
    let granted: HashSet<usize> = views.upstreams.iter().copied().filter(|at| inbound.may_use(*at)).collect();
    if granted.len() == views.upstreams.len() {
        return None;
    }
    let shown = views.tools.entries().map(|entry| entry.exposed.to_string()).collect();
    let filter = Filter { upstreams: Some(granted), allowed: Some(shown) };
    Some(View::new(views.tools.catalog().clone(), &filter, 0))
}

/// Finds a tool or prompt in what all callers see, if this one may use it.
pub(crate) fn find_shared(inbound: &Inbound, kind: Kind, name: &str) -> Option<(usize, Arc<str>)> {
    let entry = inbound.views().of(kind).find(name)?;
    inbound.may_use(entry.upstream).then(|| (entry.upstream, entry.original.clone()))
}

/// Finds a tool or prompt by any of its names: its upstream and its name there.
pub(crate) async fn find(inbound: &Inbound, kind: Kind, name: &str) -> Option<(usize, Arc<str>)> {
    let in_views = |views: &Views| {
        let entry = views.of(kind).find(name)?;
        inbound.may_use(entry.upstream).then(|| (entry.upstream, entry.original.clone()))
    };
    if let Some(found) = find_shared(inbound, kind, name) {
        return Some(found);
    }
    // Something only this session's own connections offer.
    let session = inbound.session.as_ref()?;
    let fleet = inbound.snapshot.catalogs.fleet.id;
    let known = session.views.load();
    // Positions of another fleet, and what another configuration let through, mean nothing here.
    if let Some(found) = known.as_deref().filter(|views| views.fleet == fleet).and_then(in_views) {
        return Some(found);
    }
    let views = refresh(inbound, session, kind).await;
    in_views(&views)
}

/// Whether an upstream announced a family such as `logging`.
pub(crate) fn announces(inbound: &Inbound, at: usize, family: &str) -> bool {
    let live = inbound.upstream(at).and_then(|upstream| upstream.live());
    live.is_some_and(|live| lists::announces(&live.initialized, family))
}

/// Lists anew what a session's own connections offer; other kinds stay as they were listed last.
async fn refresh(inbound: &Inbound, session: &Arc<Session>, kind: Kind) -> Arc<Views> {
    let (upstreams, fleet) = (&inbound.surface.upstreams, &*inbound.snapshot.catalogs.fleet);
    let behind = &inbound.views().upstreams;
    let fetched = join_all(behind.iter().map(|at| async move {
        let upstream = fleet.get(*at)?;
        let mut offered = Offered::clone(&upstream.offered());
        match session.link(upstream).await {
            Ok(link) => {
                match lists::fetch(&link.connection, &link.initialized, kind, upstream.timeout).await {
                    Ok(items) => *offered.of_mut(kind) = items,
                    Err(error) => {
                        tracing::warn!(upstream = &*upstream.name, %error, "upstream did not list");
                        session.drop_link(upstream, &link).await;
                    }
                }
            }
            Err(reason) => {
                tracing::warn!(upstream = &*upstream.name, reason, "upstream left out of a list");
                offered = Offered::default();
            }
        }
        Some((*at, offered))
    }))
    .await;
    let mut all: Vec<Arc<Offered>> = fleet.upstreams().iter().map(|_| Arc::default()).collect();
    for (at, offered) in fetched.into_iter().flatten() {
        all[at] = Arc::new(offered);
    }
    let server = inbound.views().server.clone();
    let merged = upstreams.with_names(|names| Merged::of(fleet.upstreams(), &all, names));
    let views = Arc::new(merged.views(fleet, server));
    session.views.store(Some(views.clone()));
    views
}
