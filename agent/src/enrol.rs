//! Enrolment: the one-time exchange of an operator's token for a place in the collector's registry.

pub mod adoption;
pub mod token;
pub mod unattended;

use crate::{
    clock::Clock,
    credential::{CredentialError, Enrolment, keyring::Keyring},
    exchange::{Answer, Exchange, ExchangeError, Question, Source, parse_address},
    offset::Offset,
    paths::StateDir,
    proxy::Proxies,
    rotation::plan::Slot,
    signature::{ResponseKey, SignatureError},
    trust::{self, CollectorTrust, TrustError},
    uplink::is_same_site,
};
use peerlight_proto::{
    enrolment::{EnrolmentRequest, EnrolmentResponse, EnrolmentToken, SiteAssertion},
    http::{ENROLMENTS_PATH, PROBLEM_MEDIA_TYPE},
    id::AgentId,
    problem::{Class, Problem, ProblemType},
};
use std::sync::Arc;
use url::Url;

/// Why the agent is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Token and command line name different collectors.
    #[error(
        "the token is for the collector {token}, but --collector or the configuration says {asked}; use the token of that collector, or leave the address out"
    )]
    OtherCollector {
        /// What the token says.
        token: String,
        /// What was asked for.
        asked: String,
    },
    /// The other uplinks are enrolled elsewhere.
    #[error(
        "this agent's other uplinks are enrolled at {collector}, and all must be at one collector; enrol them at the new \
         one from the start: remove {path} first"
    )]
    ElsewhereToo {
        /// Where they are.
        collector: String,
        /// What keeps it.
        path: String,
    },
    /// The token is for another site than the uplink's.
    #[error(
        "the token is for the site `{site}`, not for the uplink `{uplink}`; nothing is kept of it here, but it is used \
         up: create a token of `{uplink}` (`peerlight-collector token create`)"
    )]
    OtherSite {
        /// The token's.
        site: String,
        /// The one that was to be enrolled.
        uplink: String,
    },
    /// The token is for another agent, and this one is enrolled.
    #[error(
        "the token is for agent {0}, and this machine is enrolled as another one; use a token of this agent, or \
         decommission it first (`peerlight-agent decommission`)"
    )]
    OtherAgent(AgentId),
    /// The token's fingerprint is malformed.
    #[error("the token's CA fingerprint is damaged; create a new token")]
    Fingerprint,
    /// The state directory refused.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The token's response key is malformed.
    #[error(transparent)]
    Key(#[from] SignatureError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The request cannot be written.
    #[error("cannot write the enrolment request: {0}")]
    Request(#[source] serde_json::Error),
    /// The machine was set up anew, and the collector knows it as another agent: with that identity it enrols.
    #[error("the collector knows this machine as agent {0}")]
    KnownAs(AgentId),
    /// The collector refused for now.
    #[error("the collector put the enrolment off: {0}")]
    PutOff(String),
    /// The collector refused.
    #[error("the collector refused the enrolment: {0}")]
    Refused(String),
    /// The new key is known already, and not as this agent's to come.
    #[error(
        "the collector refused the new key, which is given up: {0}; enrol again, and another one is made"
    )]
    KeyRefused(String),
    /// Somebody else answered.
    #[error(
        "status {status} is not the collector's answer ({reason}); is a proxy or a captive portal in the way?"
    )]
    NotTheCollector {
        /// The status.
        status: u16,
        /// Why it is not believed.
        reason: String,
    },
}

impl EnrolError {
    /// Whether the same attempt may succeed later: nobody answered, or somebody else did.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Exchange(_) | Self::NotTheCollector { .. } | Self::PutOff(_) => true,
            Self::OtherCollector { .. }
            | Self::OtherAgent(_)
            | Self::ElsewhereToo { .. }
            | Self::OtherSite { .. }
            | Self::Fingerprint
            | Self::Credential(_)
            | Self::Key(_)
            | Self::Trust(_)
            | Self::Request(_)
            | Self::KnownAs(_)
            | Self::Refused(_)
            | Self::KeyRefused(_) => false,
        }
    }
}

/// What an enrolment needs.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// Where to keep what it yields.
    pub state: StateDir,
    /// The agent's key.
    pub key: Arc<Keyring>,
    /// Whose certificate the collector's is.
    pub trust: CollectorTrust,
    /// Which proxy may stand in between.
    pub proxies: Proxies,
    /// What the configuration says of the site.
    pub site: Option<SiteAssertion>,
    /// The clocks.
    pub clock: Clock,
}

/// Enrols with `token`. `asked` is the collector's address as the operator gave it, which must be the token's. Doing it
/// again with the same token and key changes nothing.
pub async fn enrol(
    applicant: &Applicant,
    token: &EnrolmentToken,
    asked: Option<&str>,
) -> Result<Enrolment, EnrolError> {
    enrol_beside(applicant, &[], token, asked).await
}

