//! Where files are on Linux and its like.

use std::path::PathBuf;

/// What `--help` says of `--config`.
pub const CONFIG_HELP: &str = "The configuration file [default: /etc/peerlight/agent.toml]";

/// What the agent is asked by, in its state directory.
pub(super) const STATUS: &str = "status.socket";

/// The configuration that is read unless told otherwise.
pub fn default_config() -> PathBuf {
    PathBuf::from("/etc/peerlight/agent.toml")
}

/// The state directory unless told otherwise.
pub fn default_state() -> PathBuf {
    PathBuf::from("/var/lib/peerlight-agent")
}
