//! How probes leave this machine: from which address, by which interface, with which mark. Every socket that sends probes
//! passes through [`Departure::prepare`].

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use portable as platform;

use super::dscp::Dscp;
use peerlight_proto::series::Family;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    str::FromStr,
    sync::Arc,
};

/// Whether this platform binds to interfaces and marks packets.
pub const CAN_STEER: bool = cfg!(target_os = "linux");
/// The longest name of an interface (`IFNAMSIZ` less the zero at its end).
const LONGEST_NAME: usize = 15;

/// The name of a network interface. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface(Arc<str>);

/// A text that names no interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of an interface: 1 to {LONGEST_NAME} bytes without spaces and slashes, such as eth1"
)]
pub struct ParseInterfaceError(String);

impl Interface {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Interface {
    type Err = ParseInterfaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let strange = |char: char| char.is_whitespace() || char.is_control() || char == '/' || char == ':';
        if text.is_empty()
            || text.len() > LONGEST_NAME
            || text.contains(strange)
            || matches!(text, "." | "..")
        {
            return Err(ParseInterfaceError(text.chars().take(2 * LONGEST_NAME).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why packets cannot leave as they should.
#[derive(Debug, thiserror::Error)]
pub enum DepartureError {
    /// There is no such interface.
    #[error("this machine has no network interface `{0}`; `ip link` lists those that it has")]
    NoInterface(Interface),
    /// The kernel wants a privilege.
    #[error(
        "binding to the interface `{0}` is not permitted: it needs Linux 5.7 or newer, or the capability CAP_NET_RAW"
    )]
    NotPermitted(Interface),
    /// The kernel said something else.
    #[error("cannot bind to the interface `{interface}`: {source}")]
    Interface {
        /// Which.
        interface: Interface,
        /// What the kernel said.
        source: io::Error,
    },
    /// The packets cannot be marked.
    #[error("cannot mark packets with the DSCP {dscp}: {source}")]
    Mark {
        /// With which code point.
        dscp: Dscp,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no such address.
    #[error("cannot send from {address}: {source}")]
    Source {
        /// From which.
        address: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

impl From<DepartureError> for io::Error {
    /// Whoever sees that something is not permitted thinks of ICMP, so the kind says nothing.
    fn from(error: DepartureError) -> Self {
        Self::other(error)
    }
}

/// How packets of one family leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Which family.
    pub family: Family,
    /// The source address; the system's choice when none.
    pub source: Option<IpAddr>,
    /// The interface; the routing table's choice when none.
    pub interface: Option<Interface>,
    /// The mark; none leaves the system's, which is 0.
    pub dscp: Option<Dscp>,
}

impl Departure {
    /// As the system would have it.
    pub const fn of(family: Family) -> Self {
        Self { family, source: None, interface: None, dscp: None }
    }

    /// The source address, unspecified where the system chooses.
    pub fn source_or_any(&self) -> IpAddr {
        self.source.unwrap_or(match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        })
    }

    /// Has what `socket`, of this family, sends leave so. It is bound to the source address if there is one.
    pub fn prepare(&self, socket: &Socket) -> Result<(), DepartureError> {
        if let Some(interface) = &self.interface {
            platform::bind_to(socket, interface)?;
        }
        if let Some(dscp) = self.dscp {
            platform::mark(socket, self.family, dscp)
                .map_err(|source| DepartureError::Mark { dscp, source })?;
        }
        if let Some(address) = self.source {
            socket
                .bind(&SocketAddr::new(address, 0).into())
                .map_err(|source| DepartureError::Source { address, source })?;
        }
        Ok(())
    }

    /// The same, and bound where the system chooses the address, too.
    pub fn prepare_bound(&self, socket: &Socket) -> io::Result<()> {
        self.prepare(socket)?;
        if self.source.is_none() {
            socket.bind(&SocketAddr::new(self.source_or_any(), 0).into())?;
        }
        Ok(())
    }

    /// Has what `client` connects to leave so, but without a mark.
    pub fn dial(&self, client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let client = client.local_address(self.source_or_any());
        match &self.interface {
            Some(interface) => platform::dial_by(client, interface),
            None => client,
        }
    }

    /// A UDP socket whose packets leave so.
    pub fn udp(&self) -> io::Result<UdpSocket> {
        let domain = match self.family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        self.prepare_bound(&socket)?;
        Ok(socket.into())
    }

    /// The address that the system would send from on the way to `to`; an error where it knows no way. Sends nothing.
    pub fn towards(&self, to: SocketAddr) -> io::Result<IpAddr> {
        let socket = self.udp()?;
        socket.connect(to)?;
        Ok(socket.local_addr()?.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // All of 127/8 is this machine's on Linux alone.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_says_from_where_it_would_send() {
        let from = |source: [u8; 4]| Departure { source: Some(source.into()), ..Departure::of(Family::V4) };
        let there = SocketAddr::from(([127, 0, 0, 1], 443));
        assert_eq!(Departure::of(Family::V4).towards(there).unwrap(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(from([127, 3, 4, 5]).towards(there).unwrap(), IpAddr::from([127, 3, 4, 5]));
        let error = from([192, 0, 2, 1]).towards(there).unwrap_err().to_string();
        assert!(error.starts_with("cannot send from 192.0.2.1: "), "{error}");
    }

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        for name in ["", "a b", "eth0/1", "..", "an-interface-name", "x\0"] {
            assert!(name.parse::<Interface>().is_err(), "{name}");
        }
        assert_eq!("enp0s31f6.100".parse::<Interface>().unwrap().as_str(), "enp0s31f6.100");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_interface_that_is_there_is_bound_to_and_one_that_is_not_is_named() {
        let by = |name: &str| Departure { interface: name.parse().ok(), ..Departure::of(Family::V4) };
        let there = SocketAddr::from(([127, 0, 0, 1], 443));
        assert_eq!(by("lo").towards(there).unwrap(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(
            by("eth99").towards(there).unwrap_err().to_string(),
            "this machine has no network interface `eth99`; `ip link` lists those that it has"
        );
    }
}
