//! Webhooks, signed as Standard Webhooks are: HMAC-SHA256 over number, time and body. <https://www.standardwebhooks.com>

use super::{Notify, Refusal, http_client, read, verdict};
use crate::{
    alert::{Event, message},
    config,
    registry::Delivery,
    rfc3339,
};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use peerlight_proto::time::Timestamp;
use serde::Serialize;
use url::Url;

/// What secrets begin with.
const PREFIX: &str = "whsec_";
/// What the scheme asks of secrets, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A receiver of signed requests.
pub(super) struct Webhook {
    url: Url,
    key: hmac::Key,
    base: Option<Url>,
    http: reqwest::Client,
}

/// What is sent.
#[derive(Serialize)]
struct Message<'a> {
    /// `alert.firing`, `alert.updated` or `alert.resolved`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(with = "rfc3339")]
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    /// What stays the same over an alert's life: receivers that page do so once for each.
    dedup_key: String,
    title: String,
    text: String,
    report_url: String,
    alert: &'a crate::alert::Alert,
}

impl Webhook {
    /// Reads the secret.
    pub(super) fn new(config: &config::Webhook, base: Option<Url>) -> Result<Self, String> {
        let key = key(read(&config.secret_file)?.trim())
            .map_err(|what| format!("{}: {what}", config.secret_file.display()))?;
        let http = http_client(&config.url, config.ca_file.as_deref())?;
        Ok(Self { url: config.url.clone(), key, base, http })
    }

    fn body(&self, event: &Event) -> Vec<u8> {
        let alert = &event.alert;
        let message = Message {
            kind: format!("alert.{}", event.kind.name()),
            timestamp: event.at,
            data: Data {
                dedup_key: alert.key(),
                title: message::title(event),
                text: message::text(event, self.base.as_ref()),
                report_url: message::link(self.base.as_ref(), &alert.evidence.report),
                alert,
            },
        };
        serde_json::to_vec(&message).unwrap_or_default()
    }
}

impl Notify for Webhook {
    fn tell<'a>(&'a self, delivery: &'a Delivery, now: Timestamp) -> BoxFuture<'a, Result<(), Refusal>> {
        let (id, body) = (format!("msg_peerlight_{}", delivery.id), self.body(&delivery.event));
        let signature = signature(&self.key, &id, now.as_secs(), &body);
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.as_secs())
            .header("webhook-signature", signature)
            .body(body);
        Box::pin(async move { verdict(request.send().await) })
    }
}

/// The key of a secret's text. What is wrong with it is said without it.
fn key(secret: &str) -> Result<hmac::Key, String> {
    let encoded = secret.strip_prefix(PREFIX).unwrap_or(secret);
    let bytes = STANDARD.decode(encoded).map_err(|_secret| {
        format!("the secret is not `{PREFIX}` and base64; `openssl rand -base64 32` makes the latter")
    })?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(format!("the secret has {} bytes and must have 24 to 64", bytes.len()));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn signature(key: &hmac::Key, id: &str, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_the_published_example_does() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn an_unusable_secret_is_said_without_it() {
        let told = key("whsec_not base64").unwrap_err();
        assert!(told.contains("openssl rand") && !told.contains("not base64;"), "{told}");
        assert_eq!(key("whsec_AAAA").unwrap_err(), "the secret has 3 bytes and must have 24 to 64");
    }
}
