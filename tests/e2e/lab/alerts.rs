//! A provider fails at one location: a real receiver hears of exactly one alert, which names it, and that it is over.

use super::{document, emulated, lab};
use axum::{Router, body::Bytes, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use ring::hmac;
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    sync::mpsc::{self, Receiver},
};

const SECRET: [u8; 32] = [9; 32];
const RULES: &str = r#"
[[rule]]
name = "loss"
kind = "loss"
metrics = ["icmp.rtt"]
threshold = 0.2
clear = 0.05
min_samples = 20
window = "5s"
for = "2s"
severity = "page"
"#;

/// A receiver on a thread of its own, as long as the process lives.
fn receiver() -> (String, Receiver<(HeaderMap, Bytes)>) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let take = post(async move |headers: HeaderMap, body: Bytes| tell.send((headers, body)).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().route("/", take)).await
        })
    });
    (url, told)
}

fn verified((headers, body): (HeaderMap, Bytes)) -> Value {
    let header = |name: &str| headers[name].to_str().unwrap();
    let signed = [header("webhook-id").as_bytes(), header("webhook-timestamp").as_bytes(), &body].join(&b'.');
    let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), &signed, &signature).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn a_provider_that_fails_at_one_location_is_one_alert_that_names_it_and_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (url, told) = receiver();
    let secret = file("secret", &format!("whsec_{}", STANDARD.encode(SECRET)));
    // What agents measured in the dark comes when it is light again.
    let config = format!(
        "[alerts]\nevery = '1s'\ndelay = '15s'\n[[alerts.webhook]]\nname = 'pager'\nurl = '{url}'\nsecret_file = '{secret}'\n"
    );
    let (config, rules) = (file("collector.toml", &config), file("rules.toml", RULES));
    let scenario = format!("{}/scenarios/provider-outage.toml", env!("CARGO_MANIFEST_DIR"));
    let output = lab(&[
        "--scenario",
        &scenario,
        "--collector-config",
        &config,
        "--alert-rules",
        &rules,
        "--duration",
        "85s",
        "--interval",
        "1s",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if !emulated(&output) {
        return;
    }
    drop(document(&output));
    let told: Vec<Value> = told.try_iter().map(verified).collect();
    let kinds: Vec<&Value> = told.iter().map(|message| &message["type"]).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved"], "{told:#?}");
    let culprit = json!({"kind": "provider_at", "provider": "Dark Networks", "location": "GB-LND"});
    for message in &told {
        assert_eq!(message["data"]["alert"]["culprit"], culprit, "{message:#}");
    }
}
