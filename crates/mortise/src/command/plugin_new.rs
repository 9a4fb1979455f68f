//! `mortise plugin new`, and `mcpplugins bootstrap`.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::json;

use super::templates::{self, Words};
use crate::{
    Exit,
    cli::{BootstrapArgs, Format, PluginNewArgs},
    output::{Output, Paint},
};

/// What it does as long as nobody says otherwise; which is what templates do.
const ABOUT: &str = "Takes a word out of what tools answer, and keeps listed tools from being called.";

/// The same of programs that gateways start, which are called at other hooks.
const ABOUT_PROCESS: &str = "Hides paths of the gateway: a request to one is answered with 404.";

/// Names that would hide, or be hidden by, something of the languages or of what templates use.
const TAKEN: &[&str] = &[
    "alloc",
    "core",
    "dist",
    "docs",
    "json",
    "mcp",
    "mortise",
    "mortise_sdk",
    "node_modules",
    "plugin",
    "self",
    "server",
    "src",
    "std",
    "target",
    "test",
    "tests",
    "tokio",
];

/// Longest name.
const MOST_LETTERS: usize = 60;

pub(super) fn new(args: &PluginNewArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let destination = args.destination.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let made = make(args, &destination)?;
    if args.format == Format::Json {
        output.json(&json!({
            "name": made.words.plugin,
            "template": args.template,
            "destination": destination,
            "files": made.files,
            "written": !args.dry_run,
        }));
        return Ok(Exit::Ok);
    }
    for file in &made.files {
        output.line(format!("  {}", destination.join(file).display()));
    }
    if args.dry_run {
        output.say("nothing was written");
        return Ok(Exit::Ok);
    }
    let name = output.paint(Paint::Good, &made.words.plugin);
    output.say(format!("\n{name} is made, from the template {}. What next:\n", args.template));
    for (command, why) in next(&args.template) {
        output.say(format!("  {command:<28}{why}"));
    }
    output.say(format!("\nin {}; README.md there says more.", shown(&destination)));
    Ok(Exit::Ok)
}

fn next(template: &str) -> &'static [(&'static str, &'static str)] {
    const DEV: (&str, &str) = ("mortise plugin dev", "run it behind a gateway, anew with every change");
    match template {
        "python-class" => &[("mortise plugins test …", "call a hook of it (see README.md)")],
        _ => &[("make install-dev", "fetch what it needs"), ("make test", "run its tests"), DEV],
    }
}

fn shown(folder: &Path) -> String {
    if folder == Path::new(".") { "this folder".to_owned() } else { folder.display().to_string() }
}

struct Made {
    words: Words,
    files: Vec<String>,
}

fn make(args: &PluginNewArgs, destination: &Path) -> anyhow::Result<Made> {
    let Some(files) = templates::files(&args.template) else {
        bail!("there is no template `{}`", args.template);
    };
    let words = words(args, files)?;
    free(destination)?;
    let mut written = Vec::new();
    for (path, text) in files {
        let path = words.path(path);
        if !args.dry_run {
            write(&destination.join(&path), &words.put_into(text))?;
        }
        written.push(path);
    }
    Ok(Made { words, files: written })
}

/// Nothing of anybody's may be there.
fn free(destination: &Path) -> anyhow::Result<()> {
    match fs::read_dir(destination) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => bail!("{} is not empty: give --destination a new folder", destination.display()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{} is a file: give --destination a new folder", destination.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot look into {}", destination.display())),
    }
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let making = || format!("cannot make {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(making)?;
    }
    let mut file = fs::File::create_new(path).with_context(making)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(making)
}

