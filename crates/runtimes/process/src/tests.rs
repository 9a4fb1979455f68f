mod restarts;

use std::time::Duration;

use mortise_plugin_api::{Init, PluginError, host::NoHost};

use super::*;

fn plugin(command: &[&str]) -> Result<Arc<dyn Plugin>, BuildError> {
    let mut entry = PluginEntry::new("p", KIND);
    entry.command = command.iter().map(|word| (*word).to_owned()).collect();
    ProcessRuntime::new().create(&entry, &Value::Null)
}

async fn started(command: &[&str]) -> Result<(), PluginError> {
    let init = Init { name: "p".into(), instance: "i".into(), host: Arc::new(NoHost), inherited: None };
    plugin(command).unwrap().initialize(init).await
}

#[test]
fn entry_without_a_command_is_refused_and_one_from_a_registry_waits() {
    let error = plugin(&[]).err().unwrap();
    assert_eq!(error.field, "command");
    let mut entry = PluginEntry::new("p", KIND);
    entry.command = vec!["oci://registry/plugin:1".to_owned()];
    assert!(ProcessRuntime::new().waits_for(&entry).unwrap().contains("registries"));
}

#[tokio::test]
async fn program_that_ends_early_is_told_with_its_last_words() {
    let error =
        started(&["/bin/sh", "-c", "echo one >&2; echo nothing here; echo 'no licence' >&2; exit 3"]).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("exit status: 3") && text.contains("one | no licence"), "{text}");
}

#[tokio::test]
async fn program_that_is_not_there_or_no_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    for path in ["/nowhere/plugin", plain.to_str().unwrap(), folder.path().to_str().unwrap()] {
        let text = started(&[path]).await.unwrap_err().to_string();
        assert!(text.contains(path) && text.contains("not a file that can be run"), "{text}");
    }
}

#[tokio::test]
async fn program_of_another_protocol_is_told_so() {
    let text = started(&["/bin/sh", "-c", "echo '1|1|unix|/tmp/x|netrpc|'; sleep 60"])
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("`netrpc`"), "{text}");
}

#[tokio::test]
async fn environment_of_the_gateway_stays_with_the_gateway() {
    // Cargo gives its tests names that nothing on the short list has.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let script = "env | grep -c CARGO >&2; env | grep ^PLUGIN_RUNTIME= >&2; exit 1";
    let text = started(&["/bin/sh", "-c", script]).await.unwrap_err().to_string();
    assert!(text.contains("it wrote: 0 | PLUGIN_RUNTIME=gateway"), "{text}");
}

#[tokio::test]
async fn start_that_is_given_up_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let script = format!("echo $$ > {}; sleep 600", path.display());
    let command = ["/bin/sh", "-c", &script];
    let starting = tokio::time::timeout(Duration::from_millis(500), started(&command));
    assert!(starting.await.is_err(), "it says nothing and is waited for");
    let pid = std::fs::read_to_string(path).unwrap().trim().to_owned();
    let gone = async {
        while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}

fn with(keys: &str, command: &[&str]) -> PluginEntry {
    let mut entry = PluginEntry::new("p", KIND);
    entry.command = command.iter().map(|word| (*word).to_owned()).collect();
    entry.process = serde_json::from_str(keys).unwrap();
    entry
}

async fn said(entry: &PluginEntry) -> String {
    let init = Init { name: "p".into(), instance: "i".into(), host: Arc::new(NoHost), inherited: None };
    let plugin = ProcessRuntime::new().create(entry, &Value::Null).unwrap();
    plugin.initialize(init).await.unwrap_err().to_string()
}

#[tokio::test]
async fn process_gets_the_variables_folder_and_bounds_of_its_entry() {
    let keys = r#"{"env": {"REGION": "eu"}, "cwd": "/usr", "open_files": 77, "memory_mb": 512}"#;
    let script = "echo $REGION $(pwd) $(ulimit -n) $(ulimit -d) >&2; exit 1";
    let text = said(&with(keys, &["/bin/sh", "-c", script])).await;
    // Where there are control groups, they hold what is not the process's own.
    let held = ["it wrote: eu /usr 77 524288", "it wrote: eu /usr 77 unlimited"];
    assert!(held.iter().any(|held| text.contains(held)), "{text}");
}

#[tokio::test]
async fn program_that_is_not_the_approved_one_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("ran");
    let script = format!("touch {}; exit 1", marker.display());
    let keys = format!(r#"{{"sha256": "{}"}}"#, "0".repeat(64));
    let text = said(&with(&keys, &["/bin/sh", "-c", &script])).await;
    assert!(text.contains("not the program that was approved"), "{text}");
    assert!(!marker.exists());
}

#[test]
fn variables_that_are_the_gateways_cannot_be_given() {
    let names = [
        "PLUGIN_RUNTIME",
        "AI_STUDIO_PLUGIN",
        "PLUGIN_UNIX_SOCKET_DIR",
        "PLUGIN_CLIENT_CERT",
        "PLUGIN_MULTIPLEX_GRPC",
        "A=B",
        "",
    ];
    for name in names {
        let keys = format!(r#"{{"env": {{"{name}": "x"}}}}"#);
        let error = ProcessRuntime::new().create(&with(&keys, &["/bin/true"]), &Value::Null).err().unwrap();
        assert_eq!(error.field, "process.env", "{name}");
    }
}

#[test]
fn keys_about_the_connection_must_fit_where_the_program_is() {
    let field = |keys: &str, command: &str| {
        ProcessRuntime::new().create(&with(keys, &[command]), &Value::Null).err().unwrap().field
    };
    assert_eq!(field(r#"{"tls": {}}"#, "/bin/true"), "process.tls");
    assert_eq!(field(r#"{"tls": {"key": "k"}}"#, "grpc://a:1"), "process.tls.cert");
    assert_eq!(field(r#"{"encrypt": true}"#, "grpc://a:1"), "process.encrypt");
    assert_eq!(field(r#"{"multiplex": true}"#, "grpc://a:1"), "process.multiplex");
    assert!(ProcessRuntime::new().create(&with(r#"{"tls": {}}"#, &["grpc://a:1"]), &Value::Null).is_ok());
}
