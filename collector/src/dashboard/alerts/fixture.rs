//! An alert for tests: a provider at a location that has lost everything for forty minutes.

use crate::alert::{Alert, AlertState, Aspect, Culprit, Evidence, Reading, Severity, Spot, Vote};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{collections::BTreeMap, time::Duration};

pub(in crate::dashboard) const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

pub(in crate::dashboard) fn alert(id: u64) -> Alert {
    let (provider, location) = ("Aurora".to_owned(), "GB-LND".to_owned());
    let spot = Spot {
        provider: provider.clone(),
        location: location.clone(),
        site: "london-1".to_owned(),
        target: "teams".to_owned(),
    };
    let reading = Reading {
        rule: "loss".to_owned(),
        spot,
        metric: Metric::TcpConnect,
        value: Some(1.0),
        at_least: Some(0.88),
        samples: 30,
        detail: None,
        from: NOW.minus(Duration::from_mins(20)),
        to: NOW.minus(Duration::from_mins(15)),
    };
    let evidence = Evidence {
        at: NOW,
        votes: vec![Vote { of: "sites of Aurora at GB-LND".to_owned(), bad: 2, judged: 2 }],
        site_count: 2,
        sites: vec!["london-1".to_owned(), "london-2".to_owned()],
        target_count: 1,
        targets: vec!["teams".to_owned()],
        readings: vec![reading],
        report: "/api/v1/reports/latency?from=1&to=2".to_owned(),
    };
    Alert {
        id,
        state: AlertState::Firing,
        severity: Severity::Page,
        summary: "provider Aurora at GB-LND: 100.0% of tcp.connect lost at the worst of 2 sites".to_owned(),
        culprit: Culprit::ProviderAt { provider, location },
        aspect: Aspect::Reachability,
        rules: ["loss".to_owned()].into(),
        since: NOW.minus(Duration::from_mins(40)),
        fired: Some(NOW.minus(Duration::from_mins(35))),
        good_since: None,
        resolved: None,
        part_of: None,
        acknowledged: None,
        silenced_until: None,
        told: true,
        labels: BTreeMap::new(),
        evidence_at_first: None,
        evidence,
    }
}
