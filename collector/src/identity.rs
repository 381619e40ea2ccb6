//! What agents know the collector by: a certificate authority of its own and an ed25519 key for answers, both made at
//! the first run.
//!
//! Agents pin the CA, not the listener's certificate; that one is issued anew at every start and before it expires, so
//! that a change of names needs nothing but a restart.

pub(crate) mod private_file;

use crate::paths;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use peerlight_proto::time::Timestamp;
use private_file::{PrivateFileError, read_or_create};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{crypto::aws_lc_rs::sign::any_ecdsa_type, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a listener's certificate is valid from its issue.
const LEAF_VALIDITY: Duration = Duration::from_hours(2 * 365 * 24);

/// How long before the end of its validity the listener's certificate is replaced in a running collector.
pub const RENEW_EVERY: Duration = Duration::from_hours(24);

/// The collector's keys. None of them is ever printed.
pub struct Identity {
    ca: CertificateDer<'static>,
    ca_key: KeyPair,
    response_seed: [u8; 32],
    response_key: [u8; 32],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("ca_sha256", &self.ca_sha256()).finish_non_exhaustive()
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of it cannot be read or made.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A file does not hold what it should.
    #[error("{} does not hold {what}; restore it from a backup (with a new one, every agent must enrol again)", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// A certificate cannot be issued.
    #[error("cannot issue a certificate")]
    Issue(#[from] rcgen::Error),
    /// The issued key does not serve for TLS.
    #[error("cannot use the issued key for TLS")]
    Tls(#[from] rustls::Error),
}

impl Identity {
    /// Reads the keys, or makes them at the first run. The directory must be there.
    pub fn open(directory: &Path) -> Result<Self, IdentityError> {
        let ca_path = paths::ca(directory);
        let pem = read_or_create(&ca_path, new_ca)?;
        let damaged = || IdentityError::Damaged {
            path: ca_path.clone(),
            what: "a P-256 key and its certificate in PEM",
        };
        let ca_key = KeyPair::from_pem(&pem).map_err(|_reason| damaged())?;
        let ca = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_reason| damaged())?;

        let seed_path = paths::response_key(directory);
        let seed =
            read_or_create(&seed_path, || Ok(format!("{}\n", hex::encode(rand::random::<[u8; 32]>()))))?;
        let mut response_seed = [0; 32];
        hex::decode_to_slice(seed.trim(), &mut response_seed).map_err(|_reason| IdentityError::Damaged {
            path: seed_path.clone(),
            what: "64 hexadecimal digits",
        })?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&response_seed)
            .map_err(|_reason| IdentityError::Damaged { path: seed_path.clone(), what: "an ed25519 seed" })?;
        let mut response_key = [0; 32];
        response_key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { ca, ca_key, response_seed, response_key })
    }

    /// SHA-256 of the CA's certificate: what agents pin, in hexadecimal.
    pub fn ca_sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.ca))
    }

    /// The public half of the key that signs answers, in hexadecimal.
    pub fn response_key(&self) -> String {
        hex::encode(self.response_key)
    }

    pub(crate) const fn response_seed(&self) -> &[u8; 32] {
        &self.response_seed
    }

    /// Issues a certificate for these host names and addresses; the chain ends with the CA itself, because agents know
    /// only its digest.
    pub fn issue(&self, names: Vec<String>, now: Timestamp) -> Result<CertifiedKey, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named("Peerlight collector");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1)
            + Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0))
            + LEAF_VALIDITY;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &Issuer::new(ca_params(), &self.ca_key))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::new(vec![certificate.der().clone(), self.ca.clone()], any_ecdsa_type(&der)?))
    }
}

fn new_ca() -> Result<String, IdentityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = ca_params().self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// The CA's parameters are the same for ever, so that its certificate need not be parsed to issue under it. Its validity
/// has no end: what agents trust is the digest from their token, and their clocks may be wrong.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Peerlight collector CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(9999, 12, 31);
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_read_back_ever_after() {
        let directory = tempfile::tempdir().unwrap();
        let first = Identity::open(directory.path()).unwrap();
        let second = Identity::open(directory.path()).unwrap();
        assert_eq!(first.ca_sha256(), second.ca_sha256());
        assert_eq!(first.response_key(), second.response_key());
        assert!(!format!("{first:?}").contains(&hex::encode(first.response_seed())));
    }

    #[test]
    fn a_damaged_key_is_an_error_that_names_its_file() {
        let directory = tempfile::tempdir().unwrap();
        Identity::open(directory.path()).unwrap();
        std::fs::write(paths::response_key(directory.path()), "no key").unwrap();
        let error = Identity::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("response.key does not hold 64 hexadecimal digits"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        Identity::open(directory.path()).unwrap();
        for path in [paths::ca(directory.path()), paths::response_key(directory.path())] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
