//! `/datasource/{slug}` and what is below it.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use hyper::body::Incoming;
use mortise_framework::Contexts;
use mortise_mcp_transport::{
    chain::Chain,
    server::{
        answer::{self, AnswerBody},
        listen::Peer,
        request::read_body,
    },
};
use mortise_plugin_api::Request as PluginRequest;
use mortise_store::{
    Store, StoreError,
    documents::{Document, Documents as _, Matching},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    asked::{Added, ByData, ByVector, MOST_TEXTS, Query, Texts, found, matched},
    embed::Embedder,
};
use crate::{
    auth::Grant,
    config::Datasource,
    edge::{
        about,
        guard::{Guard, Leaving},
    },
    llm::LlmSurface,
    manage::Admins,
    mcp::{Surface, Verdict},
    snapshot::Snapshot,
    spans::TraceContext,
    storage::{Storage, StorageError},
    tools::{Wanted, admit, refused, refused_because, wrong_method},
    trace::Followed,
};

/// What such a request is called where calls are listed.
const METHOD: &str = "datasource/ask";

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

type Answer = Result<Value, Box<Response<AnswerBody>>>;

/// What all requests share.
pub(crate) struct Shared<'a> {
    pub(crate) surface: &'a Arc<Surface>,
    pub(crate) llm: &'a Arc<LlmSurface>,
    pub(crate) storage: &'a Arc<Storage>,
    pub(crate) admins: &'a Admins,
}

/// A request that was let in.
struct Inside<'a> {
    shared: Shared<'a>,
    source: &'a Datasource,
    snapshot: Arc<Snapshot>,
    about: PluginRequest,
    grant: Option<Arc<Grant>>,
    contexts: Contexts,
    context: Option<Arc<TraceContext>>,
}

/// Answers a request to a data source; `rest` is what follows its slug.
pub(crate) async fn serve(
    shared: Shared<'_>,
    snapshot: Arc<Snapshot>,
    request: Request<Incoming>,
    peer: &Peer,
    id: &Arc<str>,
    (slug, rest): (&str, &str),
) -> Response<AnswerBody> {
    let (mut parts, body) = request.into_parts();
    let mut about = about(&snapshot, &parts.headers, peer, id);
    // Without what follows the question mark, which may hold a key.
    about.path = Some(parts.uri.path().into());
    let calls = &shared.surface.calls;
    let context = TraceContext::begin(&parts.headers, calls.spans());
    about.traceparent = context.as_ref().map(|context| context.shown());
    let mut contexts = Contexts::of(&snapshot.pipelines);
    let call = calls.follow(&snapshot, &mut contexts, context.as_ref());
    let mut guard = Guard::new(snapshot.clone(), contexts);
    let sources = snapshot.datasources.clone();
    let source = sources.iter().find(|source| source.slug == slug);
    let wanted = Wanted::Datasource(slug);
    let admitted = if rest == "documents" {
        administrates(&shared, &snapshot, &parts.headers).map(|()| None)
    } else {
        admit(&snapshot, &mut guard, &mut parts, &mut about, wanted, source.is_some()).await
    };
    let (grant, source) = match (admitted, source) {
        (Ok(grant), Some(source)) => (grant, source),
        (Ok(_), None) => return refused(StatusCode::NOT_FOUND, &format!("there is no data source `{slug}`")),
        (Err(refused), _) => {
            if let Some(call) = call {
                call.refused(about, refused.status());
            }
            return *refused;
        }
    };
    let mut followed = call.map(|call| Followed::new(call, METHOD));
    if let Some(followed) = &mut followed {
        followed.about(slug);
    }
    let leaving = Leaving::of(&guard, &parts, &about);
    let asked = Arc::new(about.clone());
    let contexts = guard.into_contexts();
    let inside = Inside { shared, source, snapshot, about, grant, contexts, context };
    let mut response = match inside.answered(&parts, body, rest).await {
        Ok(value) => answer::json(value.to_string().into()),
        Err(refused) => *refused,
    };
    if let Some(mut followed) = followed {
        followed.came_to(if response.status().is_success() { Verdict::Ok } else { Verdict::Error });
        followed.end(&asked);
    }
    if let Some(leaving) = leaving {
        leaving.run(&mut response).await;
    }
    response
}

/// Whether somebody may change what a data source holds.
fn administrates(
    shared: &Shared<'_>,
    snapshot: &Snapshot,
    headers: &HeaderMap,
) -> Result<(), Box<Response<AnswerBody>>> {
    if shared.admins.may_change(headers, &snapshot.access.authenticator) {
        return Ok(());
    }
    let message = "documents are changed with the admin token, or by an app with `is_admin`";
    Err(Box::new(refused(StatusCode::FORBIDDEN, message)))
}

