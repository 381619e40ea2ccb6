//! TLS for probes: every handshake is a cold one, and who issued the certificate is known even if it does not verify,
//! which is how an inspecting middlebox shows.

mod findings;

use crate::{
    probe::{error::ProbeError, exchange::clip, expected::Issuers, interception::UNVERIFIED, trust::Trust},
    tls::{self, Judge, Shown},
};
use findings::{Chain, Finding, Findings};
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
    /// Believes whom browsers believe, wherever they run.
    public: Arc<dyn ServerCertVerifier>,
    findings: Arc<Findings>,
}

impl Tls {
    /// TLS that trusts these.
    pub(super) fn new(trust: &Trust) -> Result<Self, ProbeError> {
        // A file that cannot be used is a mistake in the configuration; the system's certificates may yet be installed.
        let verifier = match trust {
            Trust::Platform => verifier(trust).map_err(|error| error.to_string()),
            Trust::File(_) => Ok(verifier(trust)?),
        };
        let public = public().map_err(ProbeError::Platform)?;
        Ok(Self { verifier, public, findings: Arc::default() })
    }

    /// A connector for one handshake with a server whose certificate `expected` may issue, and what will have been witnessed
    /// of it.
    pub(super) fn connector(&self, expected: Issuers) -> Result<(TlsConnector, Arc<Witness>), String> {
        let witness = Arc::new(Witness {
            verifier: self.verifier.clone()?,
            public: Arc::clone(&self.public),
            expected,
            findings: Arc::clone(&self.findings),
            issuer: OnceLock::new(),
            is_unexpected: OnceLock::new(),
        });
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

/// Believes the authorities of Mozilla's list, as of the crate's release.
fn public() -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    tls::under(roots)
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
    public: Arc<dyn ServerCertVerifier>,
    expected: Issuers,
    findings: Arc<Findings>,
    issuer: OnceLock<String>,
    /// Of a certificate that verifies.
    is_unexpected: OnceLock<bool>,
}

impl Witness {
    /// Who issued the server's certificate, as a distinguished name.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.get().map(String::as_str)
    }

    /// What to say of a certificate that verifies, but is by somebody who was not expected.
    pub(super) fn inspection(&self) -> Option<String> {
        self.is_unexpected.get().filter(|unexpected| **unexpected)?;
        let issuer = self.issuer().unwrap_or("an unreadable issuer");
        let expected = match &self.expected {
            Issuers::Only(name) => name,
            Issuers::Any | Issuers::Public(_) => "a public authority",
        };
        Some(format!("TLS is inspected: the certificate is of {issuer}, not of {expected}"))
    }

    fn expects(&self, shown: Shown<'_>) -> bool {
        match &self.expected {
            Issuers::Any => true,
            Issuers::Only(name) => is_issued_by(shown.leaf, &[name]),
            Issuers::Public(names) => is_issued_by(shown.leaf, names) || shown.to(&*self.public).is_ok(),
        }
    }
}

/// Whether one of these is the organisation or the name of a certificate's issuer.
fn is_issued_by(leaf: &CertificateDer<'_>, names: &[&str]) -> bool {
    let is_one = |name: &str| names.iter().any(|one| one.eq_ignore_ascii_case(name.trim()));
    parse_x509_certificate(leaf).is_ok_and(|(_rest, certificate)| {
        let issuer = certificate.issuer();
        let mut called = issuer.iter_organization().chain(issuer.iter_common_name());
        called.any(|name| name.as_str().is_ok_and(is_one))
    })
}

impl Judge for Witness {
    fn judge(&self, shown: Shown<'_>) -> Result<ServerCertVerified, Error> {
        // A server shows one certificate in a handshake.
        let chain = Chain::new(shown, &self.expected);
        if let Some(Finding { issuer, is_unexpected }) = self.findings.get(&chain, shown.now) {
            let _first_stays = issuer.map(|issuer| self.issuer.set(issuer));
            let _first_stays = self.is_unexpected.set(is_unexpected);
            return Ok(ServerCertVerified::assertion());
        }
        let issuer = parse_x509_certificate(shown.leaf)
            .map(|(_rest, certificate)| clip(&certificate.issuer().to_string()))
            .ok();
        let _first_stays = issuer.clone().map(|issuer| self.issuer.set(issuer));
        let verified = shown.to(&*self.verifier)?;
        let is_unexpected = !self.expects(shown);
        let _first_stays = self.is_unexpected.set(is_unexpected);
        self.findings.keep(chain, Finding { issuer, is_unexpected }, shown);
        Ok(verified)
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

    /// A certificate that this organisation issued.
    fn leaf(organisation: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, "Issuing CA 07");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let leaf = CertificateParams::new(["a.example".to_owned()]).unwrap();
        leaf.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap().der().clone()
    }

    #[test]
    fn an_issuer_is_known_by_its_organisation_or_its_name() {
        let microsoft = leaf("Microsoft Corporation");
        for expected in ["microsoft corporation", "Issuing CA 07"] {
            assert!(is_issued_by(&microsoft, &["DigiCert Inc", expected]));
        }
        assert!(!is_issued_by(&leaf("Example Corp"), &["Microsoft Corporation", "DigiCert Inc"]));
        assert!(!is_issued_by(&leaf("Microsoft Corporation Ltd"), &["Microsoft Corporation"]));
    }

    #[test]
    fn a_private_authority_is_expected_only_where_it_is_named() {
        let tls = Tls::new(&Trust::Platform).unwrap();
        let leaf = leaf("Example Corp");
        let expects = |expected| {
            let (_connector, witness) = tls.connector(expected).unwrap();
            let name = "a.example".try_into().unwrap();
            let now = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_hours(500_000));
            witness.expects(Shown { leaf: &leaf, others: &[], name: &name, ocsp_response: &[], now })
        };
        assert!(expects(Issuers::Any) && expects(Issuers::Only("Example Corp".to_owned())));
        assert!(expects(Issuers::Public(&["Example Corp"])));
        assert!(!expects(Issuers::Public(&["Microsoft Corporation"])));
        assert!(!expects(Issuers::Only("Microsoft Corporation".to_owned())));
    }
}
