//! The relay and the taps with real packets.

use super::*;
use crate::{
    eventually::{Look, eventually},
    scenario::{Conditions, EchoProbe, EchoTarget, Site},
    truth::{Endpoint, Place as TruthPlace, Truth, TruthRow},
};
use peerlight_proto::metric::Metric;
use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::PoisonError,
    time::Duration,
};

const ECHO_PORT: u16 = 3478;

fn scenario(conditions: &[Conditions]) -> Scenario {
    Scenario {
        seed: 11,
        sites: conditions
            .iter()
            .enumerate()
            .map(|(number, &conditions)| Site {
                name: format!("site-{number}"),
                provider: format!("Provider {number}"),
                location: "GB-LND".into(),
                time_zone: "Europe/London".into(),
                coordinates: None,
                conditions,
                rest: None,
            })
            .collect(),
        targets: vec![EchoTarget {
            name: "echo".into(),
            service: "Test".into(),
            host: "echo.lab.example".into(),
            probes: [EchoProbe::Icmp].into(),
            interval: Duration::from_secs(1),
            server_delay: Duration::ZERO,
        }],
    }
}

/// The network, its truth and its taps; none where the machine does not allow namespaces, which is then said by name.
fn emulated(conditions: &[Conditions]) -> Option<(Network, Arc<Mutex<Truth>>, Taps)> {
    if !Uid::effective().is_root() {
        // A test is not the only thread of its process, so that it cannot enter a user namespace.
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        writeln!(std::io::stderr(), "SKIPPED {name}: needs root").unwrap();
        return None;
    }
    let scenario = scenario(conditions);
    let network = Network::build(&prepare(Choice::Namespaces).unwrap(), &scenario, &[]).unwrap();
    let places = scenario
        .sites
        .iter()
        .map(|site| TruthPlace { provider: site.provider.clone(), location: site.location.clone() });
    let endpoint = Endpoint {
        name: "echo".into(),
        host: "echo.lab.example".into(),
        addresses: network.plan.targets[0].clone(),
        tcp_port: 80,
        udp_port: ECHO_PORT,
    };
    let truth = Arc::new(Mutex::new(Truth::new(places.collect(), vec![endpoint])));
    let taps = network.tap(Arc::clone(&truth)).unwrap().unwrap();
    Some((network, truth, taps))
}

fn ends(network: &Network, family: usize) -> (UdpSocket, UdpSocket) {
    let bind = |place: &Place, address: IpAddr, port| {
        let socket = place.within(|| {
            UdpSocket::bind(SocketAddr::new(address, port)).map_err(NamespaceError::at("bind a socket"))
        });
        socket.unwrap()
    };
    let target = network.plan.targets[0][family];
    let server = bind(&network.core, target, ECHO_PORT);
    let client = bind(&network.sites[0], network.plan.sites[0].agent[family], 0);
    client.connect((target, ECHO_PORT)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (client, server)
}

fn echo(server: UdpSocket) {
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            if server.send_to(&buffer[..length], from).is_err() {
                return;
            }
        }
    });
}

/// The only row, once the taps have told of `answered` answers.
fn row_of(truth: &Mutex<Truth>, answered: u64) -> TruthRow {
    let look = async || {
        let truth = truth.lock().unwrap_or_else(PoisonError::into_inner);
        let row = truth
            .rows(&(Duration::ZERO..Duration::MAX), Duration::from_secs(1), Duration::from_secs(2))
            .swap_remove(0);
        assert_eq!(truth.missed_so_far(), 0);
        if row.n == answered { Look::Holds(row) } else { Look::NotYet(format!("{row:?}")) }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(eventually("the truth about every answer", Duration::from_secs(5), look)).unwrap()
}

#[test]
fn a_path_of_20_ms_is_20_ms_in_both_families() {
    let twenty = Conditions { delay: Duration::from_millis(20), ..Conditions::default() };
    for family in [0, 1] {
        let Some((network, truth, _taps)) = emulated(&[twenty]) else { return };
        let (client, server) = ends(&network, family);
        echo(server);
        for number in 0_u32..50 {
            client.send(&number.to_be_bytes()).unwrap();
            let mut answer = [0; 64];
            assert_eq!(client.recv(&mut answer).unwrap(), 4);
        }
        let row = row_of(&truth, 50);
        writeln!(std::io::stderr(), "family {family}: {row:?}").unwrap();
        assert_eq!((row.metric, row.loss), (Metric::UdpRtt, Some(0.0)));
        let p50 = row.p50_ms.unwrap();
        assert!((20.0..25.0).contains(&p50), "20 ms measured as {p50} ms");
    }
}

#[test]
fn a_path_loses_its_share_and_the_truth_counts_it() {
    let lossy = Conditions { delay: Duration::from_millis(2), loss: 0.2, ..Conditions::default() };
    let Some((network, truth, _taps)) = emulated(&[lossy]) else { return };
    let (client, server) = ends(&network, 0);
    echo(server);
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answered = 0;
    for number in 0_u32..200 {
        client.send(&number.to_be_bytes()).unwrap();
        let mut answer = [0; 4];
        answered += u64::from(client.recv(&mut answer).is_ok());
    }
    let row = row_of(&truth, answered);
    assert!((0.1..0.3).contains(&row.loss.unwrap()), "20 % loss seen as {:?}", row.loss);
}

#[test]
fn sites_reach_the_core_and_never_each_other() {
    let near = Conditions { delay: Duration::from_millis(2), ..Conditions::default() };
    let Some((network, _truth, _taps)) = emulated(&[near, near]) else { return };
    let bind = |site: usize| {
        let address = network.plan.sites[site].agent[0];
        let bound = network.sites[site]
            .within(|| UdpSocket::bind((address, 0)).map_err(NamespaceError::at("bind a socket")));
        bound.unwrap()
    };
    let (one, other) = (bind(0), bind(1));
    other.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    one.send_to(b"hello", other.local_addr().unwrap()).unwrap();
    assert!(other.recv(&mut [0; 8]).is_err());
}
