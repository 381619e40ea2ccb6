//! The identity of counters with real agents on real sockets: while paths delay, lose, repeat, refuse, reorder and disguise at
//! random, every counter of every agent is what really became of its packets; and the collector's report says the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod collector_machine;

use collector_machine::{CollectorMachine, PATIENCE, introduce, register};
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential,
    enrol::{Applicant, enrol},
    link::Link,
    offset::Offset,
    paths::StateDir,
    proxy::Proxies,
    push::Push,
    spool::{Spool, SpoolSettings, handle::SharedSpool},
    status::Board,
    trust::CollectorTrust,
};
use peerlight_lab::{
    echo::{self, Sockets, hold::Holds},
    eventually::{Look, eventually},
    network::{Choice, Ground, Network, namespace::NamespaceError, prepare},
    scenario::{Conditions, EchoProbe, EchoTarget, Recurring, Scenario, Site},
    site::{AgentSettings, DEADLINE, LabSite, TIMEOUT},
    truth::{Place, Truth},
};
use peerlight_proto::{
    codec::decode_batch,
    measurement::{Counters, Ending},
    metric::Metric,
    time::IntervalLength,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the paths do follows from it; `PEERLIGHT_SEED` takes another.
const SEED: u64 = 2_026;
const SITES: u64 = 6;
/// How long the paths do at random what they do. Then they are dark, so that nothing is on its way when agents end.
const LIGHT: Duration = Duration::from_secs(6);
/// How long the agents measure: until the longest journey that began in the light is over.
const MEASURED: Duration = Duration::from_millis(8_200);
const STEP: Duration = Duration::from_millis(100);
/// A target of which the ports are closed.
const CLOSED: &str = "closed";

/// The metrics that truth and report are compared in.
const MEASURED_METRICS: [Metric; 4] = [Metric::IcmpRtt, Metric::TcpConnect, Metric::UdpRtt, Metric::DnsQuery];

/// How far the agents' judgement may lie from the truth's where a time is next to the time-out or the deadline.
struct Margins {
    timeout: Duration,
    deadline: Duration,
}

/// What an agent counted of a metric in both families, where ports are closed and where they are not.
type Counted = BTreeMap<(bool, Metric), Counters>;

#[test]
fn behind_emulated_paths_every_counter_is_what_became_of_the_packets() {
    let Ok(ground) = prepare(Choice::Namespaces) else {
        // A test is not the only thread of its process, so that it cannot enter a user namespace.
        writeln!(std::io::stderr(), "SKIPPED: needs root and /dev/net/tun").unwrap();
        return;
    };
    // Both stamp in the kernel; but who waits until the deadline may be woken late.
    let margins = Margins { timeout: Duration::from_millis(5), deadline: Duration::from_millis(300) };
    let total = run(&ground, &[EchoProbe::Icmp, EchoProbe::Tcp, EchoProbe::Udp], &margins);
    for ending in [Ending::Answered, Ending::Late, Ending::Lost, Ending::Refused, Ending::Retransmitted] {
        assert!(total.of(ending) > 0, "the script had no {ending:?}: {total:?}");
    }
    assert!(total.duplicate > 0 && total.foreign > 0, "{total:?}");
}

#[test]
fn on_loopback_every_counter_is_what_the_echo_servers_did() {
    let ground = prepare(Choice::Loopback).unwrap();
    // The echo servers are ordinary processes: between their stamp and the kernel's others may run.
    let margins = Margins { timeout: Duration::from_millis(60), deadline: Duration::from_millis(100) };
    let total = run(&ground, &[EchoProbe::Tcp, EchoProbe::Udp], &margins);
    for ending in [Ending::Answered, Ending::Late, Ending::Lost, Ending::Refused] {
        assert!(total.of(ending) > 0, "the script had no {ending:?}: {total:?}");
    }
    assert!(total.duplicate > 0, "{total:?}");
}

/// Paths of which each does something of everything, at random.
fn scenario(probes: &[EchoProbe]) -> Scenario {
    let seed = std::env::var("PEERLIGHT_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let sites = (0..SITES).map(|number| Site {
        name: format!("site-{number}"),
        provider: format!("Provider {number}"),
        location: "GB-LND".into(),
        time_zone: "Europe/London".into(),
        coordinates: None,
        conditions: conditions(&mut random, number % 2 == 1),
        rest: None,
    });
    let sites = sites.collect();
    let target = EchoTarget {
        name: "echo".into(),
        service: "Test".into(),
        host: "echo.lab.example".into(),
        probes: probes.iter().copied().collect(),
        interval: STEP,
        server_delay: Duration::ZERO,
    };
    Scenario { seed, sites, targets: vec![target] }
}