/// The same for the site of `applicant` beside the other ones of `uplinks`, which names it, too. What they were enrolled
/// for stays.
pub async fn enrol_beside(
    applicant: &Applicant,
    uplinks: &[String],
    token: &EnrolmentToken,
    asked: Option<&str>,
) -> Result<Enrolment, EnrolError> {
    let address = parse_address(&token.collector)?;
    if let Some(asked) = asked
        && parse_address(asked)? != address
    {
        return Err(EnrolError::OtherCollector { token: token.collector.clone(), asked: asked.to_owned() });
    }
    if let Some(agent) = token.agent.filter(|agent| *agent != applicant.key.agent()) {
        return Err(if Enrolment::load(&applicant.state)?.is_some() {
            EnrolError::OtherAgent(agent)
        } else {
            EnrolError::KnownAs(agent)
        });
    }
    let others = others(applicant, uplinks, &address)?;
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(&token.ca_sha256, &mut fingerprint).map_err(|_not_hex| EnrolError::Fingerprint)?;
    let (tls, pinned) = match applicant.trust {
        CollectorTrust::Pinned => {
            let (tls, pinned) = trust::by_fingerprint(fingerprint)?;
            (tls, Some(pinned))
        }
        CollectorTrust::Platform => (trust::platform()?, None),
    };
    // The request names the key that signs it, so no other may be tried in its place.
    let key = Arc::new(Keyring::of(applicant.key.signing()));
    let identity = (Arc::clone(&key), ResponseKey::from_hex(&token.response_key)?);
    let time = (applicant.clock.clone(), Offset::default());
    let exchange =
        Exchange::new(address.as_str(), tls, (Source::System, &applicant.proxies), identity, time)?;
    let response = apply(applicant, uplinks, token, (&exchange, &key)).await?;
    if let Some(site) = applicant.site.as_ref().filter(|_| !uplinks.is_empty())
        && !is_same_site(&site.name, &response.site.name)
    {
        return Err(EnrolError::OtherSite { site: response.site.name, uplink: site.name.clone() });
    }
    let enrolment = Enrolment {
        collector: token.collector.clone(),
        ca_pem: pinned.and_then(|pinned| pinned.ca_pem()),
        response_key: token.response_key.clone(),
        site: response.site,
        others,
    };
    enrolment.save(&applicant.state)?;
    Ok(enrolment)
}

/// The same with the key that is to follow, of a token that brings this agent a new key. Doing it again after a lost answer,
/// or a crash, brings the same key; a key that the collector refuses is given up.
pub async fn enrol_with_new_key(
    applicant: &Applicant,
    uplinks: &[String],
    token: &EnrolmentToken,
    asked: Option<&str>,
) -> Result<Enrolment, EnrolError> {
    let next = Arc::new(Keyring::of(applicant.key.begin_next()?));
    let bringing = Applicant { key: next, ..applicant.clone() };
    match enrol_beside(&bringing, uplinks, token, asked).await {
        Ok(enrolment) => {
            applicant.key.take_up(Slot::Next)?;
            Ok(enrolment)
        }
        Err(error) => {
            if matches!(error, EnrolError::KeyRefused(_)) {
                applicant.key.give_up_next()?;
            }
            Err(error)
        }
    }
}

/// The other uplinks' registrations, as far as they are enrolled.
fn others(
    applicant: &Applicant,
    uplinks: &[String],
    collector: &Url,
) -> Result<Vec<SiteAssertion>, EnrolError> {
    let Some(known) = Enrolment::load(&applicant.state)? else { return Ok(Vec::new()) };
    let is_other = |site: &&SiteAssertion| {
        let is_this = applicant.site.as_ref().is_some_and(|this| is_same_site(&this.name, &site.name));
        !is_this && uplinks.iter().any(|uplink| is_same_site(uplink, &site.name))
    };
    let others: Vec<_> = known.sites().filter(is_other).cloned().collect();
    if others.is_empty() || known.is_with(collector) {
        Ok(others)
    } else {
        let path = applicant.state.enrolment().display().to_string();
        Err(EnrolError::ElsewhereToo { collector: known.collector, path })
    }
}

async fn apply(
    applicant: &Applicant,
    uplinks: &[String],
    token: &EnrolmentToken,
    (exchange, key): (&Exchange, &Keyring),
) -> Result<EnrolmentResponse, EnrolError> {
    let request = EnrolmentRequest {
        agent: applicant.key.agent(),
        public_key: hex::encode(key.public_key()),
        secret: token.secret.clone(),
        site: applicant.site.clone(),
        uplinks: uplinks.to_vec(),
        host: host_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        adopts: true,
    };
    let body = serde_json::to_vec(&request).map_err(EnrolError::Request)?;
    let question = Question::post(ENROLMENTS_PATH, "application/json", body.into());
    let answer = exchange.ask(&question).await?;
    let Some(collector) = answer.skewed_by() else { return read(&answer, applicant) };
    exchange.learn_time(collector, answer.window);
    read(&exchange.ask(&question).await?, applicant)
}

fn read(answer: &Answer, applicant: &Applicant) -> Result<EnrolmentResponse, EnrolError> {
    let not_the_collector = |reason: String| EnrolError::NotTheCollector { status: answer.status, reason };
    // An unsigned refusal may be a middlebox's, but then nothing is lost by showing it.
    if answer.media_type() == PROBLEM_MEDIA_TYPE
        && let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body)
    {
        let kind = ProblemType::from_uri(&problem.kind).filter(|_kind| answer.signed.is_ok());
        return Err(match kind {
            Some(ProblemType::KeyRefused) => EnrolError::KeyRefused(problem.to_string()),
            Some(kind) if kind.class() == Class::Retry => EnrolError::PutOff(problem.to_string()),
            Some(_) | None => EnrolError::Refused(problem.to_string()),
        });
    }
    if let Err(error) = &answer.signed {
        return Err(not_the_collector(error.to_string()));
    }
    let response: EnrolmentResponse =
        serde_json::from_slice(&answer.body).map_err(|error| not_the_collector(error.to_string()))?;
    if (200..300).contains(&answer.status) && response.agent == applicant.key.agent() {
        response.adopt.map_or(Ok(response), |agent| Err(EnrolError::KnownAs(agent)))
    } else {
        Err(not_the_collector("it enrolled another agent".to_owned()))
    }
}

/// The machine's name, for people; empty where it cannot be read.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map(|name| name.trim().to_owned()).unwrap_or_default()
}
