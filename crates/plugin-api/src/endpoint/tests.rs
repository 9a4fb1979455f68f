//! Endpoints of native plugins, without a gateway.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::*;
use crate::{Headers, Native, Plugin, Request, host::NoHost};

fn call(route: usize) -> EndpointCall {
    EndpointCall {
        request: EndpointRequest {
            method: EndpointMethod::Get,
            path: "/plugins/x/a".to_owned(),
            relative_path: "/a".to_owned(),
            path_segments: vec!["a".to_owned()],
            headers: Headers::new(),
            body: "secret".into(),
            query_string: "token=secret".to_owned(),
            remote_addr: "192.0.2.1".to_owned(),
            host: "localhost".to_owned(),
            protocol: "http",
            authenticated: false,
            app: None,
            scopes: Vec::new(),
        },
        about: Request::new("r1"),
        route,
        stream: false,
        deadline: Instant::now() + Duration::from_secs(1),
        host: Arc::new(NoHost),
    }
}

/// Awaits what never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

struct Counter {
    written: Arc<AtomicUsize>,
}

fn plugin(written: &Arc<AtomicUsize>) -> Arc<dyn Endpoints> {
    let get = [EndpointMethod::Get];
    let native = Native::new(Counter { written: written.clone() })
        .endpoint(EndpointRegistration::new("/a", get), |_, call| {
            Box::pin(async move { Ok(EndpointResponse::text(200, call.request.relative_path)) })
        })
        .streaming_endpoint(EndpointRegistration::new("/*", get), |plugin, _, mut out| {
            Box::pin(async move {
                out.head(201, Headers::new()).await?;
                for _ in 0..3 {
                    out.body("x").await?;
                    plugin.written.fetch_add(1, Relaxed);
                }
                Ok(())
            })
        });
    let plugin: Arc<dyn Plugin> = native.into_plugin();
    plugin.endpoints().unwrap()
}

#[test]
fn native_plugin_answers_at_the_registration_that_was_asked() {
    let endpoints = plugin(&Arc::default());
    let registered = endpoints.registrations();
    assert_eq!(registered.len(), 2);
    assert!(!registered[0].stream_response && registered[1].stream_response);
    assert!(Arc::ptr_eq(&registered, &endpoints.registrations()), "the same list is given out again");
    let EndpointAnswer::Whole(answer) = now(endpoints.handle(call(0))).unwrap() else { panic!("a stream") };
    assert_eq!((answer.status, &answer.body[..]), (200, &b"/a"[..]));
}

#[test]
fn writer_of_a_stream_is_no_more_than_one_piece_ahead_of_the_reader() {
    let written = Arc::new(AtomicUsize::new(0));
    let EndpointAnswer::Stream(mut stream) = now(plugin(&written).handle(call(1))).unwrap() else {
        panic!("no stream")
    };
    // For comparing: errors have no equality.
    let mut next =
        || now(poll_fn(|cx| stream.poll_chunk(cx))).map(|piece| piece.map_err(|error| error.to_string()));
    assert_eq!(next(), Some(Ok(EndpointChunk::Head { status: 201, headers: Headers::new() })));
    assert_eq!(written.load(Relaxed), 0, "nothing is written ahead of who reads");
    for read in 1..=3 {
        assert_eq!(next(), Some(Ok(EndpointChunk::Body("x".into()))));
        assert!(written.load(Relaxed) <= read);
    }
    assert_eq!(next(), None);
}

#[test]
fn plugin_without_endpoints_offers_none() {
    let plugin: Arc<dyn Plugin> = Native::new(()).into_plugin();
    assert!(plugin.endpoints().is_none());
}

#[test]
fn nothing_of_a_request_but_method_and_path_is_printed() {
    let printed = format!("{:?}", call(0));
    assert!(printed.contains("/plugins/x/a") && !printed.contains("secret"), "{printed}");
}

#[test]
fn methods_are_read_in_any_case_and_no_others_are() {
    assert_eq!(EndpointMethod::of_word("get"), Some(EndpointMethod::Get));
    assert_eq!(EndpointMethod::of_word("Options"), Some(EndpointMethod::Options));
    for unknown in ["", "TRACE", "CONNECT", "GET "] {
        assert_eq!(EndpointMethod::of_word(unknown), None, "{unknown}");
    }
}
