//! The processes under load: upstream, nginx, gateways. Each ends when its value is dropped.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mortise_testkit::{mcp_server::minimal::Minimal, process::Owned};

use crate::plans::Plan;

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a starting server is asked; start times are as exact as this.
const POLL: Duration = Duration::from_millis(1);
/// A path, and the status it is answered with once a gateway is ready.
const GATEWAY_READY: (&str, &str) = ("/ready", "200");
/// The same for the upstream, which has no such path and takes no GET; nginx passes that on.
const UPSTREAM_READY: (&str, &str) = ("/mcp", "405");

/// This program as the minimal upstream.
pub(crate) fn run_upstream(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Minimal::new().serve(listener).await?)
    })
}

/// This program as `mortise serve`, with the test kit's plugins beside the product's.
pub(crate) fn run_gateway(config: &Path) -> ExitCode {
    let builder =
        mortise_testkit::plugins::kinds().into_iter().fold(mortise::Builder::new(), mortise::Builder::kind);
    builder.run_with(["mortise".as_ref(), "serve".as_ref(), "--config".as_ref(), config.as_os_str()])
}

/// A server that is ready.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// From the start of the process until it was ready.
    pub(crate) start: Duration,
    process: Owned,
    /// How to end it where killing would leave children behind.
    stop: Option<Command>,
}

impl Server {
    /// Its MCP endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn start(name: &str, port: u16, command: &mut Command, ready: (&str, &str)) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut process = Owned::spawn(command)?;
        while !answers(port, ready) {
            if !process.is_running() {
                bail!("{name} ended before it was ready");
            }
            if started.elapsed() > PATIENCE {
                bail!("{name} was not ready within {PATIENCE:?}");
            }
            std::thread::sleep(POLL);
        }
        Ok(Self { port, start: started.elapsed(), process, stop: None })
    }

    /// The minimal upstream.
    pub(crate) fn upstream() -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("upstream").arg("--port").arg(port.to_string());
        Self::start("upstream", port, &mut command, UPSTREAM_READY)
    }

    /// A vendor of models.
    pub(crate) fn vendor() -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("vendor").arg("--port").arg(port.to_string());
        Self::start("vendor", port, &mut command, UPSTREAM_READY)
    }

    /// An upstream that lists so many tools, of which only `echo` does anything.
    pub(crate) fn listing(tools: usize) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("upstream").arg("--port").arg(port.to_string()).arg("--tools").arg(tools.to_string());
        Self::start("upstream with a list", port, &mut command, UPSTREAM_READY)
    }

    /// nginx as a plain proxy to `upstream`: two workers, connections kept alive on both sides, no access log.
    pub(crate) fn nginx(program: &Path, upstream: &Self, folder: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder)?;
        let config = folder.join("nginx.conf");
        fs::write(&config, nginx_config(port, upstream.port, &folder))?;
        let command = || {
            let mut command = Command::new(program);
            command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&config);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut server = Self::start("nginx", port, &mut command(), UPSTREAM_READY)
            .context("could not start nginx (apt-get install nginx, or --nginx PATH)")?;
        let mut stop = command();
        stop.arg("-s").arg("stop");
        server.stop = Some(stop);
        Ok(server)
    }

    /// A gateway before `upstream` with the plugins of `plan`.
    pub(crate) fn gateway(
        gateway: &Gateway,
        plan: Plan,
        upstream: &Self,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        Self::gateway_of(gateway, &Setup::new(plan, upstream), folder)
    }

    /// A gateway that is set up so.
    pub(crate) fn gateway_of(gateway: &Gateway, setup: &Setup, folder: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let home = home(folder, port);
        fs::create_dir_all(&home)?;
        let config = setup.write(port, &home)?;
        let mut command = Command::new(&gateway.program);
        // Nothing of the caller's environment may change what is measured.
        command.args(&gateway.args).arg("--config").arg(&config).current_dir(&home).env_clear();
        let log = fs::File::create(home.join("log"))?;
        command.stdout(Stdio::null()).stderr(log);
        Self::start(&format!("gateway, {}", setup.name), port, &mut command, GATEWAY_READY)
            .with_context(|| without_token(&fs::read_to_string(home.join("log")).unwrap_or_default()))
    }

    /// Where a gateway that was started in `folder` has its configuration and its state.
    pub(crate) fn home(&self, folder: &Path) -> PathBuf {
        home(folder, self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(stop) = &mut self.stop else { return };
        let asked = Instant::now();
        if stop.status().is_ok_and(|status| status.success()) {
            while self.process.is_running() && asked.elapsed() < PATIENCE {
                std::thread::sleep(POLL);
            }
        }
    }
}

