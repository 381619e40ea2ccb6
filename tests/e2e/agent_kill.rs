//! The promise under kill -9 of the agent: what was spooled is neither lost nor doubled nor altered, a life costs at
//! most what was not closed yet, and coverage shows the gap. SIGTERM costs nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod agent_file;

use agent_file::{DEADLINE, write_agent_file};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{
    aggregate::GRACE,
    clock::Clock,
    credential::load_or_create,
    enrol::{Applicant, enrol},
    link::Link,
    offset::Offset,
    paths::StateDir,
    proxy::Proxies,
    push::{Patience, Push},
    spool::{Spool, SpoolSettings, handle::SharedSpool, record::Record},
    status::Board,
    trust::CollectorTrust,
};
use peerlight_lab::{
    collector::Collector,
    eventually::{Look, eventually},
    network::{Choice, Network, prepare},
    scenario::Scenario,
    site::LabSite,
};
use peerlight_proto::{
    codec::decode_batch, id::SessionId, measurement::Counters, metric::Metric, time::Timestamp,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::process::{Child, Command};

/// Kills of each of the three agents.
const KILLS: u64 = 12;
/// After so many kills an agent enrols: until then its spool only grows, then a backlog is pushed under the kills.
const ENROLLED_AFTER: u64 = 4;
const LIFE_MS: std::ops::Range<u64> = 50..3_500;
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// What a life may lose: the open interval, and the one before until its last probe has ended on a busy machine.
const UNCLOSED: Duration = Duration::from_secs(1).saturating_add(DEADLINE).saturating_add(GRACE);
const WAIT: Duration = Duration::from_mins(1);
const PATIENCE: Patience = Patience {
    first: Duration::from_millis(5),
    cap: Duration::from_millis(40),
    stopped: Duration::from_millis(40),
    enrolment: Duration::from_millis(40),
};

const SCENARIO: &str = r#"
    seed = 1
    [[site]]
    name = "london-1"
    provider = "Example Telecom"
    location = "GB-LND"
    time_zone = "Europe/London"
    delay = "0ms"
    [[site]]
    name = "paris-1"
    provider = "Example Telecom"
    location = "FR-IDF"
    time_zone = "Europe/Paris"
    delay = "0ms"
    [[site]]
    name = "seattle-1"
    provider = "Example Telecom"
    location = "US-WA"
    time_zone = "America/Los_Angeles"
    delay = "0ms"
    [[target]]
    name = "echo"
    service = "Test"
    host = "echo.lab.example"
    probes = ["tcp"]
    interval = "20ms"
"#;

/// A site's machine: what survives its agent.
struct Machine {
    site: LabSite,
    home: tempfile::TempDir,
    /// What the agent probes. Connections queue here unaccepted until they are counted.
    target: TcpListener,
    disk: Disk,
}

/// What is in the spool, waiting or acknowledged.
#[derive(Default)]
struct Disk {
    files: BTreeMap<String, Vec<u8>>,
}

/// What the spooled batches of one session say of the target.
#[derive(Default)]
struct Spooled {
    counters: Counters,
    /// Each interval's start in seconds.
    starts: BTreeSet<i64>,
}

impl Machine {
    fn new(site: LabSite) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(4_096).unwrap();
        socket.set_nonblocking(true).unwrap();
        let home = tempfile::tempdir().unwrap();
        Self { site, home, target: socket.into(), disk: Disk::default() }
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.home.path().join("state"))
    }

    fn configuration(&self) -> PathBuf {
        let source = format!("source_v4 = \"{}\"", self.site.sources[0]);
        write_agent_file(self.home.path(), self.target.local_addr().unwrap(), PROBE_INTERVAL, &source)
    }

    fn start(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
            .args(["run", "--config"])
            .arg(self.configuration())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    fn applicant(&self) -> Applicant {
        let state = self.state();
        let key = Arc::new(load_or_create(&state).unwrap());
        let (trust, proxies) = (CollectorTrust::Pinned, Proxies::default());
        Applicant { state, key, trust, proxies, site: None, clock: Clock::system() }
    }

    /// The connections that the agent made since the last call.
    fn connections(&self) -> u64 {
        let mut connections = 0;
        loop {
            match self.target.accept() {
                Ok(_) => connections += 1,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                    return connections;
                }
            }
        }
    }

    /// What the life that has just ended left on disk, checked against what it did on the network.
    fn examine(&mut self) -> (Counters, u64) {
        let before: BTreeSet<SessionId> = self.disk.sessions().into_keys().collect();
        self.disk.examine(&self.state());
        let mut life = Counters::default();
        for (session, spooled) in self.disk.sessions() {
            if !before.contains(&session) {
                let (first, last) = (spooled.starts.first().unwrap(), spooled.starts.last().unwrap());
                assert_eq!(
                    spooled.starts.len() as u64,
                    last.abs_diff(*first) + 1,
                    "intervals without a hole"
                );
                life.merge(&spooled.counters);
            }
        }
        let connected = life.answered + life.late + life.retransmitted;
        let connections = self.connections();
        assert!(connected <= connections, "{connected} connects were counted, but {connections} were made");
        (life, connections - connected)
    }
}

