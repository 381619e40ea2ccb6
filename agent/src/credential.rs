//! What makes this agent itself: its identity and its key, made at the first start, and what enrolment yielded.

pub mod keyring;

use crate::{durable, exchange::parse_address, paths::StateDir, uplink::is_same_site};
use keyring::Keyring;
use peerlight_proto::{enrolment::SiteAssertion, id::AgentId};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use url::Url;

/// What the state directory could not give.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The disk refused.
    #[error("cannot {operation} {path}: {source}")]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is there but is not what it must be.
    #[error(
        "{path} is damaged ({what}); restore it from a backup, or remove the state directory and enrol again"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness for a key")]
    Randomness,
}

/// Reads this agent's identity and key; makes them at the first start.
pub fn load_or_create(state: &StateDir) -> Result<Keyring, CredentialError> {
    durable::create_private_directory(state.path()).map_err(disk("create", state.path()))?;
    let identity =
        read_or_create(&state.agent_id(), || Ok(AgentId::new(rand::random()).to_string().into_bytes()))?;
    let key = read_or_create(&state.agent_key(), keyring::generate)?;
    open(state, parse_identity(state, &identity)?, &key)
}

/// Reads this agent's identity and key, if both are there. Neither this nor what the collector says to these keys changes anything
/// on disk.
pub fn look(state: &StateDir) -> Result<Option<Keyring>, CredentialError> {
    let (Some(agent), Some(key)) = (identity(state)?, read(&state.agent_key())?) else { return Ok(None) };
    open(state, agent, &key).map(Keyring::only_read).map(Some)
}

/// Reads who this agent is, if it ever ran.
pub fn identity(state: &StateDir) -> Result<Option<AgentId>, CredentialError> {
    read(&state.agent_id())?.map(|content| parse_identity(state, &content)).transpose()
}

fn open(state: &StateDir, agent: AgentId, key: &[u8]) -> Result<Keyring, CredentialError> {
    let signing = keyring::parse(agent, state.agent_key(), key)?;
    Ok(Keyring::open(agent, state.clone(), signing))
}

fn parse_identity(state: &StateDir, content: &[u8]) -> Result<AgentId, CredentialError> {
    let damaged =
        |_malformed| CredentialError::Damaged { path: state.agent_id(), what: "not an agent's identity" };
    String::from_utf8_lossy(content).trim().parse().map_err(damaged)
}

/// What enrolment yielded: where the collector is and how to recognise it, and what we measure for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The collector's address.
    pub collector: String,
    /// The collector's CA certificate, when trust is pinned.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// The collector's ed25519 response key in hexadecimal.
    pub response_key: String,
    /// The registration, as the collector holds it.
    pub site: SiteAssertion,
    /// The registrations of the uplinks that are measured beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<SiteAssertion>,
}

impl Enrolment {
    /// Reads the enrolment, if there was one.
    pub fn load(state: &StateDir) -> Result<Option<Self>, CredentialError> {
        let path = state.enrolment();
        let Some(json) = read(&path)? else { return Ok(None) };
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|_malformed| CredentialError::Damaged { path, what: "not an enrolment" })
    }

    /// Whether this is the collector at `url`.
    pub fn is_with(&self, url: &Url) -> bool {
        parse_address(&self.collector).is_ok_and(|ours| ours == *url)
    }

    /// The registrations of all sites.
    pub fn sites(&self) -> impl Iterator<Item = &SiteAssertion> {
        std::iter::once(&self.site).chain(&self.others)
    }

    /// Whether it is for this site.
    pub fn is_for(&self, name: &str) -> bool {
        self.sites().any(|site| is_same_site(&site.name, name))
    }

    /// Keeps the enrolment durably.
    pub fn save(&self, state: &StateDir) -> Result<(), CredentialError> {
        let path = state.enrolment();
        let json =
            serde_json::to_vec_pretty(self).map_err(|error| disk("write", &path)(io::Error::other(error)))?;
        durable::replace(&path, &json).map_err(disk("write", &path))
    }
}

/// What the file holds, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, CredentialError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk("read", path)(error)),
    }
}

fn read_or_create(
    path: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, CredentialError>,
) -> Result<Vec<u8>, CredentialError> {
    if let Some(content) = read(path)? {
        return Ok(content);
    }
    let content = make()?;
    match durable::create(path, &content) {
        Ok(()) => Ok(content),
        // Another process was faster: its file counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read(path).map_err(disk("read", path))
        }
        Err(error) => Err(disk("create", path)(error)),
    }
}

fn disk<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CredentialError + 'a {
    move |source| CredentialError::Disk { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_stays_itself_and_its_key_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path().join("state"));
        let first = load_or_create(&state).unwrap();
        let again = load_or_create(&state).unwrap();
        assert_eq!((first.agent(), first.public_key()), (again.agent(), again.public_key()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(state.agent_key()).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(state.agent_key(), "not a key").unwrap();
        let error = load_or_create(&state).unwrap_err().to_string();
        assert!(error.contains("agent.key is damaged") && error.contains("restore it"), "{error}");
    }
}
