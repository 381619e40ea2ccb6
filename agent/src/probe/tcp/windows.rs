//! Windows: `SIO_TCP_INFO`, the system's own estimate of the round trip and how often it sent the SYN again (Windows 10
//! version 1703, Server 2016 and newer; [`TCP_INFO_v0`] in mstcpip.h).
#![expect(unsafe_code, reason = "no safe wrapper asks for SIO_TCP_INFO")]

use super::Facts;
use peerlight_proto::series::Clock;
use socket2::Socket;
use std::{
    io,
    mem::{offset_of, size_of},
    net::{Ipv4Addr, TcpListener},
    os::windows::io::{AsRawSocket, RawSocket},
    ptr,
    sync::OnceLock,
    time::Duration,
};
use tokio::net::TcpStream;
use windows_sys::Win32::Networking::WinSock::{SIO_TCP_INFO, TCP_INFO_v0, WSAIoctl};

/// Which structure the system shall answer with.
const VERSION: u32 = 0;
/// The structure in words, for which it is aligned. It is read by offsets: a byte of it is a `bool`, and Rust must not take the
/// system's word for that.
const WORDS: usize = size_of::<TCP_INFO_v0>().div_ceil(size_of::<u64>());

/// What times connects: the system's estimate if it answers for a connection of this machine to itself. Learnt once, so that
/// series do not change their clock.
pub(super) fn clock() -> Clock {
    static CLOCK: OnceLock<Clock> = OnceLock::new();
    *CLOCK.get_or_init(|| if answers().is_ok() { Clock::TcpInfo } else { Clock::User })
}

fn answers() -> io::Result<[u64; WORDS]> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    tcp_info(std::net::TcpStream::connect(listener.local_addr()?)?.as_raw_socket())
}

/// What the system knows about a fresh connection.
pub(super) fn facts(stream: &TcpStream) -> Option<Facts> {
    if clock() == Clock::User {
        return None;
    }
    tcp_info(stream.as_raw_socket()).ok().map(|info| read(&info))
}

fn read(info: &[u64; WORDS]) -> Facts {
    let bytes: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let at = offset_of!(TCP_INFO_v0, RttUs);
    let round_trip = u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Facts {
        round_trip: (round_trip > 0).then(|| Duration::from_micros(round_trip.into())),
        retransmitted: bytes[offset_of!(TCP_INFO_v0, SynRetrans)] > 0,
    }
}

/// Ports are chosen at once: a port that serves several targets is nothing that Windows knows.
pub(super) fn share_ports(_socket: &Socket) {}

/// Windows says that it would block.
pub(super) fn is_in_progress(_error: &io::Error) -> bool {
    false
}

fn tcp_info(socket: RawSocket) -> io::Result<[u64; WORDS]> {
    let mut info = [0_u64; WORDS];
    let (asked, mut answered) = (VERSION, 0);
    let length = u32::try_from(size_of_val(&info)).map_err(io::Error::other)?;
    // SAFETY: the caller's socket is open; `asked` is read for its four bytes and `info`, `length` bytes long and aligned for the
    // structure, is written before the call returns, because it gets neither an overlapped structure nor a routine.
    let status = unsafe {
        WSAIoctl(
            usize::try_from(socket).map_err(io::Error::other)?,
            SIO_TCP_INFO,
            (&raw const asked).cast(),
            4,
            (&raw mut info).cast(),
            length,
            &raw mut answered,
            ptr::null_mut(),
            None,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // What is shorter is no answer to this question.
    let whole = usize::try_from(answered).is_ok_and(|answered| answered >= size_of::<TCP_INFO_v0>());
    whole.then_some(info).ok_or_else(|| io::Error::other("the system's TCP_INFO is too short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_and_repeated_syns_are_read_where_the_system_puts_them() {
        let of = |info: TCP_INFO_v0| {
            let mut words = [0; WORDS];
            // SAFETY: `words` is as long as the structure and aligned for it; every pattern of bits is a word.
            unsafe { words.as_mut_ptr().cast::<TCP_INFO_v0>().write(info) };
            read(&words)
        };
        let info = TCP_INFO_v0 { RttUs: 12_345, MinRttUs: 7, ..TCP_INFO_v0::default() };
        let facts = Facts { round_trip: Some(Duration::from_micros(12_345)), retransmitted: false };
        assert_eq!(of(info), facts);
        assert_eq!(of(TCP_INFO_v0 { SynRetrans: 2, ..info }), Facts { retransmitted: true, ..facts });
        assert_eq!(of(TCP_INFO_v0::default()), Facts { round_trip: None, retransmitted: false });
    }
}