impl Disk {
    /// Reads the spool of an agent that has ended; what was there before must still be there, unaltered.
    fn examine(&mut self, state: &StateDir) {
        let mut files = BTreeMap::new();
        for path in batches(state) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert_eq!(
                files.insert(name, fs::read(&path).unwrap()),
                None,
                "waiting and acknowledged at once"
            );
        }
        for (name, bytes) in &self.files {
            assert_eq!(files.get(name), Some(bytes), "{name} was spooled and is lost or altered");
        }
        let corrupt = fs::read_dir(state.spool().join("corrupt")).into_iter().flatten().count();
        assert_eq!(corrupt, 0, "a kill tears no batch");
        self.files = files;
    }

    /// What every session spooled; no interval of a series is there twice. A busy machine times one target by two clocks, which
    /// are two series.
    fn sessions(&self) -> BTreeMap<SessionId, Spooled> {
        let mut sessions: BTreeMap<SessionId, Spooled> = BTreeMap::new();
        let mut intervals = BTreeSet::new();
        for file in self.files.values() {
            let batch = decode_batch(Record::parse(file).unwrap().bytes).unwrap().batch;
            for measurement in &batch.measurements {
                let key = &batch.series[measurement.series as usize].key;
                if key.metric == Metric::TcpConnect {
                    let (session, start) = (batch.number.session, measurement.interval.start().as_secs());
                    assert!(intervals.insert((session, key.id(), start)), "an interval twice");
                    let spooled = sessions.entry(session).or_default();
                    spooled.counters.merge(&measurement.counters);
                    spooled.starts.insert(start);
                }
            }
        }
        sessions
    }

    fn total(&self) -> Counters {
        let mut total = Counters::default();
        self.sessions().values().for_each(|spooled| total.merge(&spooled.counters));
        total
    }

    /// The share of the turns between the first and the last interval that were accounted for.
    #[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
    fn coverage(&self) -> f64 {
        let starts: BTreeSet<i64> =
            self.sessions().into_values().flat_map(|spooled| spooled.starts).collect();
        let seconds = starts.last().unwrap().abs_diff(*starts.first().unwrap()) + 1;
        let turns = Duration::from_secs(seconds).div_duration_f64(PROBE_INTERVAL);
        self.total().scheduled as f64 / turns
    }
}

/// The files of all batches, waiting or acknowledged.
fn batches(state: &StateDir) -> Vec<PathBuf> {
    let directories = [state.spool(), state.spool().join("acknowledged")];
    let entries = directories.into_iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "batch")).collect()
}

