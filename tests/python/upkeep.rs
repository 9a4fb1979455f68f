//! Python plugins over the life of a gateway: changed code, environments.

use mortise_tests::{eventually, text};
use serde_json::json;

use super::{setup, upstream, write};

fn saying(word: &str) -> String {
    format!(
        "from cpex.framework import Plugin\nfrom .words import WORD\n\n\nclass Says(Plugin):\n    \
         async def tool_post_invoke(self, payload, context):\n        \
         payload.result['content'][0]['text'] = '{word} ' + WORD\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_code_is_taken_up_by_a_running_gateway() {
    let upstream = upstream().await;
    let stand = setup(&upstream, "plugins.says.plugin.Says", json!({ "hooks": ["tool_post_invoke"] }))
        .start_with(|folder| {
            let files =
                [("plugins/says/plugin.py", &*saying("first")), ("plugins/says/words.py", "WORD = 'word'\n")];
            write(folder, &files);
        })
        .await;
    let client = stand.client();
    assert_eq!(text(&client.call("echo", json!({ "text": "" })).await), "first word");
    write(stand.folder(), &[("plugins/says/plugin.py", &saying("second"))]);
    eventually("the changed class", async || {
        let answered = client.call("echo", json!({ "text": "" })).await;
        let said = text(&answered);
        assert!(["first word", "second word"].contains(&said), "no call fails meanwhile: {answered}");
        (said == "second word").then_some(())
    })
    .await;
    write(stand.folder(), &[("plugins/says/words.py", "WORD = 'and more'\n")]);
    eventually("what it imports", async || {
        (text(&client.call("echo", json!({ "text": "" })).await) == "second and more").then_some(())
    })
    .await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environment_is_made_of_requirements_and_used() {
    let upstream = upstream().await;
    // A package beside the plugin, so that no registry is needed.
    let project = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
        [project]\nname = \"own-words\"\nversion = \"1.0\"\n";
    let backend = r#"
import zipfile, os

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "own_words-1.0-py3-none-any.whl"
    files = {
        "own_words.py": "WORD = 'installed'\n",
        "own_words-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-words\nVersion: 1.0\n",
        "own_words-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: own\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in files) + "own_words-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        wheel.writestr("own_words-1.0.dist-info/RECORD", record)
    return name
"#;
    let class = "from cpex.framework import Plugin\nimport own_words, sys\n\n\nclass Says(Plugin):\n    \
        async def tool_post_invoke(self, payload, context):\n        \
        payload.result['content'][0]['text'] = own_words.WORD + ' in ' + sys.prefix\n";
    let entry = json!({
        "hooks": ["tool_post_invoke"],
        "config": { "class_name": "mine.plugin.Says", "requirements_file": "requirements.txt" },
    });
    let stand = setup(&upstream, "isolated_venv", entry)
        .start_with(|folder| {
            let requirements = folder.join("package").display().to_string();
            write(
                folder,
                &[
                    ("package/pyproject.toml", project),
                    ("package/backend.py", backend),
                    ("plugins/mine/plugin.py", class),
                    ("plugins/mine/requirements.txt", &requirements),
                ],
            );
        })
        .await;
    let answered = stand.client().call("echo", json!({ "text": "" })).await;
    let said = text(&answered);
    assert!(said.starts_with("installed in "), "{answered}");
    assert!(said.contains("/.mortise/python/"), "{said}");
    stand.stop().await;
}
