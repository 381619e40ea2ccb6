//! The configuration file of an agent that connects to one target on this machine, with times as short as tests want them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// When the agent gives a probe up.
pub(crate) const DEADLINE: Duration = Duration::from_millis(300);

/// Writes it into a directory, in which the agent also keeps its state: a probe `every` so often, in intervals of a second.
/// The file ends with `more`, which goes on within `[probing]`.
pub(crate) fn write_agent_file(home: &Path, target: SocketAddr, every: Duration, more: &str) -> PathBuf {
    let path = home.join("agent.toml");
    let text = format!(
        r#"
        state = "{}"
        [[target]]
        name = "echo"
        address = "127.0.0.1"
        probes = ["tcp:{}"]
        interval = "{}ms"
        [limits]
        allow = ["127.0.0.0/8"]
        [probing]
        families = ["v4"]
        interval = "1s"
        timeout = "200ms"
        deadline = "{}ms"
        {more}
        "#,
        home.join("state").display(),
        target.port(),
        every.as_millis(),
        DEADLINE.as_millis(),
    );
    fs::write(&path, text).unwrap();
    path
}
