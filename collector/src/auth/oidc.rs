//! Sign-in through an OpenID provider (OpenID Connect Core): authorization code with PKCE. The provider says who somebody is, the
//! configuration what they may do; the session is the collector's own from then on.
//!
//! ```text
//! browser ─ GET /sign-in/oidc ──────────► depart: cookie (attempt), on to the provider with state, nonce, challenge
//! provider ─ back with state and code ──► arrive: attempt of the cookie? ─ code ─► ID token ─ believe ─► person, role
//! ```

mod attempt;
mod id_token;
mod metadata;
mod provider;
mod standing;

pub(crate) use attempt::PATIENCE;
pub use id_token::Disbelief;
pub use standing::Without;

use crate::{
    config::{Config, Oidc},
    outward::{http_client, read},
    registry::{Operator, Person},
};
use attempt::Attempt;
use aws_lc_rs::hmac;
use id_token::{Believed, Expected, believe};
use peerlight_proto::time::Timestamp;
use provider::{Description, Grant, Provider};
use std::{fmt, sync::Arc};
use url::Url;

/// Where an attempt begins, on the operators' listener.
pub(crate) const BEGUN_AT: &str = "/sign-in/oidc";
/// Where the provider sends browsers back to; it is registered there.
pub(crate) const ANSWERED_AT: &str = "/sign-in/oidc/callback";

/// Sign-in through one provider.
pub struct OpenId {
    config: Oidc,
    name: String,
    reached_at: Url,
    redirect: Url,
    provider: Provider,
    /// Made anew at each start: what began before does not end after.
    key: hmac::Key,
}

/// The secret stays out of logs.
impl fmt::Debug for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenId").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

/// A configuration of it that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[operators.oidc]: {0}")]
pub struct OpenIdError(String);

/// What the provider's answer says, as it stands in the query of the browser's way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer<'a> {
    /// To which attempt.
    pub state: Option<&'a str>,
    /// What is to be redeemed.
    pub code: Option<&'a str>,
    /// What went wrong there.
    pub error: Option<&'a str>,
    /// Whose answer it is.
    pub issuer: Option<&'a str>,
}

/// An attempt on its way to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Where the browser goes.
    pub to: Url,
    /// What it keeps until it is back.
    pub cookie: String,
}

/// Somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Who, and as what.
    pub operator: Operator,
    /// The path of this listener that they were on their way to.
    pub next: String,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The provider does not answer, or not as it has to.
    #[error("it cannot be asked: {0}")]
    Unavailable(String),
    /// The answer is to no attempt of this browser's.
    #[error("its answer is to no attempt that this browser began within ten minutes")]
    Lost,
    /// The provider let nobody in.
    #[error("it answered `{0}`")]
    Declined(String),
    /// What it says is not to be believed.
    #[error(transparent)]
    Disbelieved(#[from] Disbelief),
    /// The person may do nothing here.
    #[error("{} may not come in: {why}", .person)]
    Without {
        /// Who.
        person: Person,
        /// Why not.
        why: Without,
    },
}