fn words(args: &PluginNewArgs, files: &[(&str, &str)]) -> anyhow::Result<Words> {
    let parts = parts(&args.name)?;
    let one_line =
        |what: &str, text: &str| match text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
            true => bail!(
                "the {what} must be one line without `\"` and `\\`, as it goes into files of several formats"
            ),
            false => Ok(text.trim().to_owned()),
        };
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let author = args.author.clone().or(user).filter(|name| !name.trim().is_empty());
    let needs_source = files.iter().any(|(_, text)| text.contains("{{mortise-source}}"));
    let about = if args.template.ends_with("-process") { ABOUT_PROCESS } else { ABOUT };
    let plugin = parts.iter().map(|part| capitalised(part)).collect::<String>();
    Ok(Words {
        name: parts.join("-"),
        module: parts.join("_"),
        plugin,
        about: one_line("description", args.description.as_deref().unwrap_or(about))?,
        author: one_line("author", author.as_deref().unwrap_or("its author"))?,
        source: if needs_source { source(args.mortise_source.as_deref())? } else { String::new() },
    })
}

/// The words that a name is put together of, in lower case.
fn parts(name: &str) -> anyhow::Result<Vec<String>> {
    let begins = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
    let holds = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !begins || !holds || name.len() > MOST_LETTERS {
        bail!(
            "`{name}` cannot be a name: it begins with a letter and has letters, digits, `-` and `_`, {MOST_LETTERS} at most"
        );
    }
    let mut spaced = String::new();
    let mut before = '-';
    for letter in name.chars() {
        // `WordFilter` is two words, `PII` is one.
        if letter.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            spaced.push('-');
        }
        spaced.push(letter.to_ascii_lowercase());
        before = letter;
    }
    let parts: Vec<String> =
        spaced.split(['-', '_']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let module = parts.join("_");
    if TAKEN.contains(&&*module) {
        bail!("`{name}` is taken by one of the languages or by what templates use: `my-{module}` is not");
    }
    Ok(parts)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// The checkout that Rust builds on.
fn source(given: Option<&Path>) -> anyhow::Result<String> {
    let is_one = |folder: &Path| folder.join("crates/sdk/Cargo.toml").is_file();
    let found = match given {
        Some(folder) if is_one(folder) => folder.canonicalize().ok(),
        Some(folder) => bail!("{} is no checkout of Mortise: it has no crates/sdk", folder.display()),
        None => std::env::current_exe()
            .ok()
            .and_then(|program| program.ancestors().find(|folder| is_one(folder)).map(Path::to_path_buf)),
    };
    match found {
        Some(folder) => Ok(folder.display().to_string()),
        None => bail!(
            "a template in Rust builds on Mortise's own crates: say where a checkout is by --mortise-source"
        ),
    }
}

/// `mcpplugins bootstrap`.
pub(crate) fn bootstrap(args: &BootstrapArgs, output: &mut Output) -> anyhow::Result<Exit> {
    if let Some(url) = &args.template_url {
        bail!("--template_url {url}: templates are built in, and none is fetched; leave it out");
    }
    let template = match args.template_type.as_str() {
        "external" => "python-external",
        "native" | "isolated" => "python-class",
        other if templates::files(other).is_some() => other,
        other => bail!("--template_type {other}: must be one of native, external, isolated, {}", names()),
    };
    let folder = std::path::absolute(&args.destination).context("cannot tell which folder is meant")?;
    let name = folder.components().next_back().map(|last| last.as_os_str().to_string_lossy().into_owned());
    let new = PluginNewArgs {
        name: name.unwrap_or_default(),
        template: template.to_owned(),
        destination: Some(args.destination.clone()),
        description: None,
        author: None,
        mortise_source: std::env::var_os("MORTISE_SOURCE").map(PathBuf::from),
        dry_run: args.dry_run,
        format: Format::Text,
    };
    self::new(&new, output)
}

fn names() -> String {
    templates::TEMPLATES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_any_spelling_gives_the_same_words() {
        for name in ["word-filter", "word_filter", "WordFilter", "Word-Filter"] {
            assert_eq!(parts(name).unwrap(), ["word", "filter"], "{name}");
        }
        assert_eq!(parts("PIIGuard2").unwrap(), ["piiguard2"]);
    }

    #[test]
    fn names_that_would_break_a_language_are_refused() {
        for name in ["", "2fast", "a b", "../up", "tests", "Std", "-x", "ümlaut"] {
            assert!(parts(name).is_err(), "{name}");
        }
    }
}
