//! Metrics: which time of a probe a histogram holds, by its fixed name.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A time that a probe yields. [`Metric::name`] gives the fixed names of the rules, §1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// ICMP echo, request to reply.
    IcmpRtt,
    /// TCP connect, SYN to SYN-ACK.
    TcpConnect,
    /// The name lookup of an HTTPS probe.
    HttpsDns,
    /// The CONNECT exchange with a proxy.
    HttpsProxy,
    /// The TCP connect of an HTTPS probe.
    HttpsTcp,
    /// The TLS handshake of an HTTPS probe, without the client's computation.
    HttpsTls,
    /// Request sent to the first byte of the answer.
    HttpsTtfb,
    /// First byte to the last of the answer.
    HttpsTransfer,
    /// The client's own computation within an HTTPS probe.
    HttpsLocal,
    /// The whole HTTPS probe.
    HttpsTotal,
    /// One query to the DNS server, request to answer.
    DnsQuery,
    /// One resolution of a name by the DNS servers, with every retry that it takes; no cache and no hosts file answers it.
    DnsLookup,
    /// UDP echo, request to reply.
    UdpRtt,
    /// How much later than meant a probe left the agent's machine: tells a busy machine from a bad path. Every target has
    /// its own, for it is the machine's at the moments that this target was probed.
    AgentNoise,
    /// The jitter of a network metric: |x(i) - x(i-1)| of consecutive answered probes (RFC 3393), reset over a loss or gap.
    Jitter(NetworkMetric),
}

/// The metrics that time the network alone and so have a jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkMetric {
    /// Of [`Metric::IcmpRtt`].
    IcmpRtt,
    /// Of [`Metric::TcpConnect`].
    TcpConnect,
    /// Of [`Metric::HttpsTcp`].
    HttpsTcp,
    /// Of [`Metric::HttpsTls`].
    HttpsTls,
    /// Of [`Metric::HttpsTtfb`].
    HttpsTtfb,
    /// Of [`Metric::DnsQuery`].
    DnsQuery,
    /// Of [`Metric::DnsLookup`].
    DnsLookup,
    /// Of [`Metric::UdpRtt`].
    UdpRtt,
}

/// A name that is not a metric's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a metric; the metrics are {names}", names = metric_names())]
pub struct UnknownMetric(String);

fn metric_names() -> String {
    Metric::ALL
        .iter()
        .filter(|metric| !matches!(metric, Metric::Jitter(_)))
        .map(|metric| metric.name())
        .collect::<Vec<_>>()
        .join(", ")
}

impl Metric {
    /// Every metric. New ones come at the end: [`Self::number`] is the place here.
    pub const ALL: [Self; 22] = [
        Self::IcmpRtt,
        Self::TcpConnect,
        Self::HttpsDns,
        Self::HttpsProxy,
        Self::HttpsTcp,
        Self::HttpsTls,
        Self::HttpsTtfb,
        Self::HttpsTransfer,
        Self::HttpsLocal,
        Self::HttpsTotal,
        Self::DnsQuery,
        Self::DnsLookup,
        Self::UdpRtt,
        Self::AgentNoise,
        Self::Jitter(NetworkMetric::IcmpRtt),
        Self::Jitter(NetworkMetric::TcpConnect),
        Self::Jitter(NetworkMetric::HttpsTcp),
        Self::Jitter(NetworkMetric::HttpsTls),
        Self::Jitter(NetworkMetric::HttpsTtfb),
        Self::Jitter(NetworkMetric::DnsQuery),
        Self::Jitter(NetworkMetric::DnsLookup),
        Self::Jitter(NetworkMetric::UdpRtt),
    ];

