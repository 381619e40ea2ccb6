//! The taps: the kernel's stamp of every packet at each site's end of its path, where the agent's own kernel stamps are
//! taken, too. How late the relay or this thread runs therefore makes no difference to the truth.

use super::namespace::{Namespace, NamespaceError};
use crate::truth::{Direction, Stamp, Truth};
use nix::{
    cmsg_space,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
            recvmsg, setsockopt, socket, sockopt,
        },
        time::TimeSpec,
    },
};
use std::{
    io::{self, IoSliceMut},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Holds what comes within seconds in which this thread does not run.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Headers and the payload of any probe; more of a packet is not looked at.
const SNAP_LENGTH: usize = 2_048;
/// `PACKET_OUTGOING` of `linux/if_packet.h`: the kernel sends this packet, it did not receive it.
const PACKET_OUTGOING: u8 = 4;
/// `ARPHRD_NONE` of `linux/if_arp.h`: a TUN device, as opposed to the loopback device.
const ARPHRD_NONE: u16 = 0xfffe;

/// Who is told of the packets.
pub trait Witness: Send + 'static {
    /// A packet that passed the end of `site`'s path at `at`.
    fn observe(&mut self, site: usize, direction: Direction, at: Stamp, bytes: &[u8]);

    /// Packets that passed without a stamp.
    fn missed(&mut self, packets: u64);
}

impl Witness for Truth {
    fn observe(&mut self, site: usize, direction: Direction, at: Stamp, bytes: &[u8]) {
        Self::observe(self, site, direction, at, bytes);
    }

    fn missed(&mut self, packets: u64) {
        Self::missed(self, packets);
    }
}

/// The running taps; they end when this is dropped.
#[derive(Debug)]
pub struct Taps {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Taps {
    /// Begins to tell `witness` of every packet that passes `sites`, which are known by their number.
    pub fn start<W: Witness>(sites: &[Namespace], witness: Arc<Mutex<W>>) -> Result<Self, NamespaceError> {
        let sockets = sites.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let (stop, stopped) = UnixStream::pair().map_err(NamespaceError::at("make a pair of sockets"))?;
        let thread = thread::Builder::new()
            .name("lab-taps".into())
            .spawn(move || listen(&sockets, &stopped, &*witness))
            .map_err(NamespaceError::at("start the thread of the taps"))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(site: &Namespace) -> Result<OwnedFd, NamespaceError> {
    let tap = || -> nix::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        // Only root of the machine may go beyond its limit; the ordinary bound will do.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        Ok(socket)
    };
    site.within(|| tap().map_err(io::Error::from).map_err(NamespaceError::at("open a packet socket")))
}

fn listen(sockets: &[OwnedFd], stopped: &UnixStream, witness: &Mutex<impl Witness>) {
    let mut missed = vec![0_u32; sockets.len()];
    loop {
        let mut descriptors: Vec<_> = sockets
            .iter()
            .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .chain([PollFd::new(stopped.as_fd(), PollFlags::POLLIN)])
            .collect();
        // Interrupted or not, the descriptors tell what is ready.
        let _ = poll(&mut descriptors, PollTimeout::NONE);
        let ready: Vec<bool> =
            descriptors.iter().map(|descriptor| descriptor.any().unwrap_or(false)).collect();
        if ready.last() == Some(&true) {
            return;
        }
        let mut witness = witness.lock().unwrap_or_else(PoisonError::into_inner);
        for (site, socket) in sockets.iter().enumerate().filter(|&(site, _)| ready[site]) {
            while take(site, socket, &mut *witness, &mut missed[site]) {}
        }
    }
}

/// Takes one packet in; false when there is none.
fn take(site: usize, socket: &OwnedFd, witness: &mut impl Witness, missed: &mut u32) -> bool {
    let mut buffer = [0; SNAP_LENGTH];
    let mut control = cmsg_space!(TimeSpec, u32);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let Ok(message) =
        recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
    else {
        return false;
    };
    let mut stamp = None;
    for part in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmTimestampns(at) = part {
            stamp = Some(Duration::from(at));
        } else if let ControlMessageOwned::RxqOvfl(dropped) = part {
            witness.missed(u64::from(dropped.wrapping_sub(*missed)));
            *missed = dropped;
        }
    }
    let (link, length) = (message.address, message.bytes);
    if let (Some(link), Some(at)) = (link, stamp)
        && link.hatype() == ARPHRD_NONE
    {
        let direction = if link.pkttype() == PACKET_OUTGOING { Direction::Out } else { Direction::In };
        witness.observe(site, direction, at, &buffer[..length.min(SNAP_LENGTH)]);
    }
    true
}
