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

/// How a certificate that does not verify is described.
pub(crate) const UNVERIFIED: &str = "the certificate does not verify";

/// Makes connectors.
pub(super) struct Tls {
    /// What is missing if the system's certificates cannot be read: then only HTTPS probes fail.
    verifier: Result<Arc<dyn ServerCertVerifier>, String>,
}

impl Tls {
    /// TLS that trusts these.
    pub(super) fn new(trust: &Trust) -> Result<Self, ProbeError> {
        // A file that cannot be used is a mistake in the configuration; the system's certificates may yet be installed.
        let verifier = match trust {
            Trust::Platform => verifier(trust).map_err(|error| error.to_string()),
            Trust::File(_) => Ok(verifier(trust)?),
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

/// Believes whom `trust` says.
pub(crate) fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, ProbeError> {
    match trust {
        Trust::Platform => tls::platform().map_err(ProbeError::Platform),
        Trust::File(path) => under_those_in(path),
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

    /// Who issued the server's certificate, if neither organisation nor name is one of `expected`. Without any, everybody is.
    pub(super) fn issuer_other_than(&self, expected: &[&str]) -> Option<String> {
        if expected.is_empty() {
            return None;
        }
        let is_expected =
            |name: &str| expected.iter().any(|expected| expected.eq_ignore_ascii_case(name.trim()));
        let known = self.leaf.get().and_then(|leaf| parse_x509_certificate(leaf).ok()).is_some_and(
            |(_rest, certificate)| {
                let issuer = certificate.issuer();
                let mut names = issuer.iter_organization().chain(issuer.iter_common_name());
                names.any(|name| name.as_str().is_ok_and(is_expected))
            },
        );
        (!known).then(|| self.issuer().unwrap_or_else(|| "an unreadable issuer".to_owned()))
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
            format!("{UNVERIFIED}: its issuer is not trusted")
        }
        Some(Error::InvalidCertificate(reason)) => format!("{UNVERIFIED}: {reason}"),
        _ => format!("the TLS handshake failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};

    /// A witness of a certificate that this organisation issued.
    fn witness(organisation: &str) -> Witness {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, "Issuing CA 07");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let leaf = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();
        let verifier = verifier(&Trust::Platform).unwrap();
        Witness { verifier, leaf: OnceLock::from(leaf.der().clone()) }
    }

    #[test]
    fn an_issuer_is_known_by_its_organisation_or_its_name() {
        let microsoft = witness("Microsoft Corporation");
        for expected in ["microsoft corporation", "Issuing CA 07"] {
            assert_eq!(microsoft.issuer_other_than(&["DigiCert Inc", expected]), None);
        }
        assert_eq!(microsoft.issuer_other_than(&[]), None);
        let other = witness("Example Corp").issuer_other_than(&["Microsoft Corporation", "DigiCert Inc"]);
        assert!(other.is_some_and(|other| other.contains("O=Example Corp")));
        let similar = witness("Microsoft Corporation Ltd").issuer_other_than(&["Microsoft Corporation"]);
        assert!(similar.is_some());
    }
}
