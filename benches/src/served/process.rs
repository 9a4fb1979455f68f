//! A plugin that is a process, over go-plugin: a hook call of the runtime beside a bare unary call of tonic with the
//! same program over the same kind of socket.

use std::sync::Arc;

use anyhow::{Context, bail};
use mortise::framework::{Contexts, Framework, Pipelines, Plan, config::PluginEntry};
use mortise_plugin_api::{
    Json, Native, Needs, PluginError, Request, Revision, Verdict,
    hooks::{LlmInput, llm::LlmInputPayload},
};
use mortise_proto::tyk::plugin::{EnrichedRequest, PluginContext, PluginRequest};
use mortise_runtime_process::ProcessRuntime;
use mortise_sdk::process::{About, Program};
use serde_json::json;

use super::{PLUGIN, SIZE, Samples, sample};
use crate::{Options, endpoints::started};

const HOOK: &str = "llm_input";

/// This program as a plugin that lets every request to a model pass.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = Program::new(About::new(PLUGIN, "1.0.0"), |_| {
        let plugin =
            Native::new(()).on::<LlmInput>(Needs::change(), |(), _, _| Ok::<_, PluginError>(Verdict::Pass));
        Ok(plugin.into_plugin())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(program.serve())?)
}

/// The command of this program as that plugin.
pub(super) fn own() -> anyhow::Result<Vec<String>> {
    Ok(vec![std::env::current_exe()?.display().to_string(), "process-plugin".to_owned()])
}

/// A bare call and a hook call of a program that has the hook.
pub(super) async fn measure(options: &Options, command: &[String]) -> anyhow::Result<(Samples, Samples)> {
    let folder = tempfile::tempdir()?;
    let (_program, mut client) = started(command, folder.path()).await?;
    let pipelines = gateway(command).await?;
    let request = message();
    let (mut bare, mut ours) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds {
        let seconds = options.seconds.min(super::SECONDS);
        let ask = async || {
            client.process_post_auth(request.clone()).await?;
            Ok(())
        };
        sample(&mut bare, seconds, ask).await?;
        sample(&mut ours, seconds, async || call(&pipelines).await).await?;
    }
    Ok((bare, ours))
}

/// The pipelines of a gateway with the same program as its plugin.
async fn gateway(command: &[String]) -> anyhow::Result<Arc<Pipelines>> {
    let framework = Framework::builder().runtime(ProcessRuntime::new()).build();
    let mut entry = PluginEntry::new(PLUGIN, "process");
    entry.hooks = vec![HOOK.to_owned()];
    command.clone_into(&mut entry.command);
    let plan = Plan { entries: vec![entry], enabled: true, start_idle: true, ..Plan::default() };
    let (pipelines, _) = framework.build(&plan).await.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    // The framework ends with the program; what it started is needed to then.
    std::mem::forget(framework);
    Ok(pipelines)
}

fn body() -> Json {
    Json::from(json!({ "model": "small", "messages": [{ "role": "user", "content": "x".repeat(SIZE) }] }))
}

/// The message as a gateway would send it.
fn message() -> EnrichedRequest {
    EnrichedRequest {
        user_id: "somebody".into(),
        authenticated: true,
        request: Some(PluginRequest {
            method: "POST".into(),
            path: "/v1/chat/completions".into(),
            body: body().text().clone(),
            context: Some(PluginContext { request_id: "bench".into(), ..PluginContext::default() }),
            ..PluginRequest::default()
        }),
        ..EnrichedRequest::default()
    }
}

async fn call(pipelines: &Pipelines) -> anyhow::Result<()> {
    let hook = pipelines.hooks().get(HOOK).context("the hook is in the table")?.id;
    let chain = pipelines.chain(hook).context("the plugin stands at the hook")?;
    let payload = LlmInputPayload {
        llm: "small".into(),
        vendor: "openai".into(),
        model: Some("small".into()),
        path: "/v1/chat/completions".into(),
        headers: mortise_plugin_api::Headers::default(),
        body: body(),
    };
    let revision = Revision::new(Box::new(payload));
    let outcome = chain.run(pipelines, &Request::new("bench"), &mut Contexts::default(), &revision).await;
    match outcome.blocked {
        Some(blocked) => bail!("the call was blocked: {}", blocked.violation.description),
        None => Ok(()),
    }
}
