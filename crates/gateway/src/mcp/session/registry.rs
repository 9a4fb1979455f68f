//! All sessions of a gateway.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use mortise_mcp::{
    catalog::Kind,
    envelope::{Message, Notification},
    initialize::ClientHello,
};

use super::{Owner, Session};
use crate::upstreams::{Catalogs, lists::KINDS};

/// Sessions by id.
pub struct Sessions {
    by_id: RwLock<HashMap<Arc<str>, Arc<Session>>>,
    limit: usize,
    idle: Duration,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(limit: usize, idle: Duration) -> Self {
        Self { by_id: RwLock::default(), limit, idle }
    }

    /// Opens a session; `None` when there are as many as are allowed.
    pub fn open(&self, hello: ClientHello, server: Option<Arc<str>>, owner: Owner) -> Option<Arc<Session>> {
        let id: Arc<str> = uuid::Uuid::new_v4().simple().to_string().into();
        let session = Arc::new(Session::new(id.clone(), hello, server, owner));
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if by_id.len() >= self.limit {
            return None;
        }
        by_id.insert(id, session.clone());
        Some(session)
    }

    /// The session of an id, if it is this owner's and was opened at this virtual server. To anyone else it is not
    /// there.
    pub fn find(&self, id: &str, server: Option<&str>, owner: &Owner) -> Option<Arc<Session>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let session = by_id.get(id)?;
        let same = session.server.as_deref() == server && session.owner == *owner;
        same.then(|| {
            session.touch();
            session.clone()
        })
    }

    /// Ends one.
    pub async fn close(&self, session: &Session) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&session.id);
        session.close().await;
    }

    /// Takes those out that `goes` names: they are not found any more, and their clients' streams end.
    pub fn take_where(&self, goes: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let mut taken = Vec::new();
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).retain(|_, session| {
            let goes = goes(session);
            if goes {
                taken.push(session.clone());
            }
            !goes
        });
        taken.iter().for_each(|session| session.outbox.close());
        taken
    }

    /// Ends all sessions' own connections to an upstream that no request uses any more.
    pub async fn forget_upstream(&self, upstream: u64) {
        let all = self.all();
        futures_util::future::join_all(all.iter().map(|session| session.forget(upstream))).await;
    }

    /// Tells clients which of the lists they are shown have changed.
    ///
    /// A client whose session is connected to the upstream that changed its list hears it from there.
    pub async fn tell_changes(&self, before: &Catalogs, now: &Catalogs) {
        let changed: Vec<(Kind, Vec<u64>)> =
            KINDS.into_iter().map(|kind| (kind, now.changed_upstreams(before, kind))).collect();
        let told = self.all().into_iter().map(|session| {
            let changed = &changed;
            async move {
                let server = session.server.as_deref();
                let (Some(was), Some(is)) = (before.views(server), now.views(server)) else { return };
                let mut told: Vec<&str> = Vec::new();
                for (kind, upstreams) in changed {
                    let method = kind.changed_method();
                    let same_fleet = before.fleet.id == now.fleet.id;
                    let heard = same_fleet && upstreams.iter().all(|upstream| session.knows(*upstream));
                    if !heard && !told.contains(&method) && was.of(*kind).pages() != is.of(*kind).pages() {
                        told.push(method);
                        let changed = Notification::new(method, None);
                        session.outbox.send(Message::Notification(changed)).await;
                    }
                }
            }
        });
        futures_util::future::join_all(told).await;
    }

    fn all(&self) -> Vec<Arc<Session>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends sessions nobody uses, for ever.
    pub async fn sweep(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(30));
        loop {
            tick.tick().await;
            for session in self.all().iter().filter(|session| session.idle() > self.idle) {
                tracing::debug!("a session nobody used ends");
                self.close(session).await;
            }
        }
    }

    /// Ends all.
    pub async fn close_all(&self) {
        let all: Vec<_> = self
            .by_id
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .drain()
            .map(|(_, session)| session)
            .collect();
        futures_util::future::join_all(all.iter().map(|session| session.close())).await;
    }
}
