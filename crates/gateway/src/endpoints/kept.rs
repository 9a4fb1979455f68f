//! What is kept of a request until its answer is over, whichever way that ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use mortise_plugin_api::Request;

use super::{is_failure, metrics::Counted};
use crate::{mcp::Verdict, snapshot::Snapshot, trace::Followed};

/// A request under way. Dropped before its answer was over, its client has left.
pub(super) struct Kept {
    /// Keeps the plugin that answers from ending.
    pub(super) snapshot: Arc<Snapshot>,
    followed: Option<Followed>,
    pub(super) about: Arc<Request>,
    counted: Arc<Counted>,
    began: Instant,
    /// When the plugin was asked.
    asked: Option<Instant>,
    status: Option<StatusCode>,
    verdict: Option<Verdict>,
    streams: bool,
}

impl Kept {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        followed: Option<Followed>,
        about: Request,
        counted: Arc<Counted>,
        began: Instant,
    ) -> Self {
        Self {
            snapshot,
            followed,
            about: Arc::new(about),
            counted,
            began,
            asked: None,
            status: None,
            verdict: None,
            streams: false,
        }
    }

    /// Notes that the plugin is asked now.
    pub(super) fn ask(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// Notes an answer that is over with its head.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.verdict = Some(if is_failure(status) { Verdict::Error } else { Verdict::Ok });
    }

    /// Notes that pieces follow.
    pub(super) fn streams(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.streams = true;
        self.counted.stream_begins();
    }

    /// Notes how a streamed answer ended.
    pub(super) fn ended(&mut self, well: bool) {
        let well = well && !self.status.is_some_and(is_failure);
        self.verdict = Some(if well { Verdict::Ok } else { Verdict::Error });
    }

    /// How long the request has been under way.
    pub(super) fn took(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.streams {
            self.counted.stream_ends();
        }
        self.counted.ended(self.status, self.began);
        let Some(mut followed) = self.followed.take() else { return };
        if let Some(asked) = self.asked {
            followed.upstream_took(asked);
        }
        if let Some(verdict) = self.verdict.take() {
            followed.came_to(verdict);
        }
        followed.end(&self.about);
    }
}
