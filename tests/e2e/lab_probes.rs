//! The agent's own prober behind emulated paths: what it measures is what the packets really took.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, helpers of tests too")]

use peerlight_agent::{
    probe::{Probe as _, ProbeSettings, Prober, Trust},
    sample::Outcome,
};
use peerlight_lab::{
    echo,
    eventually::{Look, eventually},
    network::{Choice, Network, prepare},
    scenario::Scenario,
    site::{DEADLINE, TIMEOUT},
    truth::{Place, Truth, TruthRow},
};
use peerlight_proto::{metric::Metric, series::Family, target::Target};
use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Rounds of probes; each is one probe of every kind in both families.
const ROUNDS: usize = 40;
/// The taps sit some microseconds off the stamps of sockets.
const TOLERANCE: Duration = Duration::from_micros(200);

const SCENARIO: &str = r#"
    seed = 3
    [[site]]
    name = "one"
    provider = "Example Telecom"
    location = "GB-LND"
    time_zone = "Europe/London"
    delay = "20ms"
    jitter = "3ms"
    [[target]]
    name = "echo"
    service = "Test"
    host = "echo.lab.example"
    probes = ["icmp", "tcp", "udp", "dns", "https"]
    interval = "1s"
"#;

#[test]
fn icmp_tcp_udp_and_dns_are_measured_as_they_were_in_both_families() {
    let Ok(ground) = prepare(Choice::Namespaces) else {
        // A test is not the only thread of its process, so that it cannot enter a user namespace.
        writeln!(std::io::stderr(), "SKIPPED: needs root and /dev/net/tun").unwrap();
        return;
    };
    let scenario = Scenario::parse("one site", SCENARIO).unwrap();
    let network = Network::build(&ground, &scenario, &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let guard = runtime.enter();
    let sockets = echo::bind(&network, &scenario.targets).unwrap();
    let site = &scenario.sites[0];
    let places = vec![Place { provider: site.provider.clone(), location: site.location.clone() }];
    let truth = Arc::new(Mutex::new(Truth::new(places, sockets.endpoints())));
    let _taps = network.tap(Arc::clone(&truth)).unwrap().unwrap();
    let dns = sockets.dns_addresses.clone();
    let targets: Vec<Target> = sockets.probes()[0].1.iter().map(|probe| target(probe)).collect();
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let authority = sockets.serve(&[], None, &tasks, &shutdown).unwrap();
    drop(guard);

    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let settings = ProbeSettings {
        timeout: TIMEOUT,
        deadline: DEADLINE,
        dns_servers: dns,
        trust: Trust::File(ca),
        allow: network.plan.all.clone(),
        ..ProbeSettings::default()
    };
    let place = network.sites[0].clone();
    let measured = std::thread::spawn(move || {
        place.enter().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(measure(settings, &targets))
    });
    let measured = measured.join().unwrap();

    let rows = runtime.block_on(whole_truth(&truth));
    for row in rows {
        let mut times = measured[&row.metric].clone();
        times.sort_unstable();
        let p50 = times[times.len().div_ceil(2) - 1];
        let true_p50 = Duration::from_secs_f64(row.p50_ms.unwrap() / 1_000.0);
        writeln!(std::io::stderr(), "{}: measured {p50:?}, truth {true_p50:?}, n {}", row.metric, row.n)
            .unwrap();
        assert_eq!(times.len() as u64, row.n, "{}", row.metric);
        assert!(p50.abs_diff(true_p50) <= TOLERANCE, "{}: {p50:?} for {true_p50:?}", row.metric);
    }
    shutdown.cancel();
}

fn target(probe: &str) -> Target {
    Target {
        name: "echo".into(),
        service: "Test".into(),
        address: "echo.lab.example".parse().unwrap(),
        probe: probe.parse().unwrap(),
    }
}

async fn measure(settings: ProbeSettings, targets: &[Target]) -> BTreeMap<Metric, Vec<Duration>> {
    let (prober, _strays) = Prober::open(settings).unwrap();
    let mut measured = BTreeMap::<_, Vec<_>>::new();
    for _round in 0..ROUNDS {
        for target in targets {
            for family in [Family::V4, Family::V6] {
                let sample = prober.probe(target, family).await.unwrap();
                for reading in sample.readings {
                    match reading.outcome {
                        Outcome::Answered { latency, .. } => {
                            measured.entry(reading.metric).or_default().push(latency);
                        }
                        Outcome::Failed(ending) => panic!("{}: {ending:?}", reading.metric),
                    }
                }
            }
        }
    }
    measured
}

/// The truth's rows once the taps have told of every probe.
async fn whole_truth(truth: &Mutex<Truth>) -> Vec<TruthRow> {
    let look = async || {
        let truth = truth.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = truth.rows(&(Duration::ZERO..Duration::MAX), TIMEOUT, DEADLINE);
        let whole = rows.len() == 4 && rows.iter().all(|row| row.n == 2 * ROUNDS as u64);
        if whole { Look::Holds(rows) } else { Look::NotYet(format!("{rows:?}")) }
    };
    eventually("the truth about every probe", Duration::from_secs(5), look).await.unwrap()
}
