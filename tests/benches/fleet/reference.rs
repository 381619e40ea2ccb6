//! How fast this machine is just now: the operations on curves that a push takes of each side, which nothing in Peerlight makes
//! faster or slower. Shared machines differ by half from minute to minute.

use anyhow::Context as _;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::{
    NamedGroup, SignatureScheme,
    crypto::{CryptoProvider, aws_lc_rs, ring},
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{fmt, hint::black_box, time::Duration};
use tokio::time::Instant;

/// What the operations take by the collector's cryptography, and by the agents'.
pub(super) struct Reference {
    collector: Curves,
    agents: Curves,
}

/// What each operation takes.
struct Curves {
    agreement: Duration,
    signing: Duration,
    verifying: Duration,
}

impl Reference {
    pub(super) fn take() -> anyhow::Result<Self> {
        Ok(Self {
            collector: Curves::of(&aws_lc_rs::default_provider())?,
            agents: Curves::of(&ring::default_provider())?,
        })
    }
}

impl Curves {
    fn of(provider: &CryptoProvider) -> anyhow::Result<Self> {
        let group = provider.kx_groups.iter().find(|group| group.name() == NamedGroup::X25519);
        let group = group.context("no X25519")?;
        let pair = KeyPair::generate_for(&PKCS_ED25519)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let key = provider.key_provider.load_private_key(key)?;
        let signer = key.choose_scheme(&[SignatureScheme::ED25519]).context("no Ed25519")?;
        let algorithms = provider.signature_verification_algorithms.mapping;
        let verifier = algorithms
            .iter()
            .find_map(|(scheme, all)| (*scheme == SignatureScheme::ED25519).then(|| all.first())?)
            .context("no verification by Ed25519")?;
        let message = [7; 256];
        let signature = signer.sign(&message)?;
        Ok(Self {
            agreement: mean(|| {
                let ours = group.start()?;
                let theirs = ours.pub_key().to_vec();
                black_box(ours.complete(&theirs)?);
                Ok(())
            })?,
            signing: mean(|| {
                black_box(signer.sign(&message)?);
                Ok(())
            })?,
            verifying: mean(|| {
                let outcome = verifier.verify_signature(pair.public_key_raw(), &message, &signature);
                outcome.map_err(|_invalid| anyhow::anyhow!("a signature does not verify"))
            })?,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |of: fn(&Curves) -> Duration| {
            let of = |curves| of(curves).as_secs_f64() * 1e6;
            format!("{:.0} ({:.0})", of(&self.collector), of(&self.agents))
        };
        write!(
            f,
            "this machine just now, in us by AWS-LC (ring): X25519 {}, Ed25519 signing {}, verifying {}",
            us(|curves| curves.agreement),
            us(|curves| curves.signing),
            us(|curves| curves.verifying)
        )
    }
}

/// The mean time of something over some hundred times.
fn mean(mut act: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    const TIMES: u32 = 500;
    let begun = Instant::now();
    for _time in 0..TIMES {
        act()?;
    }
    Ok(begun.elapsed() / TIMES)
}
