//! axe-core, which finds what people with a screen reader, a keyboard or weak eyes stumble over. It is installed from npm into a
//! directory of this test's own, which stays for the next run; where there is no npm, or no registry, the test says that it
//! is skipped.

use super::chromium::Script;
use std::{
    path::Path,
    process::{Command, Stdio},
};

const PACKAGE: &str = "axe-core@4";

/// axe-core itself, and what runs it and writes what it found into the page; or why there is none.
pub(crate) fn scripts() -> Result<Vec<Script>, String> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let file = kept.join("node_modules/axe-core/axe.min.js");
    if !file.exists() {
        // It takes its place whole, so that one that was cut short is not taken for it.
        let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
        let made = made.path().join("axe");
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&made).arg(PACKAGE);
        let done = npm.stdin(Stdio::null()).output().map_err(|error| format!("npm: {error}"))?;
        if !done.status.success() {
            return Err(format!("npm: {}", String::from_utf8_lossy(&done.stderr).trim()));
        }
        std::fs::rename(&made, &kept).map_err(|error| error.to_string())?;
    }
    let axe = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(vec![
        Script { name: "axe.js", text: axe },
        Script { name: "axe-run.js", text: include_str!("axe-run.js").to_owned() },
    ])
}
