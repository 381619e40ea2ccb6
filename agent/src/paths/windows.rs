//! Where files are on Windows: below the machine's `ProgramData`, which the system is asked for, because a service's environment
//! may say something else.

use known_folders::{KnownFolder, get_known_folder_path};
use std::path::PathBuf;

/// What `--help` says of `--config`.
pub const CONFIG_HELP: &str = r"The configuration file [default: %ProgramData%\Peerlight\agent.toml]";

/// What the agent is asked by, in its state directory.
pub(super) const STATUS: &str = "status.pipe";

/// The configuration that is read unless told otherwise.
pub fn default_config() -> PathBuf {
    home().join("agent.toml")
}

/// The state directory unless told otherwise.
pub fn default_state() -> PathBuf {
    home().join("agent")
}

fn home() -> PathBuf {
    let data = get_known_folder_path(KnownFolder::ProgramData).unwrap_or_else(|| r"C:\ProgramData".into());
    data.join("Peerlight")
}
