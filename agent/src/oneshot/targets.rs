//! Targets as people type them.

use anyhow::{Context as _, bail};
use peerlight_proto::target::{ProbeKind, Target};

/// A target and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// In the form with a scheme.
    pub(super) text: String,
    /// What it means.
    pub(super) target: Target,
}

impl Subject {
    /// Reads what a person typed: one target, or three if there is no scheme.
    pub(super) fn read(text: &str) -> anyhow::Result<Vec<Self>> {
        let subject = |host: &str, probe: String| -> anyhow::Result<Self> {
            let address = host.parse().with_context(|| format!("target `{text}`"))?;
            let probe: ProbeKind = probe.parse().with_context(|| format!("target `{text}`"))?;
            let target = Target { name: text.to_owned(), service: String::new(), address, probe };
            Ok(Self { text: url(&target), target })
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return ["icmp", "tcp:443", "https"]
                .map(|probe| subject(text, probe.to_owned()))
                .into_iter()
                .collect();
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (host, port) = split_port(authority);
        let subject = match (scheme, port) {
            ("icmp" | "dns", None) if matches!(path, "" | "/") => subject(host, scheme.to_owned()),
            ("tcp" | "udp", Some(port)) if matches!(path, "" | "/") => {
                subject(host, format!("{scheme}:{port}"))
            }
            ("https", port) => {
                let port = port.map_or_else(String::new, |port| format!(":{port}"));
                subject(host, format!("https{port}{path}"))
            }
            _ => bail!(
                "`{text}` is not a target; write icmp://HOST, tcp://HOST:PORT, https://HOST/PATH, dns://NAME, \
                 udp://HOST:PORT, or a bare HOST"
            ),
        };
        subject.map(|subject| vec![subject])
    }

    /// Whether it may be reached through a proxy.
    pub(super) fn is_https(&self) -> bool {
        matches!(self.target.probe, ProbeKind::Https { .. })
    }

    /// Whether it needs ICMP.
    pub(super) fn is_icmp(&self) -> bool {
        self.target.probe == ProbeKind::Icmp
    }
}

/// Splits `host:port`; an IPv6 address with a port stands in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if host.starts_with('[') && host.ends_with(']') => (host, Some(port)),
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn url(target: &Target) -> String {
    let host = match target.address.ip() {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        _ => target.address.to_string(),
    };
    match &target.probe {
        ProbeKind::Icmp => format!("icmp://{host}"),
        ProbeKind::Dns => format!("dns://{host}"),
        ProbeKind::Tcp { port } => format!("tcp://{host}:{port}"),
        ProbeKind::Udp { port } => format!("udp://{host}:{port}"),
        ProbeKind::Https { port: 443, path } => format!("https://{host}{path}"),
        ProbeKind::Https { port, path } => format!("https://{host}:{port}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        Subject::read(text).unwrap().into_iter().map(|subject| subject.text).collect()
    }

    #[test]
    fn a_bare_host_is_three_targets() {
        assert_eq!(
            texts("Example.com"),
            ["icmp://example.com", "tcp://example.com:443", "https://example.com/"]
        );
        assert_eq!(texts("::1"), ["icmp://[::1]", "tcp://[::1]:443", "https://[::1]/"]);
    }

    #[test]
    fn targets_read_back_what_they_print() {
        for text in [
            "icmp://192.0.2.1",
            "icmp://[2001:db8::1]",
            "tcp://h:25",
            "udp://[::1]:7",
            "dns://example.com",
            "https://h/",
            "https://h:8443/a?b=c",
        ] {
            assert_eq!(texts(text), [text]);
        }
        assert_eq!(texts("https://h"), ["https://h/"]);
        assert_eq!(texts("icmp://2001:db8::1"), ["icmp://[2001:db8::1]"]);
    }

    #[test]
    fn what_is_no_target_says_what_would_be() {
        for text in
            ["tcp://h", "icmp://h:7", "http://h/", "dns://h/a", "udp://::1", "https://h:0/", "a b", ""]
        {
            let error = format!("{:#}", Subject::read(text).unwrap_err());
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
