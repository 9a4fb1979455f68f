//! Requests that did not come as messages of the protocol, answered as if they had: hooks, records and counters are those
//! of every call.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use http::HeaderMap;
use mortise_mcp::raw::Raw;
use mortise_mcp_transport::{in_place, upstream::Outcome};

use super::{
    Post, Surface,
    dispatch::{self, Verdict},
    exchange::Inbound,
    forwarding,
};
use crate::{metrics::Tally, trace::Followed};

/// What such a request came to.
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    pub(crate) verdict: Verdict,
    /// Headers plugins would like on the answer.
    pub(crate) headers: HeaderMap,
}

impl Surface {
    /// Answers a request of one caller, without a session.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        post: Box<Post>,
        method: &'static str,
        params: Option<Raw>,
    ) -> Answered {
        let mut inbound = Inbound {
            surface: self.clone(),
            snapshot: post.snapshot,
            server: post.audience.server,
            session: None,
            stateless: None,
            request: Arc::new(post.audience.request),
            contexts: post.contexts,
            params,
            interim: None,
            followed: post.call.map(|call| Followed::new(call, method)),
            context: post.context,
            wished: Mutex::default(),
        };
        let started = Instant::now();
        let answer = in_place::boxed(|| dispatch::answer(&mut inbound, method)).await;
        let tally = match answer.verdict {
            Verdict::Ok => Tally::Ok,
            Verdict::Blocked => Tally::Blocked,
            Verdict::Error => Tally::Error,
        };
        self.metrics.mcp(method, tally, started.elapsed());
        if let Some(followed) = &mut inbound.followed {
            followed.came_to(answer.verdict);
        }
        let mut headers = answer.headers;
        headers.merge(&inbound.wishes());
        let headers = forwarding::outgoing(&headers);
        Answered { outcome: answer.outcome, verdict: answer.verdict, headers }
    }
}
