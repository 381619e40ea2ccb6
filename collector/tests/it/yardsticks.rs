//! `report yardsticks`: what Microsoft calls good, in every form the same, and its figures those of the report of latency.

use crate::{
    collector::{Collector, NOON},
    forms::{print, text},
    seeded::{add_places, enrolled, measurement, push, series},
};
use peerlight_collector::report::{
    Report,
    render::{ndjson, yardsticks as render},
    yardsticks::{Yardstick, YardsticksReport},
};
use peerlight_proto::{
    measurement::Measurement,
    metric::{Metric, NetworkMetric},
    series::Series,
    target::Target,
    time::{Interval, IntervalLength},
};
use std::time::Duration;

const MINUTES: u64 = 30;

/// A series of a site to one of Microsoft's hosts.
fn to(site: usize, metric: Metric, name: &str, host: &str, probe: &str) -> Series {
    let mut series = series(site, metric, name);
    let (address, probe) = (host.parse().unwrap(), probe.parse().unwrap());
    let target = Target { address, probe, ..(*series.target).clone() };
    series.key.target = target.id();
    series.target = target.into();
    series
}

/// Connects to Exchange, and round trips to a relay of Teams with their jitter and loss.
async fn measured(
    collector: &Collector,
    site: usize,
    provider: &str,
    (connect, rtt, jitter, lost): (u64, u64, u64, u64),
) {
    let agent = enrolled(collector, site, provider, "GB-LND").await;
    let relay = "world.tr.teams.microsoft.com";
    let dictionary = vec![
        to(site, Metric::TcpConnect, "exchange-online", "outlook.office365.com", "tcp:443"),
        to(site, Metric::IcmpRtt, "teams-transport-relay", relay, "icmp"),
        to(site, Metric::Jitter(NetworkMetric::IcmpRtt), "teams-transport-relay", relay, "icmp"),
    ];
    let minute = |minute: u64| -> Vec<Measurement> {
        let at = NOON.minus(Duration::from_mins(MINUTES + 1 - minute));
        let interval = Interval::containing(at, IntervalLength::MINUTE);
        vec![
            measurement(site, 0, interval, std::iter::repeat_n(connect, 6), 0),
            measurement(site, 1, interval, std::iter::repeat_n(rtt, 6), lost),
            measurement(site, 2, interval, std::iter::repeat_n(jitter, 5), 0),
        ]
    };
    push(&agent, 0, dictionary, (0..MINUTES).flat_map(minute).collect()).await;
}

/// A collector that two sites pushed to, one that passes and one that fails.
pub(crate) async fn collector() -> Collector {
    let collector = Collector::start().await;
    add_places(&collector, &[("GB-LND", "Europe/London")]).await;
    measured(&collector, 0, "Aurora Networks", (14_000, 21_000, 900, 0)).await;
    measured(&collector, 1, "Borealis", (61_000, 118_000, 34_000, 1)).await;
    collector
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_the_yardsticks_says_the_same_pass_or_fail_of_each_site() {
    let collector = collector().await;
    let query = "last=1h";
    let report: YardsticksReport =
        serde_json::from_str(&text(&collector, "yardsticks", query, "application/json").await).unwrap();
    let latency = "last=1h&by=site,provider,location,target&metric=tcp.connect";
    let latency: Report =
        serde_json::from_str(&text(&collector, "latency", latency, "application/json").await).unwrap();
    let exchange: Vec<_> = report
        .rows
        .iter()
        .filter(|row| row.yardstick == Yardstick::ExchangeTcp)
        .map(|row| row.measured)
        .collect();
    assert_eq!(exchange, latency.rows.iter().map(|row| row.latency_ms.p50).collect::<Vec<_>>());
    assert_eq!(exchange.len(), 2);
    assert_eq!(
        text(&collector, "yardsticks", query, "text/csv").await,
        render::csv::render(&report).unwrap()
    );
    let lines = text(&collector, "yardsticks", query, "application/x-ndjson").await;
    assert_eq!(lines, ndjson::yardsticks(&report).unwrap());
    let printed = print(&collector, "yardsticks", "--last 1h").await;
    assert_eq!(printed.trim_end(), render::table::render(&report, Some(160)).trim_end());
    insta::assert_snapshot!(printed);
    collector.stop().await;
}
