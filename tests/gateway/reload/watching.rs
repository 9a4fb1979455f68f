//! Files that are watched: what is seen of them, however they are written.

use std::path::Path;

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::json;

use super::{TOOL, prefix, prefixing};

/// Waits until a watched change is in force.
async fn prefixed(stand: &Stand, expected: &str) {
    eventually(expected, async || {
        let answer = stand.client().call("echo", json!({ "text": "call" })).await;
        (text(&answer) == expected).then_some(())
    })
    .await;
}

fn watching() -> Setup {
    Setup::new().kind("prefixing", &TOOL, prefixing)
}

#[tokio::test]
async fn file_that_is_replaced_by_renaming_is_seen() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = watching().upstream("docs", &upstream).entry(prefix("old ")).start().await;

    for round in ["first ", "second "] {
        stand.write(|config| config["plugins"] = json!([prefix(round)]));
        prefixed(&stand, &format!("{round}call")).await;
    }

    let entry = stand.client().get("/api/v1/history").await.json()[0].clone();
    assert_eq!(entry["source"], "file");
    assert!(entry["who"].as_str().unwrap().ends_with("mortise.yaml"), "{entry}");
}

#[tokio::test]
async fn mounted_configuration_map_that_changes_by_its_link_is_seen() {
    let upstream = Scripted::start().await.unwrap();
    let stand = watching()
        .upstream("docs", &upstream)
        .set("plugins_files", json!(["mount/plugins.yaml"]))
        .start_with(|folder| mount(folder, "1", "old "))
        .await;
    prefixed(&stand, "old call").await;

    for (version, prefix) in [("2", "first "), ("3", "second ")] {
        mount(stand.folder(), version, prefix);
        prefixed(&stand, &format!("{prefix}call")).await;
    }
}

/// Makes what a cluster makes of a configuration map: a folder per version, a link to the current one, and a link to
/// each file through that.
fn mount(folder: &Path, version: &str, words: &str) {
    use std::os::unix::fs::symlink;
    let mount = folder.join("mount");
    let data = mount.join(format!("..{version}"));
    std::fs::create_dir_all(&data).unwrap();
    let file = json!({ "plugins": [prefix(words)] });
    std::fs::write(data.join("plugins.yaml"), file.to_string()).unwrap();
    symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if version == "1" {
        symlink("..data/plugins.yaml", mount.join("plugins.yaml")).unwrap();
    }
}

#[tokio::test]
async fn included_files_variables_and_secrets_are_watched_and_a_mistake_in_one_can_be_put_right() {
    let upstream = Scripted::start().await.unwrap();
    let part = |value: &str| {
        let entry = format!("{{ name: prefix, kind: builtin.prefixing, config: {{ prefix: \"{value}\" }} }}");
        format!("plugins: [{entry}]\n")
    };
    let stand = watching()
        .upstream("docs", &upstream)
        .set("include", json!("parts/*.yaml"))
        .start_with(|folder| std::fs::create_dir(folder.join("parts")).unwrap())
        .await;
    let write = |name: &str, text: &str| std::fs::write(stand.folder().join(name), text).unwrap();

    // A file that comes to match.
    write("parts/a.yaml", &part("new "));
    prefixed(&stand, "new call").await;
    // A mistake, put right in the file that has it.
    write("parts/a.yaml", "plugins: [");
    let refused = async || stand.reloader.refused();
    eventually("the refusal", refused).await;
    prefixed(&stand, "new call").await;
    write("parts/a.yaml", &part("${WORD:-default }"));
    prefixed(&stand, "default call").await;
    write(".env", "WORD='from env '\n");
    prefixed(&stand, "from env call").await;
    write("word.txt", "from file ");
    write("parts/a.yaml", &part("${file:../word.txt}"));
    prefixed(&stand, "from file call").await;
    write("word.txt", "anew ");
    prefixed(&stand, "anew call").await;
    assert!(stand.reloader.refused().is_none());
}
