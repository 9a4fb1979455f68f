//! Rounds of health checks, and what they show.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mortise_plugin_api::{
    BuildError, Hook, Native, Needs, Plugin, PluginError, Verdict, hooks::ToolPreInvoke,
};
use serde_json::Value;

use super::*;
use crate::{Plan, Runtime, config::PluginEntry, pipeline::Settings};

/// A kind of plugin whose health is the number in `ANSWER`, of this test: 0 well, 1 unwell, 2 hangs, 3 panics.
#[derive(Clone, Default)]
struct Patients(Arc<Ward>);

#[derive(Default)]
struct Ward {
    answer: AtomicUsize,
    asked: AtomicUsize,
}

impl Runtime for Patients {
    fn name(&self) -> &'static str {
        "patients"
    }

    fn claims(&self, kind: &str) -> bool {
        kind == "patient"
    }

    fn create(&self, _: &PluginEntry, _: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        Ok(Native::new(self.0.clone())
            .on::<ToolPreInvoke>(Needs::block(), |_, _, _| Ok(Verdict::Pass))
            .on_health(|ward| {
                ward.asked.fetch_add(1, SeqCst);
                let answer = ward.answer.load(SeqCst);
                assert_ne!(answer, 3, "asked for");
                Box::pin(async move {
                    match answer {
                        0 => Ok(()),
                        1 => Err(PluginError::failed("no database")),
                        _ => std::future::pending().await,
                    }
                })
            })
            .into_plugin())
    }
}

fn plan(names: &[&str], interval: Option<u64>) -> Plan {
    let entry = |name: &&str| PluginEntry {
        hooks: vec![ToolPreInvoke::NAME.to_owned()],
        ..PluginEntry::new(*name, "patient")
    };
    let settings = Settings { health_interval: interval.map(Duration::from_secs), ..Settings::default() };
    Plan { entries: names.iter().map(entry).collect(), settings, enabled: true, ..Plan::default() }
}

async fn framework(names: &[&str], interval: Option<u64>) -> (Framework, Arc<Ward>) {
    let patients = Patients::default();
    let ward = patients.0.clone();
    let framework = Framework::builder().runtime(patients).build();
    let (pipelines, _) = framework.build(&plan(names, interval)).await.unwrap();
    framework.swap(pipelines);
    (framework, ward)
}

fn degraded(framework: &Framework) -> Option<String> {
    framework.pipelines().instances()[0].degraded(framework.hooks())
}

#[tokio::test(start_paused = true)]
async fn an_unwell_plugin_shows_as_degraded_until_it_is_well_again() {
    let (framework, ward) = framework(&["p"], None).await;
    framework.check_health().await;
    assert_eq!(degraded(&framework), None);
    for (answer, reason) in [
        (1, "its health check failed: no database"),
        (2, "its health check failed: no answer within 10000 ms"),
        (3, "its health check failed: panicked"),
    ] {
        ward.answer.store(answer, SeqCst);
        framework.check_health().await;
        assert!(degraded(&framework).unwrap().starts_with(reason), "{:?}", degraded(&framework));
        assert_eq!(framework.pipelines().instances()[0].state(), State::Ready, "calls go on");
    }
    ward.answer.store(0, SeqCst);
    framework.check_health().await;
    assert_eq!(degraded(&framework), None);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_plugin_that_has_started_and_is_away_shows_so_at_once() {
    let patients = Patients::default();
    patients.0.answer.store(1, SeqCst);
    let framework = Framework::builder().runtime(patients).build();
    let (pipelines, _) = framework.build(&plan(&["p"], None)).await.unwrap();
    framework.swap(pipelines);
    assert_eq!(degraded(&framework).unwrap(), "its health check failed: no database");
}

#[tokio::test(start_paused = true)]
async fn plugins_are_asked_at_the_interval_of_the_configuration_in_force() {
    let (framework, ward) = framework(&["p"], Some(60)).await;
    let asked = |ward: &Ward| ward.asked.swap(0, SeqCst);
    assert_eq!(
        asked(&ward),
        1,
        "what runs elsewhere may have started and be away: it is asked when it starts"
    );
    let watching = {
        let framework = framework.clone();
        tokio::spawn(async move { framework.watch_health().await })
    };
    tokio::time::sleep(Duration::from_secs(185)).await;
    assert_eq!(asked(&ward), 3);
    framework.reload(plan(&["p", "q"], Some(10))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(asked(&ward), 7, "both, three times, and the new one when it started");
    framework.reload(plan(&["p", "q"], None)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(asked(&ward), 0);
    watching.abort();
}
