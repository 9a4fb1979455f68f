//! One request, from its head to its answer.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body::Body as HttpBody;
use mortise_framework::{Contexts, Outcome, Pair};
use mortise_llm::{
    client::without_credentials,
    convert,
    family::Family,
    fault::FaultKind,
    path::classify,
    request::{RequestError, look, with_model},
    shape::Shape,
    stream::Framing,
};
use mortise_mcp_transport::{http::pool::PooledBody, server::answer::AnswerBody};
use mortise_plugin_api::{
    End, Hook, HookId, Json, Revision,
    hooks::{AuthPostCheck, HttpAuthResolveUser, HttpPreRequest, LlmInput, LlmOutput, llm::LlmInputPayload},
};

use super::{
    LlmSurface, Place,
    account::Account,
    ask::Ask,
    attempt::{self, Failed, Outgoing, Sent},
    checks::{list, looked, named, read},
    choose,
    guarded::{self, Answered},
    headers,
    metrics::Came,
    place::climbs,
    refusal::{blocked, refuse},
    table::{Llm, Llms},
    turned,
};
use crate::{
    snapshot::{Plugins, Snapshot},
    trace::Followed,
};

pub(super) type Refused = Box<Response<AnswerBody>>;

/// Hooks before it is known which model a request is for.
const BEFORE: [HookId; 3] = [HttpPreRequest::ID, HttpAuthResolveUser::ID, AuthPostCheck::ID];

/// Longest name that is repeated in an answer.
const LONGEST_NAME: usize = 128;

/// A request of which it is known what it asks for.
struct Known {
    account: Box<Account>,
    contexts: Contexts,
    llm: Arc<Llm>,
    family: Family,
    out: Outgoing,
    /// Whether the path says that the answer streams.
    streams: bool,
}

