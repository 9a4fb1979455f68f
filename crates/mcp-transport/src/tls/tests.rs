//! Certificates from files, between this crate's own client and server.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{ClientTls, ServerTls, TlsError, Verify};
use crate::http::client::{Answer, Endpoint, EndpointConfig};
use crate::http::error::HttpError;
use crate::server::answer;
use crate::server::listen::{ListenConfig, serve};

fn write(path: PathBuf, text: &str) -> PathBuf {
    std::fs::write(&path, text).unwrap();
    path
}

/// Writes `{name}.crt` and `{name}.key`, signed by `ca`.
fn issue(
    folder: &Path,
    ca: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let cert = write(folder.join(format!("{name}.crt")), &certificate.pem());
    (cert, write(folder.join(format!("{name}.key")), &key.serialize_pem()))
}

async fn call(url: &Url, tls: &ClientTls) -> Result<Bytes, HttpError> {
    let mut config = EndpointConfig::new(url.clone());
    config.tls = Some(tls.load().unwrap());
    // Whatever the name, which only the certificate is held against.
    config.pool.address = Some(([127, 0, 0, 1], url.port().unwrap()).into());
    let session = Endpoint::new(config).unwrap().session(None, None);
    match session.post(Bytes::from_static(b"{}"), None).await?.answer {
        Answer::Json(body) => Ok(body),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_sides_are_who_their_certificates_say_or_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let ca_file = write(folder.path().join("ca.crt"), &ca.pem());
    let (cert, key) = issue(folder.path(), &ca, "server", ExtendedKeyUsagePurpose::ServerAuth);
    let identity = issue(folder.path(), &ca, "client", ExtendedKeyUsagePurpose::ClientAuth);

    let server = ServerTls { cert, key, client_ca: Some(ca_file.clone()) };
    let config = ListenConfig { tls: Some(server.load().unwrap()), ..ListenConfig::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port())).unwrap();
    let stop = CancellationToken::new();
    let service = |_, peer: std::sync::Arc<crate::server::listen::Peer>| async move {
        assert!(peer.secure && peer.certificate.is_some());
        answer::json(Bytes::from_static(b"{}"))
    };
    tokio::spawn(serve(listener, config, stop.clone(), service));
    let _stop = stop.drop_guard();

    let known = ClientTls { extra_ca: Some(ca_file.clone()), identity: Some(identity), verify: Verify::Full };
    assert_eq!(call(&url, &known).await.unwrap(), "{}");
    let nameless = ClientTls { extra_ca: Some(ca_file), identity: None, verify: Verify::Full };
    assert!(call(&url, &nameless).await.is_err());
    let distrustful = ClientTls { extra_ca: None, ..known.clone() };
    assert!(call(&url, &distrustful).await.unwrap_err().nothing_sent());

    let elsewhere = Url::parse(&format!("https://other.test:{}/", url.port().unwrap())).unwrap();
    for (verify, trusted, untrusted) in
        [(Verify::Full, false, false), (Verify::AnyName, true, false), (Verify::Nothing, true, true)]
    {
        let with_ca = call(&elsewhere, &ClientTls { verify, ..known.clone() }).await;
        assert_eq!(with_ca.is_ok(), trusted, "{verify:?}");
        let without = call(&elsewhere, &ClientTls { verify, ..distrustful.clone() }).await;
        assert_eq!(without.is_ok(), untrusted, "{verify:?}");
    }
}

#[test]
fn files_that_hold_nothing_of_use_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = write(folder.path().join("empty.pem"), "");
    let tls = ClientTls { extra_ca: Some(empty.clone()), identity: None, verify: Verify::Full };
    assert!(matches!(tls.load(), Err(TlsError::Empty { path, .. }) if path == empty));
    let missing =
        ClientTls { extra_ca: Some("/nonexistent.pem".into()), identity: None, verify: Verify::Full };
    assert!(missing.load().unwrap_err().to_string().contains("/nonexistent.pem"));
}
