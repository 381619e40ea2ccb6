//! Sign-in through an OpenID provider: a certified one, which others wrote, and hostile ones.

mod browser;
mod certified;
mod hostile;
mod provider;

use crate::collector::Collector;
use browser::{Answer, Browser};
use peerlight_collector::config::{Config, Oidc};
use peerlight_proto::time::Timestamp;
use std::{net::SocketAddr, path::Path};
use url::Url;

/// What the collector is registered as, and proves it by: with signs that a form and a header each write otherwise.
const CLIENT_ID: &str = "peerlight";
const SECRET: &str = "s~ecret:with%signs+and spaces";

/// Where browsers reach the collector: by another host than they reach the provider, so that the two are different sites.
fn reached_at(operators: SocketAddr) -> Url {
    format!("http://localhost:{}", operators.port()).parse().unwrap()
}

/// Lets people of this provider in: those of `noc` as administrators, those of `staff` as readers.
fn let_in(config: &mut Config, operators: SocketAddr, issuer: &str, directory: &Path) {
    let client_secret_file = directory.join("oidc.secret");
    std::fs::write(&client_secret_file, format!("{SECRET}\n")).unwrap();
    config.limits.attempts_per_minute = 10_000;
    config.operators.oidc = Some(Oidc {
        name: Some("Example ID".to_owned()),
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret_file,
        scopes: ["openid", "profile", "groups"].map(str::to_owned).to_vec(),
        claim: "groups".to_owned(),
        administrators: vec!["noc".to_owned()],
        readers: vec!["staff".to_owned()],
        url: Some(reached_at(operators)),
        ca_file: None,
    });
}

/// A collector that lets people of this provider in.
async fn collector(now: Timestamp, issuer: &str, directory: &Path) -> Collector {
    Collector::start_known(now, |config, operators| let_in(config, operators, issuer, directory)).await
}

/// Where signing in begins that leads to `next`.
fn beginning(collector: &Collector, next: &str) -> Url {
    let mut url = reached_at(collector.operators).join("/sign-in/oidc").unwrap();
    url.query_pairs_mut().append_pair("next", next);
    url
}

/// Nobody came in: the page says so in these words, and offers both ways in.
fn is_refused(browser: &Browser, answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(
        answer.text.contains("role=\"alert\"") && answer.text.contains(words),
        "{words}: {}",
        answer.text
    );
    assert!(answer.text.contains("Sign in with Example ID") && answer.text.contains("name=\"token\""));
    assert_eq!(browser.cookie("localhost", "peerlight_session"), None);
}
