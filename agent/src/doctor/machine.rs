//! This machine: the running agent, its directory, its disk and its sockets.

use super::check::Check;
use crate::{
    config::Config,
    paths::StateDir,
    probe::Prober,
    status::{self, AskError, PushState, Status},
    uplink::Way,
};
use std::{fs, io, path::Path};

/// A spool may not take the last of a disk.
const SPARE_BYTES: u64 = 64 << 20;

/// Whether an agent runs, and how its deliveries go.
pub(super) async fn agent(state: &StateDir) -> Check {
    match status::ask(state).await {
        Ok(status) => running(&status),
        Err(error) => silent(&error, state.agent_id().exists()),
    }
}

const AGENT: &str = "agent";

/// An agent that answered. Pure.
fn running(status: &Status) -> Check {
    match &status.push {
        PushState::Stopped { reason } => Check::failed(
            AGENT,
            format!("runs, and the collector turned it away: {reason}"),
            "ask the collector's operator (`peerlight-collector agent list`); what was measured is kept",
        ),
        PushState::Retrying { reason } => Check::warning(
            AGENT,
            format!("runs, and could not hand over its last batch: {reason}"),
            "see the checks of the collector below; what was measured is kept",
        ),
        PushState::NotEnrolled | PushState::Idle | PushState::Delivering => {
            Check::ok(AGENT, format!("runs as process {}; {}", status.pid, status.push))
        }
    }
}

/// One that did not; `has_run` if there ever was one. Pure.
fn silent(error: &AskError, has_run: bool) -> Check {
    let start = "start it (`systemctl start peerlight-agent`, or `peerlight-agent run`)";
    match error {
        AskError::NotRunning(_) if has_run => Check::warning(AGENT, "does not run", start),
        AskError::NotRunning(_) => Check::warning(AGENT, "has never run with this state directory", start),
        AskError::Silent(_) => {
            Check::failed(AGENT, error.to_string(), "see its log (`journalctl -u peerlight-agent`)")
        }
        AskError::Denied(_) | AskError::Unreadable { .. } | AskError::System { .. } => Check::failed(
            AGENT,
            error.to_string(),
            "look as root, or as the account that the agent runs under",
        ),
    }
}

/// Whether the state directory is there, the agent's own, and can be written.
pub(super) fn state(state: &StateDir) -> Check {
    const NAME: &str = "state directory";
    let shown = state.path().display();
    let metadata = match fs::metadata(state.path()) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let advice = "nothing: the agent makes it at its first start";
            return Check::warning(NAME, format!("{shown} is not there yet"), advice);
        }
        Err(error) => {
            let advice = "look as root, or as the account that the agent runs under";
            return Check::failed(NAME, format!("{shown} cannot be read: {error}"), advice);
        }
    };
    if let Err(error) = tempfile::tempfile_in(state.path()) {
        let advice = format!("give {shown} to the account that the agent runs under, and let it write there");
        return Check::failed(NAME, format!("{shown} cannot be written: {error}"), advice);
    }
    if others_may_look(&metadata) {
        let advice = format!("chmod 700 {shown}: it holds the agent's private key");
        return Check::warning(NAME, format!("{shown} is open to other accounts"), advice);
    }
    Check::ok(NAME, format!("{shown} is private and can be written"))
}

