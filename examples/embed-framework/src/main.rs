//! Sends invoices, which plugins look at first: a program that is no gateway and has plugins.
//!
//! `mortise-framework` brings the configuration with its errors, the pipeline with modes, priorities, time limits and
//! isolation, and no server. The program brings a hook of its own (`hooks.rs`), plugins (`plugins.rs`), the file in
//! which both are configured, and the moment at which the hook is run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it does is to be seen")]

mod hooks;
mod plugins;

use std::{process::ExitCode, sync::Arc, time::Duration};

use mortise_framework::{
    Contexts, Framework, Plan,
    config::{Dialect, EntryRules, Environment, Errors, Loader, RawPluginEntry, read_entries},
    runtime::NativeRuntime,
};
use mortise_plugin_api::{Json, Request, Revision, Wire, hooks::open::Open};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hooks::{HOOKS, PRE_SEND};

/// The program's own configuration file, plugins among its keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Who sends.
    sender: String,
    /// Who looks at invoices first.
    plugins: Vec<RawPluginEntry>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let file = std::env::args().nth(1);
    let file = file.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/invoices.yaml").to_owned());
    match run(&file).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(errors) => {
            eprint!("{}", errors.render(false));
            ExitCode::FAILURE
        }
    }
}

async fn run(file: &str) -> Result<(), Errors> {
    let (table, _) = &*HOOKS;
    let framework = Framework::builder()
        .hooks(table.clone())
        .live_hooks(&[]) // of the standard hooks none: a plugin at one of them would never be called
        .runtime(NativeRuntime::new(plugins::kinds()))
        .build();
    let (config, plan) = load(file, &framework)?;
    let (pipelines, _notices) = framework.build(&plan).await?;
    framework.swap(pipelines);

    for (id, to, amount, note) in [
        ("1", "ada@example.com", 120.0, "Thank you."),
        ("2", "bob@example.com", 99_000.0, "Thank you."),
        ("3", "eve@example.com", 80.0, "Please pay ASAP."),
    ] {
        let invoice = json!({ "to": to, "amount": amount, "note": note });
        match checked(&framework, id, invoice).await {
            Ok(invoice) => println!("{id}: {} sends {invoice}", config.sender),
            Err(reason) => println!("{id}: not sent: {reason}"),
        }
    }
    framework.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Everything the file says, or everything that is wrong with it.
fn load(file: &str, framework: &Framework) -> Result<(Config, Plan), Errors> {
    let loaded = Loader::new(Environment::from_process()).own_file(file).load::<Config>()?;
    let rules = EntryRules { known_hooks: &framework.hooks().names(), dialect: Dialect::Own, unset: &[] };
    let entries = match loaded.node.get("plugins") {
        Some(list) => read_entries(list, "plugins", &rules)?.0,
        None => Vec::new(),
    };
    Ok((loaded.value, Plan { entries, enabled: true, ..Plan::default() }))
}

/// The invoice as the plugins let it go out, or why they do not.
async fn checked(framework: &Framework, id: &str, invoice: Value) -> Result<String, String> {
    let pipelines = framework.pipelines();
    let mut payload = Revision::new(Box::new(Open(Json::from(invoice))));
    if let Some(chain) = pipelines.chain(HOOKS.1) {
        let outcome = chain.run(&pipelines, &Request::new(id), &mut Contexts::new(), &payload).await;
        if let Some(blocked) = outcome.blocked {
            return Err(blocked.message(PRE_SEND));
        }
        payload = outcome.changed.unwrap_or(payload);
    }
    text(&payload)
}

fn text(payload: &Arc<Revision>) -> Result<String, String> {
    let text = payload.json(Wire::Json).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(text).into_owned())
}
