//! The `mortise` command as a library, so that a build with own native plugins is ten lines.
//!
//! Only wiring lives here: which runtimes there are, how the command line reads, where logs go. What a gateway does is
//! in `mortise-gateway`, what plugins do in `mortise-framework`.
//!
//! # A gateway with an own plugin
//!
//! ```no_run
//! use mortise::plugin_api::{Native, NativeKind, hooks::ToolPreInvoke, Needs, PluginError, Verdict, Violation};
//!
//! fn no_shell() -> NativeKind {
//!     NativeKind {
//!         name: "no_shell",
//!         class_paths: &[],
//!         about: "Blocks tools named shell",
//!         hooks: &[],
//!         config_schema: || schemars::json_schema!({ "type": "object" }),
//!         build: |_config| {
//!             let plugin = Native::new(()).on::<ToolPreInvoke>(Needs::block(), |(), call, _| {
//!                 let blocked = || Violation::new("NO_SHELL", "shell access is not allowed").into();
//!                 Ok::<_, PluginError>(if call.name == "shell" { blocked() } else { Verdict::Pass })
//!             });
//!             Ok(plugin.into_plugin())
//!         },
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     mortise::main_with(|builder| builder.kind(no_shell()))
//! }
//! ```
//!
//! A configuration then names it as `kind: builtin.no_shell`.

pub mod awaited;
pub mod cli;
pub mod masking;

mod command;
mod logging;
mod memory;
mod output;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::Parser;
use mortise_framework::{Framework, FrameworkBuilder, Runtime, runtime::NativeRuntime};
use mortise_plugin_api::{HookTable, NativeKind, OpenHook, hook::HookTaken};

pub use mortise_builtins as builtins;
pub use mortise_framework as framework;
pub use mortise_gateway as gateway;
pub use mortise_plugin_api as plugin_api;

use crate::output::Output;

/// How the command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything went well.
    Ok = 0,
    /// The configuration is wrong, or what was asked could not be done.
    Failed = 1,
    /// The command line itself is wrong.
    Usage = 2,
    /// A tested plugin blocked the call.
    Blocked = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a `mortise` is put together from.
pub struct Builder {
    framework: FrameworkBuilder,
    kinds: Vec<NativeKind>,
    hooks: HookTable,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The standard build: the built-in plugins.
    #[must_use]
    pub fn new() -> Self {
        Self { kinds: builtins::all(), ..Self::empty() }
    }

    /// A build without any plugins.
    #[must_use]
    pub fn empty() -> Self {
        Self { framework: Framework::builder(), kinds: Vec::new(), hooks: HookTable::standard() }
    }

    /// Adds a native plugin. It replaces a built-in one of the same name.
    #[must_use]
    pub fn kind(mut self, kind: NativeKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Adds a runtime. Where it claims a kind that the native one has too, it gets it.
    #[must_use]
    pub fn runtime(mut self, runtime: impl Runtime + 'static) -> Self {
        self.framework = self.framework.runtime(runtime);
        self
    }

    /// Adds a hook that plugins can then name.
    ///
    /// # Errors
    /// When a hook has that name already.
    pub fn hook(mut self, hook: OpenHook) -> Result<Self, HookTaken> {
        self.hooks.register(hook)?;
        Ok(self)
    }

    /// Runs the command that this process was started with.
    #[must_use]
    pub fn run(self) -> ExitCode {
        self.run_with(std::env::args_os())
    }

    /// Runs the command that `args` give, the program's name first.
    #[must_use]
    pub fn run_with<T: Into<OsString> + Clone>(self, args: impl IntoIterator<Item = T>) -> ExitCode {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let program = args.first().map(Path::new).and_then(Path::file_stem);
        let mut output = Output::standard();
        let done = if program.is_some_and(|name| name == "mcpplugins") {
            let parsed = cli::McpPlugins::try_parse_from(args);
            parsed.map(|cli::McpPlugins { command: cli::McpPluginsCommand::Bootstrap(args) }| {
                command::plugin_new::bootstrap(&args, &mut output)
            })
        } else {
            let parsed = cli::Cli::try_parse_from(args);
            parsed.map(|cli| command::run(cli.command, self.assemble(), &mut output))
        };
        match done {
            Ok(Ok(exit)) => exit.into(),
            Ok(Err(error)) => {
                output.error(&error);
                Exit::Failed.into()
            }
            Err(error) => {
                // Help and version come this way too, and go to standard output.
                let _closed = error.print();
                if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into()
            }
        }
    }

    fn assemble(self) -> Assembly {
        let native = NativeRuntime::new(self.kinds.iter().cloned());
        #[cfg(feature = "external")]
        let external =
            mortise_runtime_external::ExternalRuntime::new(std::sync::Arc::new(self.hooks.clone()));
        #[cfg(feature = "python")]
        let python = mortise_runtime_python::PythonRuntime::new(std::sync::Arc::new(self.hooks.clone()))
            .known(awaited::bundled);
        let framework = self.framework.runtime(native);
        #[cfg(feature = "external")]
        let framework = framework.runtime(external);
        #[cfg(feature = "python")]
        let framework = framework.runtime(python);
        #[cfg(feature = "process")]
        let framework = framework.runtime(mortise_runtime_process::ProcessRuntime::new());
        let framework = framework.hooks(self.hooks).awaited(awaited::reason);
        let framework = framework.live_hooks(gateway::LIVE_HOOKS);
        Assembly { framework: framework.build(), kinds: self.kinds }
    }
}

/// What commands work with.
pub(crate) struct Assembly {
    pub(crate) framework: Framework,
    pub(crate) kinds: Vec<NativeKind>,
}

/// Runs the `mortise` command with what `customise` adds to the standard build.
#[must_use]
pub fn main_with(customise: impl FnOnce(Builder) -> Builder) -> ExitCode {
    customise(Builder::new()).run()
}
