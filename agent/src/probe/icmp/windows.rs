//! Windows: `IcmpSendEcho2Ex` and `Icmp6SendEcho2`, which need no administrator. Each call waits in a thread of its own, with
//! a handle of its own, so that no probe waits for another; a probe that nobody waits for any more ends by its deadline.
//!
//! The system tells whole milliseconds. The time that counts is this process's, around the call; where the two disagree the
//! probe is void.
#![expect(unsafe_code, reason = "the IP Helper is a C interface")]

use crate::probe::{
    departure::Departure,
    exchange::{Exchange, now},
    settings::ProbeSettings,
};
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family},
};
use std::{
    ffi::c_void,
    io,
    mem::{offset_of, size_of},
    net::{IpAddr, Ipv6Addr},
    ptr,
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use windows_sys::Win32::{
    Foundation::{ERROR_INVALID_PARAMETER, GetLastError, HANDLE, INVALID_HANDLE_VALUE},
    NetworkManagement::IpHelper::{
        ICMP_ECHO_REPLY, ICMPV6_ECHO_REPLY_LH, IP_BAD_DESTINATION, IP_BAD_HEADER, IP_DEST_NET_UNREACHABLE,
        IP_DEST_PORT_UNREACHABLE, IP_DEST_SCOPE_MISMATCH, IP_DEST_UNREACHABLE, IP_ICMP_ERROR,
        IP_PACKET_TOO_BIG, IP_PARAM_PROBLEM, IP_REQ_TIMED_OUT, IP_SOURCE_QUENCH, IP_SUCCESS,
        IP_TIME_EXCEEDED, IP_TTL_EXPIRED_REASSEM, IP_TTL_EXPIRED_TRANSIT, IP_UNRECOGNIZED_NEXT_HEADER,
        Icmp6CreateFile, Icmp6SendEcho2, IcmpCloseHandle, IcmpCreateFile, IcmpSendEcho2Ex,
    },
    Networking::WinSock::{AF_INET6, IN6_ADDR, IN6_ADDR_0, SOCKADDR_IN6},
};

/// How many probes of a family may be under way: 200 targets, each second, for a deadline of three seconds, and some.
const MAX_FLIGHTS: usize = 640;
/// What a thread that makes one call needs.
const STACK_BYTES: usize = 128 << 10;
/// How many bytes a request carries: the cookie, then zeros.
const PAYLOAD_BYTES: u16 = 56;
/// How long a reply may be with everything that the system puts around it (header, an ICMP error, its own status block), in
/// words, for which every structure is aligned.
const REPLY_WORDS: usize = 64;
/// By how much the system's time and this process's may differ: one tick of the system's timer.
const TOLERANCE: Duration = Duration::from_millis(16);

/// What sends one family's probes.
pub(crate) struct Endpoint {
    source: IpAddr,
    flights: Arc<Semaphore>,
}

impl Endpoint {
    /// Sees whether the system sends ICMP of this family, from this address.
    pub(super) fn open(departure: &Departure) -> io::Result<Self> {
        departure.udp()?;
        drop(Handle::open(departure.family)?);
        Ok(Self { source: departure.source_or_any(), flights: Arc::new(Semaphore::new(MAX_FLIGHTS)) })
    }

    /// Probes one address.
    pub(crate) async fn probe(&self, settings: &ProbeSettings, to: IpAddr) -> Exchange {
        let Ok(permit) = Arc::clone(&self.flights).try_acquire_owned() else {
            return Exchange::failed(Clock::User, Ending::Skipped, "too many ICMP probes are under way");
        };
        let (sender, answer) = oneshot::channel();
        let request = Request { from: self.source, to, deadline: settings.deadline, cookie: rand::random() };
        let call = move || {
            let echo = request.send();
            drop(permit);
            // Nobody waits for it after the deadline.
            let _unwanted = sender.send(echo);
        };
        let thread = thread::Builder::new().name("icmp".to_owned()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(call) {
            return not_sent(&error);
        }
        match timeout(settings.deadline, answer).await {
            Ok(Ok(Ok(echo))) => echo.judge(settings.timeout),
            Ok(Ok(Err(error))) => not_sent(&error),
            Ok(Err(_)) | Err(_) => Exchange::lost(Clock::User),
        }
    }
}

fn not_sent(error: &io::Error) -> Exchange {
    Exchange::failed(Clock::User, Ending::SendFailed, format!("cannot send from this machine: {error}"))
}

/// One echo request.
struct Request {
    from: IpAddr,
    to: IpAddr,
    deadline: Duration,
    cookie: [u8; 8],
}

impl Request {
    /// Sends it and waits for what comes of it.
    fn send(&self) -> io::Result<Echo> {
        let handle = Handle::open(Family::of(self.to))?;
        let payload = self.payload();
        let mut buffer = [0_u64; REPLY_WORDS];
        let wait = u32::try_from(self.deadline.as_millis()).unwrap_or(u32::MAX);
        let began = now();
        let sent = handle.send(self, &payload, &mut buffer, wait);
        let took = began.elapsed();
        Ok(match sent {
            Ok(()) => Echo { took, ..Echo::read(Family::of(self.to), &buffer, &payload) },
            Err(status) => Echo { took, status, kernel: Duration::ZERO, genuine: false },
        })
    }

    fn payload(&self) -> [u8; PAYLOAD_BYTES as usize] {
        let mut payload = [0; PAYLOAD_BYTES as usize];
        payload[..self.cookie.len()].copy_from_slice(&self.cookie);
        payload
    }
}

/// What came of a request.
struct Echo {
    /// By this process's clock.
    took: Duration,
    /// One of the system's `IP_STATUS`, or of its errors.
    status: u32,
    /// What the system says that it took.
    kernel: Duration,
    /// Whether the reply carries what was sent.
    genuine: bool,
}

impl Echo {
    /// Reads the first reply in `buffer`.
    fn read(family: Family, buffer: &[u64; REPLY_WORDS], payload: &[u8]) -> Self {
        let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (status, millis, begin) = match family {
            Family::V4 => {
                let pointer = buffer[offset_of!(ICMP_ECHO_REPLY, Data) / size_of::<u64>()];
                let begin =
                    usize::try_from(pointer).ok().and_then(|at| at.checked_sub(buffer.as_ptr().addr()));
                (offset_of!(ICMP_ECHO_REPLY, Status), offset_of!(ICMP_ECHO_REPLY, RoundTripTime), begin)
            }
            Family::V6 => (
                offset_of!(ICMPV6_ECHO_REPLY_LH, Status),
                offset_of!(ICMPV6_ECHO_REPLY_LH, RoundTripTime),
                Some(size_of::<ICMPV6_ECHO_REPLY_LH>()),
            ),
        };
        let echoed = begin.and_then(|at| bytes.get(at..at.checked_add(payload.len())?));
        Self {
            took: Duration::ZERO,
            status: number(status),
            kernel: Duration::from_millis(number(millis).into()),
            genuine: echoed == Some(payload),
        }
    }

    fn judge(&self, timeout: Duration) -> Exchange {
        let failed = |ending, error: &str| Exchange::failed(Clock::User, ending, error);
        match ending(self.status) {
            None if !self.genuine => failed(Ending::Lost, "the reply does not carry what was sent"),
            None if self.took.abs_diff(self.kernel) > TOLERANCE => {
                let (kernel, user) = (self.kernel.as_millis(), self.took.as_millis());
                failed(
                    Ending::Voided,
                    &format!("the system's clock says {kernel} ms, this process's {user} ms"),
                )
            }
            None => Exchange::timed(None, self.took, timeout),
            Some(Ending::Lost) => Exchange::lost(Clock::User),
            Some(Ending::Refused) => failed(Ending::Refused, "an ICMP error came back"),
            Some(_) => not_sent(&io::Error::from_raw_os_error(self.status.cast_signed())),
        }
    }
}

/// How a probe with this status ended; none if it was answered.
fn ending(status: u32) -> Option<Ending> {
    match status {
        IP_SUCCESS => None,
        IP_REQ_TIMED_OUT => Some(Ending::Lost),
        IP_DEST_NET_UNREACHABLE..=IP_DEST_PORT_UNREACHABLE
        | IP_PACKET_TOO_BIG
        | IP_TTL_EXPIRED_TRANSIT
        | IP_TTL_EXPIRED_REASSEM
        | IP_PARAM_PROBLEM
        | IP_SOURCE_QUENCH
        | IP_BAD_DESTINATION
        | IP_DEST_UNREACHABLE
        | IP_TIME_EXCEEDED
        | IP_BAD_HEADER
        | IP_UNRECOGNIZED_NEXT_HEADER
        | IP_ICMP_ERROR
        | IP_DEST_SCOPE_MISMATCH => Some(Ending::Refused),
        _ => Some(Ending::SendFailed),
    }
}

/// The system's ICMP of one family.
struct Handle(HANDLE);

impl Handle {
    fn open(family: Family) -> io::Result<Self> {
        // SAFETY: the functions take nothing; what they return is checked before it is used.
        let handle = unsafe {
            match family {
                Family::V4 => IcmpCreateFile(),
                Family::V6 => Icmp6CreateFile(),
            }
        };
        if handle == INVALID_HANDLE_VALUE || handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(handle))
    }

    /// Sends `request` and waits until a reply stands in `buffer`, or says what the system said instead.
    fn send(
        &self,
        request: &Request,
        payload: &[u8; PAYLOAD_BYTES as usize],
        buffer: &mut [u64; REPLY_WORDS],
        wait: u32,
    ) -> Result<(), u32> {
        let room = u32::try_from(size_of_val(buffer)).unwrap_or(0);
        let (data, reply) = (payload.as_ptr().cast::<c_void>(), buffer.as_mut_ptr().cast::<c_void>());
        let replies = match (request.from, request.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let [from, to] = [from, to].map(|address| u32::from_ne_bytes(address.octets()));
                // SAFETY: the handle is open; without event and routine the call returns only when it is done with
                // `payload`, which is PAYLOAD_BYTES long, and with `buffer`, which is `room` bytes long and aligned.
                unsafe {
                    IcmpSendEcho2Ex(
                        self.0,
                        ptr::null_mut(),
                        None,
                        ptr::null(),
                        from,
                        to,
                        data,
                        PAYLOAD_BYTES,
                        ptr::null(),
                        reply,
                        room,
                        wait,
                    )
                }
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let (from, to) = (socket_address(from), socket_address(to));
                // SAFETY: as above; both addresses live until the call returns.
                unsafe {
                    Icmp6SendEcho2(
                        self.0,
                        ptr::null_mut(),
                        None,
                        ptr::null(),
                        &raw const from,
                        &raw const to,
                        data,
                        PAYLOAD_BYTES,
                        ptr::null(),
                        reply,
                        room,
                        wait,
                    )
                }
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(ERROR_INVALID_PARAMETER);
            }
        };
        if replies > 0 {
            return Ok(());
        }
        // SAFETY: reads this thread's last error, which the call above has set.
        Err(match unsafe { GetLastError() } {
            // An error without a reason is none of success.
            IP_SUCCESS => ERROR_INVALID_PARAMETER,
            status => status,
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open and nobody else has it.
        let _closed = unsafe { IcmpCloseHandle(self.0) };
    }
}

fn socket_address(address: Ipv6Addr) -> SOCKADDR_IN6 {
    SOCKADDR_IN6 {
        sin6_family: AF_INET6,
        sin6_addr: IN6_ADDR { u: IN6_ADDR_0 { Byte: address.octets() } },
        ..SOCKADDR_IN6::default()
    }
}
