//! Every complete sample loads; every plugin in it runs or says what it waits for.

use std::{path::PathBuf, time::Duration};

use mortise_framework::{Runtime, instance::State, runtime::NativeRuntime};
use mortise_gateway::host::HttpService;
use tokio::runtime::Handle;

use super::{configs, framework, load};

fn samples(folder: PathBuf) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

/// Entries as a reader counts them: lines that begin one.
fn written_entries(text: &str) -> Vec<&str> {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- name:"));
    names.map(|name| name.split('#').next().unwrap().trim().trim_matches('"')).collect()
}

#[tokio::test]
async fn every_entry_of_every_sample_runs_or_says_what_it_waits_for() {
    let native = NativeRuntime::new(mortise::builtins::all());
    let files = samples(configs());
    assert!(files.len() >= 14, "the samples are there: {files:?}");
    let mut running = 0;
    for file in files {
        let (framework, shown) = (framework(), file.display());
        let settled = load(&framework, &[&file], &[])
            .unwrap_or_else(|errors| panic!("{shown}: {}", errors.render(false)));
        let written = std::fs::read_to_string(&file).unwrap();
        let names: Vec<&str> = settled.plan.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, written_entries(&written), "{shown}");

        // As the gateway does.
        HttpService::new(settled.egress.clone(), Handle::current()).offer_to(&framework);
        let (pipelines, _) = framework.build(&settled.plan).await.unwrap();
        assert_eq!(pipelines.instances().len(), names.len(), "{shown}");
        for instance in pipelines.instances() {
            let (entry, name) = (&instance.entry, &instance.name);
            let waits_for = framework.waits_for(entry);
            match instance.state() {
                State::Ready => {
                    assert!(native.claims(&entry.kind) && waits_for.is_none(), "{shown}: {name}");
                    running += 1;
                }
                State::Unavailable(reason) => {
                    assert_eq!(Some(&*reason), waits_for.as_deref(), "{shown}: {name}");
                    let names_it =
                        ["waits for", "is not set", "needs one of"].iter().any(|word| reason.contains(word));
                    assert!(names_it, "{shown}: {name}: {reason}");
                }
                other => panic!("{shown}: {name} is {other:?}"),
            }
        }
    }
    assert!(running >= 7, "the PII and content filters of the samples run: {running}");
}

#[test]
fn settings_of_a_sample_hold() {
    let framework = framework();
    let settled = load(&framework, &[&configs().join("usage-main.yaml")], &[]).unwrap();

    let said: Vec<_> = settled.notices.iter().filter(|n| n.path.starts_with("plugin_settings")).collect();
    assert!(said.is_empty(), "{said:?}");
    assert!(!settled.plan.settings.parallel_bands);
    assert_eq!(settled.plan.settings.health_interval, Some(Duration::from_secs(60)));
    assert_eq!(settled.plugin_settings.plugin_timeout, 30);
    assert!(settled.plugin_settings.enable_plugin_api);
}

#[test]
fn keys_of_a_transport_that_documents_show_are_all_known() {
    for file in [
        "usage-health-check.yaml",
        "usage-secure-external.yaml",
        "spec-openai-moderation.yaml",
        "usage-ai-safety-pipeline.yaml",
    ] {
        let settled = load(&framework(), &[&configs().join(file)], &[]).unwrap();
        let about_mcp = settled.notices.iter().filter_map(|notice| notice.path.split_once(".mcp."));
        assert_eq!(about_mcp.count(), 0, "{file}");
    }
}

#[test]
fn unset_variable_costs_the_entry_it_stands_in_and_a_set_one_does_not() {
    let framework = framework();
    let file = configs().join("usage-secure-external.yaml");

    let without = load(&framework, &[&file], &[]).unwrap();
    let with = load(&framework, &[&file], &[("AI_SERVICE_TOKEN", "s3cr3t-value")]).unwrap();

    let reason =
        |settled: &mortise_gateway::config::Settled| framework.waits_for(&settled.plan.entries[0]).unwrap();
    assert!(reason(&without).contains("AI_SERVICE_TOKEN"), "{}", reason(&without));
    assert!(reason(&with).contains("external plugin servers"), "{}", reason(&with));
    assert!(!format!("{with:?}").contains("s3cr3t-value"));
}

#[test]
fn excerpt_without_kinds_is_refused_with_all_its_errors_at_once() {
    for file in samples(configs().join("incomplete")) {
        let errors = load(&framework(), &[&file], &[]).unwrap_err();
        let paths: Vec<&str> = errors.list().iter().map(|error| error.path.as_str()).collect();
        let written = std::fs::read_to_string(&file).unwrap();
        assert_eq!(paths.len(), written_entries(&written).len(), "{}", errors.render(false));
        for error in errors.list() {
            assert!(error.message.contains("kind") && error.span.is_some(), "{}", errors.render(false));
        }
    }
}
