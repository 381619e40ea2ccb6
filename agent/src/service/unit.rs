//! systemd's unit for a program that no package installed, and what `systemctl show` says of one. Pure.

use super::state::{Activity, Installer, ServiceState};
use anyhow::ensure;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// The unit's name.
pub(super) const UNIT: &str = "peerlight-agent.service";
/// Before what `service install` wrote.
const MARK: &str = "# Written by `peerlight-agent service install`; `service uninstall` removes it.\n";
/// Where the packaged unit has its program.
const PACKAGED_PROGRAM: &str = "/usr/bin/peerlight-agent";
/// What the unit hides from the service: a program in there could not be run.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// What `service install` writes for a program at this place, each with its own.
pub(super) fn files(program: &Path) -> anyhow::Result<[(PathBuf, String); 3]> {
    let text = program.to_str().unwrap_or_default();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._+-".contains(letter);
    ensure!(
        !text.is_empty() && text.chars().all(is_plain),
        "systemd cannot be told of a program at {}: put it where the path has ASCII letters, digits and ._+- alone",
        program.display()
    );
    ensure!(
        !HIDDEN.iter().any(|hidden| program.starts_with(hidden)),
        "the service sees nothing of {}: put the program elsewhere first (install -m 755 {} /usr/local/bin/), and run it there",
        program.parent().unwrap_or(program).display(),
        program.display()
    );
    let unit = include_str!("../../../packaging/linux/peerlight-agent.service");
    let account = include_str!("../../../packaging/linux/peerlight-agent.sysusers.conf");
    let icmp = include_str!("../../../packaging/linux/peerlight-agent.sysctl.conf");
    let marked = |place: &str, text: &str| (PathBuf::from(place), format!("{MARK}{text}"));
    Ok([
        marked("/etc/sysusers.d/peerlight-agent.conf", account),
        marked("/etc/sysctl.d/60-peerlight-agent.conf", icmp),
        marked("/etc/systemd/system/peerlight-agent.service", &unit.replace(PACKAGED_PROGRAM, text)),
    ])
}

/// Whether `service install` wrote this.
pub(super) fn is_ours(text: &str) -> bool {
    text.starts_with(MARK)
}

/// What [`parse`] asks for.
pub(super) const PROPERTIES: &str =
    "LoadState,ActiveState,SubState,UnitFileState,FragmentPath,ExecStart,User,MainPID,ExecMainStatus";

/// What `systemctl show` says.
pub(super) fn parse(shown: &str, config: PathBuf) -> ServiceState {
    let properties: HashMap<&str, &str> = shown.lines().filter_map(|line| line.split_once('=')).collect();
    let property = |name| properties.get(name).copied().unwrap_or_default();
    if matches!(property("LoadState"), "not-found" | "") {
        return ServiceState::not_installed(UNIT, config);
    }
    let state = match (property("ActiveState"), property("SubState")) {
        ("active" | "reloading" | "refreshing", _) => Activity::Running,
        ("activating", _) => Activity::Starting,
        ("deactivating", _) => Activity::Stopping,
        ("failed", _) => Activity::Failed,
        _ => Activity::Stopped,
    };
    let number = |name| property(name).parse().ok().filter(|number: &u32| *number != 0);
    let program = property("ExecStart").split_once("path=").and_then(|(_, rest)| rest.split(" ;").next());
    ServiceState {
        service: UNIT.to_owned(),
        state,
        installed_by: Some(installer(property("FragmentPath"))),
        starts_with_machine: property("UnitFileState").starts_with("enabled"),
        program: program.map(|path| PathBuf::from(path.trim())),
        account: Some(property("User")).filter(|user| !user.is_empty()).map(str::to_owned),
        pid: number("MainPID"),
        exit_code: number("ExecMainStatus").filter(|_| state != Activity::Running),
        config,
    }
}

/// Units of packages are below `/usr`, those of the machine's administrator below `/etc`.
pub(super) fn installer(unit: &str) -> Installer {
    if unit.starts_with("/usr/") || unit.starts_with("/lib/") {
        Installer::Package
    } else {
        Installer::Command
    }
}

#[cfg(test)]
mod tests {
    use super::{super::state::tests::running, *};

    #[test]
    fn the_unit_runs_the_program_where_it_is_and_is_known_again() {
        let [account, icmp, unit] = files(Path::new("/usr/local/bin/peerlight-agent")).unwrap();
        assert!(unit.1.contains("\nExecStart=/usr/local/bin/peerlight-agent run\n"), "{}", unit.1);
        assert!(!unit.1.contains(PACKAGED_PROGRAM));
        assert!([account, icmp, unit].iter().all(|(_, text)| is_ours(text)));
        assert!(!is_ours(include_str!("../../../packaging/linux/peerlight-agent.service")));
    }

    #[test]
    fn a_program_that_the_service_could_not_run_is_refused_with_what_to_do() {
        for place in ["/home/me/peerlight-agent", "/root/peerlight-agent", "/tmp/peerlight-agent"] {
            let refused = files(Path::new(place)).unwrap_err().to_string();
            assert!(refused.contains(&format!("install -m 755 {place} /usr/local/bin/")), "{refused}");
        }
        assert!(files(Path::new("/opt/a b/peerlight-agent")).is_err());
        assert!(files(Path::new("/opt/%i/peerlight-agent")).is_err());
    }

    #[test]
    fn what_systemd_says_of_a_service_that_runs() {
        let shown = "Type=notify\nMainPID=137\nExecMainStatus=0\nExecStart={ path=/usr/bin/peerlight-agent ; argv[]=/usr/bin/peerlight-agent \
                     run ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\nUser=peerlight-agent\n\
                     LoadState=loaded\nActiveState=active\nSubState=running\nFragmentPath=/lib/systemd/system/peerlight-agent.service\n\
                     UnitFileState=enabled\n";
        let state = parse(shown, "/etc/peerlight/agent.toml".into());
        assert_eq!(state, ServiceState { pid: Some(137), ..running() });
    }

    #[test]
    fn a_wrong_configuration_is_a_failure_with_its_code_and_a_missing_unit_is_no_service() {
        let failed = "MainPID=0\nExecMainStatus=78\nLoadState=loaded\nActiveState=failed\nSubState=failed\n\
                      FragmentPath=/etc/systemd/system/peerlight-agent.service\nUnitFileState=disabled\n";
        let state = parse(failed, PathBuf::new());
        assert_eq!((state.state, state.pid, state.exit_code), (Activity::Failed, None, Some(78)));
        assert_eq!((state.installed_by, state.starts_with_machine), (Some(Installer::Command), false));
        let missing = parse("LoadState=not-found\nActiveState=inactive\nMainPID=0\n", PathBuf::new());
        assert_eq!(missing, ServiceState::not_installed(UNIT, PathBuf::new()));
    }
}
