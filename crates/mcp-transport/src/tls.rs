//! TLS settings for both sides, with one crypto provider named explicitly.
//!
//! Nothing here relies on a process-wide default provider: a library that needs one set first, or that
//! sets one, surprises the program it is embedded in.

mod dial;
mod pinned;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

pub use dial::connect_h2;
pub use pinned::{Identity, Pair};
pub use verify::Verify;

/// Why TLS settings were refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read or holds no such thing.
    #[error("reading {what} from `{}`", path.display())]
    Pem {
        /// Certificates or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What was wrong.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The file is readable but empty of what was looked for.
    #[error("`{}` holds no {what}", path.display())]
    Empty {
        /// Certificates or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A certificate or key does not fit.
    #[error("using the TLS certificates or key")]
    Refused(#[from] rustls::Error),
    /// The client CA cannot serve as a verifier.
    #[error("using the client certificate authority")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
    /// A certificate could not be made.
    #[error("making a certificate")]
    Make(#[source] rcgen::Error),
    /// The authorities cannot serve as a verifier.
    #[error("using the certificate authorities")]
    Roots(#[source] rustls::server::VerifierBuilderError),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificates";
    let bad = |source| TlsError::Pem { what, path: path.to_owned(), source };
    let found =
        CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    if found.is_empty() {
        return Err(TlsError::Empty { what, path: path.to_owned() });
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Pem {
        what: "a private key",
        path: path.to_owned(),
        source,
    })
}

/// How to trust and be trusted by upstreams. All optional.
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    /// PEM file of certificate authorities trusted beside the system's.
    pub extra_ca: Option<PathBuf>,
    /// PEM files of certificate chain and key to show to upstreams that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How closely the server's certificate is looked at. Default: in full.
    pub verify: Verify,
}

impl ClientTls {
    /// Reads the files and the system's roots. Blocks on the disk: call it while configuring, not in a
    /// request.
    ///
    /// # Errors
    ///
    /// Unreadable files, certificates and key that do not fit. A system without roots is only logged:
    /// with an extra CA it may be what is wanted, and without, every handshake says so.
    pub fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        if let Some(path) = &self.extra_ca {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match self.verify {
            Verify::Full => builder.with_root_certificates(roots),
            lenient => {
                builder.dangerous().with_custom_certificate_verifier(lenient.verifier(provider(), roots)?)
            }
        };
        let mut config = match &self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(certificates(chain)?, private_key(key)?)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// TLS towards servers, loaded; for [`crate::http::client::EndpointConfig`].
pub type LoadedClientTls = Arc<ClientConfig>;

/// TLS of a listener, loaded; for [`crate::server::listen::ListenConfig`].
pub type LoadedServerTls = Arc<ServerConfig>;

/// The listener's certificate, and whose clients it lets in.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
    /// PEM file of authorities; set, every client must show a certificate of one of them.
    pub client_ca: Option<PathBuf>,
}

impl ServerTls {
    /// Reads the files. Blocks on the disk: call it while configuring.
    ///
    /// # Errors
    ///
    /// Unreadable files, certificates, key or authority that do not fit.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(certificates(&self.cert)?, private_key(&self.key)?)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
