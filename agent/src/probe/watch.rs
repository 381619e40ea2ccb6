//! Watches over who answers: notes addresses that Microsoft does not publish and front doors that are far away, and tells of
//! interception once for a target rather than once for a probe.

use super::{
    ceilings::Ceilings,
    exchange::now,
    expected::Expectations,
    front_doors::{DISTANT, FrontDoors},
    interception::{BY_ADDRESS, INTERCEPTION, UNVERIFIED},
    settings::ProbeSettings,
};
use crate::{
    notices::{About, Matter, Notices},
    sample::{Outcome, Sample},
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::Path,
    target::{ProbeKind, Target},
};
use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Watches the samples of a prober.
pub(super) struct Watch {
    expected: Expectations,
    ceilings: Ceilings,
    front_doors: Mutex<FrontDoors>,
    notices: Notices,
}

impl Watch {
    /// Watches for what these settings expect.
    pub(super) fn new(settings: &ProbeSettings) -> Self {
        Self {
            expected: settings.expected.clone(),
            ceilings: Ceilings::new(settings.allow.clone()),
            front_doors: Mutex::default(),
            notices: Notices::default(),
        }
    }

    /// What is wrong with targets now.
    pub(super) fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Completes a sample with its address and what is remarkable about that, and tells what is wrong.
    pub(super) fn see(&self, target: &Target, sample: &mut Sample) {
        if let ProbeKind::Https { .. } = target.probe {
            self.see_identity(target, sample);
            self.see_proxy(target, sample);
        }
        // An address that was typed need not be said again, nor does anybody publish it.
        if let Some(address) = sample.address.filter(|_| target.address.ip().is_none()) {
            sample.attributes.push(("address", address.to_string()));
            self.see_address(target, address, sample);
            self.see_distance(target, address, sample);
        }
    }

    fn see_identity(&self, target: &Target, sample: &Sample) {
        let about = about(target, sample, Matter::Identity);
        let error = attribute(sample, "error").unwrap_or_default();
        if attribute(sample, INTERCEPTION).is_some() || error.starts_with(UNVERIFIED) {
            let through = if sample.path == Path::Proxy { " through the proxy" } else { "" };
            let (address, probe, family) = (&target.address, &target.probe, sample.family);
            let text = format!("{address} {probe} over IP{family}{through}: {error}");
            if self.notices.raise(about, text) {
                tracing::warn!(target = target.name, address = %target.address, family = %sample.family, error, "a target does not prove who it is, or somebody else answers in its place; its HTTPS probes count as refused");
            }
        } else if shook_hands(sample) {
            self.notices.clear(about);
        }
    }

    /// A proxy that fails is told once, however many targets lie behind it.
    fn see_proxy(&self, target: &Target, sample: &Sample) {
        let about = about(target, sample, Matter::Proxy);
        let outcome = |metric| sample.readings.iter().find(|one| one.metric == metric).map(|one| one.outcome);
        match (outcome(Metric::HttpsProxy), outcome(Metric::HttpsTotal)) {
            (Some(_), Some(Outcome::Failed(Ending::SendFailed))) => {
                let error = attribute(sample, "error").unwrap_or_default();
                if self.notices.raise(about, error.to_owned()) {
                    tracing::warn!(
                        error,
                        "no probe gets through the proxy; such probes count as not sent, never as lost"
                    );
                }
            }
            (Some(Outcome::Answered { .. }), _) => self.notices.clear(about),
            (Some(Outcome::Failed(_)) | None, _) => {}
        }
    }

    fn see_address(&self, target: &Target, address: IpAddr, sample: &mut Sample) {
        let about = about(target, sample, Matter::Address);
        let published = &self.expected.published;
        // The machine's owner knows what lies in an allowed network.
        if self.ceilings.allows(address) || !published.excludes(&target.address, address) {
            return self.notices.clear(about);
        }
        sample.attributes.push((INTERCEPTION, BY_ADDRESS.to_owned()));
        let dated = &published.dated;
        let text = format!(
            "{} leads to {address}, outside the ranges that Microsoft published as of {dated}: a proxy, DNS that was tampered with, or a list that is out of date (`peerlight-agent catalogue update`)",
            target.address
        );
        if self.notices.raise(about, text) {
            tracing::warn!(host = %target.address, %address, dated, "a name leads outside the ranges that Microsoft publishes: a proxy, DNS that was tampered with, or a list that is out of date (`peerlight-agent catalogue update`); it is probed all the same");
        }
    }