impl LlmSurface {
    /// Answers a request.
    pub(crate) async fn serve<B>(self: &Arc<Self>, ask: Box<Ask>, body: B) -> Response<AnswerBody>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        match self.answer(*ask, body).await {
            Ok(response) => response,
            Err(refused) => *refused,
        }
    }

    async fn answer<B>(self: &Arc<Self>, ask: Ask, body: B) -> Result<Response<AnswerBody>, Refused>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let Ask { parts, request, grant, contexts, snapshot, call, context } = ask;
        let path = parts.uri.path();
        let Some(place) = Place::of(path) else {
            return Err(refuse(Family::OpenAi, FaultKind::NotFound, "there is nothing here"));
        };
        let family = family_at(&snapshot.llms, &place);
        let classified = classify(place.rest());
        let followed = call.map(|call| Followed::new(call, operation(classified.shape)));
        let mut account = Account::new(
            self,
            &snapshot,
            Arc::new(request),
            grant.as_deref(),
            followed,
            (parts.method.clone(), path),
        );
        account.shape = classified.shape;
        if climbs(place.rest()) {
            return Err(account.refused(
                family,
                FaultKind::InvalidRequest,
                "the path has segments that climb",
            ));
        }
        let named = named(&snapshot, &place, &mut account, family)?;
        let lists = classified.shape == Shape::Models && matches!(parts.method, Method::GET | Method::HEAD);
        if lists && let Some(list) = list(&snapshot, &place, named.as_deref(), &account) {
            account.came(Came::Ok);
            return Ok(list);
        }
        if !lists
            && parts.method != Method::POST
            && !named.as_ref().is_some_and(|llm| llm.settings.all_methods)
        {
            let mut response = account.refused(family, FaultKind::InvalidRequest, "only POST is served here");
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return Err(response);
        }
        let body = read(body, &parts.headers, &mut account, family).await?;
        let asked = looked(&body, &parts.headers, classified.shape, &mut account, family)?;
        let model = classified.model.clone().or_else(|| asked.model.clone());
        let in_path = classified.model.is_some();
        let (llm, model, renamed) =
            self.chosen(&snapshot, named, model, &mut account, family, (&parts.method, lists))?;
        drop(asked);
        let mut out = Outgoing {
            rest: place.rest().to_owned(),
            query: parts.uri.query().map(without_credentials).map(Cow::into_owned),
            headers: headers::inbound(&parts.headers),
            method: parts.method,
            body,
            model: model.as_deref().map(Into::into),
            context,
            place: 0,
        };
        if let (true, Some(model)) = (renamed, model.as_deref()) {
            if in_path {
                out.rest = classify(place.rest()).with_model(place.rest(), model);
            } else {
                out.body = with_model(&out.body, model).map_err(|error| {
                    account.refused(family, FaultKind::InvalidRequest, &error.to_string())
                })?;
            }
        }
        account.about(&llm, out.model.clone());
        if account.is_limited() {
            Box::pin(account.within_limits(family, &out.body)).await?;
        }
        let mut streams = classified.streams.unwrap_or(false);
        let mut turn = None;
        if llm.family() != family {
            let turned = turned::request(&mut out, &llm, snapshot.llms.max_bytes);
            let turned =
                turned.map_err(|message| account.refused(family, FaultKind::InvalidRequest, &message))?;
            (account.shape, streams) = (turned.0, turned.1);
            turn = Some(turned.2);
        } else if !matches!(place, Place::Vendor { .. }) {
            turned::deployed(&mut out, &llm, account.shape);
        }
        let known = Known { account, contexts, llm, family, out, streams };
        let pipelines = &snapshot.pipelines;
        let looked_at = pipelines.chain(LlmInput::ID).is_some() || pipelines.chain(LlmOutput::ID).is_some();
        let response = if looked_at { Box::pin(guarded(known)).await? } else { plain(known).await? };
        Ok(match turn {
            Some(turn) => Box::pin(turned::answer(response, turn)).await,
            None => response,
        })
    }

    /// The LLM of a request, the model it is asked for, and whether that is another name than the client wrote.
    fn chosen(
        &self,
        snapshot: &Snapshot,
        named: Option<Arc<Llm>>,
        model: Option<Cow<'_, str>>,
        account: &mut Account,
        family: Family,
        (method, lists): (&Method, bool),
    ) -> Result<(Arc<Llm>, Option<String>, bool), Refused> {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let (llm, mut model, mut renamed) = match named {
            Some(llm) => (llm, model.map(Cow::into_owned), false),
            None => {
                let turn = TURN.fetch_add(1, Relaxed);
                // Plugins that are bound to an LLM before its request is read do not know that it is this one: whoever
                // wants it names it.
                let may_use =
                    |llm: &str| account.may_use(llm) && !snapshot.pipelines.is_bound_to_llm(llm, &BEFORE);
                let shape = account.shape;
                let find = |speaks: &dyn Fn(&Llm) -> bool| {
                    choose::by_model(&snapshot.llms, may_use, speaks, model.as_deref(), turn)
                };
                let found = find(&|llm| llm.family() == family)
                    .or_else(|| find(&|llm| convert::exists(shape, turned::vendors_shape(shape, llm))));
                match found {
                    Some((llm, Some(bare))) => (llm, Some(bare.to_owned()), true),
                    Some((llm, None)) => (llm, model.map(Cow::into_owned), false),
                    None => {
                        let message = match model.as_deref() {
                            Some(model) => format!("no LLM here has the model `{}`", shown(model)),
                            None => "the request names no model".to_owned(),
                        };
                        return Err(account.refused(family, FaultKind::NotFound, &message));
                    }
                }
            }
        };
        if model.is_none()
            && account.shape != Shape::Other
            && !lists
            && let Some(default) = &llm.settings.default_model
        {
            model = Some(default.clone());
            renamed = true;
        }
        match model.as_deref() {
            Some(model) if !llm.has_model(model) => {
                let message = format!("the LLM `{}` does not offer the model `{}`", llm.name, shown(model));
                Err(account.refused(family, FaultKind::NotFound, &message))
            }
            None if llm.settings.models.is_some() && *method == Method::POST => {
                let message = format!(
                    "the request names no model, and the LLM `{}` serves certain ones only",
                    llm.name
                );
                Err(account.refused(family, FaultKind::InvalidRequest, &message))
            }
            _ => Ok((llm, model, renamed)),
        }
    }
}

impl Account {
    /// A refusal of the gateway's own.
    pub(super) fn refused(&mut self, family: Family, kind: FaultKind, message: &str) -> Refused {
        self.came(match kind {
            FaultKind::RateLimited | FaultKind::QuotaExceeded => Came::Refused,
            FaultKind::Timeout => Came::TimedOut,
            _ => Came::Error,
        });
        refuse(family, kind, message)
    }

