//! Where the agent's files are.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix::STATUS;
#[cfg(unix)]
pub use unix::{CONFIG_HELP, default_config, default_state};
#[cfg(windows)]
use windows::STATUS;
#[cfg(windows)]
pub use windows::{CONFIG_HELP, default_config, default_state};

use std::path::{Path, PathBuf};

/// The directory that holds what the agent must not forget: its identity, its enrolment and its spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The state directory at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The agent's identity.
    pub fn agent_id(&self) -> PathBuf {
        self.0.join("agent.id")
    }

    /// The agent's private key.
    pub fn agent_key(&self) -> PathBuf {
        self.0.join("agent.key")
    }

    /// The private key that is to follow it, until the collector knows it.
    pub fn next_key(&self) -> PathBuf {
        self.0.join("agent.key.next")
    }

    /// The private key before it.
    pub fn previous_key(&self) -> PathBuf {
        self.0.join("agent.key.previous")
    }

    /// What enrolment yielded.
    pub fn enrolment(&self) -> PathBuf {
        self.0.join("enrolment.json")
    }

    /// A token to enrol by, if the service was installed with one.
    pub fn token(&self) -> PathBuf {
        self.0.join("enrolment.token")
    }

    /// The last assignment.
    pub fn assignment(&self) -> PathBuf {
        self.0.join("assignment.json")
    }

    /// Microsoft's published address ranges, as `catalogue update` took them.
    pub fn published(&self) -> PathBuf {
        self.0.join("published.json")
    }

    /// Where a running agent is asked what it is doing: its socket, or on Windows a file with the name of its pipe.
    pub fn status(&self) -> PathBuf {
        self.0.join(STATUS)
    }

    /// The paths to targets that turned bad.
    pub fn captures(&self) -> PathBuf {
        self.0.join("captures")
    }

    /// The batches that wait for the collector.
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }
}
