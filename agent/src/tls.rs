//! Whose certificate is believed: what TLS towards the collector and towards targets have in common.

use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::{
    fmt,
    sync::{Arc, LazyLock},
};

/// The settings of a client that leaves certificates to `verifier`.
pub(crate) fn client(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Believes certificates under these roots.
pub(crate) fn under(roots: RootCertStore) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    Ok(verifier.map_err(|error| Error::General(error.to_string()))?)
}

/// Believes what the operating system believes.
pub(crate) fn platform() -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let verifier = rustls_platform_verifier::Verifier::new(provider()).map_err(|error| {
        Error::General(format!(
            "cannot read the system's CA certificates (package ca-certificates?): {error}"
        ))
    })?;
    Ok(Arc::new(verifier))
}

/// What a server showed of itself in a handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// Its certificate.
    pub(crate) leaf: &'a CertificateDer<'a>,
    /// Those that it sent with it.
    pub(crate) others: &'a [CertificateDer<'a>],
    /// The name that it is to have.
    pub(crate) name: &'a ServerName<'a>,
    /// What it says of a revocation.
    pub(crate) ocsp_response: &'a [u8],
    /// When.
    pub(crate) now: UnixTime,
}

impl Shown<'_> {
    /// What `verifier` makes of it.
    pub(crate) fn to(&self, verifier: &dyn ServerCertVerifier) -> Result<ServerCertVerified, Error> {
        verifier.verify_server_cert(self.leaf, self.others, self.name, self.ocsp_response, self.now)
    }
}

/// Decides about certificates, and may remember what it was shown.
pub(crate) trait Judge: fmt::Debug + Send + Sync + 'static {
    /// Whether the server is who it should be.
    fn judge(&self, shown: Shown<'_>) -> Result<ServerCertVerified, Error>;
}

/// Leaves certificates to a judge; signatures are checked as ever.
pub(crate) fn judged_by(judge: &Arc<impl Judge>) -> Arc<dyn ServerCertVerifier> {
    let algorithms = provider().signature_verification_algorithms;
    Arc::new(Judged { judge: Arc::clone(judge), algorithms })
}

/// ring's, with AES-128 first as browsers have it: its key schedule costs a third of SHA-384's.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = ring::default_provider();
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

#[derive(Debug)]
struct Judged<J> {
    judge: Arc<J>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<J: Judge> ServerCertVerifier for Judged<J> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge.judge(Shown { leaf, others, name, ocsp_response, now })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
