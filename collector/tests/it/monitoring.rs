//! `/api/v1/reports/prometheus`, as Debian's Prometheus and `VictoriaMetrics` fetch it and then answer: counts are the report's, percentiles
//! are the report's within the error of the histograms. Where one of them cannot be had its test says so by name.

use crate::{
    collector::{Collector, NOON, plain_client, problem},
    seeded::{add_places, enrolled, measurement, push, series},
};
use peerlight_collector::{clock::Clock, report::Report, rfc3339};
use peerlight_proto::{
    metric::Metric,
    time::{Interval, IntervalLength, Timestamp},
};
use reqwest::Method;
use serde_json::Value;
use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

const PATH: &str = "/api/v1/reports/prometheus";
const QUESTION: &str = "by=provider&metric=tcp.connect";
/// Provider and location of each site, and the least of what it measured.
const SITES: [(&str, &str, u64); 3] =
    [("Aurora Networks", "GB-LND", 8_000), ("Aurora Networks", "FR-IDF", 11_000), ("Borealis", "GB-LND", 90)];
const PERCENTILES: [&str; 4] = ["0.05", "0.5", "0.9", "0.95"];

/// A collector at this instant, with five minutes of three sites up to then.
async fn measured_until(now: Timestamp) -> Collector {
    let collector = Collector::start_at(now, |_config| ()).await;
    add_places(&collector, &[("GB-LND", "Europe/London"), ("FR-IDF", "Europe/Paris")]).await;
    for (site, (provider, location, least_us)) in SITES.into_iter().enumerate() {
        let agent = enrolled(&collector, site, provider, location).await;
        let minutes = (1..=5).map(|minute: u64| {
            let interval =
                Interval::containing(now.minus(Duration::from_mins(minute)), IntervalLength::MINUTE);
            // From the least time to more than ten times that; each minute another number.
            let values = (0..60 + minute).map(|probe| least_us + least_us * probe * probe / 400);
            measurement(site, 0, interval, values, minute)
        });
        push(&agent, 0, vec![series(site, Metric::TcpConnect, "teams")], minutes.collect()).await;
    }
    collector
}

/// What the report of latency says of the window that is told now.
async fn report(collector: &Collector) -> Report {
    let to = Timestamp::from_secs((collector.now.as_secs() - 120) / 60 * 60);
    let (from, to) = (rfc3339::text(to.minus(Duration::from_mins(1))), rfc3339::text(to));
    let path = format!("/api/v1/reports/latency?{QUESTION}&from={from}&to={to}");
    let answer = collector.operator(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// A file that has either of them fetch from the collector what `format` says.
fn scrape_config(collector: &Collector, directory: &Path, format: Option<&str>) -> String {
    let file = directory.join("scrape.yml");
    let format = format.map(|format| format!(", format: [{format}]")).unwrap_or_default();
    let text = format!(
        "global: {{ scrape_interval: 1s }}\n\
         scrape_configs:\n\
         - job_name: peerlight\n\
        \x20 metrics_path: {PATH}\n\
        \x20 params: {{ by: [provider], metric: [tcp.connect]{format} }}\n\
        \x20 authorization: {{ credentials: {} }}\n\
        \x20 static_configs: [ {{ targets: ['{}'] }} ]\n",
        collector.operator_token(),
        collector.operators
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// A program that is ended with the test, unless it is not installed.
fn started(command: &mut Command) -> Option<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().ok()
}

/// A Prometheus that fetches from the collector.
async fn prometheus(collector: &Collector, directory: &Path) -> Option<(Child, String)> {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", scrape_config(collector, directory, None)))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--enable-feature=native-histograms"])
        .stderr(Stdio::piped());
    let mut child = started(&mut command)?;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
            // What it says later is read, lest it wait for a reader.
            tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
            return Some((child, format!("http://{address}")));
        }
    }
}

/// A `VictoriaMetrics` that fetches from the collector.
fn victoria_metrics(collector: &Collector, directory: &Path) -> Option<(Child, String)> {
    // It cannot tell which port it was given, so one that is free now is named.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut command = Command::new("victoria-metrics");
    command
        .arg(format!("-promscrape.config={}", scrape_config(collector, directory, Some("vmrange"))))
        .arg(format!("-storageDataPath={}", directory.join("data").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .stderr(Stdio::null());
    Some((started(&mut command)?, format!("http://127.0.0.1:{port}")))
}

/// What either answers to a question at the end of the window: labels and value, if there is any.
async fn ask(url: &str, query: &str, at: Timestamp) -> Vec<(Value, f64)> {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let url = format!("{url}/api/v1/query?query={query}&time={}", at.as_secs());
    // It may not listen yet.
    let Ok(answer) = plain_client().get(url).send().await else { return Vec::new() };
    let answer: Value = answer.json().await.unwrap();
    let found = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    found
        .into_iter()
        .map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().parse().unwrap()))
        .collect()
}