    /// Its fixed name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IcmpRtt => "icmp.rtt",
            Self::TcpConnect => "tcp.connect",
            Self::HttpsDns => "https.dns",
            Self::HttpsProxy => "https.proxy",
            Self::HttpsTcp => "https.tcp",
            Self::HttpsTls => "https.tls",
            Self::HttpsTtfb => "https.ttfb",
            Self::HttpsTransfer => "https.transfer",
            Self::HttpsLocal => "https.local",
            Self::HttpsTotal => "https.total",
            Self::DnsQuery => "dns.query",
            Self::DnsLookup => "dns.lookup",
            Self::UdpRtt => "udp.rtt",
            Self::AgentNoise => "agent.noise",
            Self::Jitter(NetworkMetric::IcmpRtt) => "icmp.rtt.jitter",
            Self::Jitter(NetworkMetric::TcpConnect) => "tcp.connect.jitter",
            Self::Jitter(NetworkMetric::HttpsTcp) => "https.tcp.jitter",
            Self::Jitter(NetworkMetric::HttpsTls) => "https.tls.jitter",
            Self::Jitter(NetworkMetric::HttpsTtfb) => "https.ttfb.jitter",
            Self::Jitter(NetworkMetric::DnsQuery) => "dns.query.jitter",
            Self::Jitter(NetworkMetric::DnsLookup) => "dns.lookup.jitter",
            Self::Jitter(NetworkMetric::UdpRtt) => "udp.rtt.jitter",
        }
    }

    /// Its number, by which stores know it: that of a metric never changes.
    pub fn number(self) -> u8 {
        let place = Self::ALL.iter().position(|metric| *metric == self);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    }

    /// The metric of a number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The metric that holds its jitter, if it times the network alone.
    pub const fn jitter(self) -> Option<Self> {
        match self {
            Self::IcmpRtt => Some(Self::Jitter(NetworkMetric::IcmpRtt)),
            Self::TcpConnect => Some(Self::Jitter(NetworkMetric::TcpConnect)),
            Self::HttpsTcp => Some(Self::Jitter(NetworkMetric::HttpsTcp)),
            Self::HttpsTls => Some(Self::Jitter(NetworkMetric::HttpsTls)),
            Self::HttpsTtfb => Some(Self::Jitter(NetworkMetric::HttpsTtfb)),
            Self::DnsQuery => Some(Self::Jitter(NetworkMetric::DnsQuery)),
            Self::DnsLookup => Some(Self::Jitter(NetworkMetric::DnsLookup)),
            Self::UdpRtt => Some(Self::Jitter(NetworkMetric::UdpRtt)),
            Self::HttpsDns
            | Self::HttpsProxy
            | Self::HttpsTransfer
            | Self::HttpsLocal
            | Self::HttpsTotal
            | Self::AgentNoise
            | Self::Jitter(_) => None,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|metric| metric.name() == name)
            .ok_or_else(|| UnknownMetric(name.chars().take(80).collect()))
    }
}

impl TryFrom<String> for Metric {
    type Error = UnknownMetric;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_keeps_its_number() {
        let names: Vec<_> = (0..=u8::MAX).map_while(Metric::of_number).map(Metric::name).collect();
        assert_eq!(
            names.join(" "),
            "icmp.rtt tcp.connect https.dns https.proxy https.tcp https.tls https.ttfb https.transfer https.local \
             https.total dns.query dns.lookup udp.rtt agent.noise icmp.rtt.jitter tcp.connect.jitter https.tcp.jitter \
             https.tls.jitter https.ttfb.jitter dns.query.jitter dns.lookup.jitter udp.rtt.jitter",
            "stores hold these numbers: new metrics come at the end",
        );
        assert!(Metric::ALL.into_iter().all(|metric| Metric::of_number(metric.number()) == Some(metric)));
    }

    #[test]
    fn every_metric_is_known_by_its_name() {
        for metric in Metric::ALL {
            assert_eq!(metric.name().parse(), Ok(metric));
            if let Some(jitter) = metric.jitter() {
                assert_eq!(jitter.name(), format!("{metric}.jitter"));
            }
        }
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        let error = "icmp".parse::<Metric>().unwrap_err().to_string();
        assert!(
            error.starts_with("`icmp` is not a metric; the metrics are icmp.rtt, tcp.connect,"),
            "{error}"
        );
    }
}
