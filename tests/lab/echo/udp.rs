//! A UDP echo server; on 127/8 it may hold back, drop or repeat what it echoes.

use super::hold::{Hold, wall_clock};
use crate::truth::Stamp;
use nix::{
    cmsg_space,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
};
use peerlight_proto::metric::Metric;
use std::{
    io::{self, IoSliceMut},
    net::{self, IpAddr, SocketAddr},
    os::fd::AsRawFd,
    sync::Arc,
};
use tokio::{io::Interest, net::UdpSocket};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// More than any probe carries.
const MAX_DATAGRAM: usize = 2_048;

/// A datagram, and when the kernel had it.
struct Arrived {
    from: SocketAddr,
    at: Stamp,
    length: usize,
}

/// Echoes until `shutdown`.
pub fn serve(
    socket: net::UdpSocket,
    hold: Option<Hold>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let echoes = tasks.clone();
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(async move {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            match receive(&socket, &mut buffer).await {
                Ok(arrived) => {
                    echo(&socket, hold.as_ref(), &echoes, &arrived, &buffer[..arrived.length]).await;
                }
                Err(error) => tracing::debug!(%error, "a UDP echo server could not receive"),
            }
        }
    }));
    Ok(())
}

async fn echo(
    socket: &Arc<UdpSocket>,
    hold: Option<&Hold>,
    tasks: &TaskTracker,
    arrived: &Arrived,
    datagram: &[u8],
) {
    let Some((hold, verdict)) = hold.and_then(|hold| Some((hold, hold.decide(arrived.from.ip())?))) else {
        return send(socket, arrived.from, datagram).await;
    };
    let Some(wait) = verdict.wait else {
        return hold.record(verdict, Metric::UdpRtt, arrived.at, None);
    };
    let (socket, hold, datagram) = (Arc::clone(socket), hold.clone(), datagram.to_vec());
    let (from, at) = (arrived.from, arrived.at);
    tasks.spawn(async move {
        tokio::time::sleep(wait).await;
        hold.record(verdict, Metric::UdpRtt, at, Some(wall_clock()));
        send(&socket, from, &datagram).await;
        if let Some(later) = verdict.again_after {
            tokio::time::sleep(later).await;
            send(&socket, from, &datagram).await;
        }
    });
}

async fn send(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) {
    if let Err(error) = socket.send_to(datagram, to).await {
        tracing::debug!(%error, %to, "a UDP echo server could not answer");
    }
}

async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrived> {
    socket
        .async_io(Interest::READABLE, || {
            let mut control = cmsg_space!(TimeSpec);
            let mut slices = [IoSliceMut::new(buffer)];
            let message = recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::empty(),
            )?;
            let stamp = message.cmsgs()?.find_map(|part| {
                if let ControlMessageOwned::ScmTimestampns(at) = part { Some(Stamp::from(at)) } else { None }
            });
            let from = message.address.as_ref().and_then(socket_address).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "a datagram without a sender's address")
            })?;
            Ok(Arrived { from, at: stamp.unwrap_or_else(wall_clock), length: message.bytes })
        })
        .await
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::new(IpAddr::V6(v6.ip()), v6.port())))
}