/// The value of this provider.
async fn of(url: &str, query: &str, provider: &str, at: Timestamp) -> f64 {
    let found = ask(url, query, at).await;
    let value = found.iter().find(|(labels, _)| labels["provider"] == provider).map(|(_, value)| *value);
    value.unwrap_or_else(|| panic!("nothing of {provider} for {query}: {found:?}"))
}

/// Waits until it has fetched.
async fn has_fetched(url: &str, at: Timestamp) {
    let fetching = async {
        while ask(url, "peerlight_measuring_agents", at).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), fetching).await.unwrap();
}

/// That what it has of each provider is what the report says. `quantile` and `count` make questions of times; `width` is how much wider
/// than its value a range of its histograms may be.
async fn agrees(url: &str, report: &Report, (quantile, count): (impl Fn(&str) -> String, &str), width: f64) {
    has_fetched(url, report.to).await;
    assert_eq!(report.rows.len(), 2);
    for row in &report.rows {
        let provider = row.group.provider.as_deref().unwrap();
        let exactly = async |query: &str| of(url, query, provider, report.to).await;
        #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
        for (query, expected) in [
            (count.to_owned(), row.answered),
            ("peerlight_probes{outcome='lost'}".to_owned(), row.lost),
            ("sum by (provider) (peerlight_probes)".to_owned(), row.scheduled),
            ("peerlight_measuring_agents".to_owned(), row.agents),
        ] {
            let found = exactly(&query).await;
            assert!((found - expected as f64).abs() < 1e-9, "{provider}, {query}: {found}, not {expected}");
        }
        let latency = row.latency_ms;
        for (text, ms) in PERCENTILES.iter().zip([latency.p5, latency.p50, latency.p90, latency.p95]) {
            let (found, ms) = (exactly(&quantile(text)).await * 1e3, ms.unwrap());
            // A bucket of ours and a range of theirs, and for the smallest times the microsecond that ours are counted in.
            let most = ms * (width + 1.0 / 128.0) + 0.001;
            assert!((found - ms).abs() <= most, "{provider}, {text}: {found} ms, the report says {ms} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_has_native_histograms_that_answer_as_the_report_does() {
    let directory = tempfile::tempdir().unwrap();
    let collector = measured_until(Clock::system().now()).await;
    let Some((_prometheus, url)) = prometheus(&collector, directory.path()).await else {
        eprintln!("skipped: there is no prometheus");
        return;
    };
    let quantile =
        |text: &str| format!("histogram_quantile({text}, sum by (provider) (peerlight_latency_seconds))");
    let count = "histogram_count(sum by (provider) (peerlight_latency_seconds))";
    // The histograms' finest schema grows by 0.54 %.
    agrees(&url, &report(&collector).await, (quantile, count), 0.0055).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn victoria_metrics_has_histograms_that_answer_as_the_report_does() {
    let directory = tempfile::tempdir().unwrap();
    let collector = measured_until(Clock::system().now()).await;
    let Some((_victoria, url)) = victoria_metrics(&collector, directory.path()) else {
        eprintln!("skipped: there is no victoria-metrics");
        return;
    };
    let quantile = |text: &str| {
        format!("histogram_quantile({text}, sum by (provider, vmrange) (peerlight_latency_seconds_bucket))")
    };
    let count = "sum by (provider) (peerlight_latency_seconds_bucket)";
    agrees(&url, &report(&collector).await, (quantile, count), 1.0 / 16.0).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_names_no_form_has_percentiles_and_what_is_wrong_is_said() {
    let collector = measured_until(NOON).await;
    let answer = collector.operator(Method::GET, &format!("{PATH}?{QUESTION}")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    let row = &report(&collector).await.rows[0];
    let median = format!(
        "peerlight_latency_seconds{{provider=\"Aurora Networks\",path=\"direct\",metric=\"tcp.connect\",quantile=\"0.5\"}} {} ",
        row.latency_ms.p50.unwrap() / 1e3
    );
    assert!(text.contains(&median), "{median}\n{text}");
    for wrong in ["format=json", "step=2h", "last=1h", "provider=Nobody"] {
        let answer = collector.operator(Method::GET, &format!("{PATH}?{wrong}")).send().await.unwrap();
        assert_eq!(problem(answer).await, (422, "invalid".into()), "{wrong}");
    }
    collector.stop().await;
}
