//! `VictoriaMetrics`, as it keeps histograms: one cumulative counter for each bucket of each series (`vmrange`), written as a
//! scrape of each minute would, in the JSON of columns that is its cheapest import in text.

use super::{
    Cost,
    answer::{Answer, PERMILLES, Percentile},
    process::{Process, bytes_in},
};
use crate::workload::{ASKED, Generated};
use anyhow::{Context as _, bail, ensure};
use peerlight_proto::{
    histogram::{highest_of, lowest_of},
    time::Timestamp,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The Debian package, and the program in it.
const PACKAGE: &str = "victoria-metrics";
/// So many minutes go in one line of a counter.
const MINUTES_OF_A_LINE: usize = 60;
/// A request holds about so many bytes.
const REQUEST_BYTES: usize = 16 << 20;
/// How long it may take to answer or to merge.
const PATIENCE: Duration = Duration::from_mins(10);

/// The server and what is on its way to it.
pub(super) struct VictoriaMetrics {
    process: Process,
    http: reqwest::Client,
    url: String,
    data: PathBuf,
    counters: BTreeMap<Counter, Column>,
    minutes: usize,
    taken: u64,
    ingest: Duration,
}

/// A counter: whose, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Counter {
    agent: u32,
    series: u32,
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Bucket(u16),
    Count,
    SumMicros,
    Lost,
}

/// Its values, minute after minute, up to now.
#[derive(Debug)]
struct Column {
    labels: String,
    total: u64,
    /// The end of the first minute that is not written yet.
    first: Timestamp,
    values: Vec<u64>,
}

/// The program: installed, or of the package, unpacked.
pub(super) fn program(directory: &Path) -> anyhow::Result<PathBuf> {
    let installed =
        Command::new(PACKAGE).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if installed.is_ok_and(|status| status.success()) {
        return Ok(PACKAGE.into());
    }
    eprintln!("… {PACKAGE} is not installed: the Debian package is downloaded and unpacked");
    let downloaded = directory.join("package");
    fs::create_dir(&downloaded)?;
    let said = Command::new("apt-get").args(["download", PACKAGE]).current_dir(&downloaded).output();
    let said = said.with_context(|| format!("install the Debian package {PACKAGE}"))?;
    ensure!(
        said.status.success(),
        "install the Debian package {PACKAGE}: {}",
        String::from_utf8_lossy(&said.stderr).trim()
    );
    let package = fs::read_dir(&downloaded)?.next().context("apt-get has downloaded nothing")??.path();
    let unpacked = Command::new("dpkg-deb").arg("-x").arg(&package).arg(&downloaded).status()?;
    ensure!(unpacked.success(), "{} cannot be unpacked", package.display());
    Ok(downloaded.join("usr/bin").join(PACKAGE))
}

impl VictoriaMetrics {
    /// Starts it empty.
    pub(super) async fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        // It cannot tell which port it was given, so one that is free now is named.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let data = directory.join("victoria-metrics");
        let mut command = Command::new(program);
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", data.display()))
            .args(["-retentionPeriod=100y", "-loggerLevel=ERROR", "-search.maxQueryDuration=10m"])
            .args(["-import.maxLineLen=104857600", "-search.maxUniqueTimeseries=10000000"]);
        let process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
        // The client wants one, though nothing here is encrypted.
        let _installed_already = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let (url, counters) = (format!("http://127.0.0.1:{port}"), BTreeMap::new());
        let (minutes, taken, ingest) = (0, 0, Duration::ZERO);
        let mut server = Self { process, http, url, data, counters, minutes, taken, ingest };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        while self.process.runs() {
            if self.http.get(format!("{}/health", self.url)).send().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("VictoriaMetrics has ended before it answered")
    }

    /// Adds a histogram to its counters.
    pub(super) fn take(&mut self, one: &Generated<'_>) {
        self.taken += 1;
        let buckets = one.histogram.buckets().iter().map(|&(bucket, count)| (Of::Bucket(bucket), count));
        let rest = [
            (Of::Count, one.histogram.count()),
            (Of::SumMicros, one.histogram.sum_us()),
            (Of::Lost, one.lost),
        ];
        for (of, added) in buckets.chain(rest) {
            let counter = Counter { agent: one.agent, series: one.number, of };
            let column = self.counters.entry(counter).or_insert_with(|| Column {
                labels: labels(one, of),
                total: 0,
                first: one.start.plus(Duration::from_mins(1)),
                values: Vec::new(),
            });
            column.total += added;
        }
    }

    /// Ends a minute: every counter that there is gets its value, as in a scrape.
    pub(super) async fn end_minute(&mut self) -> anyhow::Result<()> {
        for column in self.counters.values_mut() {
            column.values.push(column.total);
        }
        self.minutes += 1;
        if self.minutes == MINUTES_OF_A_LINE { self.import().await } else { Ok(()) }
    }

    async fn import(&mut self) -> anyhow::Result<()> {
        let before = self.process.cpu()?;
        let mut counters = std::mem::take(&mut self.counters);
        let mut body = String::new();
        for column in counters.values_mut() {
            column.write(&mut body)?;
            if body.len() > REQUEST_BYTES {
                self.post("/api/v1/import", std::mem::take(&mut body)).await?;
            }
        }
        self.post("/api/v1/import", body).await?;
        self.counters = counters;
        self.minutes = 0;
        self.ingest += self.process.cpu()? - before;
        Ok(())
    }

