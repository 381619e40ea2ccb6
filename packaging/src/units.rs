//! The units as systemd itself judges them.

use std::{
    fs,
    process::{Command, Output},
};

const AGENT: &str = include_str!("../linux/peerlight-agent.service");
const COLLECTOR: &str = include_str!("../linux/peerlight-collector.service");
const ICMP_BY_CAPABILITY: &str = include_str!("../linux/icmp-by-capability.conf");
const LOW_PORTS: &str = include_str!("../linux/low-ports.conf");

/// What `systemd-analyze` says of a unit; none, and word of it, where it is missing.
fn analyze(unit: &str, arguments: &[&str]) -> Option<Output> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("unit.service");
    fs::write(&path, unit).unwrap();
    let said = Command::new("systemd-analyze").args(arguments).arg(path).env("SYSTEMD_COLORS", "0").output();
    said.inspect_err(|error| eprintln!("skipped: the units as systemd judges them: systemd-analyze: {error}"))
        .ok()
}

/// That the exposure, in tenths, is at most so much.
fn exposes(unit: &str, tenths: u32) {
    let threshold = format!("--threshold={tenths}");
    if let Some(said) = analyze(unit, &["security", "--offline=true", "--no-pager", &threshold]) {
        let table = String::from_utf8(said.stdout).unwrap();
        assert!(table.contains("Overall exposure level"), "{}", String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{table}");
    }
}

#[test]
fn the_services_expose_next_to_nothing_of_the_machine() {
    exposes(AGENT, 15);
    exposes(COLLECTOR, 20);
}

#[test]
fn the_drop_ins_cost_little() {
    exposes(&format!("{AGENT}{ICMP_BY_CAPABILITY}"), 20);
    exposes(&format!("{COLLECTOR}{LOW_PORTS}"), 20);
}

#[test]
fn systemd_understands_every_line() {
    for (unit, program) in [(AGENT, "/usr/bin/peerlight-agent"), (COLLECTOR, "/usr/bin/peerlight-collector")]
    {
        // It looks whether the program is there, which it is on the machines that it is installed on.
        let unit = unit.replace(program, "/bin/sh");
        if let Some(said) = analyze(&unit, &["verify", "--man=no"]) {
            assert_eq!(String::from_utf8_lossy(&said.stderr), "");
            assert!(said.status.success());
        }
    }
}
