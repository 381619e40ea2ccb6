//! One agent, two uplinks: the report must show two providers, each with its own latencies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

#[expect(dead_code, reason = "the agent of this test is the program itself, with its own patience")]
mod collector_machine;

use collector_machine::{CollectorMachine, introduce, register};
use futures::TryStreamExt as _;
use ipnet::IpNet;
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential::load_or_create,
    enrol::{Applicant, enrol_beside},
    probe::{Probe as _, ProbeSettings, Prober},
    sample::Outcome,
    status,
};
use peerlight_collector::{
    client::Client,
    registry::{IssuedToken, NewProvider, NewRegistration, NewToken, Provider, ProviderKind, Registration},
};
use peerlight_lab::{
    eventually::{Look, eventually},
    network::namespace::Namespace,
};
use peerlight_proto::{series::Family, target::Target};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};
use serde_json::Value;
use std::{
    fs::File,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, TcpListener},
    os::fd::AsRawFd as _,
    sync::Arc,
    time::Duration,
};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

const WAIT: Duration = Duration::from_mins(1);
/// The addresses of this machine that stand for its uplinks, and how long each uplink takes there and back.
const FIBRE: (Ipv4Addr, Duration) = (Ipv4Addr::new(127, 0, 61, 1), Duration::from_millis(5));
const MOBILE: (Ipv4Addr, Duration) = (Ipv4Addr::new(127, 0, 62, 1), Duration::from_millis(40));
/// What a busy machine may add.
const OVERHEAD_MS: f64 = 30.0;
const ENOUGH: u64 = 40;

/// Echoes what comes, as late as the uplink that it came by takes.
async fn echo() -> u16 {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let (socket, echo) = (Arc::clone(&socket), packet[..length].to_vec());
            let (_, delay) = [FIBRE, MOBILE].into_iter().find(|(source, _)| from.ip() == *source).unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                socket.send_to(&echo, from).await.unwrap();
            });
        }
    });
    port
}

fn config(state: &std::path::Path, port: u16) -> Config {
    Config::parse(&format!(
        r#"
        state = "{}"
        [[uplink]]
        name = "fibre"
        provider = "Example Telecom"
        source_v4 = "{}"
        [[uplink]]
        name = "mobile"
        source_v4 = "{}"
        dscp = "EF"
        [[target]]
        name = "echo"
        address = "127.0.0.1"
        probes = ["udp:{port}"]
        interval = "100ms"
        [probing]
        interval = "1s"
        [limits]
        allow = ["127.0.0.0/8"]
        "#,
        state.display(),
        FIBRE.0,
        MOBILE.0
    ))
    .unwrap()
}

/// Registers the second site through a provider of its own.
async fn register_mobile(operator: &Client) -> String {
    let provider = NewProvider {
        name: "Sample Networks".into(),
        kind: ProviderKind::Isp,
        countries: Vec::new(),
        aliases: Vec::new(),
        asns: Vec::new(),
        source: None,
    };
    operator.post::<Provider>("/api/v1/providers", &provider).await.unwrap();
    let registration = NewRegistration {
        site: "mobile".into(),
        provider: "Sample Networks".into(),
        location: "GB-LND".into(),
        prefixes: vec![format!("{}/32", MOBILE.0)],
        allow_non_public: true,
        valid_from: Some("2026-01-01".into()),
        ..NewRegistration::default()
    };
    let registration: Registration = operator.post("/api/v1/registrations", &registration).await.unwrap();
    let token = NewToken { registration: registration.id, ..NewToken::default() };
    operator.post::<IssuedToken>("/api/v1/tokens", &token).await.unwrap().token
}

async fn enrol_each(config: &Config, tokens: [String; 2]) {
    let key = Arc::new(load_or_create(&config.state).unwrap());
    for (uplink, token) in config.uplinks.iter().zip(tokens) {
        let applicant = Applicant {
            state: config.state.clone(),
            key: Arc::clone(&key),
            trust: config.collector.trust,
            proxies: config.proxy.open().unwrap(),
            site: Some(uplink.site.clone()),
            clock: Clock::system(),
        };
        let token = token.parse().unwrap();
        enrol_beside(&applicant, &config.uplink_names(), &token, None).await.unwrap();
    }
}

