//! One connection shared by many: request ids, progress tokens and cancellation, in either direction.
//!
//! On a connection to an upstream the requests of many clients meet; on the connection to a client, the requests
//! of many upstreams (sampling, elicitation, roots). In both cases each side chose its ids without knowing of
//! the others. So whoever shares a connection asks [`PendingCalls`] for an id of the connection's own, and finds
//! by it whom the answer belongs to. The id doubles as the progress token, which spares a second table.
//!
//! A state machine without sockets, clocks or locks: the owner of the connection holds it and calls it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use memchr::memmem;

use crate::envelope::{Request, RequestId};
use crate::raw::{Object, Raw, RawError};

#[cfg(test)]
mod tests;

/// Requests that went out over a shared connection and have no answer yet.
///
/// `O` tells the parties that share the connection apart (a client's session, an upstream's number); `T` is what
/// the caller wants back with the answer.
#[derive(Debug)]
pub struct PendingCalls<O, T> {
    next: u64,
    capacity: usize,
    calls: HashMap<u64, Pending<O, T>>,
    by_origin: HashMap<(O, RequestId), u64>,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Pending<O, T> {
    /// Who asked.
    pub owner: O,
    /// The id the owner gave the request; the answer must carry it.
    pub id: RequestId,
    /// The owner's progress token, where it wants to hear of progress.
    pub progress_token: Option<Raw>,
    /// What the caller gave along.
    pub value: T,
}

/// A request as it goes over the shared connection.
#[derive(Debug)]
pub struct Forwarded {
    /// The id to send it under.
    pub id: RequestId,
    /// The parameters to send: the original ones, or with the progress token replaced.
    pub params: Option<Raw>,
}

/// Why a message cannot be carried over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// As many requests wait for answers as are allowed.
    #[error("could not take the request: {capacity} requests wait for answers already")]
    Full {
        /// The limit.
        capacity: usize,
    },
    /// The owner has a request of the same id under way.
    #[error("could not take the request: its id is in use by a request under way")]
    IdInUse,
    /// The message speaks of a request that is not under way, finished most likely.
    #[error("could not find the request that the message is about")]
    Unknown,
    /// The parameters cannot be read.
    #[error("could not read the parameters")]
    Params(#[source] RawError),
}

impl From<RawError> for BridgeError {
    fn from(error: RawError) -> Self {
        Self::Params(error)
    }
}

impl<O: Clone + Eq + Hash, T> PendingCalls<O, T> {
    /// No requests yet; at most `capacity` at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { next: 1, capacity, calls: HashMap::new(), by_origin: HashMap::new() }
    }

    /// How many requests wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes a request of `owner` and says how it goes over the connection.
    ///
    /// # Errors
    /// [`BridgeError::Full`], [`BridgeError::IdInUse`], or [`BridgeError::Params`] where `_meta` is ambiguous or
    /// its progress token neither a string nor a number. Nothing is remembered then.
    pub fn forward(&mut self, owner: O, request: &Request, value: T) -> Result<Forwarded, BridgeError> {
        if self.calls.len() >= self.capacity {
            return Err(BridgeError::Full { capacity: self.capacity });
        }
        let number = self.next;
        let id = RequestId::number(number);
        let replaced = match &request.params {
            Some(params) => replace_progress_token(params, number)?,
            None => None,
        };
        let (params, progress_token) = replaced.unzip();
        match self.by_origin.entry((owner.clone(), request.id.clone())) {
            Entry::Occupied(_) => return Err(BridgeError::IdInUse),
            Entry::Vacant(slot) => slot.insert(number),
        };
        self.next += 1;
        let pending = Pending { owner, id: request.id.clone(), progress_token, value };
        self.calls.insert(number, pending);
        Ok(Forwarded { id, params: params.or_else(|| request.params.clone()) })
    }

    /// Gives the connection's next id for a request of the gateway's own (`initialize`, `ping`, a list), which no
    /// owner waits for.
    pub fn own_id(&mut self) -> RequestId {
        let id = RequestId::number(self.next);
        self.next += 1;
        id
    }

    /// Ends a request, since its answer came. `None` where it is not under way: cancelled, answered twice, or
    /// never asked; the answer is dropped then.
    pub fn complete(&mut self, id: &RequestId) -> Option<Pending<O, T>> {
        let pending = self.calls.remove(&id.as_u64()?)?;
        self.by_origin.remove(&(pending.owner.clone(), pending.id.clone()));
        Some(pending)
    }

    /// The request under way with this id of the connection.
    #[must_use]
    pub fn get(&self, id: &RequestId) -> Option<&Pending<O, T>> {
        self.calls.get(&id.as_u64()?)
    }

    /// Ends a request, since its owner wants it no more. Gives the connection's id, to pass the cancellation on
    /// with. `None` where it is not under way, or is another owner's.
    pub fn cancel(&mut self, owner: &O, id: &RequestId) -> Option<(RequestId, Pending<O, T>)> {
        let number = self.by_origin.remove(&(owner.clone(), id.clone()))?;
        let pending = self.calls.remove(&number)?;
        Some((RequestId::number(number), pending))
    }

