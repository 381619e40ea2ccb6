//! Echo servers: what stands for Microsoft's endpoints in the lab. ICMP echo needs none, the kernel answers it.

pub mod authority;
pub mod dns;
pub mod hold;
pub mod https;
pub mod tcp;
pub mod udp;

use crate::{
    network::{Network, namespace::NamespaceError, plan::Plan},
    scenario::{EchoProbe, EchoTarget},
    truth::Endpoint,
};
use authority::{Authority, AuthorityError};
use hold::Holds;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(test)]
mod tests;

/// How many connects may wait to be accepted: a whole fleet's at once.
const BACKLOG: i32 = 1_024;

/// The echo servers' sockets, bound and not yet served.
#[derive(Debug)]
pub struct Sockets {
    targets: Vec<TargetSockets>,
    dns: Vec<UdpSocket>,
    /// Where the DNS server is asked.
    pub dns_addresses: Vec<SocketAddr>,
}

/// One echo server's sockets.
#[derive(Debug)]
struct TargetSockets {
    target: EchoTarget,
    addresses: Vec<IpAddr>,
    tcp: Vec<TcpListener>,
    https: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

/// Which ports the servers take.
#[derive(Debug, Clone, Copy)]
struct Ports {
    tcp: u16,
    https: u16,
    udp: u16,
    dns: u16,
}

impl Ports {
    /// Those of the services that the echo servers stand for, where the addresses are the lab's own; else free ones.
    const fn of(plan: &Plan) -> Self {
        if plan.private {
            Self { tcp: 80, https: 443, udp: 3478, dns: 53 }
        } else {
            Self { tcp: 0, https: 0, udp: 0, dns: 0 }
        }
    }
}

/// Why the echo servers could not start.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// A socket could not be had.
    #[error(transparent)]
    Socket(#[from] NamespaceError),
    /// The certificates could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The sockets could not be served.
    #[error("cannot serve the echo servers' sockets: {0}")]
    Serve(#[from] io::Error),
}

/// Binds the echo servers of `targets` in the network's core.
pub fn bind(network: &Network, targets: &[EchoTarget]) -> Result<Sockets, NamespaceError> {
    let (plan, ports) = (&network.plan, Ports::of(&network.plan));
    network.core.within(|| {
        let targets = targets
            .iter()
            .zip(&plan.targets)
            .map(|(target, addresses)| bind_target(target, addresses, ports))
            .collect::<io::Result<Vec<_>>>()
            .map_err(NamespaceError::at("bind an echo server"))?;
        let dns = bind_each(&plan.core, ports.dns, udp_socket)
            .map_err(NamespaceError::at("bind the lab's DNS server"))?;
        let dns_addresses = dns
            .iter()
            .map(UdpSocket::local_addr)
            .collect::<io::Result<_>>()
            .map_err(NamespaceError::at("ask for the DNS server's address"))?;
        Ok(Sockets { targets, dns, dns_addresses })
    })
}

fn bind_target(target: &EchoTarget, addresses: &[IpAddr], ports: Ports) -> io::Result<TargetSockets> {
    Ok(TargetSockets {
        target: target.clone(),
        addresses: addresses.to_vec(),
        tcp: bind_each(addresses, ports.tcp, tcp_listener)?,
        https: bind_each(addresses, ports.https, tcp_listener)?,
        udp: bind_each(addresses, ports.udp, udp_socket)?,
    })
}

fn bind_each<S>(
    addresses: &[IpAddr],
    port: u16,
    bind: impl Fn(SocketAddr) -> io::Result<S>,
) -> io::Result<Vec<S>> {
    addresses.iter().map(|&address| bind(SocketAddr::new(address, port))).collect()
}

/// Listens in the core for whoever serves `port` there: the collector does.
pub fn listen(network: &Network, port: u16) -> Result<TcpListener, NamespaceError> {
    let address = network.plan.core.first().copied().unwrap_or(IpAddr::from([127, 0, 0, 1]));
    network.core.within(|| {
        tcp_listener(SocketAddr::new(address, port))
            .map_err(NamespaceError::at("bind a listener in the core"))
    })
}

fn tcp_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Sockets {
    /// What the truth knows the servers by.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.targets
            .iter()
            .map(|sockets| Endpoint {
                name: sockets.target.name.clone(),
                host: sockets.target.host.clone(),
                addresses: sockets.addresses.clone(),
                tcp_port: sockets.port(EchoProbe::Tcp),
                udp_port: sockets.port(EchoProbe::Udp),
            })
            .collect()
    }

    /// Each target with its probes as an agent's configuration writes them.
    pub fn probes(&self) -> Vec<(&EchoTarget, Vec<String>)> {
        let written = |sockets: &TargetSockets, probe| match probe {
            EchoProbe::Icmp => "icmp".to_owned(),
            EchoProbe::Dns => "dns".to_owned(),
            EchoProbe::Tcp => format!("tcp:{}", sockets.port(probe)),
            EchoProbe::Udp => format!("udp:{}", sockets.port(probe)),
            EchoProbe::Https => format!("https:{}", sockets.port(probe)),
        };
        self.targets
            .iter()
            .map(|sockets| {
                let probes = sockets.target.probes.iter().map(|&probe| written(sockets, probe)).collect();
                (&sockets.target, probes)
            })
            .collect()
    }

    /// Serves until `shutdown`, on the runtime that this is called on. `names` are further names that the first server
    /// answers to, and `holds` says which answers are held back.
    pub fn serve(
        self,
        names: &[String],
        holds: Option<&Arc<Holds>>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<Authority, EchoError> {
        let mut zone: Vec<(String, Vec<IpAddr>)> = self
            .targets
            .iter()
            .map(|sockets| (sockets.target.host.clone(), sockets.addresses.clone()))
            .collect();
        if let Some(first) = self.targets.first() {
            zone.extend(names.iter().map(|name| (name.clone(), first.addresses.clone())));
        }
        let authority = Authority::create()?;
        let tls = Arc::new(authority.server_config(zone.iter().map(|(name, _)| name.clone()).collect())?);
        dns::serve(self.dns, &zone, tasks, shutdown)?;
        for (number, sockets) in self.targets.into_iter().enumerate() {
            let hold = holds.map(|holds| holds.at(number));
            for listener in sockets.tcp {
                tcp::serve(listener, tasks, shutdown)?;
            }
            for socket in sockets.udp {
                udp::serve(socket, hold.clone(), tasks, shutdown)?;
            }
            for listener in sockets.https {
                let server = https::Server {
                    tls: Arc::clone(&tls),
                    delay: sockets.target.server_delay,
                    hold: hold.clone(),
                };
                https::serve(listener, server, tasks, shutdown)?;
            }
        }
        Ok(authority)
    }
}

impl TargetSockets {
    fn port(&self, probe: EchoProbe) -> u16 {
        let address = match probe {
            EchoProbe::Icmp | EchoProbe::Dns => None,
            EchoProbe::Tcp => self.tcp.first().map(TcpListener::local_addr),
            EchoProbe::Https => self.https.first().map(TcpListener::local_addr),
            EchoProbe::Udp => self.udp.first().map(UdpSocket::local_addr),
        };
        // A bound socket has an address.
        address.and_then(Result::ok).map_or(0, |address| address.port())
    }
}
