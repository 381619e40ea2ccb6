//! Probes over real sockets of this machine, against servers that answer as they are told to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "these are tests, helpers and all"
)]

#[cfg(target_os = "linux")]
mod departure;
mod dns;
mod https;
mod icmp;
mod identity;
mod oneshot;
pub(crate) mod servers;
mod tcp;
mod udp;

use peerlight_agent::{
    probe::{Probe as _, ProbeSettings, Prober},
    sample::{Outcome, Reading, Sample},
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::Family,
    target::{ProbeKind, Target},
};
use std::{net::Ipv4Addr, time::Duration};

const TIMEOUT: Duration = Duration::from_millis(600);
const DEADLINE: Duration = Duration::from_millis(1_500);

/// Settings for loopback with times that tests can wait for.
pub(crate) fn settings() -> ProbeSettings {
    ProbeSettings {
        timeout: TIMEOUT,
        deadline: DEADLINE,
        allow: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        ..ProbeSettings::default()
    }
}

pub(crate) fn target(address: &str, probe: &str) -> Target {
    Target {
        name: "a target".to_owned(),
        service: String::new(),
        address: address.parse().unwrap(),
        probe: probe.parse().unwrap(),
    }
}

/// Sends one probe. Whatever became of it, it must have a reading for each metric of its kind and no other.
async fn probe(settings: ProbeSettings, target: &Target, family: Family) -> Option<Sample> {
    let (prober, _strays) = Prober::open(settings).unwrap();
    probe_with(&prober, target, family).await
}

async fn probe_with(prober: &Prober, target: &Target, family: Family) -> Option<Sample> {
    let sample = prober.probe(target, family).await?;
    let metrics: Vec<Metric> = sample.readings.iter().map(|reading| reading.metric).collect();
    assert_eq!(metrics, metrics_of(&target.probe));
    assert_eq!(sample.family, family);
    for reading in &sample.readings {
        assert_ne!(reading.outcome, Outcome::Failed(Ending::Answered));
    }
    Some(sample)
}

/// The rule that every probe counts once in each of its series (rules, §1).
fn metrics_of(kind: &ProbeKind) -> Vec<Metric> {
    match kind {
        ProbeKind::Icmp => vec![Metric::IcmpRtt],
        ProbeKind::Tcp { .. } => vec![Metric::TcpConnect],
        ProbeKind::Dns => vec![Metric::DnsQuery, Metric::DnsLookup],
        ProbeKind::Udp { .. } => vec![Metric::UdpRtt],
        ProbeKind::Https { .. } => vec![
            Metric::HttpsDns,
            Metric::HttpsTcp,
            Metric::HttpsTls,
            Metric::HttpsTtfb,
            Metric::HttpsTransfer,
            Metric::HttpsLocal,
            Metric::HttpsTotal,
        ],
    }
}

fn only(sample: &Sample) -> Reading {
    assert_eq!(sample.readings.len(), 1, "{sample:?}");
    sample.readings[0]
}

pub(crate) fn ending(reading: Reading) -> Ending {
    match reading.outcome {
        Outcome::Answered { .. } => Ending::Answered,
        Outcome::Failed(ending) => ending,
    }
}

/// The time of an answered probe, which must be positive and no longer than what this process saw, give or take 1 ms.
pub(crate) fn latency(reading: Reading) -> Duration {
    match reading.outcome {
        Outcome::Answered { latency, user_latency } => {
            assert!(!latency.is_zero() && latency <= user_latency + Duration::from_millis(1), "{reading:?}");
            latency
        }
        Outcome::Failed(_) => panic!("not answered: {reading:?}"),
    }
}

pub(crate) fn attribute<'a>(sample: &'a Sample, kind: &str) -> Option<&'a str> {
    sample.attributes.iter().find(|(of, _)| *of == kind).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn an_address_literal_has_one_family() {
    for probe_text in ["icmp", "tcp:443", "udp:3478", "https"] {
        assert_eq!(probe(settings(), &target("::1", probe_text), Family::V4).await, None);
        assert_eq!(probe(settings(), &target("127.0.0.1", probe_text), Family::V6).await, None);
    }
}

#[tokio::test]
async fn what_is_outside_the_ceilings_is_not_sent() {
    let settings = ProbeSettings { allow: Vec::new(), ..settings() };
    for probe_text in ["icmp", "tcp:443", "udp:3478", "https"] {
        let sample = probe(settings.clone(), &target("127.0.0.1", probe_text), Family::V4).await.unwrap();
        let endings: Vec<Ending> = sample.readings.iter().map(|&reading| ending(reading)).collect();
        assert!(endings.contains(&Ending::SendFailed), "{sample:?}");
        assert!(endings.iter().all(|e| matches!(e, Ending::SendFailed | Ending::Skipped)), "{sample:?}");
        assert!(attribute(&sample, "error").unwrap().contains("not public unicast"), "{sample:?}");
        assert_eq!(sample.address, Some(Ipv4Addr::LOCALHOST.into()));
    }
}

#[tokio::test]
async fn times_that_contradict_each_other_are_refused() {
    let wrong = ProbeSettings { timeout: Duration::from_secs(4), ..ProbeSettings::default() };
    let error = Prober::open(wrong).err().unwrap().to_string();
    assert_eq!(
        error,
        "a time-out of 4s must be above zero and at most the deadline of 3s, and that below one minute"
    );
}
