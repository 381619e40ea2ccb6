//! Telling people: what each receiver is told, and in which form. One task for each receiver, so that a dead one holds up nobody.

mod alertmanager;
mod courier;
mod email;
mod retry;
mod webhook;

use super::Alert;
use crate::{
    app::App,
    client::choose_cryptography,
    config::Alerts,
    outward::{ANSWER_TIMEOUT, http_client, read, without_url},
    registry::Delivery,
};
use futures::future::{BoxFuture, join_all};
use peerlight_proto::time::Timestamp;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Somebody who is told of alerts.
pub trait Notify: Send + Sync {
    /// Tells of one event. The same one may be told again after a crash, with the same number.
    fn tell<'a>(&'a self, delivery: &'a Delivery, now: Timestamp) -> BoxFuture<'a, Result<(), Refusal>>;

    /// How often the receiver is to hear of all alerts that fire, if it forgets them otherwise.
    fn reminded_every(&self) -> Option<Duration> {
        None
    }

    /// Tells of all alerts that fire.
    fn remind<'a>(&'a self, _firing: &'a [Alert], _now: Timestamp) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Why a receiver does not have an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It may take it later.
    #[error("{0}")]
    Later(String),
    /// It will never take it.
    #[error("{0}")]
    Never(String),
}

/// A receiver whose configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[alerts] receiver `{name}`: {what}")]
pub struct ReceiverError {
    name: String,
    what: String,
}

/// A receiver by its name.
pub struct Receiver {
    name: String,
    notify: Box<dyn Notify>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The receivers as they are configured, with their secrets.
pub fn receivers(config: &Alerts) -> Result<Vec<Receiver>, ReceiverError> {
    choose_cryptography();
    let base = config.url.clone();
    let mut receivers = Vec::new();
    let mut add = |name: &str, notify: Result<Box<dyn Notify>, String>| {
        let notify = notify.map_err(|what| ReceiverError { name: name.to_owned(), what })?;
        receivers.push(Receiver { name: name.to_owned(), notify });
        Ok(())
    };
    for one in &config.webhook {
        add(&one.name, webhook::Webhook::new(one, base.clone()).map(boxed))?;
    }
    for one in &config.alertmanager {
        add(&one.name, alertmanager::Alertmanager::new(one, base.clone()).map(boxed))?;
    }
    for one in &config.email {
        add(&one.name, email::Email::new(one, base.clone()).map(boxed))?;
    }
    Ok(receivers)
}

fn boxed(notify: impl Notify + 'static) -> Box<dyn Notify> {
    Box::new(notify)
}

/// Tells every receiver what it has not heard, until `shutdown`.
pub async fn keep_telling(app: &App, receivers: Vec<Receiver>, shutdown: CancellationToken) {
    let telling = receivers.into_iter().map(|receiver| courier::run(app, receiver, shutdown.clone()));
    join_all(telling).await;
}

/// What an answer of a receiver means. Requests that are refused for what they are will be refused again; all else may pass.
fn verdict(answered: Result<reqwest::Response, reqwest::Error>) -> Result<(), Refusal> {
    let answer = answered.map_err(|error| Refusal::Later(without_url(error)))?;
    let status = answer.status();
    let never = status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 404 | 408 | 425 | 429);
    match status {
        status if status.is_success() => Ok(()),
        status if never => Err(Refusal::Never(format!("it answered {status}"))),
        status => Err(Refusal::Later(format!("it answered {status}"))),
    }
}
