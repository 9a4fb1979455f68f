//! TLS between two programs of which one has started the other: both sides make a certificate for the occasion, tell
//! each other, and take no other.
//!
//! No authority, name or date is looked at: the certificate itself is what is known, byte for byte, and the handshake
//! proves that whoever shows it has its key. Either side can open the connection, so a [`Pair`] is for both.

use std::{io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName as Subject, Error, ServerConfig,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{TlsError, provider};

/// The name in the certificates. Programs of other makes look for it.
const NAME: &str = "localhost";

/// A certificate and its key, made for one occasion. The key never leaves the program.
pub struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Identity {
    /// Makes one: ECDSA over P-256, its own authority, for clients and servers.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new() -> Result<Self, TlsError> {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).map_err(TlsError::Make)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyAgreement,
            KeyUsagePurpose::KeyCertSign,
        ];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(TlsError::Make)?;
        let made = params.self_signed(&key).map_err(TlsError::Make)?;
        let pem = made.pem();
        Ok(Self { certificate: made.into(), pem, key: key.serialize_der().into() })
    }

    /// The certificate in PEM, to be told to the other side.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate in DER, to be told to the other side.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// Both sides' TLS with whoever has the key of `other`, a certificate in DER. It agrees on HTTP/2.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn with(&self, other: &[u8]) -> Result<Pair, TlsError> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let only = Arc::new(Only { certificate: CertificateDer::from(other.to_vec()), algorithms });
        let chain = || vec![self.certificate.clone()];
        let key = || PrivateKeyDer::Pkcs8(self.key.clone_key());
        let alpn = vec![b"h2".to_vec()];
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(only.clone())
            .with_client_auth_cert(chain(), key())?;
        client.alpn_protocols.clone_from(&alpn);
        // There is one connection each way for the life of both: nothing to resume.
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(only)
            .with_single_cert(chain(), key())?;
        server.alpn_protocols = alpn;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Pair { client: Arc::new(client), server: Arc::new(server) })
    }
}

/// Never shows the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Connections with one other side, opened by either.
#[derive(Clone, Debug)]
pub struct Pair {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Pair {
    /// Encrypts a connection that was opened to the other side.
    ///
    /// # Errors
    /// A handshake that failed: it is somebody else who answers.
    pub async fn connect<S>(&self, stream: S) -> io::Result<client::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        TlsConnector::from(self.client.clone()).connect(name, stream).await
    }

    /// Encrypts a connection that the other side opened.
    ///
    /// # Errors
    /// A handshake that failed: it is somebody else who asks.
    pub async fn accept<S>(&self, stream: S) -> io::Result<server::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.server.clone()).accept(stream).await
    }
}

/// Takes one certificate and no other.
#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Only {
    fn is(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        if shown.as_ref() == self.certificate.as_ref() {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn tls12(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.algorithms)
    }

    fn tls13(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.algorithms)
    }
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.is(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Only {
    fn root_hint_subjects(&self) -> &[Subject] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.is(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What comes of two sides that speak to each other, the connecting one first.
    async fn spoken(one: &Pair, other: &Pair) -> (io::Result<()>, io::Result<()>) {
        let (near, far) = duplex(4096);
        let asks = async {
            let mut stream = one.connect(near).await?;
            stream.write_all(b"a").await?;
            // In TLS 1.3 only the answer tells whether the other side took the certificate.
            stream.read_exact(&mut [0]).await.map(drop)
        };
        let answers = async {
            let mut stream = other.accept(far).await?;
            stream.read_exact(&mut [0]).await?;
            stream.write_all(b"b").await?;
            stream.flush().await
        };
        tokio::join!(asks, answers)
    }

    #[tokio::test]
    async fn both_sides_take_each_other_and_nobody_else() {
        let (ours, theirs, stranger) =
            (Identity::new().unwrap(), Identity::new().unwrap(), Identity::new().unwrap());
        let (here, there) = (ours.with(theirs.der()).unwrap(), theirs.with(ours.der()).unwrap());
        for (one, other) in [(&here, &there), (&there, &here)] {
            let (asked, answered) = spoken(one, other).await;
            asked.unwrap();
            answered.unwrap();
        }
        // One who knows our certificate, but is not whom we know.
        let posing = stranger.with(ours.der()).unwrap();
        assert!(spoken(&here, &posing).await.0.is_err(), "a stranger answers");
        assert!(spoken(&posing, &here).await.1.is_err(), "a stranger asks");
    }

    #[test]
    fn certificate_is_told_as_pem_and_the_key_is_not_shown() {
        let identity = Identity::new().unwrap();
        assert!(identity.pem().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(!identity.pem().contains("PRIVATE"));
        assert_eq!(format!("{identity:?}"), "Identity { .. }");
    }
}