/// A wide path's times lie on both sides of the time-out, but never beyond the deadline.
fn conditions(random: &mut StdRng, wide: bool) -> Conditions {
    let mut up_to = |most: f64| random.random::<f64>() * most;
    let millis = |millis: f64| Duration::from_secs_f64(millis / 1_000.0);
    Conditions {
        delay: millis(up_to(60.0)),
        jitter: millis(if wide { 1_100.0 + up_to(100.0) } else { up_to(100.0) }),
        loss: up_to(0.4),
        outbound_share: up_to(1.0),
        duplication: 0.1 + up_to(0.4),
        reordering: up_to(1.0),
        refusal: up_to(0.3),
        foreign: 0.1 + up_to(0.2),
        outage: Some(Recurring { every: LIGHT * 10, lasts: LIGHT * 9 }),
    }
}

/// Measures every site and compares what its agent counted with the truth. Returns the sum of all agents' counters.
fn run(ground: &Ground, probes: &[EchoProbe], margins: &Margins) -> Counters {
    let scenario = scenario(probes);
    let network = Network::build(ground, &scenario, &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let sockets = echo::bind(&network, &scenario.targets).unwrap();
    let places = scenario.sites.iter();
    let places =
        places.map(|site| Place { provider: site.provider.clone(), location: site.location.clone() });
    let truth = Arc::new(Mutex::new(Truth::new(places.collect(), sockets.endpoints())));
    let _taps = network.tap(Arc::clone(&truth)).unwrap();
    let private = network.plan.private;
    let holds = (!private).then(|| Holds::new(network.plan.clone(), &scenario, Arc::clone(&truth)));
    let closed = ClosedPorts::bind(&network);
    let settings = AgentSettings {
        collector: "https://collector.lab.example:8443".to_owned(),
        interval: IntervalLength::from_secs(1).unwrap(),
        dns: sockets.dns_addresses.first().copied().filter(|_| private),
        ca_file: None,
        allow: network.plan.all.clone(),
        targets: targets(&network, &sockets, &closed),
    };
    let guard = runtime.enter();
    sockets.serve(&[], holds.as_ref(), &tasks, &shutdown).unwrap();
    drop(guard);

    let directory = tempfile::tempdir().unwrap();
    let sites = LabSite::all(&scenario, &network);
    let counted: Vec<Counted> = std::thread::scope(|scope| {
        let agents = sites.iter().map(|site| {
            let state = directory.path().join(&site.site.name);
            let settings = &settings;
            scope.spawn(move || measure(site, settings, &state))
        });
        let agents: Vec<_> = agents.collect();
        agents.into_iter().map(|agent| agent.join().unwrap()).collect()
    });
    shutdown.cancel();

    let states: Vec<_> =
        sites.iter().map(|site| (site.site.name.clone(), directory.path().join(&site.site.name))).collect();
    runtime.block_on(everything_is_in_the_report(&states, &counted));
    let truth = truth.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(truth.missed_so_far(), 0, "the truth is whole");
    let mut total = Counters::default();
    for (site, counted) in sites.iter().zip(&counted) {
        assert_eq!(counted.contains_key(&(false, Metric::DnsQuery)), private, "{counted:?}");
        for (&(is_closed, metric), counters) in counted {
            let expected = if is_closed {
                Expected::all(counters, Ending::Refused)
            } else if !private && metric == Metric::TcpConnect {
                // The kernel accepts, whatever the server does.
                Expected::all(counters, Ending::Answered)
            } else {
                Expected::of(&truth, &site.site.provider, metric, margins)
            };
            expected.check(counters, &format!("seed {}, {} {metric}", scenario.seed, site.site.name));
            total.merge(counters);
        }
    }
    total
}

/// Hands over what the agents spooled to a collector, whose report must say of each site and metric what its agent counted.
async fn everything_is_in_the_report(states: &[(String, PathBuf)], counted: &[Counted]) {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let machine = CollectorMachine::new();
    let _collector = machine.start(None);
    let operator = machine.operator().await;
    introduce(&operator).await;
    for (number, (site, state)) in (1..).zip(states) {
        let token = register(&operator, site, &format!("192.0.2.{number}/32")).await;
        hand_over(StateDir::new(state), &token).await;
    }
    let metrics = MEASURED_METRICS.map(|metric| metric.to_string()).join(",");
    let by = [("by", "site,target".to_owned()), ("last", "1h".to_owned()), ("metric", metrics)];
    let report: Value = operator.get("/api/v1/reports/latency", &by).await.unwrap();
    let mut reported = vec![Counted::new(); states.len()];
    for row in report["rows"].as_array().unwrap() {
        let site = states.iter().position(|(site, _)| row["site"] == *site).unwrap();
        let key = (row["target"] == CLOSED, row["metric"].as_str().unwrap().parse().unwrap());
        reported[site].entry(key).or_default().merge(&counters_of(row));
    }
    assert_eq!(reported, counted, "{report:#}");
}

/// The counters of a report's row; they bear the same names there.
fn counters_of(row: &Value) -> Counters {
    let count = |name: &str| row[name].as_u64().unwrap();
    Counters {
        scheduled: count("scheduled"),
        skipped: count("skipped"),
        voided: count("voided"),
        dns_failed: count("dns_failed"),
        send_failed: count("send_failed"),
        answered: count("answered"),
        retransmitted: count("retransmitted"),
        late: count("late"),
        lost: count("lost"),
        refused: count("refused"),
        duplicate: count("duplicate"),
        foreign: count("foreign"),
    }
}

/// Enrols an agent that has measured, and pushes all that it spooled.
async fn hand_over(state: StateDir, token: &str) {
    let key = Arc::new(credential::load_or_create(&state).unwrap());
    let applicant = Applicant {
        state: state.clone(),
        key: Arc::clone(&key),
        trust: CollectorTrust::Pinned,
        proxies: Proxies::default(),
        site: None,
        clock: Clock::system(),
    };
    enrol(&applicant, &token.parse().unwrap(), None).await.unwrap();
    let spool = SharedSpool::new(Spool::open(&state.spool(), key.agent(), SpoolSettings::default()).unwrap());
    let link = Link {
        state,
        trust: CollectorTrust::Pinned,
        proxies: Proxies::default(),
        key,
        clock: Clock::system(),
        offset: Offset::default(),
        uplinks: Vec::new(),
    };
    tokio::spawn(Push::new(spool.clone(), link, Board::default(), PATIENCE).run());
    eventually("everything handed over", Duration::from_mins(1), async || match spool.counts().batches {
        0 => Look::Holds(()),
        waiting => Look::NotYet(format!("{waiting} batches wait")),
    })
    .await
    .unwrap();
    let counts = spool.counts();
    assert_eq!((counts.rejected, counts.refused_measurements, counts.too_large), (0, 0, 0));
}

/// What the agents measure, by address: looking names up for other probes is no part of this, and would cross the paths.
fn targets(network: &Network, sockets: &Sockets, closed: &ClosedPorts) -> Vec<(EchoTarget, Vec<String>)> {
    let (target, probes) = sockets.probes().swap_remove(0);
    let named = |name: &str, address: IpAddr| EchoTarget {
        name: name.to_owned(),
        host: address.to_string(),
        ..target.clone()
    };
    let addresses = &network.plan.targets[0];
    // The truth knows no queries that pass no path.
    let asked = network.plan.private.then(|| (target.clone(), vec!["dns".to_owned()]));
    let open = addresses.iter().map(|&address| (named(&address.to_string(), address), probes.clone()));
    // Behind a path a closed port would not be all that refuses.
    let closed = (!network.plan.private).then(|| (named(CLOSED, addresses[0]), closed.probes.clone()));
    open.chain(closed).chain(asked).collect()
}

/// Ports that nobody listens on, and that nobody else can take meanwhile.
struct ClosedPorts {
    probes: Vec<String>,
    _sockets: (socket2::Socket, std::net::UdpSocket),
}

impl ClosedPorts {
    fn bind(network: &Network) -> Self {
        let address = SocketAddr::new(network.plan.targets[0][0], 0);
        let bound = network.core.within(|| {
            let bind = || {
                let tcp = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
                tcp.bind(&address.into())?;
                let udp = std::net::UdpSocket::bind(address)?;
                // What does not come from its peer is refused.
                udp.connect(udp.local_addr()?)?;
                Ok((tcp, udp))
            };
            bind().map_err(|source| NamespaceError { operation: "bind closed ports", source })
        });
        let (tcp, udp) = bound.unwrap();
        let ports = (tcp.local_addr().unwrap().as_socket().unwrap().port(), udp.local_addr().unwrap().port());
        Self { probes: vec![format!("tcp:{}", ports.0), format!("udp:{}", ports.1)], _sockets: (tcp, udp) }
    }
}

/// Runs the agent of `site` for a while, without a collector, and counts up what it spooled.
fn measure(site: &LabSite, settings: &AgentSettings, state: &Path) -> Counted {
    site.place.enter().unwrap();
    let config = Config::parse(&site.agent_configuration(settings, state).unwrap()).unwrap();
    let state = config.state.clone();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::spawn(async move {
            tokio::time::sleep(MEASURED).await;
            stop.cancel();
        });
        peerlight_agent::run(config, shutdown).await.unwrap();
    });
    let agent = credential::load_or_create(&state).unwrap().agent();
    let mut spool = Spool::open(&state.spool(), agent, SpoolSettings::default()).unwrap();
    let mut counted = Counted::new();
    for key in spool.keys().collect::<Vec<_>>() {
        let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
        for measurement in &batch.measurements {
            let series = &batch.series[measurement.series as usize];
            let counters = &measurement.counters;
            assert!(counters.identity_holds(), "{series:?}: {counters:?}");
            assert_eq!(measurement.histogram.count(), counters.answered, "{series:?}");
            if MEASURED_METRICS.contains(&series.key.metric) {
                let of = counted.entry((series.target.name == CLOSED, series.key.metric)).or_default();
                of.merge(counters);
            }
        }
    }
    counted
}

