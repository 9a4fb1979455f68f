//! One HTTP request to the surface: a posted message, a stream to listen on, the end of a session.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as HttpBody;
use mortise_framework::Contexts;
use mortise_mcp::{
    envelope::{
        Body, EnvelopeError, ErrorObject, Message, Request as Asked, Response as Answered, code, method,
    },
    initialize::{self, ClientHello},
    stateless::{self, RoutingHeaders, StatelessError},
    version::{Version, header},
};
use mortise_mcp_transport::{
    http::{PROTOCOL_VERSION, SESSION_ID},
    in_place,
    server::{
        answer::{self, AnswerBody},
        request::{Accepts, check_headers, read_body},
    },
};
use mortise_plugin_api::Caller;

use super::{
    Audience, Surface,
    dispatch::{self, Verdict},
    exchange::Inbound,
    interim::Interim,
    server_error,
    session::{Owner, Session},
    stream::{self, Finished, Pending, Work},
};
use crate::{
    metrics::Tally,
    snapshot::Snapshot,
    spans::TraceContext,
    trace::{Followed, Following},
};

/// A request of which the audience is settled.
pub struct Post {
    /// Who asks, and where.
    pub audience: Audience,
    /// Its headers.
    pub headers: HeaderMap,
    /// What plugins noted about it so far.
    pub contexts: Contexts,
    /// What it is served by.
    pub snapshot: Arc<Snapshot>,
    /// Set where it is followed.
    pub(crate) call: Option<Following>,
    /// The trace it belongs to.
    pub(crate) context: Option<Arc<TraceContext>>,
}

