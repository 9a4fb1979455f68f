//! Code in the guides is code that runs: a block of a page stands, line for line, in a file that the page links.
//!
//! For the pages about the examples and the test kit. Indentation does not count, so that a page can show the middle of
//! something.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

#[expect(clippy::needless_pass_by_value, reason = "handlers are given what is theirs")]
mod plugins;

use std::{
    fs,
    path::{Path, PathBuf},
};

const PAGES: [&str; 7] = [
    "docs/guide/write-a-plugin.md",
    "docs/guide/embed.md",
    "docs/guide/custom-build.md",
    "docs/guide/test-a-plugin.md",
    "docs/guide/protect.md",
    "examples/embed-framework/README.md",
    "examples/custom-gateway/README.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Targets of relative links, without their anchors.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter_map(|target| target.split('#').next());
    targets.filter(|target| !target.is_empty() && !target.contains("://")).collect()
}

/// Blocks of Rust and YAML.
fn blocks(page: &str) -> Vec<&str> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix("rust\n").or_else(|| block.strip_prefix("yaml\n"))).collect()
}

fn lines(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::from("\n"), |all, line| all + line + "\n")
}

#[test]
fn every_block_of_code_stands_in_a_file_that_its_page_links() {
    let mut seen = 0;
    for page in PAGES {
        let folder = root().join(page).parent().unwrap().to_owned();
        let text = fs::read_to_string(root().join(page)).unwrap();
        let linked = links(&text).into_iter().map(|link| folder.join(link)).filter(|path| path.is_file());
        let linked: Vec<String> = linked.map(|path| lines(&fs::read_to_string(path).unwrap())).collect();
        for block in blocks(&text) {
            seen += 1;
            assert!(
                linked.iter().any(|file| file.contains(&lines(block))),
                "{page} shows code of no file:\n{block}"
            );
        }
    }
    assert!(seen > 12, "the pages show code: {seen}");
}

#[test]
fn every_link_leads_somewhere() {
    for page in PAGES {
        let folder = root().join(page).parent().unwrap().to_owned();
        let text = fs::read_to_string(root().join(page)).unwrap();
        for link in links(&text) {
            assert!(folder.join(link).exists(), "{page} links {link}");
        }
    }
}
