//! TLS for probes: every handshake is a cold one, and who issued the certificate is known even if it does not verify,
//! which is how an inspecting middlebox shows.

use crate::{
    probe::{exchange::clip, prober::ProbeError, settings::Trust},
    tls::{self, Judge, Shown},
};
use rustls::{
    CertificateError, Error, RootCertStore,
    client::{
        Resumption,
        danger::{ServerCertVerified, ServerCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
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
    /// What is missing if the system's certificates cannot be read: then only HTTPS probes fail.
    verifier: Result<Arc<dyn ServerCertVerifier>, String>,
}

impl Tls {
    /// TLS that trusts these.
    pub(super) fn new(trust: &Trust) -> Result<Self, ProbeError> {
        let verifier = match trust {
            Trust::Platform => tls::platform().map_err(|error| error.to_string()),
            Trust::File(path) => Ok(under_those_in(path)?),
        };
        Ok(Self { verifier })
    }

    /// A connector for one handshake, and what will have been witnessed of it.
    pub(super) fn connector(&self) -> Result<(TlsConnector, Arc<Witness>), String> {
        let witness = Arc::new(Witness { verifier: self.verifier.clone()?, leaf: OnceLock::new() });
        let mut config = tls::client(tls::judged_by(&witness)).map_err(|error| error.to_string())?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok((TlsConnector::from(Arc::new(config)), witness))
    }
}

fn under_those_in(path: &Path) -> Result<Arc<dyn ServerCertVerifier>, ProbeError> {
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
    tls::under(roots).map_err(|error| wrong(error.to_string()))
}

/// Verifies as another verifier does, and remembers what it was shown.
#[derive(Debug)]
pub(super) struct Witness {
    verifier: Arc<dyn ServerCertVerifier>,
    leaf: OnceLock<CertificateDer<'static>>,
}

impl Witness {
    /// Who issued the server's certificate, as a distinguished name.
    pub(super) fn issuer(&self) -> Option<String> {
        let (_rest, certificate) = parse_x509_certificate(self.leaf.get()?).ok()?;
        Some(clip(&certificate.issuer().to_string()))
    }
}

impl Judge for Witness {
    fn judge(&self, shown: Shown<'_>) -> Result<ServerCertVerified, Error> {
        // A server shows one certificate in a handshake.
        let _first_stays = self.leaf.set(shown.leaf.clone().into_owned());
        shown.to(&*self.verifier)
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