    /// Ends all requests of an owner that has left, with the connection's ids to cancel them by. Looks through
    /// all requests.
    pub fn cancel_owner(&mut self, owner: &O) -> Vec<(RequestId, Pending<O, T>)> {
        let mut gone: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.owner == *owner).map(|(n, _)| *n).collect();
        gone.sort_unstable();
        gone.into_iter()
            .filter_map(|number| {
                let id = RequestId::number(number);
                self.complete(&id).map(|pending| (id, pending))
            })
            .collect()
    }

    /// Ends all requests, since the connection is lost; oldest first.
    pub fn drain(&mut self) -> Vec<Pending<O, T>> {
        self.by_origin.clear();
        let mut calls: Vec<_> = self.calls.drain().collect();
        calls.sort_unstable_by_key(|(number, _)| *number);
        calls.into_iter().map(|(_, pending)| pending).collect()
    }

    /// Translates the parameters of a `notifications/progress` that came over the shared connection: the request
    /// it is about, and the parameters with the owner's own token.
    ///
    /// # Errors
    /// [`BridgeError::Params`] where the parameters are none of a progress notification,
    /// [`BridgeError::Unknown`] where the request is not under way or its owner did not ask for progress. The
    /// notification is dropped then.
    pub fn progress(&self, params: Option<&Raw>) -> Result<(&Pending<O, T>, Raw), BridgeError> {
        let object = object(params)?;
        let token = object.get("progressToken")?.ok_or(RawError::Missing { name: "progressToken" })?;
        let pending =
            RequestId::from_json(token).and_then(|token| self.get(&token)).ok_or(BridgeError::Unknown)?;
        let original = pending.progress_token.as_ref().ok_or(BridgeError::Unknown)?;
        let params = object.splice().set("progressToken", original)?.finish();
        Ok((pending, params))
    }

    /// Translates the parameters of a `notifications/cancelled` that an owner sent: ends the request and gives
    /// the parameters with the connection's id, to send on.
    ///
    /// # Errors
    /// [`BridgeError::Params`] where the parameters are none of a cancellation, [`BridgeError::Unknown`] where
    /// the owner has no such request under way, which happens when answer and cancellation cross.
    pub fn cancelled(
        &mut self,
        owner: &O,
        params: Option<&Raw>,
    ) -> Result<(Pending<O, T>, Raw), BridgeError> {
        let object = object(params)?;
        let id = request_id_of(&object)?;
        let (id, pending) = self.cancel(owner, &id).ok_or(BridgeError::Unknown)?;
        let params = object.splice().set("requestId", &id.to_raw())?.finish();
        Ok((pending, params))
    }
}

/// The request that a `notifications/cancelled` is about.
///
/// # Errors
/// [`RawError`] where the parameters have no `requestId` that is a string or a number.
pub fn cancelled_request(params: Option<&Raw>) -> Result<RequestId, RawError> {
    request_id_of(&object(params)?)
}

/// Makes the parameters of a `notifications/cancelled`.
#[must_use]
pub fn cancelled_params(id: &RequestId, reason: &str) -> Raw {
    let mut out = b"{\"requestId\":".to_vec();
    out.extend_from_slice(id.as_json());
    out.extend_from_slice(b",\"reason\":");
    crate::raw::write_string(&mut out, reason);
    out.push(b'}');
    Raw::trusted(out)
}

fn object(params: Option<&Raw>) -> Result<Object<'_>, RawError> {
    params.ok_or(RawError::Missing { name: "params" })?.object()
}

fn request_id_of(object: &Object<'_>) -> Result<RequestId, RawError> {
    let value = object.get("requestId")?.ok_or(RawError::Missing { name: "requestId" })?;
    RequestId::from_json(value).ok_or_else(|| RawError::wrong_type("requestId", "a string or a number"))
}

/// Replaces the progress token in a request's parameters by a number of the connection's own. Gives the new
/// parameters and the token that stood there, or nothing where there was none, which costs two scans of the text
/// and no parse.
///
/// # Errors
/// [`RawError`] where `_meta` is ambiguous or no object, or its token neither a string nor a number.
pub fn replace_progress_token(params: &Raw, number: u64) -> Result<Option<(Raw, Raw)>, RawError> {
    // Most calls ask for no progress and are spared the look; `\u` may spell any name.
    let text = params.as_bytes();
    let worth_a_look = memmem::find(text, b"progressToken").is_some() || memmem::find(text, b"\\u").is_some();
    if !worth_a_look || !params.is_object() {
        return Ok(None);
    }
    let object = params.object()?;
    let Some(meta) = object.get("_meta")?.filter(|meta| meta.get() != "null") else {
        return Ok(None);
    };
    let meta = Object::of(meta).map_err(|_| RawError::wrong_type("_meta", "an object"))?;
    let Some(token) = meta.get("progressToken")?.filter(|token| token.get() != "null") else {
        return Ok(None);
    };
    let original = RequestId::from_json(token)
        .ok_or_else(|| RawError::wrong_type("progressToken", "a string or a number"))?;
    let own = RequestId::number(number).to_raw();
    let meta = meta.splice().set("progressToken", &own)?.finish();
    let params = object.splice().set("_meta", &meta)?.finish();
    Ok(Some((params, original.to_raw())))
}