impl Surface {
    /// Answers a posted message.
    pub async fn post<B>(self: &Arc<Self>, post: Box<Post>, body: B) -> Response<AnswerBody>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let max_body_bytes = post.snapshot.access.max_body_bytes();
        let accepts = match check_headers(&post.headers, max_body_bytes) {
            Ok(accepts) => accepts,
            Err(refusal) => return answer::refused(refusal),
        };
        let body = match read_body(body, max_body_bytes, self.config.body_timeout).await {
            Ok(body) => body,
            Err(refusal) => return answer::refused(refusal),
        };
        let version = match version_header(&post.headers) {
            Ok(version) => version,
            Err(response) => return *response,
        };
        let session = match self.session_of(&post) {
            Ok(session) => session,
            Err(response) => return *response,
        };
        match Body::parse(&body, &post.snapshot.access.envelope) {
            Ok(Body::Single(Message::Request(asked))) => {
                self.request(post, session, version, accepts, asked).await
            }
            Ok(Body::Single(other)) => {
                Box::pin(settle(session.as_ref(), other)).await;
                answer::accepted()
            }
            Ok(Body::Batch(messages)) => Box::pin(self.batch(&post, session, version, messages)).await,
            Err(error) => unreadable(&error),
        }
    }

    /// Opens the stream a session's client listens on.
    pub async fn listen(self: &Arc<Self>, post: Box<Post>) -> Response<AnswerBody> {
        if !Accepts::of(&post.headers).events {
            let error = ErrorObject::new(code::INVALID_REQUEST, "the client must accept text/event-stream");
            return answer::error(StatusCode::NOT_ACCEPTABLE, None, &error);
        }
        let session = match self.session_of(&post) {
            Ok(Some(session)) => session,
            // Without a session there is nothing to listen to.
            Ok(None) => return answer::empty(StatusCode::METHOD_NOT_ALLOWED),
            Err(response) => return *response,
        };
        let (sender, response) = answer::events(self.config.stream_queue);
        let catalogs = post.snapshot.catalogs.clone();
        if session.outbox.is_open() {
            let error = ErrorObject::new(code::INVALID_REQUEST, "this session has a stream already");
            return answer::error(StatusCode::CONFLICT, None, &error);
        }
        self.tasks.spawn(async move {
            // The client listens: from now on its own upstream connections may speak.
            session.outbox.open(sender).await;
            let views = catalogs.views(session.server.as_deref());
            let behind = views.into_iter().flat_map(|views| &views.upstreams);
            join_all(behind.filter_map(|at| catalogs.fleet.get(*at)).map(|upstream| {
                let session = session.clone();
                async move {
                    if let Err(reason) = session.link(upstream).await {
                        tracing::debug!(reason, "a session goes without an upstream");
                    }
                }
            }))
            .await;
        });
        response
    }

    /// Ends a session.
    pub async fn end(self: &Arc<Self>, post: Box<Post>) -> Response<AnswerBody> {
        match self.session_of(&post) {
            Ok(Some(session)) => {
                self.sessions.close(&session).await;
                answer::empty(StatusCode::OK)
            }
            Ok(None) => answer::empty(StatusCode::METHOD_NOT_ALLOWED),
            Err(response) => *response,
        }
    }

    /// The session a request names.
    fn session_of(&self, post: &Post) -> Result<Option<Arc<Session>>, Box<Response<AnswerBody>>> {
        let Some(id) = post.headers.get(SESSION_ID) else { return Ok(None) };
        let owner = owner(&post.audience.request.caller);
        let server = post.audience.server.as_deref();
        let found = id.to_str().ok().and_then(|id| self.sessions.find(id, server, &owner));
        found.map(Some).ok_or_else(|| {
            let error = ErrorObject::new(code::INVALID_REQUEST, "Session not found");
            Box::new(answer::error(StatusCode::NOT_FOUND, None, &error))
        })
    }

    async fn request(
        self: &Arc<Self>,
        post: Box<Post>,
        session: Option<Arc<Session>>,
        version: Option<Version>,
        accepts: Accepts,
        asked: Asked,
    ) -> Response<AnswerBody> {
        let stateless = match self.stateless(&post, version, &asked) {
            Ok(stateless) => stateless,
            Err(error) => {
                let error = error.to_error();
                return answer::error(status_of(error.code), Some(&asked.id), &error);
            }
        };
        if asked.method == method::INITIALIZE && stateless.is_none() {
            return Box::pin(self.initialize(post, asked)).await;
        }
        // Right after the start, what there is to offer is known in a moment.
        self.upstreams.attempted(self.config.connect_patience).await;
        let under_way = session.as_ref().map(|session| session.begin(asked.id.clone()));
        let interim = (accepts.events && goes_upstream(&asked.method)).then(Interim::default);
        let is_stateless = stateless.is_some();
        let id = asked.id.clone();
        let queue = interim.clone();
        let work = self.work(post, session, stateless, asked, queue);
        let pending = Pending { id, work, interim, under_way, answered: None };
        stream::respond(self, pending, accepts, |outcome| match outcome {
            Err(error) if is_stateless => status_of(error.code().unwrap_or(code::INTERNAL_ERROR)),
            _ => StatusCode::OK,
        })
        .await
    }

    /// The work of answering a request, counted.
    fn work(
        self: &Arc<Self>,
        post: Box<Post>,
        session: Option<Arc<Session>>,
        stateless: Option<stateless::RequestMeta>,
        asked: Asked,
        interim: Option<Interim>,
    ) -> Work {
        let followed = post.call.map(|call| Followed::new(call, &asked.method));
        let mut inbound = Inbound {
            surface: self.clone(),
            snapshot: post.snapshot,
            server: post.audience.server,
            session,
            stateless,
            request: Arc::new(post.audience.request),
            contexts: post.contexts,
            params: asked.params,
            interim,
            followed,
            context: post.context,
            wished: Mutex::default(),
        };
        let name = asked.method;
        Box::pin(async move {
            let started = Instant::now();
            // Two references are all there is to write of it at first: it is not made elsewhere and then moved.
            let answer = in_place::boxed(|| dispatch::answer(&mut inbound, &name)).await;
            let tally = match answer.verdict {
                Verdict::Ok => Tally::Ok,
                Verdict::Blocked => Tally::Blocked,
                Verdict::Error => Tally::Error,
            };
            inbound.surface.metrics.mcp(&name, tally, started.elapsed());
            if let Some(followed) = &mut inbound.followed {
                followed.came_to(answer.verdict);
            }
            let mut headers = answer.headers;
            headers.merge(&inbound.wishes());
            Finished { outcome: answer.outcome, headers }
        })
    }

    /// What a request of the revision without sessions says of its sender.
    fn stateless(
        &self,
        post: &Post,
        version: Option<Version>,
        asked: &Asked,
    ) -> Result<Option<stateless::RequestMeta>, StatelessError> {
        let by_header = version.is_some_and(|version| !version.has_initialize());
        let Some(meta) = stateless::request_meta(asked.params.as_ref())? else {
            if by_header {
                return Err(StatelessError::Meta(
                    "io.modelcontextprotocol/protocolVersion is required".into(),
                ));
            }
            return Ok(None);
        };
        let text = |name: &str| {
            let mut values = post.headers.get_all(name).iter();
            let first = values.next().and_then(|value| value.to_str().ok());
            // A header that stands twice could be read differently by whoever routes by it.
            if values.next().is_some() { None } else { first }
        };
        let headers = RoutingHeaders {
            version: text(header::PROTOCOL_VERSION),
            method: text(header::METHOD),
            name: text(header::NAME),
        };
        stateless::check_headers(&headers, &meta, &asked.method, asked.params.as_ref())?;
        Ok(Some(meta))
    }

    async fn initialize(self: &Arc<Self>, post: Box<Post>, asked: Asked) -> Response<AnswerBody> {
        let hello = match ClientHello::parse(asked.params.as_ref()) {
            Ok(hello) => hello,
            Err(error) => {
                let error = ErrorObject::invalid_params(error.to_string());
                return answer::error(StatusCode::OK, Some(&asked.id), &error);
            }
        };
        self.upstreams.attempted(self.config.connect_patience).await;
        let Some(views) = post.snapshot.catalogs.views(post.audience.server.as_deref()) else {
            return answer::empty(StatusCode::NOT_FOUND);
        };
        let (server, owner) = (post.audience.server.clone(), owner(&post.audience.request.caller));
        let Some(session) = self.sessions.open(hello, server, owner) else {
            let error = server_error("there are as many sessions as are allowed; try again later");
            let body = stream::encode(&asked.id, &Err(error));
            return answer::json_with_status(StatusCode::SERVICE_UNAVAILABLE, body.into());
        };
        let instructions = views.instructions.as_deref();
        let result =
            initialize::result(session.version, &views.capabilities, &self.server_info, instructions);
        let mut response = answer::json(stream::encode(&asked.id, &Ok(result)).into());
        // 32 hexadecimal digits are a header value.
        if let Ok(id) = HeaderValue::from_str(&session.id) {
            response.headers_mut().insert(SESSION_ID, id);
        }
        response
    }

    /// Answers the messages of a batch, all at once, without event streams. Each request among them is a call of its own,
    /// under the id of the HTTP request with its number in the batch: `ID.1`, `ID.2`, ….
    async fn batch(
        self: &Arc<Self>,
        post: &Post,
        session: Option<Arc<Session>>,
        version: Option<Version>,
        messages: Vec<Result<Message, EnvelopeError>>,
    ) -> Response<AnswerBody> {
        let speaks = session.as_ref().map(|session| session.version).or(version);
        if !speaks.unwrap_or(Version::WITHOUT_HEADER).has_batches() {
            let error = ErrorObject::new(code::INVALID_REQUEST, "this protocol version has no batches");
            return answer::error(StatusCode::BAD_REQUEST, None, &error);
        }
        let answers = join_all(messages.into_iter().zip(1u32..).map(|(message, number)| {
            let session = session.clone();
            async move {
                match message {
                    Ok(Message::Request(asked)) if asked.method == method::INITIALIZE => {
                        let error =
                            ErrorObject::new(code::INVALID_REQUEST, "initialize cannot be part of a batch");
                        Some(Message::Response(Answered::err(Some(asked.id), &error)))
                    }
                    Ok(Message::Request(asked)) => {
                        let id = asked.id.clone();
                        let mut contexts = post.contexts.copied();
                        let context = post.context.as_ref().map(|context| context.beside());
                        let mut audience = post.audience.clone();
                        audience.request.id = format!("{}.{number}", audience.request.id).into();
                        let post = Box::new(Post {
                            audience,
                            headers: HeaderMap::new(),
                            // Each of them is a call of its own.
                            call: self.calls.follow(&post.snapshot, &mut contexts, context.as_ref()),
                            contexts,
                            context,
                            snapshot: post.snapshot.clone(),
                        });
                        let finished = self.work(post, session, None, asked, None).await;
                        Some(Message::Response(Answered { id: Some(id), outcome: finished.outcome }))
                    }
                    Ok(other) => {
                        settle(session.as_ref(), other).await;
                        None
                    }
                    Err(error) => Some(Message::Response(error.to_response())),
                }
            }
        }))
        .await;
        let answers: Vec<Message> = answers.into_iter().flatten().collect();
        if answers.is_empty() {
            return answer::accepted();
        }
        answer::json(mortise_mcp::envelope::batch_to_bytes(&answers))
    }
}

