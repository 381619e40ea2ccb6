//! The site's proxy: who it is, whom it serves, and how this agent signs on to it. Push, enrolment and assignment share it
//! with the HTTPS probes that go through it; `whoami` never does (rules, §7).
//!
//! [`ProxySettings`] is what the configuration says; [`Proxies`] what that comes to on this machine, asked for each host.

mod address;
mod authentication;
mod bypass;
mod paths;
mod settings;
mod system;

pub use address::AddressError;
pub use authentication::{Authentication, Secret};
pub use bypass::Bypass;
pub use paths::{HttpsPaths, Paths};
pub use settings::{Login, ProxyChoice, ProxyError, ProxySettings};
pub use system::SystemProxies;

use peerlight_proto::target::Host;
use std::{fmt, str::FromStr, sync::Arc};
use url::Url;

/// One HTTP proxy. Displayed as `HOST:PORT`, never with its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its name or address.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// How to sign on; none if it asks for nothing.
    pub authentication: Option<Authentication>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&authority(&self.host, self.port))
    }
}

impl FromStr for Proxy {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        address::parse(text)
    }
}

/// `HOST:PORT`, as an authority is written: IPv6 addresses in brackets.
pub(crate) fn authority(host: &Host, port: u16) -> String {
    if host.as_str().contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Which proxy serves which host. A cheap handle; none serves anybody by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    source: Source,
    bypass: Bypass,
}

/// Who says which proxy serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Source {
    /// None does.
    #[default]
    Nobody,
    /// This one.
    One(Arc<Proxy>),
    /// The one that the system names for a host.
    System(SystemProxies),
}

impl Proxies {
    /// `proxy` for all that `bypass` does not name.
    pub fn new(proxy: Proxy, bypass: Bypass) -> Self {
        Self { source: Source::One(Arc::new(proxy)), bypass }
    }

    /// The one that the system names, for all that `bypass` does not.
    pub const fn of_system(system: SystemProxies, bypass: Bypass) -> Self {
        Self { source: Source::System(system), bypass }
    }

    /// The proxy that stands between this agent and `host`; none if it is reached directly. Where the system is asked, the
    /// first question for a host may take seconds.
    pub fn of(&self, host: &str, port: u16) -> Option<Arc<Proxy>> {
        if self.bypass.covers(host, port) {
            return None;
        }
        match &self.source {
            Source::Nobody => None,
            Source::One(proxy) => Some(Arc::clone(proxy)),
            Source::System(system) => system.of(host, port),
        }
    }

    /// The proxy in words, if there may be one.
    pub fn named(&self) -> Option<String> {
        match &self.source {
            Source::Nobody => None,
            Source::One(proxy) => Some(proxy.to_string()),
            Source::System(_) => Some("as the system says for each host".to_owned()),
        }
    }

    /// Has a client go to `to` by these rules rather than by those of the environment.
    pub fn lead(
        &self,
        client: reqwest::ClientBuilder,
        to: &Url,
    ) -> Result<reqwest::ClientBuilder, reqwest::Error> {
        let client = client.no_proxy();
        let (host, port) = (to.host_str().unwrap_or_default(), to.port_or_known_default().unwrap_or(0));
        let Some(proxy) = self.of(host, port) else { return Ok(client) };
        let mut through = reqwest::Proxy::all(format!("http://{proxy}"))?;
        if let Some(Authentication::Basic { username, password }) = &proxy.authentication {
            through = through.basic_auth(username, password.reveal());
        }
        Ok(client.proxy(through))
    }
}

#[cfg(test)]
mod tests;
