//! The tools that are libraries, each in a process of its own, so that its cost and its niceness are its own: Peerlight's
//! prober, and surge-ping as its README shows it.

use crate::{
    course::{Course, Kind, address},
    known_path::{HTTPS_PORT, TCP_PORT},
};
use anyhow::Context as _;
use peerlight_agent::{
    probe::{IcmpEngine, Launch, Probe as _, ProbeSettings, Prober, Trust},
    sample::{Outcome, Sample},
};
use peerlight_proto::{
    metric::Metric,
    series::{Family, Path},
    target::{ProbeKind, Target},
};
use std::{
    future::Future,
    io::{BufWriter, Write as _},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};

/// Longer than any deadline.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `word`: the tool's name, a colon and the course; `ca` is whom HTTPS servers are trusted by.
pub(crate) fn run(word: &str, ca: PathBuf) -> anyhow::Result<()> {
    let (tool, course) = word.split_once(':').context("a child needs a tool and a course")?;
    let course = Course::read(course).context("a child needs a course")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let times = runtime.block_on(async {
        match tool {
            "peerlight" => peerlight(&course, IcmpEngine::Native, ca).await,
            "portable" => peerlight(&course, IcmpEngine::Portable, ca).await,
            "surge-ping" => surge_ping(&course).await,
            other => anyhow::bail!("no such tool: {other}"),
        }
    })?;
    // Printing must cost next to nothing: it counts as the tool's.
    let mut out = BufWriter::new(std::io::stdout().lock());
    for (address, times) in times {
        write!(out, "{address}")?;
        for time in times {
            match time {
                Some(time) => write!(out, " {}", time.as_nanos())?,
                None => write!(out, " -")?,
            }
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}

/// Each probe's times: one for each of its measures, none where nothing came back.
type Times = Vec<(IpAddr, Vec<Option<Duration>>)>;

async fn peerlight(course: &Course, icmp_engine: IcmpEngine, ca: PathBuf) -> anyhow::Result<Times> {
    let settings = ProbeSettings {
        icmp_engine,
        trust: Trust::File(ca),
        allow: vec!["198.18.0.0/15".parse()?],
        ..ProbeSettings::default()
    };
    let (prober, _strays) = Prober::open(settings)?;
    let prober = Arc::new(prober);
    let (probe, metrics): (_, &'static [Metric]) = match course.kind {
        Kind::Icmp => (ProbeKind::Icmp, &[Metric::IcmpRtt]),
        Kind::Tcp => (ProbeKind::Tcp { port: TCP_PORT }, &[Metric::TcpConnect]),
        Kind::Https => (
            ProbeKind::Https { port: HTTPS_PORT, path: "/".into() },
            &[Metric::HttpsTcp, Metric::HttpsTls, Metric::HttpsTtfb],
        ),
    };
    let target = |to: IpAddr| {
        let address = to.to_string().parse().context("an address is a host")?;
        let target = Target { name: "target".into(), service: "bench".into(), address, probe: probe.clone() };
        anyhow::Ok((target.id(), target))
    };
    let targets: Vec<_> = course.addresses().map(target).collect::<Result<_, _>>()?;
    let (landing, mut landed) = mpsc::unbounded_channel();
    let start = tokio::time::Instant::now();
    let mut due = course.due().enumerate().peekable();
    let mut sent = Vec::new();
    // As the agent does: what is due by a tick travels together.
    while let Some(&(_, (next, _))) = due.peek() {
        let tick = Duration::from_nanos(next_multiple(next.as_nanos(), course.tick().as_nanos())?);
        tokio::time::sleep_until(start + tick).await;
        let now = start.elapsed();
        let launches = std::iter::from_fn(|| due.next_if(|&(_, (at, _))| at <= now));
        let launches = launches.map(|(number, (_, target))| {
            sent.push(address(target));
            let (id, target) = &targets[usize::from(target)];
            let landing = landing.clone();
            let landing = move |sample: Option<Sample>| {
                let times = sample.map(|sample| times_of(&sample, metrics));
                let _ended = landing.send((number, times));
            };
            let due = (start + tick).into_std();
            Launch {
                target,
                id: *id,
                family: Family::V4,
                path: Path::Direct,
                due,
                landing: Box::new(landing),
            }
        });
        let launches = launches.collect();
        Arc::clone(&prober).launch(launches, PATIENCE);
    }
    drop(landing);
    let mut times: Vec<_> = sent.into_iter().map(|to| (to, Vec::new())).collect();
    while let Some((number, measured)) = landed.recv().await {
        times[number].1 = measured.context("a probe that cannot be sent")?;
    }
    Ok(times)
}

fn times_of(sample: &Sample, metrics: &[Metric]) -> Vec<Option<Duration>> {
    let time = |metric: &Metric| {
        let reading = sample.readings.iter().find(|reading| reading.metric == *metric)?;
        match reading.outcome {
            Outcome::Answered { latency, .. } => Some(latency),
            Outcome::Failed(_) => None,
        }
    };
    metrics.iter().map(time).collect()
}

fn next_multiple(nanos: u128, of: u128) -> anyhow::Result<u64> {
    Ok(u64::try_from(nanos.next_multiple_of(of))?)
}

async fn surge_ping(course: &Course) -> anyhow::Result<Times> {
    let client = surge_ping::Client::new(&surge_ping::Config::default())?;
    let mut identifiers = 0_u16;
    paced(course, move |to| {
        let client = client.clone();
        identifiers = identifiers.wrapping_add(1);
        let number = identifiers;
        async move {
            let mut pinger = client.pinger(to, surge_ping::PingIdentifier(number)).await;
            pinger.timeout(ProbeSettings::DEFAULT_DEADLINE);
            let answer = pinger.ping(surge_ping::PingSequence(number), &[0; 56]).await;
            Some(vec![answer.ok().map(|(_, took)| took)])
        }
    })
    .await
}

/// Sends every probe when it is due, whatever became of those before.
async fn paced<F>(course: &Course, mut probe: impl FnMut(IpAddr) -> F) -> anyhow::Result<Times>
where
    F: Future<Output = Option<Vec<Option<Duration>>>> + Send + 'static,
{
    let start = tokio::time::Instant::now();
    let mut probes = JoinSet::new();
    for (number, (due, target)) in course.due().enumerate() {
        tokio::time::sleep_until(start + due).await;
        let to = address(target);
        let probe = probe(to);
        probes.spawn(async move { (number, to, probe.await) });
    }
    let mut times = Vec::new();
    while let Some(done) = probes.join_next().await {
        let (number, to, measured) = done?;
        times.push((number, to, measured.context("a probe that cannot be sent")?));
    }
    times.sort_unstable_by_key(|&(number, _, _)| number);
    Ok(times.into_iter().map(|(_, to, measured)| (to, measured)).collect())
}
