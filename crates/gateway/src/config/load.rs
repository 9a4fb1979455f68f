//! From files, variables and flags to one configuration that holds.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use mortise_framework::{
    Framework, Plan,
    catalogue::Catalogue,
    config::{
        Diagnostic, DiagnosticKind, Environment, Errors, FileKind, Loaded, Loader, Notice, Override, Partial,
        PluginSettings, Recognised,
        looked_at::{self, LookedAt},
        recognise_surely,
    },
};

use super::{
    App, Config, Datasource, Egress, EndpointLimits, Kept, Listen, Llm, Storage, Telemetry, Upstream, app,
    check, datasources, egress, endpoints, listen, llm,
    outline::Outline,
    place::{self, Findings, Unread},
    plugins,
    secrets::{self, VAULT},
    storage, stored, telemetry, tools, upstream,
};
use crate::{
    overrides::{self, OverrideSource, Overrides},
    vault::{self, Logins, Vault},
};

/// The file that is read when nobody names one; it may be missing.
pub const DEFAULT_FILE: &str = "mortise.yaml";

/// The file of variables that is read when it is there.
const DOTENV_FILE: &str = ".env";

/// Where state is kept when nobody says otherwise, in the working folder.
pub const DEFAULT_STATE_DIR: &str = ".mortise";

/// `MORTISE_*` variables that are not keys of the configuration: flags of the command line.
const NOT_KEYS: [&str; 8] = [
    "MORTISE_CONFIG",
    "MORTISE_HOST",
    "MORTISE_PORT",
    "MORTISE_LOG",
    "MORTISE_LOG_FORMAT",
    "MORTISE_URL",
    "MORTISE_TOKEN",
    "MORTISE_BIN",
];

/// What a configuration is settled from.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Configuration files, later ones over earlier ones, each recognised as the own kind or a plugin file. Without
    /// any of the own kind, `mortise.yaml` in `directory` is read if it is there.
    pub files: Vec<(PathBuf, FileKind)>,
    /// What relative names are relative to, and where default files are looked for.
    pub directory: PathBuf,
    /// Variables for `${NAME}`, templates and `MORTISE_*`.
    pub environment: Environment,
    /// Values that lie over files and variables.
    pub overrides: Vec<Override>,
    /// IP address or `localhost` instead of that of `listen.address`.
    pub host: Option<String>,
    /// Port instead of that of `listen.address`.
    pub port: Option<u16>,
    /// Whether unknown keys of plugin files are errors.
    pub strict: bool,
    /// Whether files that nobody named are read: the default ones, and those that the environment names.
    pub defaults: bool,
    /// What is kept in storage of plugins and LLMs.
    pub kept: Arc<Kept>,
    /// The plugin or LLM of storage that has to be right; others that are not are left out and told.
    pub must_fit: Option<String>,
    /// Where what is changed while running comes from. By default the state folder.
    pub runtime_overrides: OverrideSource,
    /// Things noticed before, such as lines of a `.env` file that make no sense.
    pub notices: Vec<Notice>,
    /// Of those added, the files that could be of either kind.
    unsure: Vec<usize>,
    /// Whether one of those added is certainly of the own kind.
    surely_own: bool,
    /// Tokens of logins at stores of secrets.
    logins: Logins,
}

impl LoadOptions {
    /// The defaults in a folder, with these variables and those of a `.env` file there.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, mut environment: Environment) -> Self {
        let directory = directory.into();
        let notices = environment.add_dotenv(&directory);
        Self {
            files: Vec::new(),
            directory,
            environment,
            kept: Arc::default(),
            must_fit: None,
            overrides: Vec::new(),
            host: None,
            port: None,
            strict: false,
            defaults: true,
            runtime_overrides: OverrideSource::default(),
            notices,
            unsure: Vec::new(),
            surely_own: false,
            logins: Logins::default(),
        }
    }

    /// Adds a file, recognised by its keys. One that fits both kinds is of the own kind when another one added, before
    /// or after, certainly is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add_file(&mut self, path: impl Into<PathBuf>) -> Result<FileKind, Errors> {
        let path = path.into();
        let Recognised { mut kind, certain } = recognise_surely(&self.path(&path))?;
        self.surely_own |= certain && kind == FileKind::Own;
        if !certain {
            self.unsure.push(self.files.len());
        }
        self.files.push((path, kind));
        if self.surely_own {
            for at in self.unsure.drain(..) {
                self.files[at].1 = FileKind::Own;
            }
            kind = self.files.last().map_or(kind, |(_, kind)| *kind);
        }
        Ok(kind)
    }

    /// The same with what a `.env` file says now.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut again = self.clone();
        again.notices = again.environment.add_dotenv(&self.directory);
        again
    }

    /// The same for one load, with the stores of secrets that it asks.
    fn with_stores(&self) -> Self {
        let plain = self.clone();
        let vault = Vault::new(move || vault_settings(&plain), self.logins.clone());
        let mut with = self.clone();
        with.environment = with.environment.with_store(vault::SCHEME, Arc::new(vault));
        with
    }

    /// A path in the working folder, as short as it can be shown.
    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        if self.directory == Path::new(".") { path.as_ref().to_path_buf() } else { self.directory.join(path) }
    }
}

