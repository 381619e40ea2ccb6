//! Linux: packets tell when the kernel received them.

use super::Arrival;
use nix::{
    sys::{
        socket::{ControlMessageOwned, MsgFlags, SetSockOpt as _, SockaddrStorage, recvmsg, sockopt},
        time::TimeSpec,
    },
    time::{ClockId, clock_gettime},
};
use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

/// The error of a family that the machine lacks.
pub(super) const NO_SUCH_FAMILY: i32 = libc::EAFNOSUPPORT;

/// Has the kernel stamp what comes in.
pub(super) fn stamp(socket: &UdpSocket) -> io::Result<()> {
    Ok(sockopt::ReceiveTimestampns.set(socket, &true)?)
}

/// The next packet, or none within the socket's time-out.
pub(super) fn receive(socket: &UdpSocket, room: &mut [u8]) -> io::Result<Option<Arrival>> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(room)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let mut came = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmTimestampns(stamp) = control {
            came = Some(Duration::from(stamp));
        }
    }
    // Both are of the wall clock; one that is set in between makes an age of zero, or is seen by the probe.
    let age = came.zip(clock_gettime(ClockId::CLOCK_REALTIME).ok());
    let age = age.map(|(came, now)| Duration::from(now).saturating_sub(came));
    let Some(from) = message.address.as_ref().and_then(socket_address) else { return Ok(None) };
    Ok(Some(Arrival { length: message.bytes, from, age }))
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        Some(SocketAddr::V4((*v4).into()))
    } else {
        address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
    }
}
