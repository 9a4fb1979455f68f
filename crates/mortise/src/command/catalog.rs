//! `mortise plugins search` and `mortise plugins catalog`: plugins that are known, configured or not.

use std::path::PathBuf;

use anyhow::anyhow;
use mortise_builtins as builtins;
use mortise_framework::{
    catalogue::{Catalogue, Item, Query},
    config::{Errors, manifest::ManifestReader, nearest},
};
use mortise_plugin_api::manifest::{About, Tier};
use serde_json::json;

use super::{NotSettled, settle};
use crate::{
    Assembly, Exit,
    cli::{CatalogArgs, ConfigArgs, Format, SearchArgs, TierArg},
    output::{Output, Paint},
};

impl From<TierArg> for Tier {
    fn from(tier: TierArg) -> Self {
        match tier {
            TierArg::High => Self::High,
            TierArg::Medium => Self::Medium,
            TierArg::Low => Self::Low,
        }
    }
}

pub(super) fn search(args: &SearchArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let hooks = assembly.framework.hooks();
    if let Some(hook) = args.hook.as_ref().filter(|hook| hooks.id(hook).is_none()) {
        let near = nearest(hook, hooks.names());
        let hint = near.first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(anyhow!("there is no hook `{hook}`{hint}"));
    }
    let catalogue = match configured(&args.source.config, assembly) {
        Ok(mut catalogue) => match add(&mut catalogue, &args.dirs, assembly) {
            Ok(()) => catalogue,
            Err(errors) => return NotSettled::from(errors).tell(output),
        },
        Err(problem) => return problem.tell(output),
    };
    let query = Query {
        tags: args.tags.clone(),
        hook: args.hook.clone(),
        author: args.author.clone(),
        language: args.language.clone(),
        tier: args.tier.map(Tier::from),
        text: args.text.join(" "),
    };
    let found = catalogue.search(&query, hooks);
    if args.source.format == Format::Text && found.is_empty() {
        output.say("no plugin that is known here fits");
        for (word, near) in catalogue.near_misses(&query) {
            output.say(format!("nothing has `{word}`; did you mean `{near}`?"));
        }
        return Ok(Exit::Ok);
    }
    tell(&found, args.source.format, output);
    Ok(Exit::Ok)
}

pub(super) fn catalog(args: &CatalogArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let catalogue = if args.dirs.is_empty() {
        match configured(&args.source.config, assembly) {
            Ok(catalogue) => catalogue,
            Err(problem) => return problem.tell(output),
        }
    } else {
        let mut catalogue = Catalogue::new();
        if let Err(errors) = add(&mut catalogue, &args.dirs, assembly) {
            return NotSettled::from(errors).tell(output);
        }
        catalogue
    };
    output.notices(catalogue.notices());
    let items = catalogue.search(&Query::default(), assembly.framework.hooks());
    if args.source.format == Format::Text && items.is_empty() {
        output.say("no plugins are there");
        return Ok(Exit::Ok);
    }
    tell(&items, args.source.format, output);
    Ok(Exit::Ok)
}

/// What is built in, and what is in the folders that the configuration names.
fn configured(args: &ConfigArgs, assembly: &Assembly) -> Result<Catalogue, NotSettled> {
    let mut catalogue = Catalogue::clone(&settle(args, assembly)?.catalogue);
    let ours: Vec<&str> = builtins::all().iter().map(|kind| kind.name).collect();
    let about =
        |name: &str| if ours.contains(&name) { builtins::catalogue::about(name) } else { About::default() };
    catalogue.add_kinds(&assembly.kinds, assembly.framework.hooks(), about);
    Ok(catalogue)
}

/// Adds folders and index files that somebody named: one that cannot be read is an error.
fn add(catalogue: &mut Catalogue, dirs: &[PathBuf], assembly: &Assembly) -> Result<(), Errors> {
    let reader = ManifestReader::new(assembly.framework.hooks(), false)?;
    let failed = dirs.iter().filter_map(|dir| catalogue.try_add_path(dir, &reader).err());
    match Errors::from_list(failed.flat_map(Errors::into_list).collect()) {
        Some(errors) => Err(errors),
        None => Ok(()),
    }
}

fn tell(items: &[&Item], format: Format, output: &mut Output) {
    if format == Format::Json {
        output.json(&json!(items.iter().map(|item| item.to_json()).collect::<Vec<_>>()));
        return;
    }
    let dash = || "-".to_owned();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let manifest = &item.manifest;
            let from = item
                .origin
                .path()
                .map_or_else(|| item.origin.word().to_owned(), |path| path.display().to_string());
            let about = manifest.description.lines().next().unwrap_or_default();
            vec![
                item.name.clone(),
                manifest.version.to_string(),
                manifest.performance_tier.map_or_else(dash, |tier| tier.to_string()),
                manifest.language.clone().unwrap_or_else(dash),
                manifest.author.clone(),
                from,
                about.to_owned(),
            ]
        })
        .collect();
    output.table(&["NAME", "VERSION", "TIER", "LANGUAGE", "AUTHOR", "FROM", "WHAT IT DOES"], &rows);
    for item in items {
        if let Some(problem) = item.manifest.framework_problem() {
            let name = output.paint(Paint::Warn, &item.name);
            output.line(format!("{name}: {problem}"));
        }
    }
}