    fn see_distance(&self, target: &Target, address: IpAddr, sample: &mut Sample) {
        let Some(distance) = round_trip(sample) else { return };
        let about = about(target, sample, Matter::Distance);
        let mut doors = self.front_doors.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(nearer) = doors.see(&target.address, sample.family, address, distance, now()) else {
            return self.notices.clear(about);
        };
        sample.attributes.push((DISTANT.0, DISTANT.1.to_owned()));
        let text = format!(
            "{} leads to {address}, which is more than twice as far as {nearer}, where it led within the last day: the DNS server may stand far from here, or a VPN or proxy asks in this machine's place",
            target.address
        );
        if self.notices.raise(about, text) {
            tracing::warn!(host = %target.address, %address, %nearer, "a name leads to a front door that is more than twice as far as another one of the last day: the DNS server may stand far from here, or a VPN or proxy asks in this machine's place");
        }
    }
}

/// The time of one round trip to the address itself, if it answered.
fn round_trip(sample: &Sample) -> Option<Duration> {
    let straight =
        |metric| matches!(metric, Metric::IcmpRtt | Metric::UdpRtt | Metric::TcpConnect | Metric::HttpsTcp);
    sample.readings.iter().filter(|reading| straight(reading.metric)).find_map(|reading| {
        match reading.outcome {
            Outcome::Answered { latency, .. } => Some(latency).filter(|_| sample.path == Path::Direct),
            Outcome::Failed(_) => None,
        }
    })
}

fn about(target: &Target, sample: &Sample, matter: Matter) -> About {
    About { target: target.id(), family: sample.family, path: sample.path, matter }
}

fn attribute<'a>(sample: &'a Sample, kind: &str) -> Option<&'a str> {
    sample.attributes.iter().find(|(of, _)| *of == kind).map(|(_, value)| value.as_str())
}