    /// Imports the rest and merges.
    pub(super) async fn settle(&mut self) -> anyhow::Result<Cost> {
        self.import().await?;
        let before = self.process.cpu()?;
        self.get("/internal/force_flush", &[]).await?;
        self.get("/internal/force_merge", &[]).await?;
        // The merge goes on after it was asked for.
        tokio::time::timeout(PATIENCE, async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let metrics = self.get("/metrics", &[]).await?;
                let merging = metrics.lines().filter(|line| line.starts_with("vm_active_merges{"));
                if merging.clone().all(|line| line.ends_with(" 0")) && merging.count() > 0 {
                    return Ok::<_, anyhow::Error>(());
                }
            }
        })
        .await
        .context("VictoriaMetrics still merges")??;
        Ok(Cost {
            histograms: self.taken,
            ingest: self.ingest + (self.process.cpu()? - before),
            rollup: None,
            bytes: bytes_in(&self.data)?,
            rollup_bytes: None,
        })
    }

    /// The report over a span.
    pub(super) async fn report(&self, from: Timestamp, to: Timestamp) -> anyhow::Result<Vec<Answer>> {
        let span = to.since(from).as_secs();
        let increase = |name: &str| format!("increase_pure({name}{{metric=\"{ASKED}\"}}[{span}s])");
        let by = "provider, location, target";
        let phis = PERMILLES.map(|permille| (f64::from(permille) / 1e3).to_string());
        let percentiles = format!(
            "histogram_quantiles(\"phi\", {}, sum({}) by ({by}, vmrange))",
            phis.join(", "),
            increase("rtt_bucket")
        );
        let mut answers: BTreeMap<(String, String, String), Answer> = BTreeMap::new();
        for (name, sum) in [("answered", "rtt_count"), ("lost", "rtt_lost")] {
            for (labels, value) in self.query(&format!("sum({}) by ({by})", increase(sum)), to).await? {
                let answer = answers.entry(labels.group()).or_insert_with(|| Answer {
                    group: labels.group(),
                    answered: 0,
                    lost: 0,
                    percentiles: [Percentile::Micros(f64::NAN); PERMILLES.len()],
                });
                let count = if name == "lost" { &mut answer.lost } else { &mut answer.answered };
                *count = whole(value)?;
            }
        }
        for (labels, value) in self.query(&percentiles, to).await? {
            let at = phis.iter().position(|phi| *phi == labels.phi).context("an unknown percentile")?;
            let answer = answers.get_mut(&labels.group()).context("percentiles without a count")?;
            answer.percentiles[at] = Percentile::Micros(value);
        }
        Ok(answers.into_values().collect())
    }

    async fn query(&self, query: &str, at: Timestamp) -> anyhow::Result<Vec<(Labels, f64)>> {
        #[derive(serde::Deserialize)]
        struct Found {
            data: Data,
        }
        #[derive(serde::Deserialize)]
        struct Data {
            result: Vec<Sample>,
        }
        #[derive(serde::Deserialize)]
        struct Sample {
            metric: Labels,
            value: (f64, String),
        }
        let time = at.as_secs().to_string();
        let said = self.get("/api/v1/query", &[("query", query), ("time", &time), ("nocache", "1")]).await?;
        let found: Found = serde_json::from_str(&said)?;
        found.data.result.into_iter().map(|sample| Ok((sample.metric, sample.value.1.parse()?))).collect()
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<String> {
        let mut url: url::Url = format!("{}{path}", self.url).parse()?;
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.http.get(url).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(text)
    }

    async fn post(&self, path: &str, body: String) -> anyhow::Result<()> {
        let answer = self.http.post(format!("{}{path}", self.url)).body(body).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        Ok(())
    }
}

/// What an answer is about.
#[derive(Debug, serde::Deserialize)]
struct Labels {
    provider: String,
    location: String,
    target: String,
    #[serde(default)]
    phi: String,
}

impl Labels {
    fn group(&self) -> (String, String, String) {
        (self.provider.clone(), self.location.clone(), self.target.clone())
    }
}

impl Column {
    /// A line of JSON with all values that are not written yet, and their times.
    fn write(&mut self, body: &mut String) -> std::fmt::Result {
        write!(body, "{{\"metric\":{{{}}},\"values\":[", self.labels)?;
        for (at, value) in self.values.iter().enumerate() {
            write!(body, "{}{value}", if at == 0 { "" } else { "," })?;
        }
        body.push_str("],\"timestamps\":[");
        for at in 0..self.values.len() {
            let comma = if at == 0 { "" } else { "," };
            write!(body, "{comma}{}", self.first.as_micros() / 1_000)?;
            self.first = self.first.plus(Duration::from_mins(1));
        }
        body.push_str("]}\n");
        self.values.clear();
        Ok(())
    }
}

/// Labels as JSON has them; none of the workload's names needs escaping.
fn labels(one: &Generated<'_>, of: Of) -> String {
    let name = match of {
        Of::Bucket(_) => "rtt_bucket",
        Of::Count => "rtt_count",
        Of::SumMicros => "rtt_sum",
        Of::Lost => "rtt_lost",
    };
    let range = match of {
        Of::Bucket(bucket) => {
            format!(",\"vmrange\":\"{}...{}\"", lowest_of(bucket), highest_of(bucket) + 1)
        }
        Of::Count | Of::SumMicros | Of::Lost => String::new(),
    };
    let registration = one.registration;
    format!(
        "\"__name__\":\"{name}\",\"agent\":\"{}\",\"provider\":\"{}\",\"location\":\"{}\",\"target\":\"{}\",\
         \"metric\":\"{}\"{range}",
        one.agent,
        registration.provider,
        registration.location,
        one.series.target.name,
        one.series.key.metric
    )
}

/// A count that went through floating point.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number that is not negative"
)]
fn whole(value: f64) -> anyhow::Result<u64> {
    ensure!(value >= 0.0 && value.fract() == 0.0, "a count of {value}");
    Ok(value as u64)
}
