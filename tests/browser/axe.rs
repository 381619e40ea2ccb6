//! axe-core, which finds what people with a screen reader, a keyboard or weak eyes stumble over. It is installed from npm into a
//! directory of the tests' own, which stays for the next run; where there is no npm, or no registry, a test says that it
//! is skipped.

use crate::{chromium::Visit, door::Script};
use std::{
    path::Path,
    process::{Command, Stdio},
};

const PACKAGE: &str = "axe-core@4";

/// axe-core itself, and what runs it and writes what it found into the page; or why there is none. It stays below `directory`.
pub fn scripts(directory: &Path) -> Result<Vec<Script>, String> {
    let kept = directory.join("axe");
    let file = kept.join("node_modules/axe-core/axe.min.js");
    if !file.exists() {
        // It takes its place whole, so that one that was cut short is not taken for it.
        let made = tempfile::tempdir_in(directory).map_err(|error| error.to_string())?;
        let made = made.path().join("axe");
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&made).arg(PACKAGE);
        let done = npm.stdin(Stdio::null()).output().map_err(|error| format!("npm: {error}"))?;
        if !done.status.success() {
            return Err(format!("npm: {}", String::from_utf8_lossy(&done.stderr).trim()));
        }
        // Another test may have been faster.
        std::fs::rename(&made, &kept)
            .or_else(|error| if file.exists() { Ok(()) } else { Err(error.to_string()) })?;
    }
    let axe = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(vec![
        Script { name: "axe.js", text: axe },
        Script { name: "axe-run.js", text: include_str!("axe-run.js").to_owned() },
    ])
}

/// What is seriously wrong with a page that was visited with [`scripts`]; nothing if the text is empty. Panics unless axe-core
/// came to an end and looked at something.
pub fn serious(visit: &Visit, page: &str) -> String {
    let result = visit.left("axe-result");
    let result = result.unwrap_or_else(|| panic!("axe did not end on {page}: {:?}", visit.complaints));
    let (passed, found) = result.split_once('\n').unwrap();
    assert!(passed.ends_with("rules passed") && !passed.starts_with("0 "), "{page}: {passed}");
    found.to_owned()
}