    /// Says which LLM is asked, and for which model.
    fn about(&mut self, llm: &Arc<Llm>, model: Option<Arc<str>>) {
        let request = Arc::make_mut(&mut self.request);
        request.upstream = Some(llm.name.clone());
        request.server_id = Some(llm.name.clone());
        request.llm = Some(llm.name.clone());
        if let Some(followed) = &mut self.followed {
            match &model {
                Some(model) => followed.about(&format!("{}/{model}", llm.name)),
                None => followed.about(&llm.name),
            }
        }
        self.llm = Some(llm.clone());
        self.model = model;
    }
}

/// What explanations call an operation.
fn operation(shape: Shape) -> &'static str {
    match shape {
        Shape::Chat => "llm/chat",
        Shape::Completions => "llm/completions",
        Shape::Responses => "llm/responses",
        Shape::Embeddings | Shape::GenerateEmbed => "llm/embeddings",
        Shape::Models => "llm/models",
        Shape::Messages => "llm/messages",
        Shape::CountTokens => "llm/count_tokens",
        Shape::Generate => "llm/generate",
        Shape::Converse => "llm/converse",
        Shape::Invoke | Shape::InvokeMessages => "llm/invoke",
        _ => "llm/other",
    }
}

/// Whose wire format a client at this place expects.
pub(crate) fn family_at(llms: &Llms, place: &Place<'_>) -> Family {
    match place {
        Place::Vendor { llm, rest } => {
            llms.get(llm).map_or_else(|| classify(rest).shape.family(), |llm| llm.family())
        }
        Place::OpenAi { .. } => Family::OpenAi,
        Place::ByModel { rest } => match classify(rest).shape {
            // Google's libraries ask for lists under a version of their own.
            Shape::Models | Shape::Other | Shape::CountTokens if rest.starts_with("/v1beta/") => {
                Family::Gemini
            }
            Shape::CountTokens if rest.ends_with("/messages/count_tokens") => Family::Anthropic,
            shape => shape.family(),
        },
    }
}

/// A request that no plugin looks at.
async fn plain(known: Known) -> Result<Response<AnswerBody>, Refused> {
    let Known { mut account, contexts, llm, family, out, streams } = known;
    account.asked = out.body.clone();
    let sent = match attempt::send(&mut account, llm, &out, &contexts).await {
        Ok(sent) => sent,
        Err(failed) => return Err(no_answer(&mut account, family, failed)),
    };
    let (answered, body) = begun(sent, &mut account, out.query.as_deref(), streams);
    account.keep(answered.framing, false);
    let silence = answered.llm.settings.chunk_timeout;
    Ok(guarded::passing(answered, body, account, silence, None))
}