fn shook_hands(sample: &Sample) -> bool {
    let answered = |outcome: Outcome| matches!(outcome, Outcome::Answered { .. });
    sample.readings.iter().any(|reading| reading.metric == Metric::HttpsTls && answered(reading.outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::published::Published;
    use crate::sample::Reading;
    use peerlight_proto::series::{Clock, Family};
    use std::{sync::Arc, time::Duration};

    fn watch(allow: &[&str]) -> Watch {
        let list = r#"[{"urls":["outlook.office365.com"],"ips":["13.107.6.152/31"]}]"#;
        let published = Published::parse(list.as_bytes(), "a test", "2026-11-23".to_owned()).unwrap();
        let allow = allow.iter().map(|network| network.parse().unwrap()).collect();
        let expected = Expectations { published: Arc::new(published), ..Expectations::default() };
        Watch::new(&ProbeSettings { allow, expected, ..ProbeSettings::default() })
    }

    fn see(watch: &Watch, host: &str, address: &str) -> Vec<(&'static str, String)> {
        let target = Target {
            name: "a target".to_owned(),
            service: String::new(),
            address: host.parse().unwrap(),
            probe: ProbeKind::Icmp,
        };
        see_at(watch, &target, address, Vec::new())
    }

    fn see_at(
        watch: &Watch,
        target: &Target,
        address: &str,
        readings: Vec<Reading>,
    ) -> Vec<(&'static str, String)> {
        let address = Some(address.parse().unwrap());
        let (family, path) = (Family::V4, Path::Direct);
        let mut sample = Sample { family, path, address, readings, attributes: Vec::new() };
        watch.see(target, &mut sample);
        sample.attributes
    }

    fn reading(metric: Metric, outcome: Outcome) -> Reading {
        Reading { metric, clock: Clock::User, outcome, http_version: None, handshake: None }
    }

    #[test]
    fn an_unpublished_address_is_flagged_until_the_name_leads_home_again() {
        let watch = watch(&[]);
        assert_eq!(see(&watch, "outlook.office365.com", "13.107.6.152").len(), 1);
        assert!(watch.notices().list().is_empty());
        let flagged = see(&watch, "outlook.office365.com", "100.64.7.7");
        assert_eq!(
            flagged,
            [("address", "100.64.7.7".to_owned()), (INTERCEPTION, "unpublished address".to_owned())]
        );
        assert!(watch.notices().list()[0].starts_with("outlook.office365.com leads to 100.64.7.7, outside"));
        see(&watch, "outlook.office365.com", "13.107.6.153");
        assert!(watch.notices().list().is_empty());
    }

    #[test]
    fn a_proxy_that_fails_is_one_notice_for_all_targets_until_it_leads_on() {
        let watch = watch(&[]);
        let see = |host: &str, tunnel, total| {
            let target = Target {
                name: host.to_owned(),
                service: String::new(),
                address: host.parse().unwrap(),
                probe: "https".parse().unwrap(),
            };
            let mut sample = Sample {
                family: Family::V4,
                path: Path::Proxy,
                address: None,
                readings: vec![reading(Metric::HttpsProxy, tunnel), reading(Metric::HttpsTotal, total)],
                attributes: vec![("error", "the proxy p.test:80 hung up instead of answering".to_owned())],
            };
            watch.see(&target, &mut sample);
        };
        let failed = Outcome::Failed(Ending::SendFailed);
        let took = Duration::from_millis(5);
        let answered = Outcome::Answered { latency: took, user_latency: took };
        see("a.example", failed, failed);
        see("b.example", Outcome::Failed(Ending::Skipped), failed);
        assert_eq!(watch.notices().list(), ["the proxy p.test:80 hung up instead of answering"]);
        see("a.example", answered, Outcome::Failed(Ending::Lost));
        assert_eq!(watch.notices().list().len(), 1, "it still fails the other one");
        see("b.example", answered, answered);
        assert!(watch.notices().list().is_empty());
    }

    #[test]
    fn an_answer_of_dns_that_leads_much_farther_than_before_is_flagged_until_it_leads_home_again() {
        let watch = watch(&[]);
        let target = Target {
            name: "a target".to_owned(),
            service: String::new(),
            address: "outlook.office365.com".parse().unwrap(),
            probe: "https".parse().unwrap(),
        };
        let see = |address: &str, ms| {
            let took = Duration::from_millis(ms);
            let answered = |took| Outcome::Answered { latency: took, user_latency: took };
            // What counts is the round trip, not how long the front door took to answer.
            let readings = vec![
                reading(Metric::HttpsDns, answered(took * 9)),
                reading(Metric::HttpsTcp, answered(took)),
                reading(Metric::HttpsTotal, answered(took * 9)),
            ];
            see_at(&watch, &target, address, readings).iter().any(|(kind, _)| *kind == "resolver")
        };
        assert_eq!([10, 11, 12, 10, 12].map(|ms| see("13.107.6.152", ms)), [false; 5]);
        assert_eq!(
            [52, 50, 55, 58, 51].map(|ms| see("13.107.6.153", ms)),
            [false, false, false, false, true]
        );
        let said =
            "outlook.office365.com leads to 13.107.6.153, which is more than twice as far as 13.107.6.152";
        assert!(watch.notices().list()[0].starts_with(said), "{:?}", watch.notices().list());
        assert!(!see("13.107.6.152", 30));
        assert!(watch.notices().list().is_empty());
    }

    #[test]
    fn names_that_nobody_publishes_typed_addresses_and_allowed_networks_are_not_judged() {
        assert_eq!(see(&watch(&[]), "example.com", "198.51.100.1").len(), 1);
        assert_eq!(see(&watch(&[]), "198.51.100.1", "198.51.100.1"), []);
        assert_eq!(see(&watch(&["198.51.100.0/24"]), "outlook.office365.com", "198.51.100.1").len(), 1);
    }
}
