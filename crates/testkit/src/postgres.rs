//! A real PostgreSQL for tests: one server for each test program, in a temporary folder, a database for each test.
//!
//! It listens at a socket in that folder alone and ends with the program, however that ends: what watches over it reads
//! from a pipe that only the program holds. PostgreSQL refuses to run as root; where tests do, it runs as `nobody`.

use std::{
    fs, io,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// User and group `nobody`.
const NOBODY: u32 = 65_534;

static SERVER: OnceLock<Server> = OnceLock::new();

struct Server {
    folder: PathBuf,
    programs: PathBuf,
    next: AtomicU32,
    /// Its input is the pipe that ends the server.
    _watch: Child,
}

/// A new, empty database: its URL. Starts the server where none runs yet.
///
/// # Panics
/// When PostgreSQL is not installed (`scripts/setup/system.sh postgres`) or does not start.
#[expect(clippy::panic, reason = "a test that cannot have its database fails at once")]
pub fn database() -> String {
    let server = SERVER.get_or_init(|| {
        Server::start().unwrap_or_else(|error| {
            panic!("these tests need PostgreSQL (scripts/setup/system.sh postgres): {error}")
        })
    });
    server.database().unwrap_or_else(|error| panic!("making a database: {error}"))
}

impl Server {
    fn start() -> io::Result<Self> {
        let programs = programs()?;
        let folder = std::env::temp_dir().join(format!("mortise-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY))?;
        }
        let data = folder.join("data");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            "mortise",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        run(&mut initdb)?;
        // The shell waits for the end of its input, which comes with the end of this program.
        let script = r#""$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off \
            -c max_connections=200 >"$2/log" 2>&1 & server=$!; cat >/dev/null
            kill -QUIT $server; wait $server; rm -rf "$2"/* "$2""#;
        let mut watch = Command::new("sh");
        watch.args(["-c", script, "sh"]).arg(&programs).arg(&folder).current_dir("/");
        watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watch = as_nobody(&mut watch).spawn()?;
        let server = Self { folder, programs, next: AtomicU32::new(1), _watch: watch };
        let begun = Instant::now();
        while server.psql("SELECT 1").is_err() {
            if begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("it does not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn database(&self) -> io::Result<String> {
        let name = format!("test_{}", self.next.fetch_add(1, Relaxed));
        self.psql(&format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres://mortise@localhost/{name}?host={}", self.folder.display()))
    }

    fn psql(&self, statement: &str) -> io::Result<()> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.arg("-h").arg(&self.folder).args(["-U", "mortise", "-d", "postgres", "-q", "-c", statement]);
        run(&mut psql)
    }
}

/// The folder with `initdb` and `postgres`: distributions keep them off the path, by version.
fn programs() -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    if let Some(found) = found {
        // A link may stand apart from the other programs.
        let real = fs::canonicalize(found.join("initdb"))?;
        return Ok(real.parent().map_or(found, Path::to_path_buf));
    }
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no initdb"))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn as_nobody(command: &mut Command) -> &mut Command {
    if is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = as_nobody(command.current_dir("/")).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
