//! Events between the process plugins of a gateway: in this process, in memory, lost where nobody takes them.
//!
//! A subscriber that does not keep up loses what is newest, never the others their time: publishing waits for nobody.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Events that wait for one subscriber.
const BUFFERED: usize = 100;

/// Subscriptions at a time, of all plugins.
const MAX_SUBSCRIPTIONS: usize = 1000;

/// Largest payload of an event, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) origin: String,
    pub(crate) direction: i32,
    pub(crate) payload: Bytes,
}

/// Who publishes to whom.
#[derive(Debug, Default)]
pub(crate) struct Bus {
    subscribers: Mutex<Vec<Subscriber>>,
}

#[derive(Debug)]
struct Subscriber {
    /// `None` for all.
    topic: Option<String>,
    events: mpsc::Sender<Event>,
}

impl Bus {
    /// Shows an event to all who subscribed to its topic, the publisher too.
    pub(crate) fn publish(&self, event: &Event) {
        let mut lost = 0_usize;
        self.subscribers().retain(|subscriber| {
            if subscriber.topic.as_ref().is_some_and(|topic| *topic != event.topic) {
                return !subscriber.events.is_closed();
            }
            match subscriber.events.try_send(event.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    lost += 1;
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
        if lost > 0 {
            tracing::warn!(topic = event.topic, lost, "subscribers did not keep up with events");
        }
    }

    /// Events of a topic, or (`None`) of all, from now on. `None` where there are too many subscriptions.
    pub(crate) fn subscribe(&self, topic: Option<String>) -> Option<mpsc::Receiver<Event>> {
        let mut subscribers = self.subscribers();
        subscribers.retain(|subscriber| !subscriber.events.is_closed());
        if subscribers.len() >= MAX_SUBSCRIPTIONS {
            return None;
        }
        let (events, receiver) = mpsc::channel(BUFFERED);
        subscribers.push(Subscriber { topic, events });
        Some(receiver)
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(topic: &str, id: usize) -> Event {
        Event {
            id: id.to_string(),
            topic: topic.to_owned(),
            origin: String::new(),
            direction: 0,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn subscribers_see_their_topic_only_and_lose_the_newest() {
        let bus = Bus::default();
        let mut own = bus.subscribe(Some("a".to_owned())).unwrap();
        let mut all = bus.subscribe(None).unwrap();
        (0..BUFFERED + 10).for_each(|id| bus.publish(&event("a", id)));
        bus.publish(&event("b", 7));

        let mut seen = Vec::new();
        while let Ok(event) = own.try_recv() {
            seen.push(event.id);
        }
        assert_eq!(seen.len(), BUFFERED);
        assert_eq!(seen.last().unwrap(), &(BUFFERED - 1).to_string());
        assert_eq!(all.try_recv().unwrap().id, "0");
    }

    #[test]
    fn subscriptions_are_bounded_and_end_with_who_holds_them() {
        let bus = Bus::default();
        let held: Vec<_> = (0..MAX_SUBSCRIPTIONS).map(|_| bus.subscribe(None).unwrap()).collect();
        assert!(bus.subscribe(None).is_none());
        drop(held);
        assert!(bus.subscribe(None).is_some());
    }
}
