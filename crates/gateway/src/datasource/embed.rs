//! Texts as vectors, by a request to an LLM of the configuration.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request as HttpRequest, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use mortise_framework::Contexts;
use mortise_mcp_transport::server::{answer::AnswerBody, request::read_body};
use mortise_plugin_api::Request;
use serde::Deserialize;
use serde_json::json;

use crate::{
    auth::Grant,
    config::Datasource,
    llm::{Ask, LlmSurface},
    snapshot::Snapshot,
    spans::TraceContext,
    tools::{refused, refused_because},
};

/// Largest answer of an LLM, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// How long an LLM may take for the rest of an answer that has begun.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who asks, and for what purpose.
pub(super) struct Embedder<'a> {
    pub(super) llm: &'a Arc<LlmSurface>,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) about: &'a Request,
    pub(super) grant: Option<Arc<Grant>>,
    pub(super) contexts: Contexts,
    pub(super) context: Option<Arc<TraceContext>>,
}

#[derive(Deserialize)]
struct Answered {
    data: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    index: usize,
    embedding: Vec<f32>,
}

impl Embedder<'_> {
    /// The vectors of texts, in their order.
    ///
    /// # Errors
    /// The answer for the client: there is nothing to embed by, or it was refused, or failed.
    pub(super) async fn vectors(
        self,
        source: &Datasource,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, Box<Response<AnswerBody>>> {
        let Some(llm) = &source.llm else {
            let message = format!("the data source `{}` has no LLM to embed texts by", source.slug);
            return Err(Box::new(refused(StatusCode::BAD_REQUEST, &message)));
        };
        let mut body = json!({ "input": texts, "encoding_format": "float" });
        if let Some(model) = &source.model {
            body["model"] = model.as_str().into();
        }
        let response = self.ask(llm, body.to_string().into()).await?;
        let status = response.status();
        let text = read_body(response.into_body(), MOST_BYTES, PATIENCE).await;
        let failed = |cause: &str| {
            Box::new(refused_because(StatusCode::BAD_GATEWAY, "the texts could not be embedded", cause))
        };
        let text = text.map_err(|why| failed(&why.to_string()))?;
        if !status.is_success() {
            let cause = String::from_utf8_lossy(&text[..text.len().min(4096)]).into_owned();
            let status = if status.is_client_error() { status } else { StatusCode::BAD_GATEWAY };
            return Err(Box::new(refused_because(status, "the texts could not be embedded", &cause)));
        }
        let answered: Answered = serde_json::from_slice(&text).map_err(|error| failed(&error.to_string()))?;
        let mut data = answered.data;
        data.sort_by_key(|vector| vector.index);
        if data.len() != texts.len() {
            return Err(failed("the LLM answered with another number of vectors than there are texts"));
        }
        Ok(data.into_iter().map(|vector| vector.embedding).collect())
    }

    async fn ask(self, llm: &str, body: Bytes) -> Result<Response<AnswerBody>, Box<Response<AnswerBody>>> {
        let path = format!("/ai/{llm}/v1/embeddings");
        let head =
            HttpRequest::builder().method(Method::POST).uri(&path).header(CONTENT_TYPE, "application/json");
        let Ok(head) = head.body(()) else {
            return Err(Box::new(refused(StatusCode::BAD_GATEWAY, "the LLM of the data source has no path")));
        };
        let mut request = self.about.clone();
        let name: Option<Arc<str>> = Some(llm.into());
        request.path = Some(path.as_str().into());
        request.server_id.clone_from(&name);
        request.upstream = name;
        let ask = Ask {
            parts: head.into_parts().0,
            request,
            // Who may ask the data source may have it embed what they ask for.
            grant: self.grant.map(|grant| Arc::new(grant.with_every_llm())),
            contexts: self.contexts,
            snapshot: self.snapshot.clone(),
            call: None,
            context: self.context,
        };
        Ok(self.llm.serve(Box::new(ask), Full::new(body)).await)
    }
}
