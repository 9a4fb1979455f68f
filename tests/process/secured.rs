//! What passes between gateway and plugin, where it is encrypted, and where one connection carries all.
//!
//! On the plugin's side is go-plugin itself: what it says of a connection is what it sees.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use mortise_tests::{Setup, eventually};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::program::{gone, kill, path, pid, stand, tell, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_plugin_encrypts_and_shares_one_connection_as_its_entry_asks() {
    for (encrypt, multiplex, seen) in [
        (false, false, "plain gateway"),
        (true, false, "tls gateway"),
        (false, true, "plain"),
        (true, true, "tls"),
    ] {
        let process = json!({ "encrypt": encrypt, "multiplex": multiplex });
        let stand = stand(&[], json!({ "process": process, "circuit_breaker_enabled": false })).await;
        let client = stand.client();

        assert_eq!(tell(&client, "connection").await, seen);
        assert_eq!(tell(&client, "write colour blue").await, "", "its way back: {seen}");
        assert_eq!(tell(&client, "read colour").await, "blue", "{seen}");
        let answer = client.with("x-large", &(5 << 20).to_string()).rpc("tools/list", json!({})).await;
        assert_eq!(answer.body.len(), 5 << 20, "{seen}");

        let before = pid(&client).await;
        kill(&before);
        gone(&before).await;
        // Another process, other certificates.
        let again = eventually("the plugin's return", async || {
            told(&client.with("x-tell", "read colour").rpc("tools/list", json!({})).await)
        });
        assert_eq!(again.await, "blue", "{seen}");
    }
}

#[tokio::test]
async fn program_that_cannot_encrypt_is_not_started_where_it_must() {
    let stand = Setup::new()
        .process()
        .entry(json!({
            "name": "plugin", "kind": "process", "hooks": ["pre_auth"], "process": { "encrypt": true },
            "command": ["/bin/sh", "-c", "echo '1|1|unix|/tmp/nobody|grpc|'; sleep 60"],
        }))
        .start()
        .await;

    let ready = stand.client().get("/ready").await.text();
    assert!(ready.contains("process.encrypt") && ready.contains("no certificate"), "{ready}");
    assert_eq!(stand.client().rpc("tools/list", json!({})).await.status, 503);
}

/// An authority, the plugin server's certificate for `plugins.test`, and the gateway's own.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("gateway", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let mut params = CertificateParams::new(vec!["plugins.test".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// The plugin as a server that somebody else runs, and where it listens.
struct Server(Child, String);

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(path())
            .args(["-listen=127.0.0.1:0", &format!("-certificates={}", folder.display())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self(child, address.trim().to_owned())
    }

    fn entry(&self, tls: &Value) -> Value {
        json!({
            "name": "plugin", "kind": "process", "hooks": ["pre_auth"],
            "command": format!("grpc://{}", self.1), "process": { "tls": tls },
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_elsewhere_is_reached_over_tls_with_certificates_of_both() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let server = Server::start(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let tls = json!({
        "ca": file("ca.pem"), "cert": file("gateway.pem"), "key": file("gateway.key"), "server_name": "plugins.test",
    });
    let stand = Setup::new().process().entry(server.entry(&tls)).start().await;

    assert_eq!(tell(&stand.client(), "connection").await, "tls");
}

/// Each wrong in one thing; together, since a server that refuses is tried three times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_elsewhere_is_none_where_certificates_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let server = Server::start(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let wrong = [
        ("stranger", json!({ "server_name": "plugins.test" })),
        (
            "other-name",
            json!({ "ca": file("ca.pem"), "cert": file("gateway.pem"), "key": file("gateway.key") }),
        ),
        ("no-identity", json!({ "ca": file("ca.pem"), "server_name": "plugins.test" })),
        ("no-file", json!({ "ca": file("nowhere.pem") })),
    ];
    let mut setup = Setup::new().process();
    for (name, tls) in &wrong {
        let mut entry = server.entry(tls);
        entry["name"] = json!(name);
        setup = setup.entry(entry);
    }
    let stand = setup.start().await;

    let ready = stand.client().get("/ready").await.text();
    for (name, _) in &wrong {
        assert!(ready.contains(name), "{name}: {ready}");
    }
    assert!(ready.contains("nowhere.pem"), "{ready}");
}
