//! A release as whoever downloads it checks it: by minisign and sha256sum, which have nothing of ours.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, one that cannot run says so by name"
)]

#[path = "stand_in/elf.rs"]
mod stand_in;

use jiff::Timestamp;
use peerlight_packaging::sbom;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The names of a release's files.
const FILES: [&str; 8] = [
    "SHA256SUMS",
    "SHA256SUMS.minisig",
    "peerlight-agent-0.1.0-1.x86_64.rpm",
    "peerlight-agent-0.1.0-x86_64-unknown-linux-gnu.cdx.json",
    "peerlight-agent_0.1.0-1_amd64.deb",
    "peerlight-collector-0.1.0-1.x86_64.rpm",
    "peerlight-collector-0.1.0-x86_64-unknown-linux-gnu.cdx.json",
    "peerlight-collector_0.1.0-1_amd64.deb",
];
const PASSWORD: &str = "open sesame";

/// What finds a bill of materials valid: the schema's authors' own library.
const VALIDATOR: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for path in sys.argv[1:]:
    fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(path, encoding='utf-8').read())
    if fault:
        sys.exit(f'{path}: {fault}')
";

/// The interpreter of an environment of this test's own that has that library, or why there is none.
fn interpreter() -> Result<PathBuf, String> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cyclonedx");
    if kept.join("bin/python").exists() {
        return Ok(kept.join("bin/python"));
    }
    // It takes its place whole, so that one that was cut short is not taken for it.
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let made = made.path().join("cyclonedx");
    let run = |command: &mut Command| {
        let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
        let said = String::from_utf8_lossy(&done.stderr);
        if done.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", said.trim())) }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&made))?;
    let library = "cyclonedx-python-lib[json-validation]>=11,<12";
    run(Command::new(made.join("bin/python")).args(["-m", "pip", "install", "--quiet", library]))?;
    fs::rename(&made, &kept).map_err(|error| error.to_string())?;
    Ok(kept.join("bin/python"))
}

#[test]
fn bills_of_materials_are_what_the_schema_wants() {
    let python = match interpreter() {
        Ok(python) => python,
        Err(why) => return eprintln!("skipped: bills of materials against the schema: {why}"),
    };
    let directory = tempfile::tempdir().unwrap();
    let bills = [
        ("peerlight-agent", "x86_64-unknown-linux-gnu"),
        ("peerlight-agent", "x86_64-pc-windows-gnu"),
        ("peerlight-collector", "x86_64-unknown-linux-gnu"),
    ];
    let paths = bills.map(|(program, target)| {
        let path = directory.path().join(format!("{program}-{target}.json"));
        fs::write(&path, sbom::of(program, target, Timestamp::UNIX_EPOCH).unwrap()).unwrap();
        path
    });
    let found = Command::new(&python).args(["-c", VALIDATOR]).args(&paths).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let spoilt = fs::read_to_string(&paths[0]).unwrap().replace("\"library\"", "\"bookshop\"");
    fs::write(&paths[0], spoilt).unwrap();
    assert!(!Command::new(&python).args(["-c", VALIDATOR]).args(&paths).output().unwrap().status.success());
}

/// Whether the tools are here; word of it if not.
fn have_tools() -> bool {
    let missing = ["nfpm", "minisign", "sha256sum"]
        .into_iter()
        .find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(tool) = missing {
        eprintln!("skipped: a release: there is no {tool}");
    }
    missing.is_none()
}

/// Has minisign make a key in this directory, with this password if there is one.
fn make_key(directory: &Path, password: Option<&str>) {
    let mut command = Command::new("minisign");
    command.current_dir(directory).args(["-G", "-p", "key.pub", "-s", "key"]);
    if password.is_none() {
        command.arg("-W");
    }
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    if let Some(password) = password {
        writeln!(input, "{password}\n{password}").unwrap();
    }
    drop(input);
    assert!(process.wait().unwrap().success());
}

/// Makes a release of stand-ins for both programs in `directory`, signed by the key in there.
fn release(directory: &Path, signed: &[&str]) -> Output {
    let programs = directory.join("programs");
    fs::create_dir_all(&programs).unwrap();
    for name in ["peerlight-agent", "peerlight-collector"] {
        fs::write(
            programs.join(name),
            stand_in::elf(stand_in::MACHINES[0], Some("/lib64/ld-linux-x86-64.so.2")),
        )
        .unwrap();
    }
    Command::new(env!("CARGO_BIN_EXE_peerlight-packaging"))
        .args(["release", "--maintainer", "Somebody <somebody@example.org>", "--programs"])
        .arg(&programs)
        .arg("--output")
        .arg(directory.join("release"))
        .args(signed.iter().map(|word| word.replace('@', &directory.to_string_lossy())))
        .env("SOURCE_DATE_EPOCH", "1790000000")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Whether this command, which checks the release in `directory`, finds it good.
fn is_good(directory: &Path, command: &str, arguments: &[&str]) -> bool {
    Command::new(command)
        .current_dir(directory.join("release"))
        .args(arguments)
        .output()
        .unwrap()
        .status
        .success()
}

fn is_signed(directory: &Path) -> bool {
    is_good(directory, "minisign", &["-V", "-p", "../key.pub", "-m", "SHA256SUMS"])
}

fn is_whole(directory: &Path) -> bool {
    is_good(directory, "sha256sum", &["--check", "--strict", "SHA256SUMS"])
}

#[test]
fn a_release_is_signed_and_whole_its_files_are_always_the_same_and_whatever_is_changed_in_it_shows() {
    if !have_tools() {
        return;
    }
    let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    make_key(first.path(), None);
    fs::copy(first.path().join("key"), second.path().join("key")).unwrap();
    let file = |directory: &tempfile::TempDir, name: &str| {
        fs::read(directory.path().join("release").join(name)).unwrap()
    };
    for directory in [&first, &second] {
        let made = release(directory.path(), &["--key-file", "@/key"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let entries = fs::read_dir(first.path().join("release")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, FILES);
    // Signatures hold a random number each.
    for name in FILES.into_iter().filter(|name| *name != "SHA256SUMS.minisig") {
        assert!(file(&first, name) == file(&second, name), "{name} differs");
    }
    assert!(is_signed(first.path()) && is_whole(first.path()));

    let again = release(first.path(), &["--unsigned"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("holds something already"), "{again:?}");

    let package = first.path().join("release").join(FILES[4]);
    fs::write(&package, "another").unwrap();
    assert!(is_signed(first.path()) && !is_whole(first.path()));
    let checksums = String::from_utf8(file(&first, "SHA256SUMS")).unwrap();
    fs::write(first.path().join("release/SHA256SUMS"), checksums.replacen('0', "1", 1)).unwrap();
    assert!(!is_signed(first.path()));
}

#[test]
fn a_key_with_a_password_signs_by_it_alone_and_neither_is_said() {
    if !have_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    make_key(directory.path(), Some(PASSWORD));
    let password = directory.path().join("password");
    fs::write(&password, "another").unwrap();
    let words = ["--key-file", "@/key", "--password-file", "@/password"];
    let refused = release(directory.path(), &words);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("has another password"), "{said}");
    fs::remove_dir_all(directory.path().join("release")).unwrap();
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let made = release(directory.path(), &words);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(is_signed(directory.path()));
    let key = fs::read_to_string(directory.path().join("key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for said in [made.stdout, made.stderr] {
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.contains(PASSWORD) && !said.contains(secret), "{said}");
    }
}
