//! A site that gets another address: the agent notices within seconds and says so of what it measures from then on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

use futures::TryStreamExt as _;
use ipnet::Ipv4Net;
use peerlight_agent::{cadence::Cadence, paths::StateDir, spool::record::Record, status};
use peerlight_lab::{
    collector::Collector,
    echo,
    eventually::{Look, eventually},
    network::{Choice, Network, namespace::Namespace, prepare},
    scenario::Scenario,
    site::{AgentSettings, LabSite},
    site_agent::SiteAgent,
};
use peerlight_proto::{codec::decode_batch, time::IntervalLength};
use rtnetlink::{Handle, LinkUnspec, packet_route::AddressFamily};
use std::{collections::BTreeSet, fs, io::Write as _, net::IpAddr, time::Duration};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const SCENARIO: &str = r#"
    seed = 1
    [[site]]
    name = "one"
    provider = "Example Telecom"
    location = "GB-LND"
    time_zone = "Europe/London"
    delay = "0ms"
    [[target]]
    name = "echo"
    service = "Test"
    host = "echo.lab.example"
    probes = ["tcp"]
    interval = "100ms"
"#;

#[test]
fn a_new_address_is_observed_within_seconds_and_what_is_measured_bears_it() {
    let Ok(namespace) = Namespace::create() else {
        writeln!(std::io::stderr(), "SKIPPED: only root can make a network namespace").unwrap();
        return;
    };
    let test = std::thread::spawn(move || {
        namespace.enter().unwrap();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(change_address());
    });
    test.join().unwrap();
}

async fn change_address() {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let (connection, netlink, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    let (old, new): (Ipv4Net, Ipv4Net) = ("127.0.0.1/8".parse().unwrap(), "127.0.0.2/8".parse().unwrap());
    let loopback = loopback(&netlink).await;
    netlink.link().change(LinkUnspec::new_with_index(loopback).up().build()).execute().await.unwrap();
    // Bringing the device up has added it already, where the kernel does that.
    let _there = netlink.address().add(loopback, IpAddr::V4(old.addr()), old.prefix_len()).execute().await;

    let mut scenario = Scenario::parse("one site", SCENARIO).unwrap();
    let network = Network::build(&prepare(Choice::Loopback).unwrap(), &scenario, &[]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(
        peerlight_collector::config::Config::default(),
        &directory.path().join("collector"),
        &network,
        Some(0),
    )
    .await
    .unwrap();
    scenario.targets[0].host = network.plan.targets[0][0].to_string();
    let sockets = echo::bind(&network, &scenario.targets).unwrap();
    let mut site = LabSite::all(&scenario, &network).remove(0);
    // The kernel chooses, as it does at an ordinary site.
    site.sources.clear();
    let token = collector.register(std::slice::from_ref(&site)).await.unwrap().remove(0);
    let settings = AgentSettings {
        collector: collector.agents_url.clone(),
        interval: IntervalLength::from_secs(1).unwrap(),
        dns: None,
        ca_file: None,
        allow: network.plan.all.clone(),
        targets: sockets.probes().into_iter().map(|(target, probes)| (target.clone(), probes)).collect(),
    };
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let _authority = sockets.serve(&[], None, &tasks, &shutdown).unwrap();
    let home = directory.path().join("agent");
    let state = StateDir::new(&home);
    let agent = SiteAgent::start(&site, &settings, &token, &home).unwrap();
    until_observed(&state, old.addr().into()).await;

    let changed = Instant::now();
    replace_address(&netlink, loopback, new).await;
    until_observed(&state, new.addr().into()).await;
    let noticed = changed.elapsed();
    assert!(noticed < Cadence::default().retry, "{noticed:?} is no sooner than usual");
    eventually("measurements from the new address", Duration::from_secs(30), async || {
        let seen = measured_from(&state);
        if seen.contains(&new.addr().into()) { Look::Holds(()) } else { Look::NotYet(format!("{seen:?}")) }
    })
    .await
    .unwrap();
    agent.stop();
    tokio::task::spawn_blocking(|| agent.join()).await.unwrap().unwrap();
    collector.stop().await.unwrap();
}

async fn loopback(netlink: &Handle) -> u32 {
    let mut links = netlink.link().get().match_name("lo".to_owned()).execute();
    links.try_next().await.unwrap().unwrap().header.index
}

/// Takes the addresses of version 4 from the device and gives it this one.
async fn replace_address(netlink: &Handle, device: u32, new: Ipv4Net) {
    let addresses = netlink.address().get().set_link_index_filter(device).execute();
    for address in addresses.try_collect::<Vec<_>>().await.unwrap() {
        if address.header.family == AddressFamily::Inet {
            netlink.address().del(address).execute().await.unwrap();
        }
    }
    netlink.address().add(device, new.addr().into(), new.prefix_len()).execute().await.unwrap();
}

async fn until_observed(state: &StateDir, address: IpAddr) {
    eventually(format!("{address} observed"), Duration::from_secs(40), async || {
        match status::ask(state).await {
            Ok(status) if status.observed.get("v4") == Some(&address) => Look::Holds(()),
            Ok(status) => Look::NotYet(format!("{:?}", status.observed)),
            Err(error) => Look::NotYet(error.to_string()),
        }
    })
    .await
    .unwrap();
}

/// The public addresses that the acknowledged measurements bear.
fn measured_from(state: &StateDir) -> BTreeSet<IpAddr> {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(state.spool().join("acknowledged")).unwrap() {
        let file = fs::read(entry.unwrap().path()).unwrap();
        let batch = decode_batch(Record::parse(&file).unwrap().bytes).unwrap().batch;
        seen.extend(batch.measurements.iter().filter_map(|measurement| Some(measurement.observed?.address)));
    }
    seen
}
