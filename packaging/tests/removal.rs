//! What the scripts of the packages do when a package is removed, upgraded or replaced: run by a shell whose commands note how they
//! were called. `packaging/linux/check` has the package managers themselves run them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use peerlight_packaging::manifest::{PACKAGES, Package};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

const DEB: &str = include_str!("../linux/deb/preremove");
const RPM: &str = include_str!("../linux/rpm/preremove");
/// How the agent is called.
const TOLD: &str =
    "runuser -u peerlight-agent -- timeout --kill-after=5 40 /usr/bin/peerlight-agent decommission --removal";

/// Puts commands in the place of the system's that note their words, and end like this.
fn commands(directory: &Path, code: i32) {
    for name in ["runuser", "systemctl", "deb-systemd-invoke"] {
        let path = directory.join(name);
        let text =
            format!("#!/bin/sh\necho \"{name} $*\" >>'{}'\nexit {code}\n", directory.join("calls").display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Whether the script ends well, and which calls it makes, but for those to the service manager.
fn run(package: &Package, template: &str, arguments: &[&str], code: i32) -> (bool, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    commands(directory.path(), code);
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(package.script(template)).arg("script").args(arguments);
    let ended = shell.env("PATH", directory.path()).status().unwrap();
    let calls = fs::read_to_string(directory.path().join("calls")).unwrap_or_default();
    let calls = calls.lines().filter(|call| call.starts_with("runuser")).map(str::to_owned);
    (ended.success(), calls.collect())
}

#[test]
fn a_removal_tells_the_collector_and_an_upgrade_does_not() {
    let [agent, collector] = &PACKAGES;
    for (template, arguments) in [(DEB, &["remove"][..]), (RPM, &["0"])] {
        assert_eq!(run(agent, template, arguments, 0), (true, vec![TOLD.to_owned()]), "{arguments:?}");
        assert_eq!(run(collector, template, arguments, 0), (true, Vec::new()), "{arguments:?}");
    }
    let stays: [(&str, &[&str]); 5] = [
        (DEB, &["upgrade", "0.2.0-1"]),
        (DEB, &["failed-upgrade", "0.1.0-1"]),
        (DEB, &["deconfigure", "in-favour", "other", "1"]),
        (DEB, &["remove", "in-favour", "other", "1"]),
        (RPM, &["1"]),
    ];
    for (template, arguments) in stays {
        assert_eq!(run(agent, template, arguments, 0), (true, Vec::new()), "{arguments:?}");
    }
}

#[test]
fn nothing_that_goes_wrong_holds_a_removal_up() {
    for (template, arguments) in [(DEB, &["remove"]), (RPM, &["0"])] {
        let (is_well, calls) = run(&PACKAGES[0], template, arguments, 1);
        assert!(is_well && calls.len() == 1, "{arguments:?} {calls:?}");
    }
}
