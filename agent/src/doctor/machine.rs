//! This machine: the running agent, its directory, its disk and its sockets.

use super::check::Check;
use crate::{
    config::Config,
    paths::StateDir,
    probe::Prober,
    status::{PushState, Status},
    uplink::Way,
};
use peerlight_proto::{duration, time::Timestamp};
use std::{fs, io, path::Path, time::Duration};

/// A status that is older than this is not a running agent's: it is written every few seconds.
const STALE: Duration = Duration::from_mins(1);
/// A spool may not take the last of a disk.
const SPARE_BYTES: u64 = 64 << 20;

/// Whether an agent runs, and how its deliveries go.
pub(super) fn agent(state: &StateDir, now: Timestamp) -> Check {
    const NAME: &str = "agent";
    match Status::read(state) {
        Ok(status) => running(&status, now),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::warning(
            NAME,
            "has never run with this state directory",
            "start it (`systemctl start peerlight-agent`, or `peerlight-agent run`)",
        ),
        Err(error) => Check::failed(
            NAME,
            format!("{} cannot be read: {error}", state.status().display()),
            "look as root, or as the account that the agent runs under",
        ),
    }
}

/// The same, from what it wrote last. Pure.
fn running(status: &Status, now: Timestamp) -> Check {
    const NAME: &str = "agent";
    let age = now.since(Timestamp::from_micros(status.written_us));
    let ago = duration::text(Duration::from_secs(age.as_secs()));
    match (status.pid, &status.push) {
        (None, _) => Check::warning(NAME, format!("was shut down {ago} ago"), "start it again"),
        (Some(pid), _) if age > STALE => Check::failed(
            NAME,
            format!("process {pid} said nothing for {ago}"),
            "see whether it still runs, and its log (`journalctl -u peerlight-agent`)",
        ),
        (Some(_), PushState::Stopped { reason }) => Check::failed(
            NAME,
            format!("runs, and the collector turned it away: {reason}"),
            "ask the collector's operator (`peerlight-collector agent list`); what was measured is kept",
        ),
        (Some(_), PushState::Retrying { reason }) => Check::warning(
            NAME,
            format!("runs, and could not hand over its last batch: {reason}"),
            "see the checks of the collector below; what was measured is kept",
        ),
        (Some(pid), PushState::NotEnrolled | PushState::Idle | PushState::Delivering | PushState::Ended) => {
            Check::ok(NAME, format!("runs as process {pid}; {}", status.push))
        }
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
        let now = Timestamp::from_secs(1_000);
        let status = |pid, seconds_ago: i64, push| Status {
            pid,
            written_us: (1_000 - seconds_ago) * 1_000_000,
            push,
            ..Status::default()
        };
        let outcome = |status: &Status| running(status, now).outcome;
        assert_eq!(outcome(&status(Some(1), 3, PushState::Idle)), Outcome::Ok);
        assert_eq!(outcome(&status(Some(1), 61, PushState::Idle)), Outcome::Failed);
        assert_eq!(outcome(&status(None, 9_999, PushState::Ended)), Outcome::Warning);
        let reason = "revoked".to_owned();
        let stopped = running(&status(Some(1), 3, PushState::Stopped { reason: reason.clone() }), now);
        assert_eq!(stopped.outcome, Outcome::Failed);
        assert!(stopped.found.contains("revoked") && stopped.advice.is_some(), "{stopped:?}");
        assert_eq!(outcome(&status(Some(1), 3, PushState::Retrying { reason })), Outcome::Warning);
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
