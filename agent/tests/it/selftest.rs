//! The `selftest` command over this machine's real loopback. (Its times are whatever they are: nothing is asserted of them.)

use serde_json::Value;
use std::process::Command;

#[test]
fn every_kind_is_probed_over_every_family_and_the_exit_code_is_the_verdicts() {
    let run = Command::new(env!("CARGO_BIN_EXE_peerlight-agent"))
        .args(["selftest", "--count", "100", "--format", "json"])
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    let probes = document["probes"].as_array().unwrap();
    let families: &[&str] = if document["machine"]["ipv6"] == true { &["v4", "v6"] } else { &["v4"] };
    let expected: Vec<_> = ["icmp.rtt", "tcp.connect", "udp.rtt"]
        .iter()
        .flat_map(|metric| families.iter().map(move |family| (*metric, *family)))
        .collect();
    let measured: Vec<_> = probes
        .iter()
        .map(|probe| (probe["metric"].as_str().unwrap(), probe["family"].as_str().unwrap()))
        .collect();
    assert_eq!(measured, expected);
    for probe in probes.iter().filter(|probe| probe["answered"] != 0) {
        assert_eq!(probe["sent"], 100, "{probe}");
        let clock = if probe["metric"] == "tcp.connect" { "tcp_info" } else { "kernel" };
        assert_eq!(probe["clock"], clock, "{probe}");
        assert!(probe["error_us"]["max"].is_u64() && probe["gap_us"]["p99"].is_u64(), "{probe}");
    }
    let unsent = probes.iter().filter(|probe| probe["answered"] == 0);
    assert!(unsent.clone().all(|probe| probe["metric"] == "icmp.rtt"), "{document}");
    let grade = document["verdict"]["grade"].as_str().unwrap();
    assert_eq!(run.status.code(), Some(i32::from(grade == "poor")), "{document}");
    assert!(document["verdict"]["sentence"].as_str().unwrap().starts_with(grade));
}
