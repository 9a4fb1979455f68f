//! A whole answer: asked through what a gateway's plugins are asked through, and by a bare call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use mortise::framework::{
    Framework, Pipelines, Plan,
    config::{OfferName, PluginEntry},
};
use mortise_plugin_api::{EndpointAnswer, EndpointCall, EndpointMethod, EndpointRequest, Headers, Request};
use mortise_proto::tyk::plugin::{EndpointRequest as Message, PluginContext};
use mortise_runtime_process::ProcessRuntime;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Client, PLUGIN, SIZE, quantile, started};
use crate::{Options, report::median};

/// Longest time for each in a round, in seconds.
const SECONDS: f64 = 1.0;
/// Calls at a time, where there are several.
const CROWD: usize = 16;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one side showed, over all rounds.
#[derive(Default)]
pub(super) struct Samples {
    medians: Vec<f64>,
    late: Vec<f64>,
    rates: Vec<f64>,
    crowded: Vec<f64>,
}

impl Samples {
    /// Microseconds that a call takes.
    pub(super) fn median(&self) -> f64 {
        median(self.medians.iter().copied())
    }

    /// Calls a second where several are under way.
    pub(super) fn crowded(&self) -> f64 {
        median(self.crowded.iter().copied())
    }

    pub(super) fn row(&self, plugin: &str, client: &str) -> [String; 6] {
        let middle = |numbers: &[f64]| format!("{:.0}", median(numbers.iter().copied()));
        let [micros, late] = [middle(&self.medians), middle(&self.late)];
        let [rate, crowded] = [middle(&self.rates), middle(&self.crowded)];
        [plugin.into(), client.into(), micros, late, rate, crowded]
    }

    /// Asks one after another for so long, and then several at a time.
    async fn add<A: Ask>(&mut self, asker: &A, seconds: f64) -> anyhow::Result<()> {
        let (mut micros, began) = (Vec::new(), Instant::now());
        let mut one = asker.clone();
        while began.elapsed().as_secs_f64() < seconds {
            let at = Instant::now();
            one.ask().await?;
            micros.push(at.elapsed().as_secs_f64() * 1e6);
        }
        self.rates.push(micros.len() as f64 / began.elapsed().as_secs_f64());
        self.medians.push(quantile(&mut micros, 0.5));
        self.late.push(quantile(&mut micros, 0.99));
        let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            let (mut asker, done) = (asker.clone(), done.clone());
            crowd.spawn(async move {
                while began.elapsed().as_secs_f64() < seconds {
                    asker.ask().await?;
                    done.fetch_add(1, Relaxed);
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = crowd.join_next().await {
            ended??;
        }
        self.crowded.push(done.load(Relaxed) as f64 / began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Who asks.
trait Ask: Clone + Send + 'static {
    fn ask(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

#[derive(Clone)]
struct Bare {
    client: Client,
    message: Message,
}

impl Ask for Bare {
    async fn ask(&mut self) -> anyhow::Result<()> {
        let answer = self.client.handle_endpoint_request(self.message.clone()).await?.into_inner();
        ensure!(answer.status_code == 200, "a bare call was answered with {}", answer.status_code);
        Ok(())
    }
}

#[derive(Clone)]
struct Ours {
    pipelines: Arc<Pipelines>,
    body: Bytes,
}

impl Ask for Ours {
    async fn ask(&mut self) -> anyhow::Result<()> {
        let mount = self.pipelines.mount(PLUGIN).context("the plugin has its place")?;
        let found = mount.find(EndpointMethod::Post, "/echo").context("the plugin runs")?;
        let (route, _) = found.registration().context("the endpoint is registered")?;
        let request = EndpointRequest {
            method: EndpointMethod::Post,
            path: format!("/plugins/{PLUGIN}/echo"),
            relative_path: "/echo".into(),
            path_segments: vec!["echo".into()],
            headers: Headers::new(),
            body: self.body.clone(),
            query_string: String::new(),
            remote_addr: "127.0.0.1".into(),
            host: "localhost".into(),
            protocol: "http",
            authenticated: false,
            app: None,
            scopes: Vec::new(),
        };
        let host = mount.instance().host.clone();
        let (about, deadline) = (Request::new("bench"), Instant::now() + PATIENCE);
        let call = EndpointCall { request, about, route, stream: false, deadline, host };
        match mount.serve(call).await? {
            EndpointAnswer::Whole(answer) if answer.status == 200 => Ok(()),
            other => bail!("an endpoint answered with {other:?}"),
        }
    }
}

/// Bare calls and a gateway's, of the same program.
pub(super) async fn measure(options: &Options, command: &[String]) -> anyhow::Result<(Samples, Samples)> {
    let folder = tempfile::tempdir()?;
    let (_program, client) = started(command, folder.path()).await?;
    let body = Bytes::from("x".repeat(SIZE));
    let theirs = Bare { client, message: message(&body) };
    let ours = Ours { pipelines: gateway(command).await?, body };
    let (mut bare, mut own) = (Samples::default(), Samples::default());
    let seconds = options.seconds.min(SECONDS);
    for _ in 0..options.rounds {
        bare.add(&theirs, seconds).await?;
        own.add(&ours, seconds).await?;
    }
    Ok((bare, own))
}

/// The message as a gateway would send it.
fn message(body: &Bytes) -> Message {
    Message {
        method: "POST".into(),
        path: format!("/plugins/{PLUGIN}/echo"),
        relative_path: "/echo".into(),
        path_segments: vec!["echo".into()],
        body: body.clone(),
        remote_addr: "127.0.0.1".into(),
        host: "localhost".into(),
        protocol: "http".into(),
        context: Some(PluginContext { request_id: "bench".into(), ..PluginContext::default() }),
        ..Message::default()
    }
}

/// The pipelines of a gateway with the program as its plugin.
async fn gateway(command: &[String]) -> anyhow::Result<Arc<Pipelines>> {
    let framework = Framework::builder().runtime(ProcessRuntime::new()).build();
    let config = json!({ "slug": PLUGIN }).as_object().cloned().unwrap_or_default();
    let mut entry = PluginEntry::new(PLUGIN, "process").with_config(config);
    entry.offers = vec![OfferName::CustomEndpoint];
    command.clone_into(&mut entry.command);
    let plan = Plan { entries: vec![entry], enabled: true, start_idle: true, ..Plan::default() };
    let (pipelines, _) = framework.build(&plan).await.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    // The framework ends with the program; what it started is needed to then.
    std::mem::forget(framework);
    Ok(pipelines)
}
