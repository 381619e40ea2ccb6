//! The relay: one thread that carries every packet between the sites and the core, each over its emulated path.

use super::{
    disguise::disguise,
    packet::Packet,
    path::{Fate, Path},
    priority,
    refusal::refuse,
};
use ipnet::IpNet;
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::ErrorKind,
    net::IpAddr,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tun_rs::SyncDevice;

/// The most packets on the way at once; more than this is a loop, not a load.
const MAX_IN_FLIGHT: usize = 100_000;
const MAX_PACKET: usize = 65_536;

/// A site's link and the two directions of its path.
pub struct SiteLink {
    /// The device in the site's namespace.
    pub device: SyncDevice,
    /// The networks that are reached through it.
    pub prefixes: Vec<IpNet>,
    /// From the site to the core.
    pub outbound: Path,
    /// From the core to the site.
    pub inbound: Path,
}

/// What the relay did.
#[derive(Debug, Default)]
pub struct Carried {
    delivered: AtomicU64,
    lost: AtomicU64,
    unroutable: AtomicU64,
}

impl Carried {
    /// Packets that arrived.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Packets that a path lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Packets for nobody here, such as the kernel's multicast.
    pub fn unroutable(&self) -> u64 {
        self.unroutable.load(Ordering::Relaxed)
    }
}

/// The running relay; it ends when this is dropped.
#[derive(Debug)]
pub struct Relay {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
    carried: Arc<Carried>,
}

impl Relay {
    /// Starts carrying packets between `core` and `sites`. Only what is for `targets` is ever refused: agents shall enrol
    /// and push whatever they measure.
    pub fn start(core: SyncDevice, sites: Vec<SiteLink>, targets: Vec<IpAddr>) -> std::io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let carried = Arc::new(Carried::default());
        let line = Line {
            core,
            sites,
            targets,
            stopped,
            queue: BinaryHeap::new(),
            number: 0,
            carried: Arc::clone(&carried),
        };
        let thread = thread::Builder::new().name("lab-relay".into()).spawn(move || line.run())?;
        Ok(Self { stop: Some(stop), thread: Some(thread), carried })
    }

    /// What it did so far.
    pub fn carried(&self) -> &Carried {
        &self.carried
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where a packet goes: to a site by its number, or to the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Core,
    Site(usize),
}

/// A packet on its way. Ordered by its arrival, then by its departure.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: Instant,
    number: u64,
    step: Step,
    packet: Vec<u8>,
}

/// What is to be done with a packet when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// It has arrived there.
    Hand(End),
    /// It sets out from the core's end of the path: a refusal of what had come so far.
    Return,
}

struct Line {
    core: SyncDevice,
    sites: Vec<SiteLink>,
    targets: Vec<IpAddr>,
    stopped: UnixStream,
    queue: BinaryHeap<Reverse<Arrival>>,
    number: u64,
    carried: Arc<Carried>,
}

impl Line {
    fn run(mut self) {
        priority::raise();
        let mut buffer = vec![0; MAX_PACKET];
        loop {
            self.deliver(now());
            let Some(ready) = self.wait() else { return };
            for end in ready {
                self.take_in(end, &mut buffer);
            }
        }
    }

    fn deliver(&mut self, now: Instant) {
        while self.queue.peek().is_some_and(|Reverse(arrival)| arrival.at <= now) {
            let Some(Reverse(arrival)) = self.queue.pop() else { return };
            let end = match arrival.step {
                Step::Hand(end) => end,
                Step::Return => {
                    self.forward(End::Core, &arrival.packet, now);
                    continue;
                }
            };
            let sent = self.device(end).send(&arrival.packet);
            let counter = if sent.is_ok() { &self.carried.delivered } else { &self.carried.unroutable };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for packets, at most until the next arrival. None when the relay is to end.
    fn wait(&self) -> Option<Vec<End>> {
        let until = self
            .queue
            .peek()
            .map_or(Duration::from_secs(1), |Reverse(next)| next.at.saturating_duration_since(now()));
        let ends = || std::iter::once(End::Core).chain((0..self.sites.len()).map(End::Site));
        let mut descriptors: Vec<_> = ends()
            .map(|end| PollFd::new(self.device(end).as_fd(), PollFlags::POLLIN))
            .chain([PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)])
            .collect();
        // Interrupted or not, the descriptors tell what is ready.
        let _ = ppoll(&mut descriptors, Some(TimeSpec::from_duration(until)), None);
        let ready = |descriptor: &PollFd<'_>| descriptor.any().unwrap_or(false);
        let (stopped, devices) = descriptors.split_last()?;
        if ready(stopped) {
            return None;
        }
        Some(ends().zip(devices).filter(|(_, descriptor)| ready(descriptor)).map(|(end, _)| end).collect())
    }

    fn take_in(&mut self, end: End, buffer: &mut [u8]) {
        loop {
            match self.device(end).recv(buffer) {
                Ok(length) => self.forward(end, &buffer[..length], now()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing left, or the device is gone because the lab ends.
                Err(_) => return,
            }
        }
    }

    fn forward(&mut self, from: End, packet: &[u8], now: Instant) {
        // Multicast is the kernels' own talk with neighbours that are not there.
        let destination =
            Packet::read(packet).map(|packet| packet.destination).filter(|address| !address.is_multicast());
        let fate = destination.and_then(|address| match from {
            End::Site(site) => Some((End::Core, self.sites[site].outbound.decide(now))),
            End::Core => {
                self.site_of(address).map(|site| (End::Site(site), self.sites[site].inbound.decide(now)))
            }
        });
        match fate {
            Some((end, Fate::Deliver { at, copy, foreign })) => {
                let disguised = if foreign && self.is_answer(packet) { disguise(packet) } else { None };
                let packet = disguised.as_deref().unwrap_or(packet);
                for at in [Some(at), copy].into_iter().flatten() {
                    self.send_off(at, Step::Hand(end), packet.to_vec());
                }
            }
            Some((end, Fate::Refuse { at })) => {
                let refusable = destination.is_some_and(|address| self.targets.contains(&address));
                match refuse(packet).filter(|_| refusable) {
                    Some(refusal) => self.send_off(at, Step::Return, refusal),
                    None => self.send_off(at, Step::Hand(end), packet.to_vec()),
                }
            }
            Some((_, Fate::Drop)) => _ = self.carried.lost.fetch_add(1, Ordering::Relaxed),
            None => _ = self.carried.unroutable.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether an echo server sent it. The collector's answers stay what they are: agents shall enrol and push.
    fn is_answer(&self, packet: &[u8]) -> bool {
        Packet::read(packet).is_some_and(|packet| self.targets.contains(&packet.source))
    }

    fn send_off(&mut self, at: Instant, step: Step, packet: Vec<u8>) {
        if self.queue.len() < MAX_IN_FLIGHT {
            self.number += 1;
            self.queue.push(Reverse(Arrival { at, number: self.number, step, packet }));
        } else {
            self.carried.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn site_of(&self, address: IpAddr) -> Option<usize> {
        self.sites.iter().position(|site| site.prefixes.iter().any(|prefix| prefix.contains(&address)))
    }

    fn device(&self, end: End) -> &SyncDevice {
        match end {
            End::Core => &self.core,
            End::Site(site) => &self.sites[site].device,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the relay is a clock: it decides when packets arrive")]
fn now() -> Instant {
    Instant::now()
}
