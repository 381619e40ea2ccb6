//! Packages of Node.js, in which others wrote what is tested with. Each is installed from npm into a directory of its own, which stays for
//! the next run; where there is no npm, or no registry, a test says that it is skipped.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A directory below `directory`, below whose `node_modules` the package is, or why there is none.
pub fn installed(directory: &Path, name: &str, package: &str) -> Result<PathBuf, String> {
    let kept = directory.join(name);
    if kept.join("node_modules").exists() {
        return Ok(kept);
    }
    // It takes its place whole, so that one that was cut short is not taken for it.
    let made = tempfile::tempdir_in(directory).map_err(|error| error.to_string())?;
    let made = made.path().join(name);
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&made).arg(package);
    let done = npm.stdin(Stdio::null()).output().map_err(|error| format!("npm: {error}"))?;
    if !done.status.success() {
        return Err(format!("npm: {}", String::from_utf8_lossy(&done.stderr).trim()));
    }
    match std::fs::rename(&made, &kept) {
        Ok(()) => Ok(kept),
        // Another test was faster.
        Err(_) if kept.join("node_modules").exists() => Ok(kept),
        Err(error) => Err(error.to_string()),
    }
}
