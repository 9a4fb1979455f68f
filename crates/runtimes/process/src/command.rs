//! Where a plugin's program is: a file, or a server that somebody else runs.
//!
//! `command:` holds the place first and arguments after it. No shell ever sees it, so no character in it has a meaning
//! but those of the schemes. Pure: whether the file is there is found out when it is started.

use std::path::{Path, PathBuf};

/// What `command:` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A program to start, with its arguments.
    File { path: PathBuf, args: Vec<String> },
    /// A server that runs already, as `host:port`.
    Remote(String),
    /// A program in a registry.
    Artifact(String),
}

/// Why a `command:` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("a process plugin needs a `command`: `file://PATH` and arguments, or `grpc://HOST:PORT`")]
    Missing,
    #[error("`{0}` names no {1}")]
    Incomplete(String, &'static str),
    #[error("arguments have no meaning for a server that runs already")]
    ArgumentsToRemote,
    #[error("the command contains a NUL character")]
    Nul,
    #[error("there are no plugins of the scheme `{0}://`; there are `file://`, `grpc://` and `oci://`")]
    Scheme(String),
}

impl Place {
    /// Reads a `command:`; a relative path counts from `folder`.
    pub(crate) fn parse(command: &[String], folder: &Path) -> Result<Self, CommandError> {
        let Some((first, args)) = command.split_first().filter(|(first, _)| !first.is_empty()) else {
            return Err(CommandError::Missing);
        };
        if command.iter().any(|word| word.contains('\0')) {
            return Err(CommandError::Nul);
        }
        let path = match first.split_once("://") {
            None => first.as_str(),
            Some(("file", path)) => path,
            Some(("grpc", authority)) => return remote(first, authority, args),
            Some(("oci", _)) => return Ok(Self::Artifact(first.clone())),
            Some((scheme, _)) => return Err(CommandError::Scheme(scheme.to_owned())),
        };
        if path.is_empty() {
            return Err(CommandError::Incomplete(first.clone(), "file"));
        }
        Ok(Self::File { path: folder.join(path), args: args.to_vec() })
    }
}

fn remote(first: &str, authority: &str, args: &[String]) -> Result<Place, CommandError> {
    let authority = authority.trim_end_matches('/');
    let port = authority.rsplit_once(':').and_then(|(host, port)| {
        port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty() && !authority.contains('/'))
    });
    match (port, args) {
        (None, _) => Err(CommandError::Incomplete(first.to_owned(), "host and port")),
        (Some(_), []) => Ok(Place::Remote(authority.to_owned())),
        (Some(_), _) => Err(CommandError::ArgumentsToRemote),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(command: &[&str]) -> Result<Place, CommandError> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        Place::parse(&command, Path::new("/etc/mortise"))
    }

    #[test]
    fn file_is_found_from_where_the_entry_stands() {
        let file = |path: &str, args: &[&str]| {
            Ok(Place::File { path: path.into(), args: args.iter().map(|arg| (*arg).to_owned()).collect() })
        };
        assert_eq!(parse(&["file://plugins/echo"]), file("/etc/mortise/plugins/echo", &[]));
        assert_eq!(parse(&["file:///opt/echo", "-v", "a;b"]), file("/opt/echo", &["-v", "a;b"]));
        assert_eq!(parse(&["plugins/echo"]), file("/etc/mortise/plugins/echo", &[]));
    }

    #[test]
    fn server_needs_host_and_port_and_takes_no_arguments() {
        assert_eq!(parse(&["grpc://plugins:50051"]), Ok(Place::Remote("plugins:50051".to_owned())));
        assert_eq!(parse(&["grpc://[::1]:50051/"]), Ok(Place::Remote("[::1]:50051".to_owned())));
        for wrong in
            ["grpc://", "grpc://host", "grpc://host:0", "grpc://:1", "grpc://host:99999", "grpc://a/b:1"]
        {
            assert!(matches!(parse(&[wrong]), Err(CommandError::Incomplete(..))), "{wrong}");
        }
        assert_eq!(parse(&["grpc://host:1", "-v"]), Err(CommandError::ArgumentsToRemote));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        assert_eq!(parse(&[]), Err(CommandError::Missing));
        assert_eq!(parse(&[""]), Err(CommandError::Missing));
        assert_eq!(parse(&["a\0b"]), Err(CommandError::Nul));
        assert_eq!(parse(&["http://plugin"]), Err(CommandError::Scheme("http".to_owned())));
        assert_eq!(parse(&["oci://r/plugin"]), Ok(Place::Artifact("oci://r/plugin".to_owned())));
        assert_eq!(parse(&["file://"]), Err(CommandError::Incomplete("file://".to_owned(), "file")));
    }
}
