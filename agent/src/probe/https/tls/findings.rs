//! What was found of certificate chains, remembered for a while: to check a chain's signatures is the dearest part of a
//! probe, and the same chain says the same each time. The server's own signature in the handshake is checked each time.

use crate::{probe::expected::Issuers, tls::Shown};
use rustls_pki_types::{ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use x509_parser::parse_x509_certificate;

/// How long a finding is believed: whom this machine trusts may change meanwhile.
const BELIEVED_FOR: Duration = Duration::from_hours(1);
/// How many are kept; there are fewer targets.
const MAX_FINDINGS: usize = 512;

/// A chain that verified, for this name and this expectation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    sha256: [u8; 32],
    name: ServerName<'static>,
    expected: Issuers,
}

/// What was found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Who issued the server's certificate.
    pub(super) issuer: Option<String>,
    /// Whether that is somebody who was not expected.
    pub(super) is_unexpected: bool,
}

/// The findings that are still believed.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<HashMap<Chain, (Finding, UnixTime)>>);

impl Chain {
    /// The chain that was shown, of whom `expected` was.
    pub(super) fn new(shown: Shown<'_>, expected: &Issuers) -> Self {
        let mut hash = Sha256::new();
        for certificate in std::iter::once(shown.leaf).chain(shown.others) {
            hash.update(certificate.len().to_le_bytes());
            hash.update(certificate);
        }
        Self { sha256: hash.finalize().into(), name: shown.name.to_owned(), expected: expected.clone() }
    }
}

impl Findings {
    /// What is believed of a chain at `now`.
    pub(super) fn get(&self, chain: &Chain, now: UnixTime) -> Option<Finding> {
        let kept = self.lock();
        let (finding, until) = kept.get(chain)?;
        (now < *until).then(|| finding.clone())
    }

    /// Keeps what was found of a chain that verified when it was shown, for as long as its certificates are valid.
    pub(super) fn keep(&self, chain: Chain, finding: Finding, shown: Shown<'_>) {
        let now = shown.now;
        let until = expiry(shown).min(now.as_secs().saturating_add(BELIEVED_FOR.as_secs()));
        let mut kept = self.lock();
        if kept.len() >= MAX_FINDINGS {
            kept.retain(|_, (_, until)| now < *until);
        }
        if kept.len() < MAX_FINDINGS {
            kept.insert(chain, (finding, UnixTime::since_unix_epoch(Duration::from_secs(until))));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Chain, (Finding, UnixTime)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the first of the certificates expires, in seconds of Unix time; 0 if one cannot be read.
fn expiry(shown: Shown<'_>) -> u64 {
    std::iter::once(shown.leaf)
        .chain(shown.others)
        .map(|certificate| {
            let parsed = parse_x509_certificate(certificate).ok();
            parsed.and_then(|(_rest, certificate)| {
                u64::try_from(certificate.validity().not_after.timestamp()).ok()
            })
        })
        .map(Option::unwrap_or_default)
        .min()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls_pki_types::CertificateDer;

    const EXPIRY: u64 = 1_893_456_000; // 2030-01-01

    fn certificate() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2030, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_finding_is_of_one_chain_one_name_and_one_expectation_for_an_hour_or_until_it_expires() {
        let (findings, leaf, other) = (Findings::default(), certificate(), certificate());
        let (name, stranger) = ("a.example".try_into().unwrap(), "b.example".try_into().unwrap());
        let shown = |leaf, name, now| Shown { leaf, others: &[], name, ocsp_response: &[], now: at(now) };
        let chain = |leaf, name, expected| Chain::new(shown(leaf, name, 0), expected);
        let found = Finding { issuer: Some("CN=x".to_owned()), is_unexpected: false };
        let known = chain(&leaf, &name, &Issuers::Any);
        findings.keep(known.clone(), found.clone(), shown(&leaf, &name, 1_000));
        assert_eq!(findings.get(&known, at(1_000 + 3_599)), Some(found.clone()));
        assert_eq!(findings.get(&known, at(1_000 + 3_600)), None);
        for unknown in [
            chain(&other, &name, &Issuers::Any),
            chain(&leaf, &stranger, &Issuers::Any),
            chain(&leaf, &name, &Issuers::Only("x".to_owned())),
        ] {
            assert_eq!(findings.get(&unknown, at(1_000)), None);
        }
        findings.keep(known.clone(), found.clone(), shown(&leaf, &name, EXPIRY - 10));
        assert_eq!(findings.get(&known, at(EXPIRY - 1)), Some(found));
        assert_eq!(findings.get(&known, at(EXPIRY)), None);
    }

    #[test]
    fn no_more_are_kept_than_the_bound() {
        let (findings, leaf) = (Findings::default(), certificate());
        let found = Finding { issuer: None, is_unexpected: true };
        for number in 0..2 * MAX_FINDINGS {
            let name = format!("a{number}.example").try_into().unwrap();
            let shown =
                Shown { leaf: &leaf, others: &[], name: &name, ocsp_response: &[], now: at(number as u64) };
            findings.keep(Chain::new(shown, &Issuers::Any), found.clone(), shown);
        }
        assert_eq!(findings.lock().len(), MAX_FINDINGS);
    }
}