fn home(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!("gateway-{port}"))
}

/// What a gateway is told beside where it listens.
#[derive(Clone)]
pub(crate) struct Setup {
    /// For people.
    name: String,
    upstream: String,
    /// Entries of its `plugins:`, in YAML, two spaces deep.
    pub(crate) plugins: String,
    /// Further keys, in YAML.
    more: String,
}

impl Setup {
    /// The plugins of `plan` before `upstream`.
    pub(crate) fn new(plan: Plan, upstream: &Server) -> Self {
        Self {
            name: format!("{plan:?}"),
            upstream: upstream.url(),
            plugins: plan.entries(),
            more: String::new(),
        }
    }

    /// The same with further keys of the configuration, whole lines.
    pub(crate) fn with(self, more: &str) -> Self {
        Self { more: self.more + more, ..self }
    }

    /// Writes the configuration of a gateway at `port` into its folder, over one that is there; says where.
    pub(crate) fn write(&self, port: u16, home: &Path) -> std::io::Result<PathBuf> {
        let file = home.join("mortise.yaml");
        fs::write(&file, gateway_config(port, home, self))?;
        Ok(file)
    }
}

/// The gateway program to measure.
pub(crate) struct Gateway {
    program: PathBuf,
    args: Vec<String>,
    /// Whether it knows the test kit's plugins.
    pub(crate) has_test_kinds: bool,
}

impl Gateway {
    /// The one in this program, or another.
    pub(crate) fn choose(other: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match other {
            Some(program) => {
                let program = fs::canonicalize(program).with_context(|| program.display().to_string())?;
                Self { program, args: vec!["serve".to_owned()], has_test_kinds: false }
            }
            None => {
                let args = vec!["gateway".to_owned()];
                Self { program: std::env::current_exe()?, args, has_test_kinds: true }
            }
        })
    }
}

/// A log without the line that shows the admin token.
fn without_token(log: &str) -> String {
    log.lines().filter(|line| !line.contains("admin token")).collect::<Vec<_>>().join("\n")
}

/// A port nobody uses now.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether a GET of the path is answered with the status.
fn answers(port: u16, (path, status): (&str, &str)) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(
            format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut head = vec![0; 12];
        stream.read_exact(&mut head)?;
        Ok(head)
    };
    ask().is_ok_and(|head| head.ends_with(status.as_bytes()))
}

fn gateway_config(port: u16, home: &Path, setup: &Setup) -> String {
    let Setup { upstream, plugins: entries, more, .. } = setup;
    let plugins =
        if entries.is_empty() { "plugins: []\n".to_owned() } else { format!("plugins:\n{entries}") };
    format!(
        "listen: {{ address: \"127.0.0.1:{port}\" }}\nstate_dir: {}\nplugins_files: []\nupstreams:\n  fake: {{ url: \
         \"{upstream}\" }}\n{more}{plugins}",
        home.join("state").display()
    )
}

fn nginx_config(port: u16, upstream: u16, folder: &Path) -> String {
    let folder = folder.display();
    // Started by root, its workers would run as a user who may not enter the temporary folder.
    let user = if is_root() { "user root;\n" } else { "" };
    format!(
        r#"{user}worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    upstream fake {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://fake;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"#
    )
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"))
}
