//! TLS towards the collector: whose certificate is the collector's.
//!
//! `pinned` accepts the CA that the enrolment token named and no other; `platform` what the operating system trusts, for
//! networks that inspect TLS. Either way signatures decide what is believed.

use crate::tls::{self, Judge, Shown};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    CertificateError, ClientConfig, Error as TlsError, RootCertStore, client::danger::ServerCertVerified,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, OnceLock};

/// Whose certificate the collector's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CollectorTrust {
    /// Under the CA that the enrolment token names.
    #[default]
    Pinned,
    /// Whatever the operating system trusts.
    Platform,
}

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// rustls refused the settings.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] TlsError),
    /// The stored CA is damaged.
    #[error("the stored CA certificate is damaged; enrol again")]
    Ca,
    /// There is none.
    #[error(
        "this agent enrolled with trust = \"platform\", so that no CA is pinned; enrol again, or set that again"
    )]
    NothingPinned,
}

/// Trusts the certificates under this CA.
pub fn under_ca(ca_pem: &str) -> Result<ClientConfig, TrustError> {
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|_malformed| TrustError::Ca)?;
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    Ok(tls::client(tls::under(roots)?)?)
}

/// Trusts what the operating system trusts.
pub fn platform() -> Result<ClientConfig, TrustError> {
    Ok(tls::client(tls::platform()?)?)
}

/// Trusts the certificates under the CA with this SHA-256, which the server must send.
pub fn by_fingerprint(sha256: [u8; 32]) -> Result<(ClientConfig, Arc<Fingerprint>), TrustError> {
    let fingerprint = Arc::new(Fingerprint { sha256, ca: OnceLock::new() });
    Ok((tls::client(tls::judged_by(&fingerprint))?, fingerprint))
}

/// A CA that is known by its SHA-256, and its certificate once a server has sent it.
#[derive(Debug)]
pub struct Fingerprint {
    sha256: [u8; 32],
    ca: OnceLock<CertificateDer<'static>>,
}

impl Fingerprint {
    /// The CA's certificate as PEM, if a server under it was met.
    pub fn ca_pem(&self) -> Option<String> {
        self.ca.get().map(|ca| to_pem(ca))
    }
}

impl Judge for Fingerprint {
    fn judge(&self, shown: Shown<'_>) -> Result<ServerCertVerified, TlsError> {
        let is_ours = |certificate: &&CertificateDer<'_>| *Sha256::digest(certificate) == self.sha256;
        let ca = shown.others.iter().find(is_ours).ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let verified = shown.to(&*tls::under(roots)?)?;
        // There is but one certificate with this digest.
        let _first_stays = self.ca.set(ca.clone().into_owned());
        Ok(verified)
    }
}

fn to_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
