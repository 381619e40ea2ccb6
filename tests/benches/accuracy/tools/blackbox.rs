//! Prometheus' `blackbox_exporter`: asked over HTTP for each probe, as Prometheus does; what it reports as the round trip.

use super::{Times, command};
use crate::{
    course::{Course, Kind, address},
    known_path::{HTTPS_PORT, KnownPath, TCP_PORT},
};
use anyhow::Context as _;
use peerlight_lab::network::namespace::NamespaceError;
use std::{
    io::Write as _,
    net::Ipv4Addr,
    process::{Child, Stdio},
    time::Duration,
};
use tokio::task::JoinSet;

const LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9_115);
const MODULES: &str = "modules:
  icmp: {prober: icmp, timeout: 3s, icmp: {preferred_ip_protocol: ip4}}
  tcp: {prober: tcp, timeout: 3s, tcp: {preferred_ip_protocol: ip4}}
  https: {prober: http, timeout: 3s, http: {preferred_ip_protocol: ip4, tls_config: {ca_file: \"CA\"}}}
";

/// Runs the course.
pub(super) fn run(path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    let mut modules = tempfile::NamedTempFile::new()?;
    modules.write_all(MODULES.replace("CA", &path.ca().display().to_string()).as_bytes())?;
    let mut command = command("prometheus-blackbox-exporter", course);
    command
        .arg(format!("--config.file={}", modules.path().display()))
        .arg(format!("--web.listen-address={}:{}", LISTEN.0, LISTEN.1))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut exporter = Ended(path.spawn(&mut command)?);
    let times = path.within(|| {
        ask(course).map_err(|error| NamespaceError {
            operation: "ask blackbox_exporter",
            source: std::io::Error::other(error),
        })
    });
    exporter.end();
    times.map_err(Into::into)
}

/// The exporter, which nobody else ends.
struct Ended(Child);

impl Ended {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.end();
    }
}

fn ask(course: &Course) -> anyhow::Result<Times> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        ready(&client).await?;
        let start = tokio::time::Instant::now();
        let mut asked = JoinSet::new();
        for (number, (due, target)) in course.due().enumerate() {
            tokio::time::sleep_until(start + due).await;
            let (client, kind, to) = (client.clone(), course.kind, address(target));
            asked.spawn(async move { (number, to, probe(&client, kind, &to.to_string()).await) });
        }
        let mut times = Vec::new();
        while let Some(done) = asked.join_next().await {
            let (number, to, time) = done?;
            times.push((number, to, time?));
        }
        times.sort_unstable_by_key(|&(number, _, _)| number);
        Ok(times.into_iter().map(|(_, to, time)| (to, time)).collect())
    })
}

/// Waits until it answers.
async fn ready(client: &reqwest::Client) -> anyhow::Result<()> {
    let url = format!("http://{}:{}/-/healthy", LISTEN.0, LISTEN.1);
    for _ in 0..100 {
        if client.get(&url).send().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("it does not answer at {url}")
}

async fn probe(client: &reqwest::Client, kind: Kind, to: &str) -> anyhow::Result<Vec<Option<Duration>>> {
    let (query, metrics): (_, &[&str]) = match kind {
        Kind::Icmp => (format!("module=icmp&target={to}"), &["probe_icmp_duration_seconds{phase=\"rtt\"} "]),
        Kind::Tcp => (format!("module=tcp&target={to}:{TCP_PORT}"), &["probe_duration_seconds "]),
        Kind::Https => (
            format!("module=https&target=https://{to}:{HTTPS_PORT}/"),
            &[
                "probe_http_duration_seconds{phase=\"connect\"} ",
                "probe_http_duration_seconds{phase=\"tls\"} ",
                "probe_http_duration_seconds{phase=\"processing\"} ",
            ],
        ),
    };
    let url = format!("http://{}:{}/probe?{query}", LISTEN.0, LISTEN.1);
    let text = client.get(url).send().await?.text().await?;
    let value =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let succeeded = value("probe_success ").context("it did not answer as an exporter")? > 0.0;
    let time = |metric: &&str| value(metric).filter(|_| succeeded).map(Duration::from_secs_f64);
    Ok(metrics.iter().map(time).collect())
}