/// A configuration that holds: every name in it exists, every value has been checked.
#[derive(Debug)]
pub struct Settled {
    /// The configuration as written, variables and flags applied.
    pub config: Config,
    /// Where and how to listen.
    pub listen: Listen,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// The upstreams that are used, in file order.
    pub upstreams: Vec<Upstream>,
    /// The LLMs that are served, in file order.
    pub llms: Vec<Llm>,
    /// The data sources that are served, in file order.
    pub datasources: Vec<Datasource>,
    /// Who may call; `None` for anyone.
    pub apps: Option<Vec<App>>,
    /// Where the database is.
    pub storage: Storage,
    /// Where plugins may send requests of their own.
    pub egress: Egress,
    /// Limits of plugins' own HTTP endpoints.
    pub endpoints: EndpointLimits,
    /// Where spans are sent; `None` where they are not.
    pub telemetry: Option<Telemetry>,
    /// The plugins, with what was changed while running.
    pub plan: Plan,
    /// The plugins as configured.
    pub configured: Plan,
    /// What was changed while running.
    pub overrides: Arc<Overrides>,
    /// What holds for all plugins.
    pub plugin_settings: PluginSettings,
    /// The manifests in `plugin_dirs`.
    pub catalogue: Arc<Catalogue>,
    /// What was tolerated.
    pub notices: Vec<Notice>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// Every file that was looked at, found or not: what has to be watched.
    pub looked_at: LookedAt,
    /// All of it in the form in which two configurations are compared and shown.
    pub outline: Outline,
    /// What it was settled from, to do so again.
    pub source: LoadOptions,
}

impl Settled {
    /// Reads and checks everything. Starts and changes nothing.
    ///
    /// # Errors
    /// Everything that is wrong, as far as one can tell at once.
    pub fn load(options: &LoadOptions, framework: &Framework) -> Result<Self, Errors> {
        let asking = options.with_stores();
        let (settled, looked_at) = looked_at::during(|| Self::read(&asking, framework));
        // The next load asks anew.
        settled.map(|settled| Self { looked_at, source: options.clone(), ..settled })
    }

