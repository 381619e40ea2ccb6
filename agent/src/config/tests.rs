//! What the configuration takes, refuses and says.

use super::*;
#[cfg(target_os = "linux")]
use crate::{
    probe::{IcmpEngine, Trust},
    proxy::{HttpsPaths, ProxyChoice},
};
#[cfg(target_os = "linux")]
use std::time::Duration;

/// The sample of the documentation.
#[cfg(target_os = "linux")]
const SAMPLE: &str = r#"
[site]
name     = "london-1"
provider = "Example Telecom"
location = "GB-LND"            # ISO 3166-2
prefixes = ["192.0.2.0/24", "2001:db8:7::/48"]

[collector]
url = "https://collector.example.com:8443"

[[target]]
name     = "exchange-online"
service  = "Microsoft 365"
address  = "outlook.office365.com"
probes   = ["icmp", "tcp:443", "https"]
interval = "10s"
"#;

/// Every key that there is.
#[cfg(target_os = "linux")]
const FULL: &str = r#"
state = "/tmp/state"
[site]
name = "a"
provider = "b"
location = "GB-LND"
prefixes = []
[collector]
url = "https://collector.example.com"
trust = "platform"
retire_on_removal = false
[proxy]
use = "static"
url = "http://proxy.example.com:3128"
username = "agent-7"
password_file = "/etc/peerlight/proxy.password"
bypass = ["corp.example.com"]
probe = "both"
[[target]]
name = "t"
service = "s"
address = "127.0.0.9"
probes = ["udp:7"]
interval = "100ms"
issuer = "Example CA"
[probing]
timeout = "1s"
deadline = "2s"
icmp_engine = "native"
source_v4 = "127.0.0.2"
source_v6 = "::1"
interface = "eth1"
dscp = "EF"
families = ["v6", "v4", "v4"]
interval = "1s"
capture_paths = false
[resolver]
servers = ["192.0.2.53", "[2001:db8::53]:5353"]
[https]
ca_file = "/etc/ca.pem"
[spool]
max_bytes = "8MiB"
max_age = "2d"
[limits]
allow = ["127.0.0.0/8"]
max_packets_per_second = 5000
"#;

/// Every key of an uplink, which no `[site]` may stand beside.
#[cfg(target_os = "linux")]
const UPLINK: &str = r#"
[[uplink]]
name = "london-1-fibre"
provider = "Example Telecom"
location = "GB-LND"
prefixes = ["192.0.2.0/24"]
source_v4 = "192.0.2.10"
source_v6 = "2001:db8:7::10"
interface = "eth1"
dscp = "AF41"
"#;

fn problems(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

#[cfg(target_os = "linux")]
#[test]
fn the_documented_sample_works_as_it_stands() {
    let config = Config::parse(SAMPLE).unwrap();
    assert_eq!(config.collector.url.as_ref().unwrap().as_str(), "https://collector.example.com:8443/");
    let targets: Vec<_> =
        config.targets.iter().map(|t| (t.target.probe.to_string(), t.interval.as_secs())).collect();
    // HTTPS may not be probed every 10 s: it is probed as often as it may.
    assert_eq!(targets, [("icmp".to_owned(), 10), ("tcp:443".to_owned(), 10), ("https".to_owned(), 30)]);
    insta::assert_snapshot!(describe(&config));
}

#[cfg(target_os = "linux")]
#[test]
fn an_empty_file_is_the_default_configuration() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    insta::assert_snapshot!(describe(&Config::default()));
}