#[cfg(unix)]
fn others_may_look(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

/// Elsewhere who may look is told by access lists, which the directory inherits.
#[cfg(not(unix))]
fn others_may_look(_metadata: &fs::Metadata) -> bool {
    false
}

/// Whether the disk has room for a whole spool.
pub(super) fn disk(state: &StateDir, max_bytes: u64) -> Check {
    const NAME: &str = "disk";
    let Some(there) = state.path().ancestors().find(|path| path.exists()) else {
        return Check::failed(
            NAME,
            format!("there is no {}", state.path().display()),
            "set `state` in the configuration",
        );
    };
    let used = spooled(&state.spool());
    match fs4::available_space(there) {
        Ok(free) => room(free, used, max_bytes),
        Err(error) => Check::warning(
            NAME,
            format!("it is not known how much is free: {error}"),
            "nothing, if there is room",
        ),
    }
}

/// Bytes of the batches that wait, as far as they can be seen.
fn spooled(spool: &Path) -> u64 {
    let entries = fs::read_dir(spool).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

/// Whether `free` bytes are enough for a spool of `most`, of which it has `used`. Pure.
fn room(free: u64, used: u64, most: u64) -> Check {
    const NAME: &str = "disk";
    let mega = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    // Acknowledged batches are kept, too, in up to half of that.
    let wanted = (most + most / 2).saturating_sub(used);
    let found =
        format!("{} free, {} wait in the spool, which may take {}", mega(free), mega(used), mega(most));
    if free < SPARE_BYTES {
        Check::failed(NAME, found, "free space: batches that cannot be written are lost, and counted")
    } else if free < wanted + SPARE_BYTES {
        Check::warning(
            NAME,
            found,
            "free space, or shorten [spool] max_bytes: a long outage would fill the disk",
        )
    } else {
        Check::ok(NAME, found)
    }
}

/// Whether probes can be sent: ICMP, and packets over each way and family.
pub(super) fn sockets(config: &Config) -> Vec<Check> {
    config.ways().iter().flat_map(sockets_of).collect()
}

fn sockets_of(way: &Way) -> Vec<Check> {
    let over = way.uplink.as_ref().map(|uplink| format!(" over {uplink}")).unwrap_or_default();
    let icmp = format!("ICMP{over}");
    let mut checks = vec![match Prober::open(way.settings.clone()) {
        Ok((prober, _strays)) => match prober.icmp_problem() {
            None => Check::ok(&icmp, "echo requests can be sent"),
            Some(problem) => Check::failed(
                &icmp,
                problem.to_string(),
                "sysctl net.ipv4.ping_group_range=\"0 2147483647\" (the package does), or give the agent CAP_NET_RAW",
            ),
        },
        Err(error) => Check::failed(&icmp, error.to_string(), "see what the error names in [probing]"),
    }];
    for family in &way.families {
        let name = format!("packets {family}{over}");
        checks.push(match way.settings.departure(*family).udp() {
            Ok(_socket) => Check::ok(&name, "leave as configured"),
            Err(error) => Check::failed(
                &name,
                error.to_string(),
                "see source_v4, source_v6 and interface in the configuration: are they this machine's? Or leave the family out \
                 (`families`)",
            ),
        });
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::{super::check::Outcome, *};

    #[test]
    fn an_agent_that_runs_is_told_from_one_that_hangs_or_was_turned_away() {
        let status = |push| Status { push, ..Status::default() };
        assert_eq!(running(&status(PushState::Idle)).outcome, Outcome::Ok);
        let reason = "revoked".to_owned();
        let stopped = running(&status(PushState::Stopped { reason: reason.clone() }));
        assert_eq!(stopped.outcome, Outcome::Failed);
        assert!(stopped.found.contains("revoked") && stopped.advice.is_some(), "{stopped:?}");
        assert_eq!(running(&status(PushState::Retrying { reason })).outcome, Outcome::Warning);
        let state = || "/var/lib/peerlight-agent".into();
        assert_eq!(silent(&AskError::Silent(state()), true).outcome, Outcome::Failed);
        let [stopped, never] = [true, false].map(|has_run| silent(&AskError::NotRunning(state()), has_run));
        assert_eq!((stopped.outcome, never.outcome), (Outcome::Warning, Outcome::Warning));
        assert!(stopped.found == "does not run" && never.found.contains("never"), "{stopped:?} {never:?}");
    }

    #[test]
    fn a_disk_has_to_have_room_for_what_the_spool_may_still_take() {
        let mega = |bytes: u64| bytes * 1_000_000;
        assert_eq!(room(mega(1_000), 0, mega(256)).outcome, Outcome::Ok);
        assert_eq!(room(mega(300), 0, mega(256)).outcome, Outcome::Warning);
        assert_eq!(room(mega(300), mega(256), mega(256)).outcome, Outcome::Ok);
        assert_eq!(room(mega(10), mega(256), mega(256)).outcome, Outcome::Failed);
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_everybody_may_read_is_pointed_at() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let state_dir = StateDir::new(directory.path());
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(state(&state_dir).outcome, Outcome::Warning);
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(state(&state_dir).outcome, Outcome::Ok);
        assert_eq!(state(&StateDir::new(directory.path().join("none"))).outcome, Outcome::Warning);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "looking leaves nothing behind");
    }
}