/// What an agent must have counted: the truth as the strictest and the most lenient judge would see it.
struct Expected {
    sent: u64,
    /// Duplicate and foreign answers.
    strays: [u64; 2],
    judged: Vec<Counters>,
}

impl Expected {
    fn of(truth: &Truth, provider: &str, metric: Metric, margins: &Margins) -> Self {
        let ever = Duration::ZERO..Duration::MAX;
        let judge = |timeout, deadline| {
            let rows = truth.rows(&ever, timeout, deadline);
            rows.iter().find(|row| row.provider == provider && row.metric == metric).unwrap().counters
        };
        let timeouts = [TIMEOUT.saturating_sub(margins.timeout), TIMEOUT + margins.timeout];
        let deadlines = [DEADLINE.saturating_sub(margins.timeout), DEADLINE + margins.deadline];
        let judged: Vec<_> = timeouts
            .into_iter()
            .flat_map(|timeout| deadlines.map(|deadline| judge(timeout, deadline)))
            .collect();
        Self { sent: judged[0].scheduled, strays: [judged[0].duplicate, judged[0].foreign], judged }
    }

    /// Everything that was sent ended alike.
    fn all(counters: &Counters, ending: Ending) -> Self {
        let mut judged = Counters::default();
        for _ in 0..counters.scheduled - counters.skipped {
            judged.count(ending);
        }
        Self { sent: judged.scheduled, strays: [0; 2], judged: vec![judged] }
    }

    fn check(&self, counted: &Counters, what: &str) {
        let Self { sent, strays, judged } = self;
        let told = format!("{what}: counted {counted:?}, must be one of {judged:?}");
        assert_eq!((counted.dns_failed, counted.send_failed), (0, 0), "{told}");
        // A probe of the millisecond in which the agent is stopped may be voided in the place of lost.
        assert!(counted.voided <= 2, "{told}");
        assert_eq!(counted.scheduled - counted.skipped, *sent, "{told}");
        assert_eq!([counted.duplicate, counted.foreign], *strays, "{told}");
        let seen = Counters { lost: counted.lost + counted.voided, ..*counted };
        for ending in [Ending::Answered, Ending::Late, Ending::Retransmitted, Ending::Lost, Ending::Refused] {
            let least = judged.iter().map(|counters| counters.of(ending)).min().unwrap();
            let most = judged.iter().map(|counters| counters.of(ending)).max().unwrap();
            assert!((least..=most).contains(&seen.of(ending)), "{ending:?} of {told}");
        }
    }
}
