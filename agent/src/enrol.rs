//! Enrolment: the one-time exchange of an operator's token for a place in the collector's registry.

use crate::{
    clock::Clock,
    credential::{CredentialError, Enrolment},
    exchange::{Answer, Exchange, ExchangeError, Question, Source, parse_address},
    offset::Offset,
    paths::StateDir,
    proxy::Proxies,
    signature::{AgentKey, ResponseKey, SignatureError},
    trust::{self, CollectorTrust, TrustError},
    uplink::is_same_site,
};
use peerlight_proto::{
    enrolment::{EnrolmentRequest, EnrolmentResponse, EnrolmentToken, SiteAssertion},
    http::{ENROLMENTS_PATH, PROBLEM_MEDIA_TYPE},
    problem::{Problem, ProblemType},
    time::Timestamp,
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
    /// The collector refused.
    #[error("the collector refused the enrolment: {0}")]
    Refused(String),
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

/// What an enrolment needs.
#[derive(Debug)]
pub struct Applicant {
    /// Where to keep what it yields.
    pub state: StateDir,
    /// The agent's key.
    pub key: Arc<AgentKey>,
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
    let identity = (Arc::clone(&applicant.key), ResponseKey::from_hex(&token.response_key)?);
    let time = (applicant.clock.clone(), Offset::default());
    let exchange =
        Exchange::new(address.as_str(), tls, (Source::System, &applicant.proxies), identity, time)?;
    let response = apply(applicant, uplinks, token, &exchange).await?;
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
    exchange: &Exchange,
) -> Result<EnrolmentResponse, EnrolError> {
    let request = EnrolmentRequest {
        agent: applicant.key.agent(),
        public_key: hex::encode(applicant.key.public_key()),
        secret: token.secret.clone(),
        site: applicant.site.clone(),
        uplinks: uplinks.to_vec(),
        host: host_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let body = serde_json::to_vec(&request).map_err(EnrolError::Request)?;
    let question = Question::post(ENROLMENTS_PATH, "application/json", body.into());
    let answer = exchange.ask(&question).await?;
    let Some(collector) = skew_of(&answer) else { return read(&answer, applicant) };
    exchange.learn_time(collector, answer.window);
    read(&exchange.ask(&question).await?, applicant)
}

fn read(answer: &Answer, applicant: &Applicant) -> Result<EnrolmentResponse, EnrolError> {
    let not_the_collector = |reason: String| EnrolError::NotTheCollector { status: answer.status, reason };
    // An unsigned refusal may be a middlebox's, but then nothing is lost by showing it.
    if answer.media_type() == PROBLEM_MEDIA_TYPE
        && let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body)
    {
        return Err(EnrolError::Refused(problem.to_string()));
    }
    if let Err(error) = &answer.signed {
        return Err(not_the_collector(error.to_string()));
    }
    let response: EnrolmentResponse =
        serde_json::from_slice(&answer.body).map_err(|error| not_the_collector(error.to_string()))?;
    if (200..300).contains(&answer.status) && response.agent == applicant.key.agent() {
        Ok(response)
    } else {
        Err(not_the_collector("it enrolled another agent".to_owned()))
    }
}

/// The collector's time, if it refused ours.
fn skew_of(answer: &Answer) -> Option<Timestamp> {
    answer.signed.as_ref().ok()?;
    let problem: Problem = serde_json::from_slice(&answer.body).ok()?;
    let micros = problem.collector_time_us?;
    (ProblemType::from_uri(&problem.kind) == Some(ProblemType::ClockSkew))
        .then(|| Timestamp::from_micros(micros))
}

/// The machine's name, for people; empty where it cannot be read.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map(|name| name.trim().to_owned()).unwrap_or_default()
}
