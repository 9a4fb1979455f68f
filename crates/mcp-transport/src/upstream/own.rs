//! An upstream that is no server: what answers its requests is part of this process.
//!
//! So that a request to it goes the way of every other one, hooks, deadlines and cancellation included. It sends nothing
//! on its own: an answer is all that comes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Call, Outcome, UpstreamError};

/// The answer to a request, once it is there. Dropped, the request is cancelled.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Outcome, UpstreamError>> + Send + 'a>>;

/// What answers requests.
pub trait Answers: Send + Sync {
    /// Answers one. Whoever asks sets the deadline; headers and the place for an answer's head are as for a server over
    /// HTTP, where this comes to an HTTP exchange of its own.
    fn answer<'a>(&'a self, call: Call<'a>) -> Answering<'a>;
}

/// A connection to it. Cheap to clone.
#[derive(Clone)]
pub struct OwnConnection(Arc<dyn Answers>);

impl OwnConnection {
    /// A connection to what answers.
    pub fn new(answers: Arc<dyn Answers>) -> Self {
        Self(answers)
    }

    pub(super) fn request<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        self.0.answer(call)
    }
}

impl fmt::Debug for OwnConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnConnection").finish_non_exhaustive()
    }
}
