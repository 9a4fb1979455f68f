//! A plugin that is a process, over go-plugin: a hook call of the runtime beside a bare unary call of tonic with the
//! same program over the same kind of socket.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use mortise::framework::{Contexts, Framework, Pipelines, Plan, config::PluginEntry};
use mortise_plugin_api::{
    Json, Native, Needs, PluginError, Request, Revision, Verdict,
    hooks::{LlmInput, llm::LlmInputPayload},
};
use mortise_proto::tyk::plugin::{
    EnrichedRequest, InitRequest, PluginContext, PluginRequest, plugin_service_client::PluginServiceClient,
};
use mortise_runtime_process::ProcessRuntime;
use mortise_sdk::process::{About, Program};
use mortise_testkit::process::Owned;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

use super::{PLUGIN, SIZE, Samples, sample};
use crate::Options;

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

/// A bare call and a hook call.
pub(super) async fn measure(options: &Options) -> anyhow::Result<(Samples, Samples)> {
    let folder = tempfile::tempdir()?;
    let (_program, mut client) = started(folder.path()).await?;
    let pipelines = gateway().await?;
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

/// The program, started by hand, and a connection to it.
async fn started(folder: &Path) -> anyhow::Result<(Owned, PluginServiceClient<Channel>)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("process-plugin").env("AI_STUDIO_PLUGIN", "v1").env("PLUGIN_UNIX_SOCKET_DIR", folder);
    let mut process =
        Owned::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let output = process.stdout().context("the plugin has an output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let Some(socket) = line.split('|').nth(3) else { bail!("the plugin greeted with `{}`", line.trim()) };
    let channel = Endpoint::from_shared(format!("unix://{socket}"))?.connect().await?;
    let mut client = PluginServiceClient::new(channel);
    let told = client.initialize(InitRequest::default()).await?.into_inner();
    ensure!(told.success, "the plugin did not start: {}", told.error_message);
    Ok((process, client))
}

/// The pipelines of a gateway with the same program as its plugin.
async fn gateway() -> anyhow::Result<Arc<Pipelines>> {
    let framework = Framework::builder().runtime(ProcessRuntime::new()).build();
    let mut entry = PluginEntry::new(PLUGIN, "process");
    entry.hooks = vec![HOOK.to_owned()];
    entry.command = vec![std::env::current_exe()?.display().to_string(), "process-plugin".to_owned()];
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
