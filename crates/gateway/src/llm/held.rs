//! What a call is held to: the limits of its app and those of the LLM it goes to, and what it takes of them.
//!
//! Tokens are known when a call is over. So what the request will take, by its length, is set aside while it is under
//! way: many calls at once cannot all be let in by the last token of a minute.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, header};
use mortise_llm::{
    family::Family,
    fault::FaultKind,
    meter::{Usage, estimate_body},
    price::Cost,
};
use mortise_plugin_api::Request;
use mortise_store::Spent;

use super::{
    LlmSurface,
    account::Account,
    call::Refused,
    ledger::{self, Ledger, Side, Tally},
    table::{Limits, Llm},
};

/// What a call is held to.
pub(super) struct Held {
    app: Option<(Arc<Tally>, Limits)>,
    aside: Vec<Aside>,
}

/// Tokens that are set aside.
struct Aside {
    tally: Arc<Tally>,
    limit: u64,
    tokens: u64,
}

impl Held {
    /// What a call of this app is held to.
    pub(super) fn new(ledger: &Ledger, app: Option<(&str, Limits)>) -> Self {
        let app = app.filter(|(_, limits)| limits.any());
        Self { app: app.map(|(name, limits)| (ledger.of(Side::App, name), limits)), aside: Vec::new() }
    }

    /// Counts what a call took, which is over; `reached` says that the vendor did what it was asked for, `sums` that what
    /// is spent is added up also where nothing limits it.
    pub(super) fn settle(
        &mut self,
        surface: &LlmSurface,
        request: &Request,
        llm: &Llm,
        (usage, cost): (Usage, Cost),
        (reached, sums): (bool, bool),
    ) {
        for aside in self.aside.drain(..) {
            aside.tally.tokens.drain(aside.limit, aside.tokens);
        }
        let limits = self.app.as_ref().map(|(_, limits)| *limits).unwrap_or_default();
        if !(sums || limits.any() || llm.limits.any()) || !reached {
            return;
        }
        let app = self.app.as_ref().map(|(tally, _)| &**tally);
        let of_llm = llm.limits.any().then(|| surface.ledger.of(Side::Llm, &llm.name));
        let of_llm = of_llm.as_deref();
        for (tally, limits) in [(app, &limits), (of_llm, &llm.limits)] {
            if let (Some(tally), Some(limit)) = (tally, limits.tokens) {
                tally.tokens.fill(limit, usage.total());
            }
        }
        if sums || limits.budget.is_some() || llm.limits.budget.is_some() {
            let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let spent = Spent {
                requests: 1,
                input_tokens: whole(usage.input),
                output_tokens: whole(usage.output),
                cost: cost.units(),
            };
            let name = request.caller.app.as_deref().unwrap_or_default();
            surface.ledger.spend((name, &llm.name), spent, [app, of_llm]);
        }
    }
}

impl Account {
    /// Whether a call is held to anything.
    pub(super) fn is_limited(&self) -> bool {
        self.held.app.is_some() || self.llm.as_ref().is_some_and(|llm| llm.limits.any())
    }

    /// Refuses what there is no room for in the limits of app or LLM.
    pub(super) async fn within_limits(&mut self, family: Family, body: &[u8]) -> Result<(), Refused> {
        let ledger = self.surface.ledger.clone();
        let mut all: Vec<(String, Arc<Tally>, Limits)> = Vec::with_capacity(2);
        if let Some((tally, limits)) = &self.held.app {
            all.push(("this app".to_owned(), tally.clone(), *limits));
        }
        if let Some(llm) = self.llm.as_ref().filter(|llm| llm.limits.any()) {
            all.push((format!("the LLM `{}`", llm.name), ledger.of(Side::Llm, &llm.name), llm.limits));
        }
        for (_, tally, limits) in &all {
            let Some(budget) = limits.budget else { continue };
            if ledger.spent(tally, limits.reset).await >= budget {
                let left = Duration::from_secs(ledger::left(limits.reset));
                return Err(self.held_back(family, FaultKind::QuotaExceeded, "Budget limit exceeded", left));
            }
        }
        for (who, tally, limits) in &all {
            if let Some(limit) = limits.tokens
                && let Err(pause) = tally.tokens.room(limit)
            {
                let message = format!("{who} has used its {limit} tokens a minute");
                return Err(self.held_back(family, FaultKind::RateLimited, &message, pause));
            }
        }
        for (who, tally, limits) in &all {
            if let Some(limit) = limits.calls
                && let Err(pause) = tally.calls.take(limit)
            {
                let message = format!("{who} has used its {limit} calls a minute");
                return Err(self.held_back(family, FaultKind::RateLimited, &message, pause));
            }
        }
        if all.iter().any(|(.., limits)| limits.tokens.is_some()) {
            let tokens = estimate_body(body);
            for (_, tally, limits) in all {
                let Some(limit) = limits.tokens else { continue };
                tally.tokens.fill(limit, tokens);
                self.held.aside.push(Aside { tally, limit, tokens });
            }
        }
        Ok(())
    }

    fn held_back(&mut self, family: Family, kind: FaultKind, message: &str, pause: Duration) -> Refused {
        let mut response = self.refused(family, kind, message);
        let seconds = pause.as_secs_f64().ceil() as u64;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        response
    }

    /// Whether an LLM that would stand in for another has room for the call; takes it.
    pub(super) fn has_room(&self, llm: &Llm) -> bool {
        let limits = &llm.limits;
        if !limits.any() {
            return true;
        }
        let tally = self.surface.ledger.of(Side::Llm, &llm.name);
        let spent = tally.spent_since(ledger::month(limits.reset)).unwrap_or(0.0);
        limits.budget.is_none_or(|budget| spent < budget)
            && limits.tokens.is_none_or(|limit| tally.tokens.room(limit).is_ok())
            && limits.calls.is_none_or(|limit| tally.calls.take(limit).is_ok())
    }
}
