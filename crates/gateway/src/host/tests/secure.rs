//! Over TLS.

use std::path::Path;

use mortise_mcp_transport::{
    server::{
        answer,
        listen::{ListenConfig, serve},
    },
    tls::{ClientTls, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_util::sync::CancellationToken;

use super::*;

/// Writes a certificate authority and a certificate of it for `name`.
fn certificates(folder: &Path, name: &str) -> (ClientTls, ServerTls) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let client = ClientTls { extra_ca: Some(write("ca.crt", authority.pem())), ..ClientTls::default() };
    let (cert, key) = (write("a.crt", certificate.pem()), write("a.key", key.serialize_pem()));
    (client, ServerTls { cert, key, client_ca: None })
}

#[tokio::test]
async fn certificates_are_held_against_the_name_though_an_address_is_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let (client, tls) = certificates(folder.path(), "audit.example");
    let config = ListenConfig { tls: Some(tls.load().unwrap()), ..ListenConfig::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let answers = |_, _| async { answer::json(Bytes::from_static(b"{}")) };
    tokio::spawn(serve(listener, config, stop.clone(), answers));
    let _stop = stop.drop_guard();
    let names = Names::answering(&[&["127.0.0.1"]]);
    let trusted = OnceCell::from(client.load().unwrap());
    let service =
        HttpService::with(egress(&["127.0.0.1"]), Handle::current(), Box::new(names.clone()), trusted);
    let plugin = plugin(&service);

    let answer = plugin.send(request(format!("https://audit.example:{port}/"))).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, b"{}".as_slice()));

    for other in ["other.example", "127.0.0.1"] {
        let error = plugin.send(request(format!("https://{other}:{port}/"))).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    let untrusting = super::service(&["127.0.0.1"], &names);
    let error = super::plugin(&untrusting).send(request(format!("https://audit.example:{port}/"))).await;
    assert!(error.unwrap_err().to_string().contains("certificate"));
}