/// The head of an answer, as it goes to the client.
fn begun(sent: Sent, account: &mut Account, query: Option<&str>, streams: bool) -> (Answered, PooledBody) {
    let Sent { llm, response, wished } = sent;
    let (parts, body) = response.into_parts();
    let mut headers = parts.headers;
    headers::answered(&mut headers);
    headers::wished(&mut headers, &wished);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut framing = content_type.and_then(Framing::of_content_type);
    if framing.is_none() && streams && parts.status.is_success() {
        framing = Some(account.shape.framing(query));
    }
    if framing.is_some() {
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    account.answered(parts.status);
    account.llm = Some(llm.clone());
    (Answered { llm, status: parts.status, headers, framing }, body)
}

/// The answer where the vendor gave none.
fn no_answer(account: &mut Account, family: Family, failed: Failed) -> Refused {
    match failed {
        Failed::Stopped(by) => {
            account.came(Came::Blocked);
            blocked(family, &by, StatusCode::SERVICE_UNAVAILABLE)
        }
        Failed::TimedOut => account.refused(family, FaultKind::Timeout, "the model did not answer in time"),
        Failed::Away => account.refused(family, FaultKind::Upstream, "the model cannot be reached"),
    }
}

/// A request that plugins look at, or at its answer.
async fn guarded(known: Known) -> Result<Response<AnswerBody>, Refused> {
    let Known { mut account, contexts, mut llm, family, mut out, streams } = known;
    let plugins = Plugins(account.snapshot.clone());
    let mut pair = Pair::new(plugins, LlmInput::ID, account.request.clone(), contexts, guarded::substitute);
    let shown = LlmInputPayload {
        llm: llm.name.to_string(),
        vendor: llm.vendor().name().to_owned(),
        model: out.model.as_deref().map(str::to_owned),
        path: out.rest.clone(),
        headers: headers::shown(&out.headers),
        body: Json::assume_valid(out.body.clone()),
    };
    let before = pair.before(Revision::new(Box::new(shown.clone()))).await;
    if let Some(by) = &before.blocked {
        account.came(Came::Blocked);
        account.asked = out.body.clone();
        return Err(blocked(family, by, StatusCode::BAD_REQUEST));
    }
    if let Err(refused) = take(&before, &shown, &mut out, &mut account, &mut llm, family) {
        pair.failed(End::UpstreamFailed).await;
        return Err(refused);
    }
    if let Some(place) = named_address(pair.contexts_mut(), &llm) {
        match place {
            Some(place) => out.place = place,
            None => {
                pair.failed(End::UpstreamFailed).await;
                let message = "a plugin names an address that this LLM does not have";
                return Err(account.refused(family, FaultKind::Upstream, message));
            }
        }
    }
    let mut wished = before.response_headers();
    account.asked = out.body.clone();
    let memory = pair.contexts_mut().companion();
    let mut sent = match attempt::send(&mut account, llm, &out, &memory).await {
        Ok(sent) => sent,
        Err(failed) => {
            let end = if matches!(failed, Failed::TimedOut) { End::TimedOut } else { End::UpstreamFailed };
            pair.failed(end).await;
            return Err(no_answer(&mut account, family, failed));
        }
    };
    wished.merge(&sent.wished);
    sent.wished = wished;
    let (answered, body) = begun(sent, &mut account, out.query.as_deref(), streams);
    Ok(guarded::through(pair, answered, account, body).await)
}

/// The address that a plugin names in place of the LLM's own, by its number; the inner `None` for one that the LLM does not
/// have. Plugins of Tyk name it in their context, others in what all plugins of a request share.
fn named_address(contexts: &mut Contexts, llm: &Llm) -> Option<Option<usize>> {
    const NAME: &str = "upstream_override";
    let shared = &contexts.shared().state;
    let named = shared.get("plugin_context").and_then(|context| context.get(NAME));
    let url = named.or_else(|| shared.get(NAME))?.as_str()?;
    let place = llm.place_of(url);
    if place.is_none() {
        let url = mortise_telemetry::redact::url(url);
        tracing::warn!(llm = &*llm.name, %url, "a plugin names an address that is not among `other_endpoints`");
    }
    Some(place)
}

/// Takes what plugins made of a request.
fn take(
    before: &Outcome,
    shown_to_them: &LlmInputPayload,
    out: &mut Outgoing,
    account: &mut Account,
    llm: &mut Arc<Llm>,
    family: Family,
) -> Result<(), Refused> {
    let changed = before.changed.as_ref().and_then(|revision| revision.get::<LlmInputPayload>());
    let Some(changed) = changed else { return Ok(()) };
    headers::change(&mut out.headers, &shown_to_them.headers, &changed.headers);
    let wrong = |account: &mut Account, error: &RequestError| {
        account.refused(
            family,
            FaultKind::Internal,
            &format!("a plugin changed the request to something else: {error}"),
        )
    };
    let in_path = classify(&out.rest).model.is_some();
    out.body = changed.body.text().clone();
    let mut model = out.model.clone();
    if changed.model.as_deref() != shown_to_them.model.as_deref() {
        model = changed.model.as_deref().map(Into::into);
        if let Some(model) = changed.model.as_deref() {
            if in_path {
                out.rest = classify(&out.rest).with_model(&out.rest, model);
            } else {
                out.body = with_model(&out.body, model).map_err(|error| wrong(account, &error))?;
            }
        }
    } else if !in_path && account.shape != Shape::Other && !out.body.is_empty() {
        let named = look(&out.body).map_err(|error| wrong(account, &error))?;
        model = named.model.as_deref().map(Into::into);
    }
    // A model that a plugin named is held to the same rules as one that the client named.
    if let Some(name) = model.as_deref().filter(|name| !llm.has_model(name)) {
        let message = format!("the LLM `{}` does not offer the model `{}`", llm.name, shown(name));
        return Err(account.refused(family, FaultKind::NotFound, &message));
    }
    account.model.clone_from(&model);
    out.model = model;
    Ok(())
}

/// A name that a client gave, as it may be repeated.
pub(super) fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}
