//! The same plugin behind a socket, as the SDK serves it: `JOURNAL TRANSPORT SOCKET HOOK`, where the transport is
//! `http`, `grpc` or `unix`.
//!
//! The journal has `call TEXT` lines, and `dropped TEXT` for calls that ended before they were answered.

use std::{fs::File, io::Write, path::PathBuf, sync::Arc};

use mortise_plugin_api::{
    Json, Native, Needs, PluginError, Verdict, Violation,
    hooks::{ToolPostInvoke, ToolPreInvoke, tool::ToolPreInvokePayload},
};
use mortise_sdk::{Plugins, Served, Settings, Transport};
use serde_json::json;

pub(super) async fn serve(
    journal: File,
    transport: &str,
    socket: PathBuf,
    hook: String,
) -> Result<(), Box<dyn std::error::Error>> {
    let plugin = Native::new(Arc::new(journal))
        .on_async::<ToolPreInvoke>(Needs::change(), |journal, call, _| {
            let journal = journal.clone();
            Box::pin(async move { look(&journal, call).await })
        })
        .on::<ToolPostInvoke>(Needs::block(), |_, _, _| Ok(Verdict::Pass));
    let plugins = Plugins::start(vec![Served::new("guard", plugin.into_plugin()).hooks([hook])]).await?;
    let transport = Transport::of(transport).ok_or("the transport is `http`, `grpc` or `unix`")?;
    let mut settings = Settings { unix_path: socket.clone(), ..Settings::default() };
    settings.http.uds = Some(socket.clone());
    settings.grpc.uds = Some(socket);
    mortise_sdk::run(plugins, transport, &settings).await?;
    Ok(())
}

/// Notes a call that ends before its answer.
struct Under<'j> {
    journal: &'j File,
    words: String,
    answered: bool,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let _ = writeln!(self.journal, "dropped {}", self.words);
        }
    }
}

async fn look(
    journal: &File,
    call: &ToolPreInvokePayload,
) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
    let failed = |error: &dyn std::fmt::Display| PluginError::failed(error.to_string());
    let args = call.args.value().map_err(|error| failed(&error))?;
    let words = args["text"].as_str().unwrap_or_default().to_owned();
    let mut writing = journal;
    writeln!(writing, "call {words}").map_err(|error| failed(&error))?;
    let mut under = Under { journal, words: words.clone(), answered: false };
    let changed = |text: String| {
        let args = Json::from(json!({ "text": text }));
        Verdict::Change(ToolPreInvokePayload { name: call.name.clone(), args, headers: None })
    };
    let verdict = match words.split(' ').next().unwrap_or_default() {
        "hold" => std::future::pending().await,
        "block" => Violation::new("STAND", "no").describe("not this").into(),
        "change" => changed(format!("changed: {words}")),
        "big" => changed("x".repeat(3 << 20)),
        _ => Verdict::Pass,
    };
    under.answered = true;
    Ok(verdict)
}
