//! `cargo lab` as a user runs it: the report must show the paths as they were.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

#[path = "lab/alerts.rs"]
mod alerts;
#[path = "lab/dashboard.rs"]
mod dashboard;
#[path = "lab/scenarios.rs"]
mod scenarios;
#[path = "lab/stay.rs"]
mod stay;

use peerlight_lab::scenario::Scenario;
use peerlight_proto::histogram::{bucket_of, micros, width_of};
use serde_json::Value;
use stay::Stay;
use std::{
    collections::BTreeMap,
    io::Write as _,
    net::ToSocketAddrs as _,
    process::{Command, Output, Stdio},
    time::Duration,
};

/// Beyond the width of a histogram's bucket.
const TOLERANCE_MS: f64 = 0.2;
/// The most probes that may be voided in all, in percent: on a machine that keeps up there are hardly any.
const MAX_VOIDED_PERCENT: u64 = 2;
/// The fewest cells that must be compared in full, in percent.
const MIN_COMPARED_PERCENT: usize = 90;
/// What kernels and a busy machine may add to a path's own delay.
const OVERHEAD_MS: f64 = 20.0;

type Cell = (String, String, String, String);

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_peerlight-lab"))
        .args(["--format", "json", "--dashboard-port", "0"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn document(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic_with(&format!("{error}\n{stderr}")))
}

#[expect(clippy::panic, reason = "the test fails with what the lab said")]
fn panic_with(text: &str) -> ! {
    panic!("{text}")
}

fn cells(rows: &Value) -> BTreeMap<Cell, Value> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let cell = (text(row, "provider"), text(row, "location"), text(row, "target"), text(row, "metric"));
        (cell, row.clone())
    })
    .collect()
}

/// Whether the lab says that the sites' paths are emulated. If not, the test says by name that it is skipped.
fn emulated(output: &Output) -> bool {
    is_emulated(&String::from_utf8_lossy(&output.stderr))
}

fn is_emulated(stderr: &str) -> bool {
    let emulated = stderr.contains("sites in network namespaces");
    if !emulated {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        std::io::stderr().write_all(format!("SKIPPED {name}: {stderr}\n").as_bytes()).unwrap();
    }
    emulated
}

/// The report says of every cell of which there is a truth what the truth says: of how many probes, which share was
/// lost, and their percentiles within the histogram's error. Both are about the same probes, so that no scheduling makes
/// a difference. Returns the cells.
fn assert_true(document: &Value) -> BTreeMap<Cell, Value> {
    let (report, truth) = (cells(&document["report"]["rows"]), cells(&document["truth"]));
    let (mut compared, mut scheduled, mut all_voided) = (0, 0, 0);
    for (cell, true_row) in &truth {
        let row = report.get(cell).unwrap_or_else(|| panic_with(&format!("{cell:?} is not in the report")));
        let (n, answered, voided) = (count(true_row, "n"), count(row, "answered"), count(row, "voided"));
        let told = || format!("{cell:?}: the report says {row:#}, the truth {true_row:#}");
        assert!(answered <= n && n <= answered + voided, "{}", told());
        scheduled += count(row, "scheduled");
        all_voided += voided;
        if voided > 0 {
            // Which ones were voided nobody knows.
            continue;
        }
        compared += 1;
        let loss = |value: &Value| value.as_f64().unwrap();
        assert!((loss(&row["loss"]["value"]) - loss(&true_row["loss"])).abs() < 1e-6, "{}", told());
        for (percentile, true_percentile) in [("p50", "p50_ms"), ("p95", "p95_ms")] {
            let Some(value) = row["latency_ms"][percentile].as_f64() else {
                assert!(n < 20, "{}", told());
                continue;
            };
            let true_value = true_row[true_percentile].as_f64().unwrap();
            assert!(within_error(value - true_value, true_value, row), "{}", told());
        }
    }
    let cells = truth.len();
    assert!(compared * 100 >= cells * MIN_COMPARED_PERCENT, "only {compared} of {cells} cells were compared");
    let most = scheduled * MAX_VOIDED_PERCENT;
    assert!(all_voided * 100 <= most, "{all_voided} of {scheduled} probes were voided");
    truth
}

fn count(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap()
}

/// The width of the histogram's bucket that a time falls into, in milliseconds.
fn width_at(millis: f64) -> f64 {
    let bucket = bucket_of(micros(Duration::from_secs_f64(millis / 1_000.0)));
    Duration::from_micros(width_of(bucket)).as_secs_f64() * 1_000.0
}

/// Whether a row's time may differ so much from the true one. What a probe waits for on this machine before the relay, or the
/// loopback, has it, no truth knows: a busy machine may add to it what it adds to a timer, which the row says beside the
/// times; nothing can take away from it.
fn within_error(difference_ms: f64, true_ms: f64, row: &Value) -> bool {
    let noise = row["agent_noise_ms"]["p50"].as_f64().unwrap_or(0.0);
    let error = width_at(true_ms) + TOLERANCE_MS;
    (-error..=error + noise).contains(&difference_ms)
}

