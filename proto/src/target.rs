//! Targets: an address and what is measured there.

use crate::id::{TargetId, hash_fields};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// An address and one probe of it. A configured `[[target]]` with three probes is three of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// What people call it; not part of its identity.
    pub name: String,
    /// The Microsoft service it belongs to (Microsoft 365, Azure …), or empty; not part of its identity.
    #[serde(default)]
    pub service: String,
    /// A host name or an IP address.
    pub address: Host,
    /// What is done there.
    pub probe: ProbeKind,
}

impl Target {
    /// Its identity: a hash of address, kind, port and path. Two targets that differ only in name are one.
    pub fn id(&self) -> TargetId {
        let port = self.probe.port().unwrap_or(0).to_le_bytes();
        let path = if let ProbeKind::Https { path, .. } = &self.probe { path.as_str() } else { "" };
        TargetId::new(hash_fields(
            "peerlight target v1",
            &[self.address.as_str().as_bytes(), self.probe.scheme().as_bytes(), &port, path.as_bytes()],
        ))
    }
}

/// A host name in lower case, or an IP address in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

/// A text that is neither a host name (RFC 1123) nor an IP address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a host name nor an IP address")]
pub struct ParseHostError(String);

impl Host {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The IP address, if it is one rather than a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Host {
    type Err = ParseHostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        // A last label of digits alone is a mistyped IPv4 address, not a name.
        let numeric =
            name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if name.len() <= 253 && !numeric && name.split('.').all(label) {
            Ok(Self(name))
        } else {
            Err(ParseHostError(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for Host {
    type Error = ParseHostError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

/// What is done at a target; written `icmp`, `tcp:443`, `https`, `https:8443/health`, `dns`, `udp:3478`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ProbeKind {
    /// ICMP echo.
    Icmp,
    /// A TCP connect to this port.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A whole HTTPS exchange with its phases.
    Https {
        /// The port; 443 unless told otherwise.
        port: u16,
        /// The path and query that are asked for, from its first `/`.
        path: String,
    },
    /// The lookup of the target's name at the system's resolvers.
    Dns,
    /// UDP echo at this port.
    Udp {
        /// The port.
        port: u16,
    },
}

/// A text that is not a probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a probe; write icmp, tcp:PORT, https, https:PORT/PATH, dns or udp:PORT")]
pub struct ParseProbeError(String);

impl ProbeKind {
    /// The word before the colon.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp { .. } => "tcp",
            Self::Https { .. } => "https",
            Self::Dns => "dns",
            Self::Udp { .. } => "udp",
        }
    }

    /// The port it needs; none for ICMP, and DNS asks the system's resolvers.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port } | Self::Https { port, .. } | Self::Udp { port } => Some(*port),
            Self::Icmp | Self::Dns => None,
        }
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icmp | Self::Dns => f.write_str(self.scheme()),
            Self::Tcp { port } | Self::Udp { port } => write!(f, "{}:{port}", self.scheme()),
            Self::Https { port, path } => {
                f.write_str("https")?;
                if *port != 443 {
                    write!(f, ":{port}")?;
                }
                if path != "/" {
                    f.write_str(path)?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for ProbeKind {
    type Err = ParseProbeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseProbeError(text.chars().take(80).collect());
        let port = |digits: &str| digits.parse::<u16>().ok().filter(|&port| port != 0).ok_or_else(wrong);
        match text {
            "icmp" => return Ok(Self::Icmp),
            "dns" => return Ok(Self::Dns),
            _ => {}
        }
        if let Some(digits) = text.strip_prefix("tcp:") {
            return Ok(Self::Tcp { port: port(digits)? });
        }
        if let Some(digits) = text.strip_prefix("udp:") {
            return Ok(Self::Udp { port: port(digits)? });
        }
        let rest = text.strip_prefix("https").ok_or_else(wrong)?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        if path.len() > 1024 || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        let port = match authority.strip_prefix(':') {
            Some(digits) => port(digits)?,
            None if authority.is_empty() => 443,
            None => return Err(wrong()),
        };
        Ok(Self::Https { port, path: path.to_owned() })
    }
}

impl TryFrom<String> for ProbeKind {
    type Error = ParseProbeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ProbeKind> for String {
    fn from(probe: ProbeKind) -> Self {
        probe.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_read_back_what_they_print() {
        for text in
            ["icmp", "dns", "tcp:443", "udp:3478", "https", "https:8443", "https/health", "https:8443/a?b=c"]
        {
            assert_eq!(text.parse::<ProbeKind>().map(|probe| probe.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "tcp", "tcp:0", "tcp:65536", "httpsx", "https:", "udp", "icmp:1", "https/ a"] {
            assert!(text.parse::<ProbeKind>().is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_canonical() {
        let host = |text: &str| text.parse::<Host>().map(|host| host.as_str().to_owned());
        assert_eq!(host("Outlook.Office365.com."), Ok("outlook.office365.com".to_owned()));
        assert_eq!(host("[2001:DB8:0::1]"), Ok("2001:db8::1".to_owned()));
        for text in ["", "a..b", "-a", "1.2.3", "1.2.3.400", "a b", "ex ample.com"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_is_not_part_of_a_targets_identity() {
        let target = |name: &str, probe: &str| Target {
            name: name.to_owned(),
            service: String::new(),
            address: "example.com".parse().unwrap(),
            probe: probe.parse().unwrap(),
        };
        assert_eq!(target("a", "https").id(), target("b", "https:443/").id());
        assert_ne!(target("a", "tcp:443").id(), target("a", "https").id());
    }
}
