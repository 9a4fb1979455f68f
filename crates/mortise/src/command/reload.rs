//! `mortise reload` and `mortise plugins reload`.

use http::Method;

use super::{
    change::{self, tell_outcome},
    listing::encoded,
};
use crate::{
    Assembly, Exit,
    cli::{ReloadArgs, ReloadPluginArgs, SourceArgs},
    output::Output,
};

pub(super) fn reload(args: &ReloadArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    match &args.plugin {
        Some(name) => one(name, &args.source, assembly, output),
        None => {
            let sent = change::send(&args.source, Method::POST, "/api/v1/reload", None, assembly);
            tell_outcome(sent, args.source.format, output)
        }
    }
}

pub(super) fn plugin(
    args: &ReloadPluginArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    one(&args.name, &args.source, assembly, output)
}

fn one(name: &str, source: &SourceArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let path = format!("/plugins/reload/{}", encoded(name));
    let sent = change::send(source, Method::POST, &path, None, assembly);
    tell_outcome(sent, source.format, output)
}
