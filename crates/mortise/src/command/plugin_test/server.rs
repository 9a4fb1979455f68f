//! Which server is meant, and how it is reached: as the entry of a gateway would say it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{anyhow, bail};
use mortise_framework::config::PluginEntry;
use serde_json::{Map, Value, json};

use crate::{cli::PluginTestArgs, command::project, output::Output};

/// Time for a server to start.
pub(super) const STARTING: Duration = Duration::from_secs(60);

/// A server to be checked.
pub(super) struct Server {
    /// For people.
    pub(super) shown: String,
    /// The block of an entry, under the name of its transport.
    transport: &'static str,
    block: Map<String, Value>,
    /// The plugin's name, where it is known.
    name: Option<String>,
    /// The project that is to be built first.
    folder: Option<PathBuf>,
}

impl Server {
    pub(super) fn of(args: &PluginTestArgs) -> anyhow::Result<Self> {
        let mut server = match (&args.target, args.command.as_slice()) {
            (None, []) => Self::project(Path::new("."))?,
            (None, command) => Self::command(command.join(" "), command),
            (Some(target), _) => match target.split_once(':') {
                Some((scheme, rest)) if !Path::new(target).is_dir() => Self::url(target, scheme, rest)?,
                _ => Self::project(Path::new(target))?,
            },
        };
        if let Some(name) = &args.plugin {
            server.name = Some(name.clone());
        }
        if let Some(path) = &args.uds {
            server.only("--uds", "url")?.insert("uds".to_owned(), json!(path));
        }
        if !args.headers.is_empty() {
            let mut headers = Map::new();
            for header in &args.headers {
                let (name, value) =
                    header.split_once(':').ok_or_else(|| anyhow!("`--header` is to be `NAME: VALUE`"))?;
                headers.insert(name.trim().to_owned(), value.trim().into());
            }
            server.only("--header", "url")?.insert("headers".to_owned(), headers.into());
        }
        Ok(server)
    }

    /// The block, for what only servers at a URL have.
    fn only(&mut self, flag: &str, key: &str) -> anyhow::Result<&mut Map<String, Value>> {
        if !self.block.contains_key(key) {
            bail!("{flag} is for servers at an http URL");
        }
        Ok(&mut self.block)
    }

    fn new(shown: String, transport: &'static str, block: Value) -> Self {
        let block = match block {
            Value::Object(block) => block,
            _ => Map::new(),
        };
        Self { shown, transport, block, name: None, folder: None }
    }

    fn url(url: &str, scheme: &str, rest: &str) -> anyhow::Result<Self> {
        let path = rest.trim_start_matches("//");
        Ok(match scheme {
            "http" | "https" | "ws" | "wss" => Self::new(url.to_owned(), "mcp", json!({ "url": url })),
            "grpc" if path.starts_with('/') => Self::new(url.to_owned(), "grpc", json!({ "uds": path })),
            "grpc" => Self::new(url.to_owned(), "grpc", json!({ "target": path })),
            "unix" => Self::new(url.to_owned(), "unix_socket", json!({ "path": path })),
            _ => bail!("`{url}` is neither a folder nor a URL of http, https, ws, wss, grpc or unix"),
        })
    }

    fn command(shown: String, command: &[String]) -> Self {
        let mut env: Map<String, Value> =
            std::env::vars().map(|(name, value)| (name, value.into())).collect();
        env.insert("PLUGINS_TRANSPORT".to_owned(), "stdio".into());
        Self::new(shown, "mcp", json!({ "proto": "STDIO", "cmd": command, "env": env }))
    }

    fn project(folder: &Path) -> anyhow::Result<Self> {
        let project = project::Project::find(folder)?;
        if !project.has("start") {
            bail!(
                "{} has no Makefile with the target `start`: say what to test by a URL or by --command",
                folder.display()
            );
        }
        let mut server =
            Self::command(folder.display().to_string(), &project.make("start", &["PLUGINS_TRANSPORT=stdio"]));
        server.name = project.name.clone();
        server.folder = Some(project.folder);
        Ok(server)
    }

    /// Builds the project, where there is one that has something to build.
    pub(super) fn build(&self, output: &mut Output) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let project = project::Project::find(folder)?;
        if !project.has("compile") {
            return Ok(());
        }
        let command = project.make("compile", &[]);
        let [program, args @ ..] = command.as_slice() else { return Ok(()) };
        let done = std::process::Command::new(program).args(args).output()?;
        if !done.status.success() {
            output.say(String::from_utf8_lossy(&done.stdout).trim_end());
            output.say(String::from_utf8_lossy(&done.stderr).trim_end());
            bail!("`make compile` failed ({}) in {}", done.status, folder.display());
        }
        Ok(())
    }

    /// The entry of a gateway that would have the plugin.
    pub(super) fn entry(&self, plugin: &str, dialect: Option<&str>) -> PluginEntry {
        let mut block = self.block.clone();
        if let Some(dialect) = dialect {
            block.insert("dialect".to_owned(), dialect.into());
        }
        let mut entry = PluginEntry::new(plugin, "external");
        match self.transport {
            "grpc" => entry.grpc = Some(block),
            "unix_socket" => entry.unix_socket = Some(block),
            _ => entry.mcp = Some(block),
        }
        entry
    }

    /// Which plugin is checked.
    pub(super) fn plugin(&self, there: &[String]) -> anyhow::Result<String> {
        match (&self.name, there) {
            (Some(name), _) => Ok(name.clone()),
            (None, [one]) => Ok(one.clone()),
            (None, []) => bail!("the server does not say which plugins it has: name one by --plugin"),
            (None, many) => {
                bail!("the server has {} plugins: name one by --plugin: {}", many.len(), many.join(", "))
            }
        }
    }
}