/// The report's rows, once both providers have enough verified probes.
async fn rows(operator: &Client) -> Vec<Value> {
    eventually("a report of two providers", WAIT, async || {
        let query = ["by=provider", "last=1h", "metric=udp.rtt"]
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name, value.to_owned()));
        let report: Value = operator.get("/api/v1/reports/latency", &query).await.unwrap();
        let rows = report["rows"].as_array().unwrap().clone();
        let has_enough = |row: &Value| row["verified"].as_u64().unwrap() >= ENOUGH;
        if rows.iter().filter(|row| has_enough(row)).count() == 2 {
            Look::Holds(rows)
        } else {
            Look::NotYet(format!("{rows:?}"))
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn one_agent_compares_two_providers() {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let machine = CollectorMachine::new();
    let _collector = machine.start(None);
    let operator = machine.operator().await;
    introduce(&operator).await;
    let tokens =
        [register(&operator, "fibre", &format!("{}/32", FIBRE.0)).await, register_mobile(&operator).await];
    let state = tempfile::tempdir().unwrap();
    let config = config(state.path(), echo().await);
    enrol_each(&config, tokens).await;
    let shutdown = CancellationToken::new();
    let agent = tokio::spawn(peerlight_agent::run(config.clone(), shutdown.clone()));

    for row in rows(&operator).await {
        let (_, delay) = if row["provider"] == "Sample Networks" { MOBILE } else { FIBRE };
        let (p50, delay) = (row["latency_ms"]["p50"].as_f64().unwrap(), delay.as_secs_f64() * 1e3);
        assert!((delay..delay + OVERHEAD_MS).contains(&p50), "{row}");
        assert_eq!((row["lost"].as_u64(), row["agents"].as_u64()), (Some(0), Some(1)), "{row}");
    }
    let observed = status::ask(&config.state).await.unwrap().observed;
    assert_eq!(observed["v4 over fibre"], IpAddr::V4(FIBRE.0));
    assert_eq!(observed["v4 over mobile"], IpAddr::V4(MOBILE.0));
    let agents: Value = operator.get("/api/v1/agents", &[]).await.unwrap();
    let entry = &agents["items"][0];
    assert_eq!((&entry["site"], &entry["others"][0]["site"]), (&"mobile".into(), &"fibre".into()), "{entry}");
    assert_eq!((&entry["state"], &entry["cloned_since"]), (&Value::Array(vec![]), &Value::Null), "{entry}");
    shutdown.cancel();
    agent.await.unwrap().unwrap();
}

/// The ends of a line that is laid while the agent runs, and their addresses.
const NEAR: (&str, &str) = ("late0", "10.77.9.1/24");
const FAR: (&str, &str) = ("far0", "10.77.9.2/24");

/// Does this with the devices of a namespace.
fn netlink<T: Send>(place: &Namespace, work: impl AsyncFnOnce(Handle) -> T + Send) -> T {
    place
        .within(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            Ok(runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection().unwrap();
                tokio::spawn(connection);
                work(handle).await
            }))
        })
        .unwrap()
}

async fn index(handle: &Handle, name: &str) -> u32 {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    links.try_next().await.unwrap().unwrap().header.index
}

/// Lays the line between two places.
fn connect(near: &Namespace, far: &Namespace) {
    let there = far.within(|| Ok(File::open("/proc/thread-self/ns/net").unwrap())).unwrap();
    netlink(near, async |handle| {
        handle.link().add(LinkVeth::new(NEAR.0, FAR.0).build()).execute().await.unwrap();
        let moved = LinkUnspec::new_with_index(index(&handle, FAR.0).await).setns_by_fd(there.as_raw_fd());
        handle.link().change(moved.build()).execute().await.unwrap();
    });
    for (place, (name, address)) in [(near, NEAR), (far, FAR)] {
        netlink(place, async |handle| {
            let (index, net) = (index(&handle, name).await, address.parse::<IpNet>().unwrap());
            handle.link().change(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
            handle.address().add(index, net.addr(), net.prefix_len()).execute().await.unwrap();
        });
    }
}

/// How a probe over the interface ends, and what it says.
async fn probed(prober: &Prober, probe: &str) -> (bool, String) {
    let target = Target {
        name: "far".to_owned(),
        service: String::new(),
        address: "10.77.9.2".parse().unwrap(),
        probe: probe.parse().unwrap(),
    };
    let sample = prober.probe(&target, Family::V4).await.unwrap();
    (matches!(sample.readings[0].outcome, Outcome::Answered { .. }), format!("{sample:?}"))
}

#[test]
fn an_interface_may_come_after_the_agent() {
    let Ok(near) = Namespace::create() else {
        writeln!(std::io::stderr(), "SKIPPED: only root can make network namespaces").unwrap();
        return;
    };
    let far = Namespace::create().unwrap();
    let _listener = far.within(|| Ok(TcpListener::bind("0.0.0.0:443").unwrap())).unwrap();
    let (place, other) = (near.clone(), far.clone());
    let probing = std::thread::spawn(move || {
        place.enter().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let settings = ProbeSettings {
                interface: Some(NEAR.0.parse().unwrap()),
                allow: vec!["10.77.9.0/24".parse().unwrap()],
                ..ProbeSettings::default()
            };
            let (prober, _strays) = Prober::open(settings).unwrap();
            for probe in ["icmp", "tcp:443"] {
                let (answered, said) = probed(&prober, probe).await;
                assert!(!answered && said.contains("no network interface `late0`"), "{said}");
            }
            connect(&place, &other);
            for probe in ["icmp", "tcp:443"] {
                eventually(probe, WAIT, async || match probed(&prober, probe).await {
                    (true, _) => Look::Holds(()),
                    (false, said) => Look::NotYet(said),
                })
                .await
                .unwrap();
            }
        });
    });
    probing.join().unwrap();
}
