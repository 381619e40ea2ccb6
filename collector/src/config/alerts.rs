//! `[alerts]`: when rules are judged, and who hears of what they find. The rules themselves are the registry's.

use super::duration;
use serde::Deserialize;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use url::Url;

/// How often rules are judged.
const DEFAULT_EVERY: Duration = Duration::from_mins(1);
/// The longest that may pass between two times.
const RAREST: Duration = Duration::from_hours(1);
/// The longest delay: from then on nobody is told in time.
const LONGEST_DELAY: Duration = Duration::from_hours(1);
/// The port of mail servers that take mail from programs.
const DEFAULT_SMTP_PORT: u16 = 587;

/// `[alerts]`: when rules are judged, and who hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Alerts {
    /// How often those rules are judged of whose window a fifth has passed.
    #[serde(deserialize_with = "duration::deserialize")]
    pub every: Duration,
    /// How long measurements are given to arrive before their absence means anything.
    #[serde(deserialize_with = "duration::deserialize")]
    pub delay: Duration,
    /// Where people reach the operators' listener: what links in messages begin with.
    pub url: Option<Url>,
    /// `[[alerts.webhook]]`: receivers of signed requests.
    pub webhook: Vec<Webhook>,
    /// `[[alerts.alertmanager]]`: Prometheus's Alertmanagers.
    pub alertmanager: Vec<Alertmanager>,
    /// `[[alerts.email]]`: receivers of mails.
    pub email: Vec<Email>,
}

/// A receiver of signed requests (Standard Webhooks).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// What it is called here.
    pub name: String,
    /// Where it is reached.
    pub url: Url,
    /// A file that holds the secret that requests are signed with: `whsec_` and base64.
    pub secret_file: PathBuf,
    /// A PEM file of certificates to trust besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// An Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// What it is called here.
    pub name: String,
    /// Where it is reached: what stands before `/api/v2/alerts`.
    pub url: Url,
    /// A PEM file of certificates to trust besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// A receiver of mails.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// What it is called here.
    pub name: String,
    /// The mail server.
    pub server: String,
    /// Its port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: SmtpTls,
    /// Who signs in, if anybody has to.
    #[serde(default)]
    pub username: Option<String>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A PEM file of certificates to trust besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// STARTTLS, and nothing is sent without.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all: for a mail server on this machine.
    None,
}

const fn default_port() -> u16 {
    DEFAULT_SMTP_PORT
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            every: DEFAULT_EVERY,
            delay: crate::report::ON_ITS_WAY,
            url: None,
            webhook: Vec::new(),
            alertmanager: Vec::new(),
            email: Vec::new(),
        }
    }
}

impl Alerts {
    /// The receivers' names.
    pub fn receivers(&self) -> Vec<String> {
        let webhooks = self.webhook.iter().map(|one| &one.name);
        let alertmanagers = self.alertmanager.iter().map(|one| &one.name);
        webhooks.chain(alertmanagers).chain(self.email.iter().map(|one| &one.name)).cloned().collect()
    }

    pub(super) fn faults(&self, faults: &mut Vec<String>) {
        if self.every.is_zero() || self.every > RAREST {
            faults.push("[alerts] every must be above zero and at most an hour".to_owned());
        }
        if self.delay > LONGEST_DELAY {
            faults.push("[alerts] delay must be at most an hour".to_owned());
        }
        let mut names = BTreeSet::new();
        for name in self.receivers() {
            if name.trim().is_empty() {
                faults.push("[alerts] a receiver has no name; call it something".to_owned());
            }
            if !names.insert(name.clone()) {
                faults
                    .push(format!("[alerts] two receivers are called `{name}`; give each a name of its own"));
            }
        }
        let addressed = self.webhook.iter().map(|one| (&one.name, &one.url));
        for (name, url) in addressed.chain(self.alertmanager.iter().map(|one| (&one.name, &one.url))) {
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                faults
                    .push(format!("[alerts] the url of `{name}` is not of the form https://host:port/path"));
            }
            if !url.username().is_empty() || url.password().is_some() {
                faults.push(format!(
                    "[alerts] the url of `{name}` holds a user or password, which logs would show; leave it out"
                ));
            }
        }
        for one in &self.email {
            if one.to.is_empty() {
                faults.push(format!("[alerts] `{}` has no recipients; name some in `to`", one.name));
            }
            if one.username.is_some() != one.password_file.is_some() {
                faults.push(format!(
                    "[alerts] `{}` needs both username and password_file, or neither",
                    one.name
                ));
            }
        }
    }
}
