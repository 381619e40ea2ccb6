//! The lab's certification authority: the certificates of its HTTPS servers are from it, trusted by its agents alone.

use peerlight_agent::catalogue::ISSUERS;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

/// An authority.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// They could not be issued.
    #[error("cannot issue the echo servers' certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// They could not be used.
    #[error("cannot use the echo servers' certificate: {0}")]
    Use(#[from] rustls::Error),
}

impl Authority {
    /// A new authority. It gives itself out as one that the catalogue's hosts have their certificates from.
    pub fn create() -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Peerlight lab");
        params.distinguished_name.push(DnType::OrganizationName, ISSUERS[0]);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its own certificate, which agents are told to trust.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// What a server needs that bears `names`.
    pub fn server_config(&self, names: Vec<String>) -> Result<ServerConfig, AuthorityError> {
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "Peerlight lab echo server");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(server)
    }
}