/// The truth itself is what the scenario describes, but for what the machine needs on top.
fn assert_as_described(truth: &BTreeMap<Cell, Value>, scenario: &Scenario) {
    for ((provider, location, ..), row) in truth {
        let mut sites = scenario.sites.iter();
        let site = sites.find(|site| (&site.provider, &site.location) == (provider, location)).unwrap();
        let least = site.conditions.delay.as_secs_f64() * 1_000.0;
        let most = least + site.conditions.jitter.as_secs_f64() * 1_000.0 + OVERHEAD_MS;
        let p50 = row["p50_ms"].as_f64().unwrap();
        assert!((least..=most).contains(&p50), "{row:#} for {least} to {most} ms");
    }
}

/// Fires for one site whatever the machine does: its path takes longer, and no other's may.
const SLOW_PATH: &str = r#"
[[rule]]
name = "slow"
kind = "percentile"
percentile = "p50"
metrics = ["icmp.rtt"]
threshold = 92.0
clear = 60.0
min_samples = 20
window = "1h"
for = "0s"
severity = "page"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_report_and_every_page_show_every_sites_true_delay() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (config, rules) =
        (file("collector.toml", "[alerts]\nevery = '1s'\ndelay = '1s'\n"), file("rules.toml", SLOW_PATH));
    let stay = tokio::task::spawn_blocking(move || {
        Stay::run(&["--duration", "16s", "--collector-config", &config, "--alert-rules", &rules])
    });
    let stay = stay.await.unwrap();
    if !is_emulated(stay.said()) {
        return stay.end();
    }
    let truth = assert_true(&stay.document);
    assert_as_described(&truth, &Scenario::six_sites().unwrap());
    // Icmp and tcp of three targets, udp of one and queries for another, at each of six sites; each with enough probes for
    // percentiles.
    assert_eq!(truth.len(), 6 * 8, "{:?}", truth.keys());
    assert!(truth.values().all(|row| count(row, "n") >= 20), "{truth:?}");
    dashboard::assert_every_page_is_true(&stay).await;
    stay.end();
}

#[test]
fn on_loopback_the_report_shows_what_the_echo_servers_held_back() {
    let output = lab(&["--duration", "16s", "--network", "loopback"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (report, truth) = {
        let document = document(&output);
        (cells(&document["report"]["rows"]), cells(&document["truth"]))
    };
    assert_as_described(&truth, &Scenario::six_sites().unwrap());
    let udp: Vec<_> = truth.iter().filter(|((.., metric), _)| metric == "udp.rtt").collect();
    assert_eq!(udp.len(), 6, "{truth:?}");
    for (cell, true_row) in udp {
        let row = &report[cell];
        assert_eq!(
            count(row, "answered") + count(row, "voided"),
            count(true_row, "n"),
            "{row:#} {true_row:#}"
        );
        let (p50, true_p50) = (row["latency_ms"]["p50"].as_f64(), true_row["p50_ms"].as_f64());
        let (p50, true_p50) = (p50.unwrap(), true_p50.unwrap());
        assert!(within_error(p50 - true_p50, true_p50, row), "{row:#} {true_row:#}");
    }
}

#[test]
fn a_lab_that_cannot_be_says_why_and_fails() {
    let output = lab(&["--scenario", "/does/not/exist.toml"]);
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("error: cannot read the scenario /does/not/exist.toml"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_microsoft_catalogue_without_the_internet_is_a_failure_that_says_so() {
    if !no_internet() {
        writeln!(std::io::stderr(), "SKIPPED: this machine reaches the Internet").unwrap();
        return;
    }
    let output = lab(&["--duration", "12s", "--microsoft"]);
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("a name did not resolve: is there a way to the Internet?"), "{stderr}");
    let report = cells(&document(&output)["report"]["rows"]);
    assert!(report.values().any(|row| row["dns_failed"].as_u64() > Some(0)), "{report:?}");
}

fn no_internet() -> bool {
    ("outlook.office365.com", 443).to_socket_addrs().is_err()
}

#[test]
fn the_microsoft_catalogue_is_measured_against_servers_that_bear_its_names() {
    let output = lab(&["--duration", "12s", "--microsoft", "--stand-in"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if stderr.contains("/dev/net/tun") || stderr.contains("user namespace") {
        writeln!(std::io::stderr(), "SKIPPED: {stderr}").unwrap();
        return;
    }
    assert!(output.status.success(), "{stderr}");
    let report = cells(&document(&output)["report"]["rows"]);
    let answered = |metric: &str| {
        report.iter().filter(|((.., name), _)| name == metric).map(|(_, row)| row["answered"].as_u64()).max()
    };
    assert!(answered("tcp.connect").flatten() > Some(0), "{report:?}");
    assert!(answered("https.total").flatten() > Some(0), "{report:?}");
}
