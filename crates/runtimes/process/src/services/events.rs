//! Publishing events, and being told of them.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use mortise_proto::tyk::plugin_events::{
    EventMessage, PublishRequest, PublishResponse, SubscribeRequest, UnsubscribeRequest, UnsubscribeResponse,
    plugin_event_service_server::PluginEventService,
};
use tonic::{Request, Response, Status};

use super::Asker;
use crate::events::{Event, MAX_PAYLOAD};

/// What this gateway is called where an event comes from.
const NODE: &str = "mortise";

/// The service of one plugin.
pub(super) struct Events(pub(super) Arc<Asker>);

type EventStream = Pin<Box<dyn Stream<Item = Result<EventMessage, Status>> + Send>>;

#[tonic::async_trait]
impl PluginEventService for Events {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let request = request.into_inner();
        let refused =
            |reason: &str| PublishResponse { error_message: reason.to_owned(), ..PublishResponse::default() };
        if request.topic.is_empty() {
            return Ok(Response::new(refused("topic is required")));
        }
        if request.payload.len() > MAX_PAYLOAD {
            return Ok(Response::new(refused("payload is larger than 1 MiB")));
        }
        let event = Event {
            id: uuid::Uuid::new_v4().to_string(),
            topic: request.topic,
            origin: format!("plugin:{}@{NODE}", self.0.number),
            direction: if (0..=2).contains(&request.direction) { request.direction } else { 0 },
            payload: request.payload,
        };
        self.0.bus.publish(&event);
        Ok(Response::new(PublishResponse { success: true, event_id: event.id, ..PublishResponse::default() }))
    }

    type SubscribeStream = EventStream;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<EventStream>, Status> {
        let request = request.into_inner();
        let topic = match (request.subscribe_all, request.topic) {
            (true, _) => None,
            (false, topic) if topic.is_empty() => {
                return Err(Status::invalid_argument("topic or subscribe_all is required"));
            }
            (false, topic) => Some(topic),
        };
        let receiver = self.0.bus.subscribe(topic);
        let receiver =
            receiver.ok_or_else(|| Status::resource_exhausted("there are too many subscriptions"))?;
        let events = stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            let message = EventMessage {
                id: event.id,
                topic: event.topic,
                origin: event.origin,
                direction: event.direction,
                payload: event.payload,
            };
            Some((Ok(message), receiver))
        });
        Ok(Response::new(Box::pin(events)))
    }

    /// Ids of subscriptions are told to nobody: a plugin unsubscribes by ending its stream.
    async fn unsubscribe(
        &self,
        _: Request<UnsubscribeRequest>,
    ) -> Result<Response<UnsubscribeResponse>, Status> {
        let error_message = "there is no such subscription: end its stream instead".to_owned();
        Ok(Response::new(UnsubscribeResponse { success: false, error_message }))
    }
}
