//! The machine: what it allows, and how busy it is.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use portable as platform;

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    net::{Ipv6Addr, UdpSocket},
    thread,
};

/// What the engines ask for, in bytes: the stamps of a burst of a thousand packets share it with their replies.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
pub(super) const WANTED_RECEIVE_BUFFER: usize = 4 << 20;

/// What this machine allows, and how busy it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Machine {
    /// The kernel's release.
    pub(super) kernel: Option<String>,
    /// How many CPUs this process may use.
    pub(super) cpus: Option<usize>,
    /// How many threads wanted a CPU, over the last minute.
    pub(super) load_1m: Option<f64>,
    /// What the kernel reads the time from.
    pub(super) clock_source: Option<String>,
    /// Who may send ICMP over IPv4.
    pub(super) icmp_v4: IcmpAccess,
    /// Who may send ICMP over IPv6.
    pub(super) icmp_v6: IcmpAccess,
    /// The groups that may open ICMP sockets (`net.ipv4.ping_group_range`).
    pub(super) ping_group_range: Option<String>,
    /// Whether there is IPv6 at all.
    pub(super) ipv6: bool,
    /// Of a socket.
    pub(super) receive_buffer: Option<ReceiveBuffer>,
}

/// How this process may send ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IcmpAccess {
    /// Without any privilege.
    Unprivileged,
    /// Through raw sockets, thanks to a privilege.
    Raw,
    /// Not at all.
    NotPermitted,
}

/// A socket's receive buffer, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct ReceiveBuffer {
    /// What the engines ask for.
    pub(super) wanted: usize,
    /// What they get.
    pub(super) granted: usize,
    /// What anybody may ask for (`net.core.rmem_max`).
    pub(super) rmem_max: Option<usize>,
}

impl Machine {
    /// Looks at this machine.
    pub(super) fn look() -> Self {
        Self {
            kernel: platform::kernel(),
            cpus: thread::available_parallelism().ok().map(std::num::NonZero::get),
            load_1m: platform::load(),
            clock_source: platform::clock_source(),
            icmp_v4: icmp_access(Domain::IPV4, Protocol::ICMPV4),
            icmp_v6: icmp_access(Domain::IPV6, Protocol::ICMPV6),
            ping_group_range: platform::ping_group_range(),
            ipv6: UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok(),
            receive_buffer: platform::receive_buffer(),
        }
    }

    /// Whether more threads want a CPU than there are CPUs.
    pub(super) fn is_overloaded(&self) -> bool {
        let cpus = self.cpus.and_then(|cpus| u32::try_from(cpus).ok()).map(f64::from);
        self.load_1m.zip(cpus).is_some_and(|(load, cpus)| load > cpus)
    }
}

fn icmp_access(domain: Domain, protocol: Protocol) -> IcmpAccess {
    let opens = |kind| Socket::new(domain, kind, Some(protocol)).is_ok();
    if opens(Type::DGRAM) {
        IcmpAccess::Unprivileged
    } else if opens(Type::RAW) {
        IcmpAccess::Raw
    } else {
        IcmpAccess::NotPermitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_of_itself() {
        let machine = Machine::look();
        assert!(machine.cpus.unwrap() > 0);
        if cfg!(target_os = "linux") {
            assert!(machine.kernel.is_some() && machine.load_1m.is_some());
            assert!(machine.receive_buffer.unwrap().granted > 0);
        }
    }
}
