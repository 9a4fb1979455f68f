//! Supervised children, played by shell scripts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::{ChildFault, ChildState, StdioConfig, StdioUpstream};
use crate::backoff::BackoffConfig;
use crate::stdio::child::{ChildConfig, INHERITED};
use crate::upstream::{Call, Connection, Hello, Initialized};

/// Longest wait for something that happens at once.
const SOON: Duration = Duration::from_secs(20);

fn config(script: &str) -> StdioConfig {
    let child = ChildConfig {
        name: "test".into(),
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::from([("GIVEN".into(), "yes".into())]),
        cwd: None,
    };
    let mut config = StdioConfig::new(child);
    config.backoff = BackoffConfig { first: Duration::from_millis(10), longest: Duration::from_millis(50) };
    config.stop_grace = Duration::from_millis(200);
    config
}

/// Answers `initialize`, which is always request 1, with `said` as instructions.
fn introduce(said: &str) -> String {
    format!(
        r#"read line; printf '{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"2025-11-25","capabilities":{{}},"instructions":"%s"}}}}\n' "{said}";"#
    )
}

fn start(script: &str) -> StdioUpstream {
    StdioUpstream::start(config(script), Hello::new("mortise", "0"))
}

async fn ready(upstream: &StdioUpstream) -> Initialized {
    let mut state = upstream.state();
    let ready = state.wait_for(|state| matches!(state, ChildState::Ready { .. }));
    match &*timeout(SOON, ready).await.expect("the child is ready soon").unwrap() {
        ChildState::Ready { initialized, .. } => Initialized::clone(initialized),
        other => panic!("{other:?}"),
    }
}

async fn failing(upstream: &StdioUpstream) -> String {
    let mut state = upstream.state();
    let failing = state.wait_for(|state| matches!(state, ChildState::Failing { .. }));
    match &*timeout(SOON, failing).await.expect("the child fails soon").unwrap() {
        ChildState::Failing { fault, .. } => match &**fault {
            ChildFault::Spawn(_) => "spawn".to_owned(),
            other => other.to_string(),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_killed_child_fails_its_calls_and_is_started_again() {
    let upstream = start(&format!("{} cat >/dev/null", introduce("$$")));
    let first = ready(&upstream).await.instructions.unwrap();
    let connection = Connection::Pipe(upstream.connection().unwrap());
    let call = connection.request(Call::new("tools/list", None)).await.unwrap();
    let pid = rustix::process::Pid::from_raw(first.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(timeout(SOON, call.outcome()).await.unwrap().unwrap_err().is_gone());
    // Depending on which end is seen first the state may have moved on already.
    let mut second = ready(&upstream).await.instructions.unwrap();
    if second == first {
        failing(&upstream).await;
        second = ready(&upstream).await.instructions.unwrap();
    }
    assert_ne!(first, second);
    upstream.stop().await;
}

#[tokio::test]
async fn a_child_that_prints_garbage_first_is_understood() {
    let script =
        format!("echo Listening on stdio; echo '[banner'; echo err >&2; {} cat >/dev/null", introduce("hi"));
    let upstream = start(&script);
    assert_eq!(ready(&upstream).await.instructions.as_deref(), Some("hi"));
    upstream.stop().await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_or_ends_at_once_is_reported_and_tried_again() {
    let mut missing = config("");
    missing.child.program = "/nonexistent/program".into();
    let missing = StdioUpstream::start(missing, Hello::new("mortise", "0"));
    assert_eq!(failing(&missing).await, "spawn");
    let ending = start("exit 3");
    assert!(failing(&ending).await.contains("opening a session"));
    assert!(ending.connection().is_none());
    missing.stop().await;
    ending.stop().await;
}

#[tokio::test]
async fn a_child_sees_no_more_of_the_environment_than_it_was_given() {
    let names = "$(env | grep -E '^[A-Z_]+=' | cut -d= -f1 | tr '\\n' ' ')";
    let upstream = start(&format!("{} cat >/dev/null", introduce(names)));
    let seen = ready(&upstream).await.instructions.unwrap();
    let seen: Vec<&str> = seen.split_whitespace().collect();
    assert!(seen.contains(&"GIVEN") && seen.contains(&"PATH"), "{seen:?}");
    // The last ones a shell sets by itself.
    let allowed = [&INHERITED[..], &["GIVEN", "PWD", "OLDPWD", "SHLVL", "_"]].concat();
    assert!(seen.iter().all(|name| allowed.contains(name)), "{seen:?}");
    upstream.stop().await;
}

/// Reads what comes out of a FIFO until all its writers are gone.
fn listen_to(path: &Path) -> tokio::task::JoinHandle<String> {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || std::fs::read_to_string(path).unwrap())
}

#[tokio::test]
async fn stopping_ends_grandchildren_and_those_that_ignore_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let grandchild = listen_to(&fifo);
    let script = format!(
        "trap '' TERM; exec 3>'{}'; echo up >&3; sleep 1000 & {} while :; do sleep 1000; done",
        fifo.display(),
        introduce("hi")
    );
    let upstream = start(&script);
    ready(&upstream).await;
    timeout(SOON, upstream.stop()).await.expect("stopping is bounded");
    assert_eq!(timeout(SOON, grandchild).await.expect("the grandchild is gone").unwrap(), "up\n");
}

#[tokio::test]
async fn a_child_whose_connection_is_closed_here_is_not_started_again() {
    let upstream = start(&format!("{} cat >/dev/null", introduce("hi")));
    ready(&upstream).await;
    let mut state = upstream.state();
    state.mark_unchanged();

    upstream.connection().unwrap().close();

    timeout(SOON, state.changed()).await.expect("it ends soon").unwrap();
    assert!(matches!(*state.borrow(), ChildState::Stopped), "{:?}", *state.borrow());
}

#[tokio::test]
async fn dropping_the_supervisor_ends_the_grandchildren() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let grandchild = listen_to(&fifo);
    let script =
        format!("exec 3>'{}'; echo up >&3; sleep 1000 & {} cat >/dev/null", fifo.display(), introduce("hi"));
    let upstream = start(&script);
    ready(&upstream).await;
    drop(upstream);
    assert_eq!(timeout(SOON, grandchild).await.expect("the grandchild is gone").unwrap(), "up\n");
}
