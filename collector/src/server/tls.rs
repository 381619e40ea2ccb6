//! TLS of both listeners: rustls with AWS-LC; the agents' certificate is issued under the collector's own CA.

use crate::{
    config,
    identity::{Identity, IdentityError},
};
use peerlight_proto::time::Timestamp;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};
use tokio_rustls::TlsAcceptor;

/// HTTP/2's name in the negotiation of protocols (ALPN).
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Why a listener has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("cannot read a {what} from {}: {detail}", path.display())]
    Pem {
        /// What should be in it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Certificate and key do not serve.
    #[error("the certificate and key cannot be used for TLS")]
    Unusable(#[from] rustls::Error),
    /// The agents' certificate cannot be issued.
    #[error(transparent)]
    Issue(#[from] IdentityError),
}

/// The certificate that agents are shown; it can be replaced while the listener runs.
pub struct AgentsCertificate {
    identity: Arc<Identity>,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for AgentsCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentsCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl AgentsCertificate {
    /// Issues one for these names and addresses.
    pub fn issue(identity: Arc<Identity>, names: Vec<String>, now: Timestamp) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(identity.issue(names.clone(), now)?));
        Ok(Self { identity, names, current })
    }

    /// Issues the next one.
    pub fn renew(&self, now: Timestamp) -> Result<(), TlsError> {
        let next = Arc::new(self.identity.issue(self.names.clone(), now)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// What accepts connections with it.
    pub fn acceptor(self: Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        acceptor(builder()?.with_cert_resolver(self))
    }
}

impl ResolvesServerCert for AgentsCertificate {
    /// The same for every name: agents know the CA, not the host.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What accepts operators' connections with the configured files.
pub fn operators_acceptor(files: &config::Tls) -> Result<TlsAcceptor, TlsError> {
    let pem = |what, path: &PathBuf, error: rustls_pki_types::pem::Error| TlsError::Pem {
        what,
        path: path.clone(),
        detail: error.to_string(),
    };
    let certificate = |error| pem("certificate", &files.certificate, error);
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect).map_err(certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| pem("private key", &files.key, error))?;
    acceptor(builder()?.with_single_cert(chain, key)?)
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>, rustls::Error> {
    Ok(ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth())
}

fn acceptor(mut config: ServerConfig) -> Result<TlsAcceptor, TlsError> {
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    // A fleet comes back every minute: each session is resumed by a ticket that its agent keeps, so that nothing is kept here.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
