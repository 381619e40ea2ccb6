//! Packages of Python, in which others wrote what is tested here. Each is installed from the Python package index into an environment
//! of its own, which stays for the next run; where there is no Python, or no index, a test says that it is skipped.

use serde_json::Value;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The interpreter of an environment that has the package, or why there is none.
pub(crate) fn interpreter(name: &str, package: &str) -> Result<PathBuf, String> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = kept.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    // It takes its place whole, so that one that was cut short is not taken for it.
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let made = made.path().join(name);
    run(Command::new("python3").args(["-m", "venv"]).arg(&made))?;
    run(Command::new(made.join("bin/python")).args(["-m", "pip", "install", "--quiet", package]))?;
    std::fs::rename(&made, &kept).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", said.trim())) }
}

/// What the script says of `asked`, which it reads from its standard input.
pub(crate) fn said(python: &Path, script: &str, asked: &Value) -> String {
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}");
    said
}
