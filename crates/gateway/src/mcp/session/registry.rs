//! All sessions of a gateway.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use mortise_mcp::initialize::ClientHello;

use super::{Owner, Session};
use crate::upstreams::Upstreams;

/// Sessions by id.
pub struct Sessions {
    by_id: RwLock<HashMap<Arc<str>, Arc<Session>>>,
    upstreams: Arc<Upstreams>,
    limit: usize,
    idle: Duration,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(upstreams: Arc<Upstreams>, limit: usize, idle: Duration) -> Self {
        Self { by_id: RwLock::default(), upstreams, limit, idle }
    }

    /// Opens a session; `None` when there are as many as are allowed.
    pub fn open(&self, hello: ClientHello, server: Option<Arc<str>>, owner: Owner) -> Option<Arc<Session>> {
        let id: Arc<str> = uuid::Uuid::new_v4().simple().to_string().into();
        let session = Arc::new(Session::new(id.clone(), hello, server, owner, self.upstreams.clone()));
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
            let all: Vec<_> =
                self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            for session in all.iter().filter(|session| session.idle() > self.idle) {
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