impl Inside<'_> {
    async fn answered(self, parts: &Parts, body: Incoming, rest: &str) -> Answer {
        let removes = rest == "documents" && parts.method == Method::DELETE;
        if parts.method != Method::POST && !removes {
            let allowed = if rest == "documents" { "POST, DELETE" } else { "POST" };
            return Err(Box::new(wrong_method(allowed)));
        }
        let limit = self.snapshot.access.max_body_bytes();
        let body = read_body(body, limit, BODY_TIMEOUT).await;
        let body = body.map_err(|why| Box::new(refused(why.status(), &why.to_string())))?;
        match rest {
            "" => self.by_text(&body).await,
            "vector" => {
                let asked: ByVector = read(&body)?;
                if asked.embedding.is_empty() {
                    return Err(bad("`embedding` is required"));
                }
                self.nearest(&asked.embedding, asked.most(), asked.at_least()).await
            }
            "metadata" => self.by_data(&read(&body)?).await,
            "embeddings" => self.embeddings(read(&body)?).await,
            "documents" if removes => self.remove(&read(&body)?).await,
            "documents" => self.add(read(&body)?).await,
            _ => Err(Box::new(refused(StatusCode::NOT_FOUND, "there is nothing here"))),
        }
    }

    async fn by_text(self, body: &[u8]) -> Answer {
        let asked: Query = read(body)?;
        if asked.query.is_empty() {
            return Err(bad("`query` is required"));
        }
        let most = asked.most();
        let (rest, vectors) = self.vectors(vec![asked.query]).await?;
        let [embedding] = &vectors[..] else { return Err(bad("`query` came to no vector")) };
        rest.nearest(embedding, most, f64::NEG_INFINITY).await
    }

    async fn embeddings(self, asked: Texts) -> Answer {
        check_texts(asked.texts.len(), "texts")?;
        let (_, vectors) = self.vectors(asked.texts).await?;
        Ok(json!({ "vectors": vectors }))
    }

    async fn by_data(self, asked: &ByData) -> Answer {
        let matching = asked.matching().map_err(|why| bad(&why))?;
        let (slug, most, skip) = (self.source.slug.clone(), asked.most(), asked.offset);
        let ask = move |store: Store| async move { store.matching(&slug, &matching, most, skip).await };
        let kept = self.shared.storage.read(ask).await.map_err(|error| failed(&error))?;
        let (documents, total) = kept.unwrap_or_default();
        Ok(matched(&documents, total))
    }

    async fn nearest(self, embedding: &[f32], most: usize, at_least: f64) -> Answer {
        let (slug, embedding) = (self.source.slug.clone(), embedding.to_vec());
        let ask = move |store: Store| async move { store.nearest(&slug, &embedding, most, at_least).await };
        let near = self.shared.storage.read(ask).await.map_err(|error| failed(&error))?;
        Ok(found(&near.unwrap_or_default()))
    }

    async fn add(self, asked: Added) -> Answer {
        check_texts(asked.documents.len(), "documents")?;
        let slug = self.source.slug.clone();
        let most = self.source.max_documents;
        let without = asked.documents.iter().filter(|given| given.embedding.is_none());
        let texts: Vec<String> = without.map(|given| given.content.clone()).collect();
        let (rest, vectors) = if texts.is_empty() { (self, Vec::new()) } else { self.vectors(texts).await? };
        let mut vectors = vectors.into_iter();
        let documents: Vec<Document> = asked
            .documents
            .into_iter()
            .map(|given| Document {
                id: 0,
                content: given.content,
                metadata: given.metadata,
                embedding: given.embedding.or_else(|| vectors.next()).unwrap_or_default(),
            })
            .collect();
        let add = move |store: Store| async move { store.add(&slug, documents, most).await };
        let ids = rest.shared.storage.write(add).await.map_err(|error| failed(&error))?;
        Ok(json!({ "ids": ids }))
    }

    async fn remove(self, asked: &ByData) -> Answer {
        if asked.is_empty() {
            return Err(bad("`filter` is required: it says which documents are removed"));
        }
        let matching: Matching = asked.matching().map_err(|why| bad(&why))?;
        let slug = self.source.slug.clone();
        let remove = move |store: Store| async move { store.remove(&slug, &matching).await };
        let removed = self.shared.storage.read(remove).await.map_err(|error| failed(&error))?;
        Ok(json!({ "removed": removed.unwrap_or(0) }))
    }

    /// Texts as vectors. What plugins noted of the request goes on with them.
    async fn vectors(
        mut self,
        texts: Vec<String>,
    ) -> Result<(Self, Vec<Vec<f32>>), Box<Response<AnswerBody>>> {
        let embedder = Embedder {
            llm: self.shared.llm,
            snapshot: &self.snapshot,
            about: &self.about,
            grant: self.grant.take(),
            contexts: std::mem::take(&mut self.contexts),
            context: self.context.clone(),
        };
        let vectors = embedder.vectors(self.source, &texts).await?;
        Ok((self, vectors))
    }
}

fn check_texts(count: usize, field: &str) -> Result<(), Box<Response<AnswerBody>>> {
    match count {
        0 => Err(bad(&format!("`{field}` is required"))),
        1..=MOST_TEXTS => Ok(()),
        _ => Err(bad(&format!("`{field}` has at most {MOST_TEXTS} items"))),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Response<AnswerBody>>> {
    serde_json::from_slice(body).map_err(|error| {
        Box::new(refused_because(StatusCode::BAD_REQUEST, "the body is not understood", &error.to_string()))
    })
}

fn bad(why: &str) -> Box<Response<AnswerBody>> {
    Box::new(refused(StatusCode::BAD_REQUEST, why))
}

fn failed(error: &StorageError) -> Box<Response<AnswerBody>> {
    let status = match error {
        StorageError::Store(StoreError::Unfit { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(error = %Chain(error), "documents of a data source cannot be had");
        return Box::new(refused(status, "the documents cannot be had now"));
    }
    Box::new(refused_because(status, "the documents cannot be kept", &Chain(error).to_string()))
}
