//! Prometheus's Alertmanager, by its API of version 2. It forgets what it does not hear of, so it hears of all that fires each minute.

use super::{Notify, Refusal, http_client, verdict};
use crate::{
    alert::{Alert, Event, EventKind, message},
    config,
    registry::Delivery,
    rfc3339,
};
use futures::future::BoxFuture;
use peerlight_proto::time::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use url::Url;

/// How often it hears of all that fires.
const REMINDED_EVERY: Duration = Duration::from_mins(1);
/// After how long without a word it is to take an alert for over.
const OVER_AFTER: Duration = Duration::from_mins(5);
/// What stands behind its URL.
const PATH: &str = "api/v2/alerts";

/// An Alertmanager.
pub(super) struct Alertmanager {
    url: Url,
    base: Option<Url>,
    http: reqwest::Client,
}

/// An alert as it takes them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl Alertmanager {
    pub(super) fn new(config: &config::Alertmanager, base: Option<Url>) -> Result<Self, String> {
        let mut root = config.url.clone();
        if !root.path().ends_with('/') {
            root.set_path(&format!("{}/", root.path()));
        }
        let url = root.join(PATH).map_err(|error| format!("the url cannot be used: {error}"))?;
        let http = http_client(&url, config.ca_file.as_deref())?;
        Ok(Self { url, base, http })
    }

    fn posted<'a>(&self, event: &'a Event, ends: Timestamp) -> Posted<'a> {
        let alert = &event.alert;
        Posted {
            labels: &alert.labels,
            annotations: BTreeMap::from([
                ("summary", alert.summary.clone()),
                ("description", message::text(event, self.base.as_ref())),
                ("culprit", alert.culprit.to_string()),
            ]),
            starts_at: rfc3339::text(alert.since),
            ends_at: rfc3339::text(ends),
            generator_url: self.base.as_ref().map(|base| message::link(Some(base), &alert.evidence.report)),
        }
    }

    fn post(&self, alerts: &[Posted<'_>]) -> BoxFuture<'static, Result<(), Refusal>> {
        if alerts.is_empty() {
            return Box::pin(std::future::ready(Ok(())));
        }
        let request = self.http.post(self.url.clone()).json(&alerts);
        Box::pin(async move { verdict(request.send().await) })
    }
}

impl Notify for Alertmanager {
    fn tell<'a>(&'a self, delivery: &'a Delivery, now: Timestamp) -> BoxFuture<'a, Result<(), Refusal>> {
        let event = &delivery.event;
        let over = event.alert.resolved.filter(|_| event.kind == EventKind::Resolved);
        self.post(&[self.posted(event, over.unwrap_or(now.plus(OVER_AFTER)))])
    }

    fn reminded_every(&self) -> Option<Duration> {
        Some(REMINDED_EVERY)
    }

    fn remind<'a>(&'a self, firing: &'a [Alert], now: Timestamp) -> BoxFuture<'a, Result<(), Refusal>> {
        let kind = EventKind::Updated;
        let told = firing.iter().filter(|alert| alert.tells(kind, now));
        let events: Vec<Event> = told.map(|alert| Event { kind, at: now, alert: alert.clone() }).collect();
        let posted: Vec<Posted<'_>> =
            events.iter().map(|event| self.posted(event, now.plus(OVER_AFTER))).collect();
        self.post(&posted)
    }
}
