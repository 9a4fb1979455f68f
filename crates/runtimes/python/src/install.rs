//! Making virtual environments: once each, however many plugins wait for it, and to its end, whoever stops waiting.
//!
//! A mark is written into the environment when all is installed; without it nothing that stands there is believed.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mortise_plugin_api::{Host, host::LogLevel};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    home::{Recipe, Requirement, interpreter_of},
    process::INHERITED,
};

/// File in an environment that says what was installed there.
const MARK: &str = ".mortise-requirements";

/// Lines of pip that are told when it fails.
const LAST_LINES: usize = 6;

/// What became of making one: not yet known, or the interpreter, or why not.
type Outcome = Option<Result<PathBuf, Arc<str>>>;

/// Environments that are being made, and those that have been.
#[derive(Default)]
pub(crate) struct Installs {
    known: Mutex<HashMap<PathBuf, Making>>,
}

struct Making {
    digest: String,
    outcome: watch::Receiver<Outcome>,
    _task: AbortOnDropHandle<()>,
}

impl Installs {
    /// The interpreter of an environment; waits until it is made.
    ///
    /// # Errors
    /// Why it could not be made, with pip's last lines.
    pub(crate) async fn ready(
        &self,
        recipe: &Recipe,
        patience: Duration,
        host: &Arc<dyn Host>,
    ) -> Result<PathBuf, Arc<str>> {
        let mut outcome = self.begin(recipe, patience, host);
        let outcome = outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        outcome.ok().flatten().unwrap_or_else(|| Err("making its virtual environment was given up".into()))
    }

    fn begin(&self, recipe: &Recipe, patience: Duration, host: &Arc<dyn Host>) -> watch::Receiver<Outcome> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(making) = known.get(&recipe.venv)
            && making.digest == recipe.digest
            && !matches!(&*making.outcome.borrow(), Some(Err(_)))
        {
            return making.outcome.clone();
        }
        let (done, outcome) = watch::channel(None);
        let (recipe_, host) = (recipe.clone(), host.clone());
        let task = tokio::spawn(async move {
            let made = tokio::time::timeout(patience, make(&recipe_, &*host)).await;
            let made =
                made.unwrap_or_else(|_| Err(format!("pip was not done within {} s", patience.as_secs())));
            if let Err(why) = &made {
                host.log(LogLevel::Error, &format!("no virtual environment: {why}"), &[]);
            }
            done.send_replace(Some(made.map_err(Into::into)));
        });
        let making = Making {
            digest: recipe.digest.clone(),
            outcome: outcome.clone(),
            _task: AbortOnDropHandle::new(task),
        };
        known.insert(recipe.venv.clone(), making);
        outcome
    }
}

async fn make(recipe: &Recipe, host: &dyn Host) -> Result<PathBuf, String> {
    let (venv, python) = (&recipe.venv, interpreter_of(&recipe.venv));
    let mark = venv.join(MARK);
    let marked = tokio::fs::read_to_string(&mark).await.is_ok_and(|text| text == recipe.digest);
    if marked && python.is_file() {
        return Ok(python);
    }
    host.log(LogLevel::Info, &format!("making its virtual environment in {}", venv.display()), &[]);
    if recipe.ours {
        prepare(venv).await.map_err(|error| format!("{} cannot be prepared: {error}", venv.display()))?;
    }
    if !python.is_file() {
        let mut command = command(&recipe.base);
        command.args(["-m", "venv"]).arg(venv);
        run(command, "python -m venv", host).await?;
    }
    let mut command = command(&python);
    command.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
    for requirement in &recipe.requirements {
        match requirement {
            Requirement::File(file) => command.arg("-r").arg(file),
            Requirement::One(text) => command.arg(text),
        };
    }
    run(command, "pip", host).await?;
    tokio::fs::write(&mark, &recipe.digest)
        .await
        .map_err(|error| format!("{} cannot be written: {error}", mark.display()))?;
    host.log(LogLevel::Info, "its virtual environment is ready", &[]);
    Ok(python)
}

/// Removes what was left half made, and makes the folder for its owner only.
async fn prepare(venv: &Path) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(venv).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match venv.parent() {
        Some(folder) => tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await,
        None => Ok(()),
    }
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    let told = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        INHERITED.contains(&&*name) && !name.starts_with("PYTHON") || name.starts_with("PIP_")
    });
    command
        .env_clear()
        .envs(told)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a program, with what it says in the log; in an error stand its last lines.
async fn run(mut command: Command, name: &str, host: &dyn Host) -> Result<(), String> {
    let mut child = command.spawn().map_err(|error| format!("{name} could not be started: {error}"))?;
    let last = Mutex::new(VecDeque::with_capacity(LAST_LINES));
    let lines = async |pipe: Option<Box<dyn tokio::io::AsyncRead + Send + Unpin>>| {
        let Some(pipe) = pipe else { return };
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            host.log(LogLevel::Info, &format!("{name}: {line}"), &[]);
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    };
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as _);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as _);
    let (status, (), ()) = tokio::join!(child.wait(), lines(stdout), lines(stderr));
    let status = status.map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let last: Vec<String> = last.into_inner().unwrap_or_else(PoisonError::into_inner).into();
    Err(format!("{name} failed ({status}): {}", last.join(" | ")))
}
