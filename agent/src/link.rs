//! The way to the collector that enrolment opened.

use crate::{
    clock::Clock,
    credential::{CredentialError, Enrolment, keyring::Keyring},
    exchange::{Exchange, ExchangeError, Source},
    offset::Offset,
    paths::StateDir,
    proxy::Proxies,
    signature::{ResponseKey, SignatureError},
    trust::{self, CollectorTrust, TrustError},
};
use std::sync::Arc;

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The enrolment cannot be read.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The stored response key is damaged.
    #[error(transparent)]
    Key(#[from] SignatureError),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// What is needed to ask the collector, once the agent is enrolled.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where the enrolment is kept.
    pub state: StateDir,
    /// The uplinks that must be enrolled before anything is handed over: the collector takes a measurement of no other.
    pub uplinks: Vec<String>,
    /// Whose certificate the collector's is.
    pub trust: CollectorTrust,
    /// Which proxy may stand in between.
    pub proxies: Proxies,
    /// Who asks.
    pub key: Arc<Keyring>,
    /// The clocks.
    pub clock: Clock,
    /// The measured difference to the collector's clock.
    pub offset: Offset,
}

impl Link {
    /// The enrolment, if there is one, for every uplink.
    pub fn enrolment(&self) -> Result<Option<Enrolment>, LinkError> {
        let enrolment = Enrolment::load(&self.state)?;
        Ok(enrolment.filter(|enrolment| self.uplinks.iter().all(|uplink| enrolment.is_for(uplink))))
    }

    /// The uplinks that are not enrolled.
    pub fn missing(&self) -> Result<Vec<String>, LinkError> {
        let enrolment = Enrolment::load(&self.state)?;
        let is_missing = |uplink: &&String| !enrolment.as_ref().is_some_and(|known| known.is_for(uplink));
        Ok(self.uplinks.iter().filter(is_missing).cloned().collect())
    }

    /// Opens the way that `enrolment` describes, from `source`.
    pub fn open(&self, enrolment: &Enrolment, source: Source) -> Result<Exchange, LinkError> {
        let tls = match (self.trust, &enrolment.ca_pem) {
            (CollectorTrust::Pinned, Some(ca)) => trust::under_ca(ca)?,
            (CollectorTrust::Pinned, None) => return Err(TrustError::NothingPinned.into()),
            (CollectorTrust::Platform, _) => trust::platform()?,
        };
        let response_key = ResponseKey::from_hex(&enrolment.response_key)?;
        let identity = (Arc::clone(&self.key), response_key);
        let time = (self.clock.clone(), self.offset.clone());
        Ok(Exchange::new(&enrolment.collector, tls, (source, &self.proxies), identity, time)?)
    }
}

/// A way to the collector that stays as it was opened for as long as the enrolment is the same: so whoever asks now and then
/// resumes the TLS session each time.
#[derive(Debug)]
pub struct Way {
    link: Link,
    source: Source,
    opened: Option<(Enrolment, Exchange)>,
}

impl Way {
    /// The way from `source`, which is opened when it is needed.
    pub const fn new(link: Link, source: Source) -> Self {
        Self { link, source, opened: None }
    }

    /// Where to ask; none while the agent is not enrolled.
    pub fn exchange(&mut self) -> Result<Option<&Exchange>, LinkError> {
        let Some(enrolment) = self.link.enrolment()? else { return Ok(None) };
        if self.opened.as_ref().is_none_or(|(known, _)| *known != enrolment) {
            let exchange = self.link.open(&enrolment, self.source.clone())?;
            self.opened = Some((enrolment, exchange));
        }
        Ok(self.opened.as_ref().map(|(_, exchange)| exchange))
    }
}