#[cfg(target_os = "linux")]
#[test]
fn the_json_of_check_config_says_what_is_measured_and_why() {
    let text = |config: &Config| serde_json::to_string_pretty(&Description::of(config)).unwrap();
    let catalogue: serde_json::Value = serde_json::from_str(&text(&Config::default())).unwrap();
    assert_eq!(catalogue["source"], "catalogue");
    let targets = catalogue["targets"].as_array().unwrap();
    assert_eq!(targets.len(), crate::catalogue::scheduled().len());
    assert!(targets.iter().all(|target| target["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
    insta::assert_snapshot!(text(&Config::parse(SAMPLE).unwrap()));
}

#[cfg(target_os = "linux")]
#[test]
fn every_key_is_known_and_reaches_the_configuration() {
    let config = Config::parse(FULL).unwrap();
    assert_eq!(config.probing.settings.timeout, Duration::from_secs(1));
    assert_eq!(config.probing.settings.icmp_engine, IcmpEngine::Native);
    assert!(
        describe(&config).contains(
            "Probes leave from 127.0.0.2, from ::1, by the interface eth1, marked with the DSCP EF."
        )
    );
    assert_eq!(config.probing.settings.trust, Trust::File("/etc/ca.pem".into()));
    assert_eq!(config.probing.settings.dns_servers[0].port(), 53);
    assert!(matches!(&config.proxy.choice, ProxyChoice::Static { port: 3_128, login: Some(_), .. }));
    assert!(config.proxy.bypass.covers("a.corp.example.com", 443));
    assert_eq!(config.proxy.probe, HttpsPaths::Both);
    assert_eq!((config.probing.families.as_slice(), config.probing.capture_paths), (Family::ALL, false));
    assert_eq!(config.spool, SpoolSettings { max_bytes: 8 << 20, max_age: Duration::from_hours(48) });
    assert_eq!(config.targets[0].interval, Duration::from_millis(100));
    assert_eq!((config.limits.max_packets_per_second, config.state.path()), (5_000, Path::new("/tmp/state")));
    let file = toml::from_str::<toml::Table>(FULL).unwrap();
    for (table, keys) in keys::KNOWN {
        let file =
            if *table == "uplink" { toml::from_str::<toml::Table>(UPLINK).unwrap() } else { file.clone() };
        let found = match (*table, file.get(*table)) {
            ("", _) => file.into_iter().chain(toml::from_str::<toml::Table>(UPLINK).unwrap()).collect(),
            (_, Some(toml::Value::Array(items))) => items[0].as_table().unwrap().clone(),
            (_, value) => value.unwrap().as_table().unwrap().clone(),
        };
        assert!(keys.iter().all(|key| found.contains_key(*key)), "[{table}] lacks one of {keys:?}");
        assert_eq!(found.len(), keys.len(), "[{table}]");
    }
}

#[test]
fn every_unknown_key_names_its_line_and_the_nearest_key() {
    insta::assert_snapshot!(problems(
        "colector = 1\n[site]\nname = \"a\"\nprovidr = \"b\"\n[[target]]\nname = \"x\"\nprobe = []\n[[target]]\nintervall = \"1s\"\n"
    ));
}

#[test]
fn all_failed_checks_are_reported_at_once() {
    insta::assert_snapshot!(problems(
        r#"
[site]
name = ""
provider = "p"
location = "London"
prefixes = ["192.0.2.1/24", "x"]
[collector]
url = "http://collector.example.com"
[[target]]
name = "a"
address = "1.2.3"
probes = ["icmp", "gopher"]
[[target]]
name = "b"
address = "b.example"
probes = ["https"]
interval = "10s"
[[target]]
name = "c"
address = "c.example"
probes = ["tcp:22"]
[probing]
timeout = "5s"
families = ["v5"]
interval = "7s"
[resolver]
servers = ["dns"]
[spool]
max_bytes = 1
max_age = "15d"
[limits]
allow = []
max_packets_per_second = 0
"#
    ));
}

#[test]
fn an_allowed_network_lifts_no_ceiling_of_a_public_address() {
    let target = |address: &str| {
        format!(
            "[limits]\nallow = [\"10.0.0.0/8\"]\n[[target]]\nname = \"t\"\naddress = \"{address}\"\nprobes = [\"tcp:22\"]\ninterval = \"20ms\"\n"
        )
    };
    let refused = problems(&target("13.107.6.152"));
    assert!(refused.contains("port 22") && refused.contains("at least 1s"), "{refused}");
    let config = Config::parse(&target("10.1.2.3")).unwrap();
    assert!(describe(&config).contains("elsewhere the ceilings stay"));
}

#[cfg(target_os = "linux")]
#[test]
fn how_probes_leave_is_checked_before_any_does() {
    let probing = |keys: &str| Config::parse(&format!("[probing]\n{keys}"));
    assert_eq!(probing("dscp = 46").unwrap(), probing("dscp = \"ef\"").unwrap());
    insta::assert_snapshot!(
        [
            "dscp = 64",
            "dscp = \"AF99\"",
            "dscp = 1.5",
            "dscp = 46\nicmp_engine = \"portable\"",
            "interface = \"eth0/1\"",
        ]
        .map(|keys| probing(keys).unwrap_err().to_string())
        .join("\n")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn each_uplink_is_a_site_and_leaves_in_its_own_way() {
    let text = format!("{UPLINK}[[uplink]]\nname = \"london-1-lte\"\nsource_v4 = \"198.51.100.7\"\n");
    let config = Config::parse(&text).unwrap();
    let [fibre, lte] = config.ways().try_into().unwrap();
    assert_eq!((fibre.uplink.as_deref(), fibre.families.len()), (Some("london-1-fibre"), 2));
    assert_eq!(lte.families, [Family::V4], "nothing says how IPv6 would leave");
    assert_eq!(
        (lte.settings.source_v4.unwrap().to_string().as_str(), lte.settings.dscp),
        ("198.51.100.7", None)
    );
    assert_eq!(config.uplinks[0].site.location, "GB-LND");
    insta::assert_snapshot!(describe(&config));
}

#[cfg(target_os = "linux")]
#[test]
fn uplinks_that_cannot_be_told_apart_are_refused() {
    insta::assert_snapshot!(problems(
        r#"
[site]
name = "london-1"
provider = "Example Telecom"
location = "GB-LND"
[probing]
source_v4 = "192.0.2.1"
[[uplink]]
name = "london-1-fibre"
location = "London"
[[uplink]]
name = "London-1-Fibre"
interface = "eth1"
[[uplink]]
name = ""
prefixes = ["192.0.2.1/24"]
source_v6 = "2001:db8::1"
"#
    ));
}

#[test]
fn a_wrong_type_or_broken_toml_names_its_line() {
    assert!(problems("\n[probing]\ntimeout = 3").contains("line 3"));
    assert!(problems("[probing]\ntimeout = \"soon\"").contains("`soon` is not a duration; write 250ms"));
    assert!(problems("a = \n").contains("line 1"));
}