    fn read(options: &LoadOptions, framework: &Framework) -> Result<Self, Errors> {
        looked_at::note(&options.directory.join(DOTENV_FILE));
        let Partial { loaded, whole, gaps, errors: own_errors } = own(options);
        let Some(loaded) = loaded else { return Err(or_unreadable(own_errors)) };
        let mut found = Findings::new(&loaded, &options.directory);
        found.unread =
            Unread { whole: whole.as_ref(), plugins: place::any_below(&own_errors, "plugins_files") };
        found.notices.extend(options.notices.iter().cloned());
        found.notices.extend(loaded.notices.iter().cloned());
        let config = &loaded.value;
        let written = |key| whole.as_ref().is_some_and(|whole| whole.get(key).is_some());
        let guarded =
            config.apps.is_some() || config.storage.is_some() || written("apps") || written("storage");
        let flags = (options.host.as_deref(), options.port);
        let listen = listen::settle(&config.listen, flags, guarded, &mut found);
        let egress = egress::settle(&config.egress, &mut found);
        let endpoints = endpoints::settle(&config.endpoints, &options.environment, &mut found);
        let telemetry = telemetry::settle(&config.telemetry, &options.environment, &mut found);
        secrets::settle(&config.secrets, &options.environment, &mut found);
        let state_dir = state_dir(&loaded, options);
        let possible = config.storage.is_some() || storage::usual(&state_dir).exists();
        check::names(config, &check::Beside { kept: &options.kept, possible }, &mut found);
        let upstreams = config.upstreams.iter();
        let mut upstreams: Vec<Upstream> =
            upstreams.filter_map(|(name, raw)| upstream::settle(name, raw, &mut found)).collect();
        let tools = config.tools.iter();
        upstreams.extend(tools.filter_map(|(slug, raw)| tools::settle(slug, raw, &mut found)));
        let llms = config.llms.iter();
        let mut llms: Vec<Llm> =
            llms.filter_map(|(name, raw)| llm::settle(name, raw, config.llms.keys(), &mut found)).collect();
        let (kept_llms, kept_nodes) = stored::llms(options, config, &mut found);
        llms.extend(kept_llms);
        let datasources = datasources::settle(config, &mut found);
        let apps = config.apps.as_ref().map(|apps| {
            let apps = apps.iter().enumerate();
            apps.map(|(index, raw)| app::settle(index, raw.clone(), &mut found)).collect()
        });
        let overrides = overrides(options, &state_dir, &mut found);
        let storage_node = loaded.node.get("storage");
        let storage = storage::settle(
            config.storage.as_ref(),
            storage_node,
            &options.directory,
            &state_dir,
            &mut found,
        );
        let plugins = plugins::settle(options, framework, &loaded, &overrides, &mut found);
        let Findings { mut errors, notices, .. } = found;
        errors.iter_mut().for_each(|error| place::as_written(error, &gaps));
        errors.retain(|error| !place::is_echo(error, &own_errors));
        errors.extend(own_errors);
        let mut outline = Outline::new(&loaded.node, plugins.foreign.as_ref(), &plugins.settings);
        for (path, node) in plugins.kept.iter().chain(&kept_nodes) {
            outline.add_kept(path, node);
        }
        for upstream in &upstreams {
            outline.add_document(upstream);
        }
        let mut outline = outline.with_overrides(&overrides, plugins.plan.enabled);
        for entry in &plugins.plan.entries {
            outline.add_beside(&entry.name, &framework.beside(entry));
        }
        if let Some(errors) = Errors::from_list(errors) {
            return Err(errors);
        }
        Ok(Self {
            listen,
            state_dir,
            upstreams,
            llms,
            datasources,
            apps,
            storage,
            egress,
            endpoints,
            telemetry,
            plan: plugins.plan,
            configured: plugins.configured,
            overrides,
            plugin_settings: plugins.settings,
            catalogue: plugins.catalogue,
            notices,
            files: loaded.files.into_iter().chain(plugins.files).collect(),
            looked_at: LookedAt::default(),
            outline,
            source: options.clone(),
            config: loaded.value,
        })
    }
}

/// The own files, variables and flags.
fn own(options: &LoadOptions) -> Partial<Config> {
    let mut loader = Loader::new(options.environment.clone()).ignore_variables(NOT_KEYS);
    let mut named = options.files.iter().filter(|(_, kind)| *kind == FileKind::Own).peekable();
    if named.peek().is_none() && options.defaults {
        loader = loader.own_file_if_present(options.path(DEFAULT_FILE));
    }
    for (path, _) in named {
        loader = loader.own_file(options.path(path));
    }
    loader.overrides(options.overrides.iter().cloned()).load_partial()
}

/// How Vault is reached, which stands in the same files as the values that refer to it. These are not looked up here.
fn vault_settings(options: &LoadOptions) -> Result<vault::Settings, String> {
    let loaded = own(options).loaded;
    let node = |key: &str| loaded.as_ref()?.node.at(&place::key(VAULT, key));
    let usual = super::VaultConfig::default();
    let raw = loaded.as_ref().map_or(&usual, |loaded| &loaded.value.secrets.vault);
    let path = |key: &str, written: &str| place::folder(node(key), &options.directory).join(written);
    vault::Settings::of(raw, &options.environment, path).map_err(|unfit| unfit.to_string())
}

fn or_unreadable(errors: Vec<Diagnostic>) -> Errors {
    let unreadable = || Diagnostic::new(DiagnosticKind::File, "the configuration cannot be read").into();
    Errors::from_list(errors).unwrap_or_else(unreadable)
}

/// What was changed while running.
fn overrides(options: &LoadOptions, state_dir: &Path, found: &mut Findings<'_>) -> Arc<Overrides> {
    match &options.runtime_overrides {
        OverrideSource::Given(overrides) => overrides.clone(),
        OverrideSource::Ignored => Arc::default(),
        OverrideSource::StateDir => match overrides::read(state_dir) {
            Ok((overrides, notice)) => {
                found.notices.extend(notice);
                Arc::new(overrides)
            }
            Err(error) => {
                found.errors.push(error);
                Arc::default()
            }
        },
    }
}

pub(super) fn state_dir(loaded: &Loaded<Config>, options: &LoadOptions) -> PathBuf {
    match &loaded.value.state_dir {
        Some(written) => place::folder(loaded.node.get("state_dir"), &options.directory).join(written),
        None => options.directory.join(DEFAULT_STATE_DIR),
    }
}
