//! The packages, as the tools of their systems read them. Installing them is `packaging/linux/check`'s.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, one that cannot run says so by name"
)]

#[path = "stand_in/elf.rs"]
mod stand_in;

use stand_in::{MACHINES, elf};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Output},
};

const GLIBC: Option<&str> = Some("/lib64/ld-linux-x86-64.so.2");

/// Whether packages can be made here; word of it if not.
fn can_pack() -> bool {
    let nfpm = Command::new("nfpm").arg("--version").output();
    if let Err(error) = &nfpm {
        eprintln!("skipped: packages: nfpm: {error}");
    }
    nfpm.is_ok()
}

/// Has packages made, into `output` in this directory, of the stand-ins in the others of its directories.
fn pack(directory: &Path) -> Output {
    let places = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    Command::new(env!("CARGO_BIN_EXE_peerlight-packaging"))
        .args(["packages", "--maintainer", "Somebody <somebody@example.org>", "--output"])
        .arg(directory.join("output"))
        .args(places.map(|place| format!("--programs={}", place.display())))
        .env("SOURCE_DATE_EPOCH", "1790000000")
        .output()
        .unwrap()
}

/// The packages in `output`, by name.
fn packages(directory: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let entries = fs::read_dir(directory.join("output")).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
}

/// The packages that one command makes of stand-ins for both programs, by name. None, and word of it, without nfpm.
fn make(directory: &Path) -> Option<BTreeMap<OsString, Vec<u8>>> {
    let programs = directory.join("programs");
    fs::create_dir(&programs).unwrap();
    for name in ["peerlight-agent", "peerlight-collector"] {
        fs::write(programs.join(name), elf(MACHINES[0], GLIBC)).unwrap();
    }
    can_pack().then(|| {
        let made = pack(directory);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        packages(directory)
    })
}

/// What Debian's own tool says of a field of a package.
fn field(package: &Path, name: &str) -> String {
    let said = Command::new("dpkg-deb").arg("--field").arg(package).arg(name).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_package_is_for_the_machine_of_its_program_and_wants_of_it_what_the_program_does_not_bring() {
    let directory = tempfile::tempdir().unwrap();
    if !can_pack() {
        return;
    }
    let put = |place: &str, program: Vec<u8>| {
        fs::create_dir_all(directory.path().join(place)).unwrap();
        fs::write(directory.path().join(place).join("peerlight-agent"), program).unwrap();
    };
    put("amd64", elf(MACHINES[0], GLIBC));
    put("arm64", elf(MACHINES[1], None));
    let made = pack(directory.path());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let names: Vec<_> = packages(directory.path()).into_keys().collect();
    assert_eq!(
        names,
        [
            "peerlight-agent-0.1.0-1.aarch64.rpm",
            "peerlight-agent-0.1.0-1.x86_64.rpm",
            "peerlight-agent_0.1.0-1_amd64.deb",
            "peerlight-agent_0.1.0-1_arm64.deb",
        ]
    );
    if let Err(error) = Command::new("dpkg-deb").arg("--version").output() {
        return eprintln!("skipped: what a package depends on: dpkg-deb: {error}");
    }
    let of = |arch: &str| directory.path().join(format!("output/peerlight-agent_0.1.0-1_{arch}.deb"));
    assert_eq!(field(&of("amd64"), "Depends"), "libc6 (>= 2.34), libgcc-s1, systemd");
    assert_eq!(
        (field(&of("arm64"), "Depends"), field(&of("arm64"), "Architecture")),
        ("systemd".into(), "arm64".into())
    );
    // Two for one machine would overwrite each other's packages.
    put("static", elf(MACHINES[0], None));
    let twice = pack(directory.path());
    let said = String::from_utf8_lossy(&twice.stderr);
    assert!(!twice.status.success() && said.contains("is the second one for amd64"), "{said}");
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
