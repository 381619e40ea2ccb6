//! Reflectors: the other end of the probes, within this process and on threads of their own. (ICMP is answered by the
//! kernel.)

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use portable as platform;

use socket2::Socket;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often a reflector looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);
/// The largest packet that is reflected whole.
const MAX_PACKET: usize = 2_048;

/// The reflectors of all families of this machine; they end when this is dropped.
pub(super) struct Reflectors {
    ends: Vec<End>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The other end of one family.
pub(super) struct End {
    pub(super) address: IpAddr,
    /// Where a listener is.
    pub(super) tcp_port: u16,
    pub(super) udp: UdpReflector,
}

/// What sends UDP packets back.
pub(super) struct UdpReflector {
    pub(super) port: u16,
    held: Arc<Mutex<Option<Duration>>>,
}

impl UdpReflector {
    /// For how long the reflector had the last packet, from its coming in to its being sent back; none if it has had none
    /// since [`forget_held`](Self::forget_held), or the platform does not tell.
    pub(super) fn last_held(&self) -> Option<Duration> {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the last packet.
    pub(super) fn forget_held(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Reflectors {
    /// Starts those of IPv4, and those of IPv6 where there is IPv6.
    pub(super) fn start() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut reflectors = Self { ends: Vec::new(), stop, threads: Vec::new() };
        reflectors.add(Ipv4Addr::LOCALHOST.into())?;
        match reflectors.add(Ipv6Addr::LOCALHOST.into()) {
            Err(error) if !lacks_family(&error) => Err(error),
            Ok(()) | Err(_) => Ok(reflectors),
        }
    }

    /// The other ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = &End> {
        self.ends.iter()
    }

    fn add(&mut self, address: IpAddr) -> io::Result<()> {
        let listener = TcpListener::bind((address, 0))?;
        let socket = UdpSocket::bind((address, 0))?;
        let held = Arc::new(Mutex::new(None));
        let udp = UdpReflector { port: socket.local_addr()?.port(), held: Arc::clone(&held) };
        self.ends.push(End { address, tcp_port: listener.local_addr()?.port(), udp });

        let listener = Socket::from(listener);
        listener.set_read_timeout(Some(LOOK))?;
        socket.set_read_timeout(Some(LOOK))?;
        platform::stamp(&socket)?;
        self.spawn("selftest-tcp", move || accept(&listener))?;
        self.spawn("selftest-udp", move || reflect(&socket, &held))
    }

    /// Runs `turn` again and again on a thread of its own.
    fn spawn(&mut self, name: &str, turn: impl Fn() + Send + 'static) -> io::Result<()> {
        let stop = Arc::clone(&self.stop);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                turn();
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Reflectors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has ended, too.
            let _ended = thread.join();
        }
    }
}

/// Accepts a connection, if one comes, and closes it: the kernel has answered the connect by then.
fn accept(listener: &Socket) {
    let _closed_or_none = listener.accept();
}

/// Sends a packet back, if one comes.
fn reflect(socket: &UdpSocket, held: &Mutex<Option<Duration>>) {
    let mut room = [0; MAX_PACKET];
    let Ok(Some(Arrival { length, from, age })) = platform::receive(socket, &mut room) else { return };
    *held.lock().unwrap_or_else(PoisonError::into_inner) = age;
    // A packet that cannot be sent back is lost, and counted as such by whoever waits for it.
    let _lost = socket.send_to(&room[..length], from);
}

/// A packet that came in.
struct Arrival {
    length: usize,
    from: SocketAddr,
    /// For how long it has been there, where the platform tells.
    age: Option<Duration>,
}

/// Whether this machine lacks an address's whole family.
fn lacks_family(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(platform::NO_SUCH_FAMILY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn packets_come_back_connections_are_accepted_and_the_threads_end() {
        let reflectors = Reflectors::start().unwrap();
        for end in reflectors.ends() {
            let socket = UdpSocket::bind((end.address, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket.connect((end.address, end.udp.port)).unwrap();
            assert_eq!(end.udp.last_held(), None);
            socket.send(b"there and back").unwrap();
            let mut room = [0; 64];
            let length = socket.recv(&mut room).unwrap();
            assert_eq!(&room[..length], b"there and back");
            assert_eq!(end.udp.last_held().is_some(), cfg!(target_os = "linux"));
            end.udp.forget_held();
            assert_eq!(end.udp.last_held(), None);
            TcpStream::connect((end.address, end.tcp_port)).unwrap();
        }
        let stopped = Arc::clone(&reflectors.stop);
        drop(reflectors);
        assert_eq!(Arc::strong_count(&stopped), 1, "a thread still holds it");
    }
}
