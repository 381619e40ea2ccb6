//! What is read, what is refused, and in which words.

use super::*;

#[test]
fn an_empty_file_means_every_default() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn every_key_is_read() {
    let config = Config::parse(
        r#"
        [agents]
        listen = "[::]:9443"
        url = "https://collector.example.com:9443"
        names = ["192.0.2.1"]
        trusted_proxies = ["192.0.2.0/24"]
        proxy_protocol = true
        [operators]
        listen = "192.0.2.1:8080"
        hosts = ["peerlight.example.com"]
        tls = { certificate = "/etc/cert.pem", key = "/etc/key.pem" }
        slow_page = "1s"
        [store]
        directory = "/srv/peerlight"
        [retention]
        minute = "20d"
        quarter_hour = "200d"
        day = "2y"
        acceptance_horizon = "1w"
        [limits]
        requests_per_minute = 1
        burst = 2
        measurements_per_day = 9
        sessions_per_day = 5
        series_per_day = 6
        attributes_per_day = 7
        attempts_per_minute = 3
        connections = 4
        pushes = 8
        [keys]
        lifetime = "45d"
        grace = "0s"
        "#,
    )
    .unwrap();
    assert_eq!(config.agents.trusted_proxies, ["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(config.agents.proxies(), config.agents.trusted_proxies);
    assert_eq!(config.operators.tls.unwrap().key, PathBuf::from("/etc/key.pem"));
    assert_eq!(config.operators.slow_page, Duration::from_secs(1));
    assert_eq!(config.retention.acceptance_horizon, Duration::from_hours(7 * 24));
    assert_eq!(
        config.limits,
        Limits {
            requests_per_minute: 1,
            burst: 2,
            attempts_per_minute: 3,
            pushes: 8,
            connections: 4,
            measurements_per_day: 9,
            sessions_per_day: 5,
            series_per_day: 6,
            attributes_per_day: 7
        }
    );
    assert_eq!((config.keys.lifetime, config.keys.grace), (Duration::from_hours(45 * 24), Duration::ZERO));
}

#[test]
fn every_fault_is_reported_at_once() {
    let error = Config::parse(
        r#"
        [agent]
        [agents]
        lisen = "0.0.0.0:1"
        proxy_protocol = true
        url = "http://collector.example.com/path"
        [operators]
        listen = "0.0.0.0:8080"
        hosts = ["https://a", "b:80"]
        [retention]
        minute = "10d"
        day = "5 lightyears"
        [keys]
        lifetime = "1h"
        grace = "200y"
        [limits]
        burst = 0
        connections = "many"
        zzz = 1
        "#,
    )
    .unwrap_err();
    insta::assert_snapshot!(error);
}

#[test]
fn limits_of_zero_and_an_empty_directory_are_refused() {
    let error = Config::parse("[limits]\nburst = 0\nconnections = 0\n[store]\ndirectory = \"\"").unwrap_err();
    assert_eq!(error.to_string().lines().count(), 4, "{error}");
}
