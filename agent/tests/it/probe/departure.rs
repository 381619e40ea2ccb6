//! How probes leave: their mark is read from the packets themselves, and an interface is one or is named.

use super::{attribute, ending, latency, only, probe, settings, target};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SetSockOpt as _, SockaddrStorage, recvmsg, sockopt};
use peerlight_agent::probe::{Dscp, ProbeSettings};
use peerlight_proto::{measurement::Ending, series::Family};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{IoSliceMut, Read as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

const EF: u8 = 46;
/// As the header has it: two bits for congestion notification follow.
const EF_BYTE: u8 = EF << 2;
/// Nobody else probes it.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(127, 46, 0, 1);
const PATIENCE: Duration = Duration::from_secs(10);

fn marked() -> ProbeSettings {
    ProbeSettings { dscp: Some(Dscp::try_from(EF).unwrap()), ..settings() }
}

fn by_interface(name: &str) -> ProbeSettings {
    ProbeSettings { interface: Some(name.parse().unwrap()), ..settings() }
}

/// An echo server that answers one packet and says with which class it came.
fn echo_and_tell(bind: SocketAddr) -> (SocketAddr, std::thread::JoinHandle<i32>) {
    let socket = UdpSocket::bind(bind).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    match bind {
        SocketAddr::V4(_) => sockopt::IpRecvTos.set(&socket, &true).unwrap(),
        SocketAddr::V6(_) => sockopt::Ipv6RecvTClass.set(&socket, &true).unwrap(),
    }
    let address = socket.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut packet, mut control) = ([0; 512], nix::cmsg_space!(i32));
        let mut parts = [IoSliceMut::new(&mut packet)];
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())
                .unwrap();
        let class = message.cmsgs().unwrap().find_map(|control| {
            if let ControlMessageOwned::Ipv4Tos(class) = control {
                Some(i32::from(class))
            } else if let ControlMessageOwned::Ipv6TClass(class) = control {
                Some(class)
            } else {
                None
            }
        });
        let (length, from) = (message.bytes, message.address.unwrap());
        let back: SocketAddr = match bind {
            SocketAddr::V4(_) => std::net::SocketAddrV4::from(*from.as_sockaddr_in().unwrap()).into(),
            SocketAddr::V6(_) => std::net::SocketAddrV6::from(*from.as_sockaddr_in6().unwrap()).into(),
        };
        socket.send_to(&packet[..length], back).unwrap();
        class.unwrap()
    });
    (address, serving)
}

#[tokio::test]
async fn udp_probes_bear_the_mark_in_both_families() {
    for (bind, family) in
        [((Ipv4Addr::LOCALHOST, 0).into(), Family::V4), ((Ipv6Addr::LOCALHOST, 0).into(), Family::V6)]
    {
        for (settings, expected) in [(marked(), i32::from(EF_BYTE)), (settings(), 0)] {
            let (to, serving) = echo_and_tell(bind);
            let target = target(&to.ip().to_string(), &format!("udp:{}", to.port()));
            let sample = probe(settings, &target, family).await.unwrap();
            latency(only(&sample));
            assert_eq!(serving.join().unwrap(), expected, "{family}");
        }
    }
}

/// Every IPv4 packet of this protocol that comes in over loopback; none without the privilege to see it.
fn listen_raw(protocol: Protocol) -> Option<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).ok()?;
    // An address of its own: others probe loopback, too.
    socket.bind(&SocketAddr::from((PRIVATE, 0)).into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(socket)
}

/// The class of the first packet that `is_it` takes for a probe's, given what follows the IP header.
fn class_of(mut socket: &Socket, is_it: impl Fn(&[u8]) -> bool) -> u8 {
    let mut packet = [0; 2_048];
    loop {
        let length = socket.read(&mut packet).unwrap();
        let header = usize::from(packet[0] & 0x0f) * 4;
        if is_it(&packet[header..length]) {
            return packet[1];
        }
    }
}

#[tokio::test]
async fn icmp_and_tcp_probes_bear_the_mark() {
    let (Some(icmp), Some(tcp)) = (listen_raw(Protocol::ICMPV4), listen_raw(Protocol::TCP)) else {
        eprintln!("skipped: icmp_and_tcp_probes_bear_the_mark: raw sockets are not permitted");
        return;
    };
    let sample = probe(marked(), &target(&PRIVATE.to_string(), "icmp"), Family::V4).await.unwrap();
    latency(only(&sample));
    let is_request = |packet: &[u8]| packet.first() == Some(&8);
    assert_eq!(class_of(&icmp, is_request), EF_BYTE);

    let listener = TcpListener::bind((PRIVATE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = target(&PRIVATE.to_string(), &format!("tcp:{port}"));
    latency(only(&probe(marked(), &target, Family::V4).await.unwrap()));
    let syn = |packet: &[u8]| packet[2..4] == port.to_be_bytes() && packet[13] & 0x12 == 0x02;
    assert_eq!(class_of(&tcp, syn), EF_BYTE);
}

#[tokio::test]
async fn probes_leave_by_the_interface_and_without_it_say_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = format!("tcp:{}", listener.local_addr().unwrap().port());
    let (udp, serving) = echo_and_tell((Ipv4Addr::LOCALHOST, 0).into());
    let udp = format!("udp:{}", udp.port());
    for kind in [&tcp, &udp] {
        let sample = probe(by_interface("lo"), &target("127.0.0.1", kind), Family::V4).await.unwrap();
        latency(only(&sample));
    }
    serving.join().unwrap();
    for kind in [&tcp, &udp, "icmp"] {
        let sample = probe(by_interface("eth99"), &target("127.0.0.1", kind), Family::V4).await.unwrap();
        assert_eq!(ending(only(&sample)), Ending::SendFailed, "{sample:?}");
        let error = attribute(&sample, "error").unwrap();
        assert!(
            error.ends_with(
                "this machine has no network interface `eth99`; `ip link` lists those that it has"
            ),
            "{error}"
        );
    }
}
