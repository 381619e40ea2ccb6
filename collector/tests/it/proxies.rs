//! Agents behind a proxy that speaks the PROXY protocol: they are where the proxy says that they are.

use crate::{
    agent::Agent,
    batches::{SITE, acknowledged, batch},
    collector::Collector,
};
use peerlight_collector::report::Report;
use peerlight_proto::{codec::encode_batch, http::WHOAMI_PATH, whoami::WhoAmI};
use proxy_header::{ProxiedAddress, ProxyHeader};
use reqwest::Method;
use std::net::{IpAddr, SocketAddr};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// A proxy in front of `to` that says that its connections come from `client`.
async fn proxy(to: SocketAddr, client: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut header = Vec::new();
    let proxied = ProxiedAddress::stream(client, SocketAddr::new(client.ip(), 443));
    ProxyHeader::with_address(proxied).encode_v2(&mut header).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut inner, _) = listener.accept().await.unwrap();
            let header = header.clone();
            tokio::spawn(async move {
                let mut outer = TcpStream::connect(to).await.unwrap();
                outer.write_all(&header).await.unwrap();
                // Either end may break off.
                let _ = copy_bidirectional(&mut inner, &mut outer).await;
            });
        }
    });
    address
}

async fn behind_proxies() -> Collector {
    Collector::start_with(|config| {
        config.agents.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.agents.proxy_protocol = true;
    })
    .await
}

#[tokio::test]
async fn an_agent_behind_a_proxy_is_attributed_by_the_address_that_the_proxy_tells() {
    let collector = behind_proxies().await;
    let token = collector.token(SITE).await;
    let client = "192.0.2.77:40000".parse().unwrap();
    let agent = Agent::new(&collector, &token.response_key).through(proxy(collector.agents, client).await);
    assert_eq!(agent.send(&agent.enrolment(&token.secret)).await.status, 201);

    let mut request = agent.sign(&agent.get(WHOAMI_PATH)).await;
    request.headers_mut().insert("forwarded", "for=198.51.100.1".parse().unwrap());
    let seen: WhoAmI = serde_json::from_slice(&agent.send_signed(request).await.body).unwrap();
    assert_eq!(seen.address, Some(client.ip()), "what the client writes itself is not believed");

    let mut measured = batch(agent.id, 0);
    measured.measurements[0].observed.as_mut().unwrap().address = seen.address.unwrap();
    acknowledged(&agent, encode_batch(&measured).unwrap()).await;
    let path = "/api/v1/reports/latency?by=prefix&last=1h";
    let report: Report = collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap();
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!((row.verified, row.group.prefix.as_deref()), (3, Some("192.0.2.0/24")));

    let list: serde_json::Value =
        collector.operator(Method::GET, "/api/v1/agents").send().await.unwrap().json().await.unwrap();
    let shown = &list["items"][0];
    let client = client.ip().to_string();
    assert_eq!(
        (shown["address"].as_str(), shown["enrolled_from"].as_str()),
        (Some(&*client), Some(&*client))
    );
    collector.stop().await;
}

#[tokio::test]
async fn one_of_the_other_family_is_too() {
    let collector = behind_proxies().await;
    let token = collector.token(SITE).await;
    let client: SocketAddr = "[2001:db8:7::9]:40000".parse().unwrap();
    let agent = Agent::new(&collector, &token.response_key).through(proxy(collector.agents, client).await);
    assert_eq!(agent.send(&agent.enrolment(&token.secret)).await.status, 201);
    let seen: WhoAmI = serde_json::from_slice(&agent.send(&agent.get(WHOAMI_PATH)).await.body).unwrap();
    assert_eq!(seen.address, Some(IpAddr::from([0x2001, 0xdb8, 7, 0, 0, 0, 0, 9])));
    collector.stop().await;
}
