//! TLS towards the collector: whose certificate is the collector's.
//!
//! `pinned` accepts the CA that the enrolment token named and no other; `platform` what the operating system trusts, for
//! networks that inspect TLS. Either way signatures decide what is believed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

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
}

/// Trusts the certificates under this CA.
pub fn under_ca(ca_pem: &str) -> Result<ClientConfig, TrustError> {
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|_malformed| TrustError::Ca)?;
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// Trusts what the operating system trusts.
pub fn platform() -> Result<ClientConfig, TrustError> {
    let verifier = rustls_platform_verifier::Verifier::new(provider())?;
    Ok(builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Trusts the certificates under the CA with this SHA-256, which the server must send; keeps that CA.
pub fn by_fingerprint(sha256: [u8; 32]) -> Result<(ClientConfig, SeenCa), TrustError> {
    let seen = SeenCa::default();
    let verifier = FingerprintVerifier { sha256, seen: seen.clone(), provider: provider() };
    let config =
        builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    Ok((config, seen))
}

/// The CA that a server sent and that matched.
#[derive(Debug, Clone, Default)]
pub struct SeenCa(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl SeenCa {
    /// As PEM, if one was seen.
    pub fn pem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|ca| to_pem(ca))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
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

#[derive(Debug)]
struct FingerprintVerifier {
    sha256: [u8; 32],
    seen: SeenCa,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for FingerprintVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let ca = intermediates
            .iter()
            .find(|certificate| <[u8; 32]>::from(Sha256::digest(certificate.as_ref())) == self.sha256)
            .ok_or(CertificateError::UnknownIssuer)?
            .clone()
            .into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let verified =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| TlsError::General(error.to_string()))?
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ca);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