/// Whose a session is: whoever calls under another app, user or tenant cannot use it.
fn owner(caller: &Caller) -> Owner {
    Owner { app: caller.app.clone(), user: caller.user.clone(), tenant: caller.tenant.clone() }
}

/// Takes a notification or an answer, where there is a session it belongs to.
async fn settle(session: Option<&Arc<Session>>, message: Message) {
    let Some(session) = session else { return };
    match message {
        Message::Notification(notification) => session.notify(notification).await,
        Message::Response(response) => session.answer(response).await,
        Message::Request(_) => {}
    }
}

/// Whether answering may take messages of an upstream's on the way.
fn goes_upstream(name: &str) -> bool {
    !matches!(
        name,
        method::PING
            | method::TOOLS_LIST
            | method::PROMPTS_LIST
            | method::RESOURCES_LIST
            | method::RESOURCES_TEMPLATES_LIST
            | method::SERVER_DISCOVER
    )
}

fn version_header(headers: &HeaderMap) -> Result<Option<Version>, Box<Response<AnswerBody>>> {
    let Some(value) = headers.get(PROTOCOL_VERSION) else { return Ok(None) };
    let text = value.to_str().unwrap_or("unreadable");
    text.parse::<Version>().map(Some).map_err(|_| {
        Box::new(answer::error(StatusCode::BAD_REQUEST, None, &stateless::unsupported_version(text)))
    })
}

fn unreadable(error: &EnvelopeError) -> Response<AnswerBody> {
    let body = Message::Response(error.to_response()).to_bytes();
    answer::json_with_status(StatusCode::BAD_REQUEST, body)
}

fn status_of(error_code: i64) -> StatusCode {
    StatusCode::from_u16(stateless::http_status(error_code)).unwrap_or(StatusCode::OK)
}
