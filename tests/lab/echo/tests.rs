//! The echo servers on 127/8, asked over real sockets.

use super::*;
use crate::{
    network::{Choice, prepare},
    scenario::Scenario,
    truth::{Place, Truth},
};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

struct Lab {
    network: Network,
    truth: Arc<Mutex<Truth>>,
    endpoints: Vec<Endpoint>,
    dns: SocketAddr,
    https: SocketAddr,
    authority: Authority,
    _stop: tokio_util::sync::DropGuard,
}

fn lab() -> Lab {
    let scenario = Scenario::six_sites().unwrap();
    let network = Network::build(&prepare(Choice::Loopback).unwrap(), &scenario, &[]).unwrap();
    let sockets = bind(&network, &scenario.targets).unwrap();
    let (endpoints, dns) = (sockets.endpoints(), sockets.dns_addresses[0]);
    let https = SocketAddr::new(sockets.targets[0].addresses[0], sockets.targets[0].port(EchoProbe::Https));
    let places = scenario
        .sites
        .iter()
        .map(|site| Place { provider: site.provider.clone(), location: site.location.clone() });
    let truth = Arc::new(Mutex::new(Truth::new(places.collect(), endpoints.clone())));
    let holds = Holds::new(network.plan.clone(), &scenario, Arc::clone(&truth));
    let shutdown = CancellationToken::new();
    let authority = sockets
        .serve(&["outlook.office365.com".to_owned()], Some(&holds), &TaskTracker::new(), &shutdown)
        .unwrap();
    Lab { network, truth, endpoints, dns, https, authority, _stop: shutdown.drop_guard() }
}

async fn look_up(dns: SocketAddr, name: &str) -> Message {
    let socket = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let mut question = Message::new(7, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_utf8(name).unwrap(), RecordType::A));
    socket.send_to(&question.to_vec().unwrap(), dns).await.unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).await.unwrap();
    Message::from_vec(&answer[..length]).unwrap()
}

#[tokio::test]
async fn names_of_the_lab_and_borrowed_ones_resolve_and_others_do_not_exist() {
    let lab = lab();
    for name in ["exchange.lab.example.", "outlook.office365.com."] {
        let answer = look_up(lab.dns, name).await;
        let addresses: Vec<_> = answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
        assert_eq!(addresses, lab.network.plan.targets[0], "{name}");
    }
    let answer = look_up(lab.dns, "login.microsoftonline.com.").await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn a_datagram_is_held_back_as_the_sites_path_would_and_the_truth_knows() {
    let lab = lab();
    let site = lab.network.plan.sites[0].agent[0];
    let socket = tokio::net::UdpSocket::bind((site, 0)).await.unwrap();
    let teams = &lab.endpoints[1];
    let sent = hold::wall_clock();
    socket.send_to(b"marco", (teams.addresses[0], teams.udp_port)).await.unwrap();
    let mut answer = [0; 16];
    let length =
        tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut answer)).await.unwrap().unwrap();
    let took = hold::wall_clock().saturating_sub(sent);
    assert_eq!(&answer[..length], b"marco");
    let truth = lab.truth.lock().unwrap_or_else(PoisonError::into_inner);
    let row =
        &truth.rows(&(Duration::ZERO..Duration::MAX), Duration::from_secs(5), Duration::from_secs(5))[0];
    assert_eq!((row.n, row.target.as_str(), row.provider.as_str()), (1, "teams-media", "Example Telecom"));
    let held = row.p50_ms.unwrap();
    assert!(held >= 8.0 && held <= took.as_secs_f64() * 1_000.0, "held {held} ms of {took:?}");
}

#[tokio::test]
async fn https_answers_both_versions_under_the_labs_authority() {
    let lab = lab();
    let authority = reqwest::Certificate::from_pem(lab.authority.pem().as_bytes()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = |versions: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder| {
        versions(reqwest::Client::builder())
            .tls_certs_only([authority.clone()])
            .resolve("exchange.lab.example", lab.https)
            .local_address(lab.network.plan.sites[0].agent[0])
            .build()
            .unwrap()
    };
    let url = format!("https://exchange.lab.example:{}/", lab.https.port());
    for (client, version) in [
        (client(reqwest::ClientBuilder::http1_only), http::Version::HTTP_11),
        (client(|builder| builder), http::Version::HTTP_2),
    ] {
        let response = client.get(&url).send().await.unwrap();
        assert_eq!((response.status(), response.version()), (http::StatusCode::OK, version));
    }
}

#[tokio::test]
async fn a_connect_is_accepted_and_closed() {
    use tokio::io::AsyncReadExt as _;
    let lab = lab();
    let endpoint = &lab.endpoints[0];
    let mut stream =
        tokio::net::TcpStream::connect((endpoint.addresses[0], endpoint.tcp_port)).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}