/// Kills the machine's agent again and again, and ends its last life by SIGTERM.
async fn torment(mut machine: Machine, token: String, mut random: SmallRng) -> Machine {
    for kills in 0..KILLS {
        if kills == ENROLLED_AFTER {
            enrol(&machine.applicant(), &token.parse().unwrap(), None).await.unwrap();
        }
        let mut agent = machine.start();
        let life = Duration::from_millis(random.random_range(LIFE_MS));
        let ended = tokio::time::timeout(life, agent.wait()).await;
        assert!(ended.is_err(), "the agent ended by itself: {ended:?}");
        agent.kill().await.unwrap();
        let (_, lost) = machine.examine();
        assert!(PROBE_INTERVAL * u32::try_from(lost).unwrap() <= UNCLOSED, "{lost} probes lost in {life:?}");
    }
    terminate(&mut machine).await;
    machine
}

async fn terminate(machine: &mut Machine) {
    let mut agent = machine.start();
    let (state, before) = (machine.state(), machine.disk.files.len());
    eventually("two batches of the last life", WAIT, async || match batches(&state).len() - before {
        0..2 => Look::NotYet(String::new()),
        _ => Look::Holds(()),
    })
    .await
    .unwrap();
    kill(Pid::from_raw(agent.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), agent.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    let (life, uncounted) = machine.examine();
    assert!(uncounted <= life.voided, "{uncounted} connects are not accounted for: {life:?}");
}

/// Hands over what still waits, with nobody left who measures.
async fn deliver(machine: &Machine) {
    let Applicant { state, key, trust, proxies, clock, .. } = machine.applicant();
    let spool = Spool::open(&state.spool(), key.agent(), SpoolSettings::default()).unwrap();
    let spool = SharedSpool::new(spool);
    let link = Link { state, uplinks: Vec::new(), trust, proxies, key, clock, offset: Offset::default() };
    let pushing = tokio::spawn(Push::new(spool.clone(), link, Board::default(), PATIENCE).run());
    eventually("an empty spool", WAIT, async || match spool.counts().batches {
        0 => Look::Holds(()),
        waiting => Look::NotYet(format!("{waiting} batches wait")),
    })
    .await
    .unwrap();
    pushing.abort();
}

/// What the report says of a location's target.
fn row<'a>(report: &'a Value, location: &str) -> &'a Value {
    let rows = report["rows"].as_array().unwrap();
    rows.iter().find(|row| row["location"] == location && row["metric"] == "tcp.connect").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_agent_lose_no_batch_and_at_most_the_open_interval_of_each_life() {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let scenario = Scenario::parse("three sites", SCENARIO).unwrap();
    let network = Network::build(&prepare(Choice::Loopback).unwrap(), &scenario, &[]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let collector =
        Collector::start(peerlight_collector::config::Config::default(), directory.path(), &network, Some(0))
            .await
            .unwrap();
    let sites = LabSite::all(&scenario, &network);
    let tokens = collector.register(&sites).await.unwrap();
    let started = Clock::system().wall();
    let torments = sites
        .into_iter()
        .zip(tokens)
        .zip(20_261_123..)
        .map(|((site, token), seed)| torment(Machine::new(site), token, SmallRng::seed_from_u64(seed)));
    let machines = futures::future::join_all(torments).await;
    for machine in &machines {
        deliver(machine).await;
    }
    let end: Timestamp = Clock::system().wall();
    let report = collector.report(started.as_secs() - 1, end.as_secs() + 1).await.unwrap();
    for machine in &machines {
        let (total, row) = (machine.disk.total(), row(&report, &machine.site.site.location));
        let counted = |name: &str| row[name].as_u64().unwrap();
        assert_eq!((counted("scheduled"), counted("answered")), (total.scheduled, total.answered), "{row}");
        let (coverage, expected) = (row["coverage"].as_f64().unwrap(), machine.disk.coverage());
        assert!((coverage - expected).abs() < 0.001 && coverage < 0.99, "{coverage} instead of {expected}");
    }
    collector.stop().await.unwrap();
}
