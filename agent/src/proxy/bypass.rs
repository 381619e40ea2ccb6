//! Whom no proxy stands in front of, as `NO_PROXY` says it: `example.com` and all below it, an address, a network, `*` for
//! everybody; each may end in `:PORT`. Pure.

use ipnet::IpNet;
use std::{fmt, net::IpAddr};

/// A list of such words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bypass(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    who: Who,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Everybody,
    Network(IpNet),
    /// The domain and all below it.
    Domain(String),
}

impl Bypass {
    /// The list of these words; empty ones say nothing.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self(words.into_iter().map(str::trim).filter(|word| !word.is_empty()).map(Rule::read).collect())
    }

    /// The list that stands in `NO_PROXY`: words between commas.
    pub fn parse(list: &str) -> Self {
        Self::new(list.split(','))
    }

    /// Both lists.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `host` is reached directly at `port`. Names are not looked up.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase();
        self.0.iter().any(|rule| rule.port.is_none_or(|only| only == port) && rule.who.is(&host))
    }

    /// The words.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl Rule {
    fn read(word: &str) -> Self {
        if let Some(who) = Who::address(word) {
            return Self { who, port: None };
        }
        let with_port = word.rsplit_once(':').and_then(|(who, port)| Some((who, port.parse().ok()?)));
        let (who, port) = with_port.map_or((word, None), |(who, port)| (who, Some(port)));
        let domain = || {
            let domain = who.strip_prefix('*').unwrap_or(who).trim_matches('.').to_ascii_lowercase();
            if domain.is_empty() { Who::Everybody } else { Who::Domain(domain) }
        };
        Self { who: Who::address(who).unwrap_or_else(domain), port }
    }
}

impl Who {
    fn address(word: &str) -> Option<Self> {
        let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
        let network = bare.parse::<IpNet>().ok();
        network.or_else(|| bare.parse::<IpAddr>().ok().map(IpNet::from)).map(Self::Network)
    }

    fn is(&self, host: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::Network(network) => host.parse::<IpAddr>().is_ok_and(|address| network.contains(&address)),
            Self::Domain(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        match &self.who {
            Who::Everybody => write!(f, "*{port}"),
            Who::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                let address = network.addr();
                if self.port.is_some() && address.is_ipv6() {
                    write!(f, "[{address}]{port}")
                } else {
                    write!(f, "{address}{port}")
                }
            }
            Who::Network(network) => write!(f, "{network}{port}"),
            Who::Domain(domain) => write!(f, "{domain}{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_covers_itself_and_what_is_below_it() {
        let bypass = Bypass::parse("example.com, .corp.test,*.lab.test , ");
        for host in
            ["example.com", "EXAMPLE.com.", "a.b.example.com", "corp.test", "x.corp.test", "x.lab.test"]
        {
            assert!(bypass.covers(host, 443), "{host}");
        }
        for host in ["notexample.com", "example.com.evil.test", "com", ""] {
            assert!(!bypass.covers(host, 443), "{host}");
        }
    }

    #[test]
    fn addresses_and_networks_cover_addresses_and_never_names() {
        let bypass = Bypass::parse("10.0.0.0/8,192.0.2.7,2001:db8::/32,[::1]");
        for host in ["10.1.2.3", "192.0.2.7", "[2001:db8::5]", "::1"] {
            assert!(bypass.covers(host, 443), "{host}");
        }
        for host in ["11.0.0.1", "192.0.2.8", "2001:db9::", "10.example"] {
            assert!(!bypass.covers(host, 443), "{host}");
        }
    }

    #[test]
    fn a_port_narrows_a_word_and_a_star_covers_everybody() {
        let bypass = Bypass::parse("a.test:8443,192.0.2.7:8443,[::1]:8443,b.test");
        for host in ["a.test", "192.0.2.7", "[::1]"] {
            assert!(bypass.covers(host, 8_443) && !bypass.covers(host, 443), "{host}");
        }
        assert!(bypass.covers("b.test", 1));
        assert!(Bypass::parse("*").covers("whoever.test", 443));
        assert!(Bypass::parse(" , ").is_empty() && !Bypass::default().covers("a.test", 443));
    }

    #[test]
    fn words_are_said_as_they_are_understood() {
        let words = ["*", "10.0.0.0/8", "192.0.2.7:80", "[::1]:80", "example.com"];
        let said: Vec<_> =
            Bypass::new(["*", "10.0.0.0/8", "192.0.2.7:80", "[::1]:80", ".Example.com"]).words().collect();
        assert_eq!(said, words);
    }
}