impl OpenId {
    /// Reads the secret; asks nobody. None where no provider is configured.
    pub fn new(config: &Config) -> Result<Option<Self>, OpenIdError> {
        let Some(oidc) = config.operators.oidc.clone() else { return Ok(None) };
        let reached_at = Oidc::reached_at(config).cloned();
        let reached_at = reached_at.ok_or_else(|| OpenIdError("url is not set".to_owned()))?;
        let redirect = reached_at.join(ANSWERED_AT).map_err(|error| OpenIdError(error.to_string()))?;
        let issuer = oidc.issuer.parse::<Url>().map_err(|error| OpenIdError(format!("issuer: {error}")))?;
        let secret = read(&oidc.client_secret_file).map_err(OpenIdError)?.trim().to_owned();
        if secret.is_empty() {
            return Err(OpenIdError(format!("{} is empty", oidc.client_secret_file.display())));
        }
        let http = http_client(&issuer, oidc.ca_file.as_deref()).map_err(OpenIdError)?;
        let provider = Provider::new(http, &oidc.issuer, (&oidc.client_id, secret));
        let host = issuer.host_str().unwrap_or_default();
        let name = oidc.name.as_deref().map_or(host, str::trim).to_owned();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>());
        Ok(Some(Self { config: oidc, name, reached_at, redirect, provider, key }))
    }

    /// What people call the provider.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether browsers reach the listener by TLS, so that its cookies are for that alone.
    pub(crate) fn is_reached_by_tls(&self) -> bool {
        self.reached_at.scheme() == "https"
    }

    /// Where an attempt begins that leads to `next`: at the host to which the provider sends back, since that host alone gets the cookie.
    pub(crate) fn begun_at(&self, next: &str) -> Url {
        let mut url = self.reached_at.clone();
        url.set_path(BEGUN_AT);
        url.query_pairs_mut().append_pair("next", next);
        url
    }

    /// Sends somebody to the provider who wants to go to `next`, a path of this listener.
    pub async fn depart(&self, next: &str, now: Timestamp) -> Result<Departure, Refusal> {
        let description = self.provider.describe(None).await.map_err(Refusal::Unavailable)?;
        let attempt = Attempt::begin(next, now);
        let mut to = description.metadata.authorization_endpoint.clone();
        to.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", self.redirect.as_str())
            .append_pair("scope", &self.config.scopes.join(" "))
            .append_pair("state", &attempt.state(&self.key))
            .append_pair("nonce", &attempt.nonce(&self.key))
            .append_pair("code_challenge", &attempt.challenge(&self.key))
            .append_pair("code_challenge_method", "S256");
        Ok(Departure { to, cookie: attempt.cookie().to_owned() })
    }

    /// Lets somebody in who comes back from the provider with its answer and the attempt's cookie.
    pub async fn arrive(
        &self,
        cookie: Option<&str>,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Result<Arrival, Refusal> {
        let attempt = cookie.and_then(Attempt::read);
        let state = answer.state.unwrap_or_default();
        let attempt =
            attempt.filter(|attempt| attempt.is_answered_by(state, &self.key, now)).ok_or(Refusal::Lost)?;
        let description = self.provider.describe(None).await.map_err(Refusal::Unavailable)?;
        let code = self.code(answer, &description)?;
        let verifier = attempt.verifier(&self.key);
        let grant = Grant { code, verifier: &verifier, redirect: &self.redirect };
        let token =
            self.provider.redeem(&description.metadata, &grant).await.map_err(Refusal::Unavailable)?;
        let nonce = attempt.nonce(&self.key);
        let believed = self.believed(&token, &nonce, description, now).await?;
        let person = standing::person(&self.config.issuer, &believed.subject, &believed.claims);
        match standing::role(&self.config, &believed.claims) {
            Ok(role) => {
                let (operator, next) = (Operator::person(&person, role), attempt.next().to_owned());
                Ok(Arrival { operator, next })
            }
            Err(why) => Err(Refusal::Without { person, why }),
        }
    }

    /// The code of an answer that is the provider's own (RFC 9207).
    fn code<'a>(&self, answer: &Answer<'a>, description: &Description) -> Result<&'a str, Refusal> {
        let is_its_own = match answer.issuer {
            Some(issuer) => issuer == self.config.issuer,
            None => !description.metadata.answers_name_issuer,
        };
        match (is_its_own, answer.error, answer.code) {
            (false, _, _) => Err(Disbelief::Issuer.into()),
            (true, Some(error), _) => {
                Err(Refusal::Declined(error.chars().filter(char::is_ascii_graphic).take(60).collect()))
            }
            (true, None, Some(code)) => Ok(code),
            (true, None, None) => Err(Refusal::Declined(String::new())),
        }
    }

    /// What the token says. A key that is not known may be a new one: the provider is asked again, now and then.
    async fn believed(
        &self,
        token: &str,
        nonce: &str,
        description: Arc<Description>,
        now: Timestamp,
    ) -> Result<Believed, Refusal> {
        let (issuer, client_id) = (&self.config.issuer, &self.config.client_id);
        let expected = Expected { issuer, client_id, nonce, now };
        match believe(token, &description.keys, &expected) {
            Err(Disbelief::UnknownKey) => {
                let again = self.provider.describe(Some(&description)).await.map_err(Refusal::Unavailable)?;
                Ok(believe(token, &again.keys, &expected)?)
            }
            judged => Ok(judged?),
        }
    }
}
