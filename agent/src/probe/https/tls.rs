//! TLS for probes: every handshake is a cold one, and who issued the certificate is known even if it does not verify,
//! which is how an inspecting middlebox shows.

use crate::probe::{exchange::clip, prober::ProbeError, settings::Trust};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};
use tokio_rustls::TlsConnector;
use x509_parser::parse_x509_certificate;

/// The protocols that are offered, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Makes connectors.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    /// What is missing if the system's certificates cannot be read: then only HTTPS probes fail.
    verifier: Result<Arc<dyn ServerCertVerifier>, String>,
}

impl Tls {
    /// TLS that trusts these.
    pub(super) fn new(trust: &Trust) -> Result<Self, ProbeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match trust {
            Trust::Platform => rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
                .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
                .map_err(|error| {
                    format!("cannot read the system's CA certificates (package ca-certificates?): {error}")
                }),
            Trust::File(path) => Ok(verifier_of(path, &provider)?),
        };
        Ok(Self { provider, verifier })
    }

    /// A connector for one handshake, and what will have been witnessed of it.
    pub(super) fn connector(&self) -> Result<(TlsConnector, Arc<Witness>), String> {
        let inner = self.verifier.clone()?;
        let witness = Arc::new(Witness { inner, leaf: OnceLock::new() });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok((TlsConnector::from(Arc::new(config)), witness))
    }
}

fn verifier_of(
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ProbeError> {
    let wrong = |reason: String| ProbeError::Trust { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| wrong(error.to_string()))?)
}

/// Verifies as another verifier does, and remembers what it was shown.
#[derive(Debug)]
pub(super) struct Witness {
    inner: Arc<dyn ServerCertVerifier>,
    leaf: OnceLock<CertificateDer<'static>>,
}

impl Witness {
    /// Who issued the server's certificate, as a distinguished name.
    pub(super) fn issuer(&self) -> Option<String> {
        let (_rest, certificate) = parse_x509_certificate(self.leaf.get()?).ok()?;
        Some(clip(&certificate.issuer().to_string()))
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A server shows one certificate in a handshake.
        let _first_stays = self.leaf.set(end_entity.clone().into_owned());
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// A failed handshake in words; a certificate that does not verify is said to be that.
pub(super) fn describe(error: &std::io::Error) -> String {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match rustls {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "the certificate does not verify: its issuer is not trusted".to_owned()
        }
        Some(Error::InvalidCertificate(reason)) => format!("the certificate does not verify: {reason}"),
        _ => format!("the TLS handshake failed: {error}"),
    }
}
