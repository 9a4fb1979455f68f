use std::{collections::HashSet, sync::Arc, time::Duration};

use mortise_plugin_api::{
    Answer, Call, Change, Context, End, Json, Part, Plugin, PluginError, Reply, Request, Revision, Shared,
    hooks, host::NoHost,
};
use serde_json::json;

use super::*;

/// The answer to one call of `tool_pre_invoke`, awaited if need be.
async fn call(plugin: &Arc<dyn Plugin>) -> Result<Reply, PluginError> {
    let payload = Revision::new(Box::new(hooks::tool::ToolPreInvokePayload {
        name: "t".into(),
        args: Json::from(json!({"text": "hello"})),
        headers: None,
    }));
    let (request, base, mut own, mut patch) = (Request::new("r1"), Shared::default(), None, None);
    let call = Call {
        hook: ToolPreInvoke::ID,
        payload: &payload,
        part: Part::Whole,
        request: &request,
        end: End::Ok,
        deadline: Instant::now() + Duration::from_millis(5),
        host: &NoHost,
    };
    match plugin.call(call, Context::new(&mut own, &base, &mut patch)) {
        Answer::Ready(outcome) => outcome,
        Answer::Later(future) => future.await,
    }
}

#[tokio::test]
async fn each_misbehaves_in_its_own_way() {
    assert!(call(&noop(MCP_HOOKS)).await.unwrap().violation.is_none());
    assert_eq!(call(&block(MCP_HOOKS)).await.unwrap().violation.unwrap().code, BLOCK_CODE);
    assert!(matches!(call(&edit_out_of_range(MCP_HOOKS)).await.unwrap().change, Some(Change::Text(_))));
    assert!(matches!(call(&wrong_type()).await.unwrap().change, Some(Change::Answer(_))));
    assert_eq!(call(&fail(MCP_HOOKS)).await.unwrap_err().kind(), "error");
    let started = Instant::now();
    call(&overrun(MCP_HOOKS, Duration::from_millis(5))).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(10), "it gives no way before");
    let notes = call(&huge_metadata(MCP_HOOKS, 1000)).await.unwrap().notes.unwrap();
    assert_eq!(notes.metadata["test_huge"].as_str().unwrap().len(), 1000);
}

#[tokio::test]
async fn panics_reach_whoever_calls() {
    for plugin in [panic_now(MCP_HOOKS), panic_later(MCP_HOOKS)] {
        let outcome = tokio::spawn(async move { call(&plugin).await.map(drop) }).await;
        assert!(outcome.unwrap_err().is_panic());
    }
}

#[tokio::test]
async fn hanging_one_is_never_ready() {
    let plugin = hang(MCP_HOOKS);
    assert!(tokio::time::timeout(Duration::from_millis(10), call(&plugin)).await.is_err());
}

#[tokio::test]
async fn calls_are_counted() {
    let (plugin, counter) = count(MCP_HOOKS);
    for _ in 0..3 {
        call(&plugin).await.unwrap();
    }
    assert_eq!(counter.load(Relaxed), 3);
}

#[test]
fn every_kind_builds_with_an_empty_config_and_has_a_name_of_its_own() {
    let mut names = HashSet::new();
    for kind in kinds() {
        assert!(names.insert(kind.name) && kind.name.starts_with("test_"), "{}", kind.name);
        let plugin = (kind.build)(&json!({})).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        assert!(MCP_HOOKS.iter().any(|hook| plugin.needs(*hook).is_some()), "{}", kind.name);
        assert!((kind.config_schema)().as_value().is_object());
    }
}
