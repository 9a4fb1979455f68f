//! Plugin servers under measurement: this program's, and the Python framework's. Each ends when its value is dropped.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::bail;
use mortise_testkit::process::Owned;
use serde_json::{Value, json};

use super::{HOOK, PLUGIN, python};

/// How long a server may take to be ready; one in Python imports for seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plugin server that takes calls.
pub(super) struct Served {
    /// The block of an entry that reaches it, under its name.
    pub(super) block: (&'static str, Value),
    /// Where it listens, in its own words.
    pub(super) address: String,
    _process: Owned,
}

impl Served {
    /// This program's.
    pub(super) fn own(transport: &str, folder: &Path) -> anyhow::Result<Self> {
        let (file, ready, socket) =
            (folder.join("plugins.yaml"), folder.join("ready"), folder.join("p.sock"));
        let entry = format!(
            "{{ name: {PLUGIN}, kind: builtin.deny_list, hooks: [{HOOK}], config: {{ words: [never] }} }}"
        );
        std::fs::write(&file, format!("plugins:\n  - {entry}\n"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["plugin-server", "--transport", transport, "--config"]).arg(&file);
        match transport {
            "http" => command.args(["--port", "0"]),
            _ => command.arg("--uds").arg(&socket),
        };
        command.arg("--ready-file").arg(&ready).env("MORTISE_LOG", "warn");
        let said = || std::fs::read_to_string(&ready).ok();
        let (process, address) = start(&mut command, transport, said)?;
        let address = address.trim().to_owned();
        let block = match transport {
            "http" => ("mcp", json!({ "proto": "STREAMABLEHTTP", "url": address })),
            "grpc" => ("grpc", json!({ "uds": socket })),
            _ => ("unix_socket", json!({ "path": socket })),
        };
        Ok(Self { block, address, _process: process })
    }

    /// The Python framework's.
    pub(super) fn python(transport: &str, folder: &Path) -> anyhow::Result<Self> {
        let (file, socket) = (folder.join("served.yaml"), folder.join("p.sock"));
        let entry = format!("{{ name: {PLUGIN}, kind: passing.Passing, hooks: [{HOOK}], mode: sequential }}");
        std::fs::write(&file, format!("plugins:\n  - {entry}\nplugin_dirs: []\n"))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = python::command();
        let module = if transport == "http" { "mcp" } else { transport };
        command
            .args(["-m", &format!("cpex.framework.external.{module}.server.runtime")])
            .env("PLUGINS_CONFIG_PATH", &file)
            .env("PYTHONPATH", python::folder())
            .env("PLUGINS_LOG_LEVEL", "WARNING");
        let (block, address) = match transport {
            "http" => {
                command.env("PLUGINS_TRANSPORT", "http").env("PLUGINS_SERVER_PORT", port.to_string());
                let url = format!("http://localhost:{port}/mcp");
                (("mcp", json!({ "proto": "STREAMABLEHTTP", "url": url })), url)
            }
            "grpc" => {
                command.args(["--port", &port.to_string()]);
                let target = format!("127.0.0.1:{port}");
                (("grpc", json!({ "target": target })), target)
            }
            _ => {
                command.env("UNIX_SOCKET_PATH", &socket);
                (("unix_socket", json!({ "path": socket })), socket.display().to_string())
            }
        };
        let listens = || listens(transport, port, &socket).then(String::new);
        let (process, _) = start(&mut command, transport, listens)?;
        Ok(Self { block, address, _process: process })
    }
}

fn listens(transport: &str, port: u16, socket: &PathBuf) -> bool {
    match transport {
        "unix" => UnixStream::connect(socket).is_ok(),
        _ => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
    }
}

/// Starts a server and waits until it says something.
fn start(
    command: &mut Command,
    transport: &str,
    said: impl Fn() -> Option<String>,
) -> anyhow::Result<(Owned, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = Owned::spawn(command)?;
    let began = Instant::now();
    loop {
        if let Some(words) = said() {
            return Ok((server, words));
        }
        if !server.is_running() || began.elapsed() > PATIENCE {
            bail!("the plugin server over {transport} did not start");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
