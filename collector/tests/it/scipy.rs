//! The statistics of comparisons against those of scipy, another implementation by others. It is installed from the Python
//! package index into an environment of this test's own, which stays for the next run; where there is no Python, or
//! no index, the test says that it is skipped.

use peerlight_collector::report::compare::{Lost, loss_difference, shift};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SCIPY: &str = "scipy>=1.11,<2";
const SCRIPT: &str = include_str!("scipy/statistics.py");

/// The interpreter of an environment that has scipy, or why there is none.
fn interpreter() -> Result<PathBuf, String> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scipy");
    let python = kept.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    // It takes its place whole, so that one that was cut short is not taken for it.
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let made = made.path().join("scipy");
    run(Command::new("python3").args(["-m", "venv"]).arg(&made))?;
    run(Command::new(made.join("bin/python")).args(["-m", "pip", "install", "--quiet", SCIPY]))?;
    std::fs::rename(&made, &kept).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", said.trim())) }
}

/// Days whose differences lean to one side, with outliers, and what is made of them.
fn shifts(random: &mut StdRng) -> Vec<Value> {
    let cases = (6..40).flat_map(|days| [days; 3]);
    cases
        .map(|days| {
            let differences: Vec<f64> = (0..days)
                .map(|_| {
                    let usual = random.random_range(-4.0..9.0);
                    if random.random_bool(0.1) { usual + random.random_range(-500.0..500.0) } else { usual }
                })
                .collect();
            let found = shift(&differences).unwrap();
            json!({ "days": differences, "value": found.value, "low": found.low, "high": found.high,
                "confidence": found.confidence })
        })
        .collect()
}

fn losses(random: &mut StdRng) -> Vec<Value> {
    (0..200)
        .map(|_| {
            let lost = |random: &mut StdRng| {
                let of = random.random_range(10..100_000);
                Lost { lost: random.random_range(0..=of / 3), of }
            };
            let (one, other) = (lost(random), lost(random));
            let found = loss_difference(one, other).unwrap();
            json!({ "one": [one.lost, one.of], "other": [other.lost, other.of],
                "value": found.value, "low": found.low, "high": found.high })
        })
        .collect()
}

#[test]
fn shifts_and_differences_of_losses_are_those_of_scipy() {
    let python = match interpreter() {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: no scipy: {why}");
            return;
        }
    };
    let mut random = StdRng::seed_from_u64(20_261_130);
    let (shifts, losses) = (shifts(&mut random), losses(&mut random));
    let cases = json!({ "shifts": shifts, "losses": losses });
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}");
    assert_eq!(said.trim(), format!("{} shifts, {} losses agree", shifts.len(), losses.len()));
}
