use std::collections::HashMap;

use serde_json::json;

use super::*;

fn read(variables: &[(&str, &str)], sections: &Sections) -> Result<Settings, SettingsError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Settings::read(|name| variables.get(name).map(|text| (*text).to_owned()), sections)
}

#[test]
fn without_a_word_it_listens_on_this_machine_only() {
    let settings = read(&[("PLUGINS_SERVER_HOST", " ")], &Sections::default()).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!((settings.http.host.as_str(), settings.http.port), ("127.0.0.1", 8000));
    assert_eq!((settings.grpc.host.as_str(), settings.grpc.port), ("127.0.0.1", 50051));
}

#[test]
fn the_file_wins_over_the_environment() {
    let variables = [
        ("PLUGINS_TRANSPORT", "GRPC"),
        ("PLUGINS_SERVER_PORT", "9000"),
        ("PLUGINS_SERVER_UDS", "/run/a.sock"),
        ("PLUGINS_GRPC_SERVER_PORT", "9001"),
        ("UNIX_SOCKET_PATH", "/run/b.sock"),
        ("ENABLE_METRICS", "false"),
    ];
    let sections = Sections { http: Some(json!({ "port": 9100, "other": 1 })), ..Sections::default() };
    let settings = read(&variables, &sections).unwrap();
    assert_eq!(settings.transport, Some(Transport::Grpc));
    assert_eq!((settings.http.port, settings.http.uds.as_ref()), (9100, None));
    assert_eq!(settings.grpc.port, 9001);
    assert_eq!(settings.unix_path, PathBuf::from("/run/b.sock"));
    assert!(!settings.metrics);
}

#[test]
fn tls_needs_its_files_and_asks_clients_where_it_can_judge_them() {
    let on = ("PLUGINS_SERVER_SSL_ENABLED", "true");
    assert!(read(&[on], &Sections::default()).is_err());
    let files = [on, ("PLUGINS_SERVER_SSL_CERTFILE", "c"), ("PLUGINS_SERVER_SSL_KEYFILE", "k")];
    let tls = read(&files, &Sections::default()).unwrap().http.tls.unwrap();
    assert_eq!(tls.clients(), ClientCertificates::None);
    let required = [files[0], files[1], files[2], ("PLUGINS_SERVER_SSL_CERT_REQS", "2")];
    assert!(read(&required, &Sections::default()).is_err(), "nobody to judge certificates by");
    let section = json!({ "tls": { "certfile": "c", "keyfile": "k", "ca_bundle": "a" } });
    let sections = Sections { grpc: Some(section), ..Sections::default() };
    let tls = read(&[], &sections).unwrap().grpc.tls.unwrap();
    assert_eq!(tls.clients(), ClientCertificates::Required);
}

#[test]
fn what_cannot_be_used_is_named() {
    for (name, value) in [("PLUGINS_TRANSPORT", "carrier-pigeon"), ("PLUGINS_SERVER_PORT", "70000")] {
        let error = read(&[(name, value)], &Sections::default()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
    let both = json!({ "uds": "/run/a", "tls": { "certfile": "c", "keyfile": "k" } });
    let sections = Sections { http: Some(both), ..Sections::default() };
    assert!(read(&[], &sections).unwrap_err().to_string().contains("uds"));
}
