//! The packages, as the tools of their systems read them. Installing them is `packaging/linux/check`'s.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, one that cannot run says so by name"
)]

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path, process::Command};

/// The packages that one command makes of stand-ins for both programs, by name. None, and word of it, without nfpm.
fn make(directory: &Path) -> Option<BTreeMap<OsString, Vec<u8>>> {
    if let Err(error) = Command::new("nfpm").arg("--version").output() {
        eprintln!("skipped: packages: nfpm: {error}");
        return None;
    }
    let (programs, output) = (directory.join("programs"), directory.join("output"));
    fs::create_dir(&programs).unwrap();
    for name in ["peerlight-agent", "peerlight-collector"] {
        fs::write(programs.join(name), name).unwrap();
    }
    let made = Command::new(env!("CARGO_BIN_EXE_peerlight-packaging"))
        .args(["packages", "--maintainer", "Somebody <somebody@example.org>", "--programs"])
        .arg(&programs)
        .arg("--output")
        .arg(&output)
        .env("SOURCE_DATE_EPOCH", "1790000000")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let entries = fs::read_dir(&output).unwrap().map(|entry| entry.unwrap());
    Some(entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect())
}

#[test]
fn the_same_source_makes_the_same_packages() {
    let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (Some(packages), Some(again)) = (make(first.path()), make(second.path())) else { return };
    let names: Vec<_> = packages.keys().map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(
        names,
        [
            "peerlight-agent-0.1.0-1.x86_64.rpm",
            "peerlight-agent_0.1.0-1_amd64.deb",
            "peerlight-collector-0.1.0-1.x86_64.rpm",
            "peerlight-collector_0.1.0-1_amd64.deb",
        ]
    );
    for (name, bytes) in packages {
        assert!(again[&name] == bytes, "{} differs", name.display());
    }
}

#[test]
fn what_debian_reads_of_a_package_is_the_manifest() {
    let directory = tempfile::tempdir().unwrap();
    if make(directory.path()).is_none() {
        return;
    }
    let package = directory.path().join("output/peerlight-agent_0.1.0-1_amd64.deb");
    let listed = match Command::new("dpkg-deb").arg("--contents").arg(&package).output() {
        Ok(listed) => String::from_utf8(listed.stdout).unwrap(),
        Err(error) => return eprintln!("skipped: what Debian reads of a package: dpkg-deb: {error}"),
    };
    let line = |place: &str| {
        listed.lines().find(|line| line.ends_with(place)).unwrap_or_else(|| panic!("{place}\n{listed}"))
    };
    assert!(line("./usr/bin/peerlight-agent").starts_with("-rwxr-xr-x root/root"));
    for place in [
        "./etc/peerlight/agent.toml",
        "./usr/lib/systemd/system/peerlight-agent.service",
        "./usr/share/man/man1/peerlight-agent-run.1.gz",
        "./usr/share/bash-completion/completions/peerlight-agent",
    ] {
        assert!(line(place).starts_with("-rw-r--r-- root/root"), "{}", line(place));
    }
    assert!(!listed.contains("licenses"), "that is RPM's\n{listed}");
    let control = Command::new("dpkg-deb").arg("--info").arg(&package).arg("conffiles").output().unwrap();
    assert_eq!(String::from_utf8(control.stdout).unwrap(), "/etc/peerlight/agent.toml\n");
}

/// The package for Windows that one command makes of a stand-in for the agent, in this directory. None, and word of it,
/// without what makes it.
fn make_for_windows(directory: &Path) -> Option<std::path::PathBuf> {
    for tool in ["wixl", "msibuild", "msiinfo", "msiextract"] {
        if let Err(error) = Command::new(tool).arg("--help").output() {
            eprintln!("skipped: the package for Windows: {tool}: {error}");
            return None;
        }
    }
    fs::write(directory.join("peerlight-agent.exe"), "peerlight-agent").unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_peerlight-packaging"))
        .args(["packages", "--maintainer", "Somebody & <somebody@example.org>", "--programs"])
        .arg(directory)
        .arg("--output")
        .arg(directory)
        .env("SOURCE_DATE_EPOCH", "1790000000")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(directory.join("peerlight-agent-0.1.0-1-x64.msi"))
}

/// The rows of a table of a package for Windows, without its head.
fn rows(package: &Path, table: &str) -> Vec<Vec<String>> {
    let exported = Command::new("msiinfo").arg("export").arg(package).arg(table).output().unwrap();
    let text = String::from_utf8(exported.stdout).unwrap();
    text.lines().skip(3).map(|line| line.trim_end().split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn what_windows_installer_reads_of_a_package_is_the_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let Some(package) = make_for_windows(directory.path()) else { return };
    let out = directory.path().join("out");
    let extracted = Command::new("msiextract").arg("-C").arg(&out).arg(&package).output().unwrap();
    assert!(extracted.status.success(), "{}", String::from_utf8_lossy(&extracted.stderr));
    let program = out.join("Peerlight");
    assert_eq!(fs::read(program.join("peerlight-agent.exe")).unwrap(), b"peerlight-agent");
    assert_eq!(
        fs::read_to_string(program.join("examples/agent.toml")).unwrap(),
        include_str!("../config/agent.toml")
    );
    assert_eq!(fs::read_to_string(program.join("LICENSE.txt")).unwrap(), include_str!("../../LICENSE"));
}

#[test]
fn the_package_for_windows_registers_the_service_before_it_is_prepared_and_starts_it_after() {
    let directory = tempfile::tempdir().unwrap();
    let Some(package) = make_for_windows(directory.path()) else { return };
    let order: BTreeMap<String, u32> = rows(&package, "InstallExecuteSequence")
        .into_iter()
        .map(|row| (row[0].clone(), row[2].parse().unwrap()))
        .collect();
    let steps = [
        "InstallInitialize",
        "RemoveExistingProducts",
        "StopServices",
        "DeleteServices",
        "Tidy",
        "Purge",
        "RemoveFiles",
        "InstallFiles",
        "InstallServices",
        "Configure",
        "StartServices",
        "InstallFinalize",
    ];
    assert!(steps.is_sorted_by_key(|step| order[*step]), "{order:?}");
    let [service] = rows(&package, "ServiceInstall").try_into().unwrap();
    for part in ["PeerlightAgent", r"NT SERVICE\PeerlightAgent", "run"] {
        assert!(service.iter().any(|field| field == part), "{part} of {service:?}");
    }
    let properties: BTreeMap<String, String> =
        rows(&package, "Property").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    for property in ["COLLECTOR", "TOKENFILE", "PURGE"] {
        let secure = &properties["SecureCustomProperties"];
        assert!(secure.split(';').any(|name| name == property), "{property} of {secure}");
    }
    assert_eq!(properties["Manufacturer"], "Somebody & <somebody@example.org>");
    assert!(rows(&package, "Environment").iter().any(|row| row.contains(&"[~];[INSTALLDIR]".to_owned())));
}
