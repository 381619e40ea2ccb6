//! Takes Microsoft's published address ranges anew: from the endpoints web service, or from a file that was fetched there.

use super::published::{MAX_BYTES, Published, PublishedError, read_file};
use crate::{
    causes::with_causes,
    paths::StateDir,
    probe::{ProbeError, Trust, verifier},
    proxy::Proxies,
    tls,
};
use peerlight_proto::{id::AgentId, time::Timestamp};
use sha2::{Digest as _, Sha256};
use std::{io, path::Path, time::Duration};
use url::Url;

/// The endpoints web service; it wants to be told machines apart.
const SERVICE: &str = "https://endpoints.office.com/endpoints/worldwide";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);

/// Why the ranges stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// What came is not the list.
    #[error("{from}: {source}")]
    Published {
        /// From where it came.
        from: String,
        /// Why it is not.
        source: PublishedError,
    },
    /// There is no HTTPS.
    #[error(transparent)]
    Trust(#[from] ProbeError),
    /// There is no HTTPS.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// No whole answer came.
    #[error("no answer from {from}: {}; fetch it elsewhere and give it with --file", with_causes(source))]
    Transport {
        /// Who was asked.
        from: Url,
        /// Why not.
        source: reqwest::Error,
    },
    /// The service is asked too often.
    #[error("{0} is asked too often; it wants an hour's rest")]
    TooOften(Url),
    /// Another answer came.
    #[error("{from} answered {status}")]
    Status {
        /// Who was asked.
        from: Url,
        /// What it said.
        status: u16,
    },
    /// The list cannot be kept.
    #[error("cannot keep the ranges in {path}: {source}")]
    Store {
        /// Where.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// The address of the web service for this machine.
pub fn service(agent: &AgentId) -> Result<Url, url::ParseError> {
    let id: [u8; 32] = Sha256::new_with_prefix("peerlight endpoints client")
        .chain_update(agent.as_bytes())
        .finalize()
        .into();
    let hex = hex::encode(&id[..16]);
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Url::parse(&format!("{SERVICE}?ClientRequestId={}", groups.join("-")))
}

/// Reads a file that holds the web service's answer.
pub fn from_file(path: &Path, now: Timestamp) -> Result<Published, UpdateError> {
    let name = path.display().to_string();
    let parse = |bytes: Vec<u8>| Published::parse(&bytes, &name, day(now));
    read_file(path).and_then(parse).map_err(|source| UpdateError::Published { from: name.clone(), source })
}

/// Asks the web service, or whoever else is at `url`.
pub async fn from_url(
    url: &Url,
    trust: &Trust,
    proxies: &Proxies,
    now: Timestamp,
) -> Result<Published, UpdateError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client(verifier(trust)?)?)
        .user_agent(concat!("peerlight-agent/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .https_only(true);
    let client = proxies.lead(client, url).and_then(reqwest::ClientBuilder::build);
    let client = client.map_err(UpdateError::Client)?;
    let failed = |source| UpdateError::Transport { from: url.clone(), source };
    let wrong = |source| UpdateError::Published { from: url.to_string(), source };
    let mut answer = client.get(url.clone()).send().await.map_err(failed)?;
    match answer.status().as_u16() {
        200 => {}
        429 => return Err(UpdateError::TooOften(url.clone())),
        status => return Err(UpdateError::Status { from: url.clone(), status }),
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(wrong(PublishedError::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    // Who asked is nobody's business.
    let mut source = url.clone();
    source.set_query(None);
    Published::parse(&body, source.as_str(), day(now)).map_err(wrong)
}

/// Keeps them for the agent's next start.
pub fn store(published: &Published, state: &StateDir) -> Result<(), UpdateError> {
    let path = || state.published().display().to_string();
    published.store(state).map_err(|source| UpdateError::Store { path: path(), source })
}

fn day(now: Timestamp) -> String {
    let day =
        jiff::Timestamp::from_microsecond(now.as_micros()).map(|now| now.strftime("%Y-%m-%d").to_string());
    day.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_always_asks_by_the_same_guid() {
        let url = service(&AgentId::new([1; 16])).unwrap();
        assert_eq!(Ok(&url), service(&AgentId::new([1; 16])).as_ref());
        assert_ne!(Ok(&url), service(&AgentId::new([2; 16])).as_ref());
        let lengths: Vec<_> =
            url.query().unwrap()["ClientRequestId=".len()..].split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(
            url.as_str().starts_with("https://endpoints.office.com/endpoints/worldwide?ClientRequestId=")
        );
    }

    #[test]
    fn days_are_utc() {
        assert_eq!(day(Timestamp::from_secs(1_786_406_399)), "2026-08-10");
        assert_eq!(day(Timestamp::from_secs(1_786_406_400)), "2026-08-11");
    }
}
