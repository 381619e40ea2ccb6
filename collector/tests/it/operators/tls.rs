//! The operators' listener where other machines reach it: never without TLS.

use crate::collector::NOON;
use peerlight_collector::{
    Listeners, RunError,
    clock::Clock,
    config::{Config, Tls},
    paths, run, run_over,
    store::SqliteStore,
};
use reqwest::{Certificate, Client};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A configuration whose operators' listener every machine reaches.
fn reachable(directory: &Path) -> Config {
    let mut config = Config::default();
    config.agents.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.operators.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    directory.clone_into(&mut config.store.directory);
    config
}

#[tokio::test]
async fn without_tls_the_collector_does_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let config = reachable(directory.path());
    let listeners = Listeners::bind(&config).unwrap();
    let error = run(config, listeners, CancellationToken::new()).await.unwrap_err();
    let RunError::Config(faults) = &error else { panic!("{error}") };
    assert!(faults.len() == 1 && faults[0].contains("[operators.tls] is absent"), "{faults:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was begun");
}

#[tokio::test]
async fn with_tls_it_answers_over_tls_alone_and_says_so_to_browsers() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&certificate, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let mut config = reachable(directory.path());
    config.operators.tls = Some(Tls { certificate, key });

    let listeners = Listeners::bind(&config).unwrap();
    let port = listeners.operators.local_addr().unwrap().port();
    let store = Arc::new(SqliteStore::open(&paths::store(directory.path())).unwrap());
    let stop = CancellationToken::new();
    let task = tokio::spawn(run_over(config, listeners, store, Clock::manual(NOON), stop.clone()));

    let trusted = Certificate::from_pem(issued.cert.pem().as_bytes()).unwrap();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([trusted])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let healthy = client.get(format!("https://localhost:{port}/healthz")).send().await.unwrap();
    assert_eq!(healthy.status(), 200);
    assert!(healthy.headers().contains_key("strict-transport-security"));
    let token = std::fs::read_to_string(paths::operator_token(directory.path())).unwrap();
    let signed_in = client
        .post(format!("https://localhost:{port}/sign-in"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={}", token.trim()))
        .send()
        .await
        .unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-peerlight_session=") && cookie.contains("; Secure"), "{cookie}");

    let plain = Client::builder().no_proxy().build().unwrap();
    assert!(plain.get(format!("http://localhost:{port}/healthz")).send().await.is_err());
    stop.cancel();
    task.await.unwrap().unwrap();
}
