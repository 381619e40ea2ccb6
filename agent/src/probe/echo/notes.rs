//! What the kernel notes beside a message: when it passed, and what ICMP said about it. Pure.

/// What stands beside a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Notes {
    /// When the packet passed the kernel, in nanoseconds of its clock.
    pub(super) stamp: Option<i64>,
    /// Why the message is in the error queue.
    pub(super) error: Option<Error>,
}

/// The part of `sock_extended_err` that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    /// None: the packet of this key left.
    Sent {
        /// The packet's number on the socket, as the kernel counts.
        key: u32,
    },
    /// A router or the target said by ICMP that a packet cannot be delivered.
    Unreachable {
        /// The ICMP code.
        code: u8,
    },
    /// Anything else.
    Other,
}

impl Notes {
    /// Reads control messages: level, type and content of each.
    pub(super) fn read<'a>(controls: impl Iterator<Item = (i32, i32, &'a [u8])>) -> Self {
        let mut notes = Self::default();
        for (level, kind, content) in controls {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => notes.stamp = stamp(content),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    notes.error = error(content);
                }
                _ => {}
            }
        }
        notes
    }
}

/// The first of three `timespec`: the software stamp, zero where there is none.
fn stamp(content: &[u8]) -> Option<i64> {
    const WORD: usize = size_of::<libc::c_long>();
    let word = |place: usize| -> Option<i64> {
        let bytes = content.get(place * WORD..)?.first_chunk::<WORD>()?;
        #[cfg_attr(
            target_pointer_width = "64",
            expect(clippy::useless_conversion, reason = "narrower elsewhere")
        )]
        Some(libc::c_long::from_ne_bytes(*bytes).into())
    };
    let nanos = word(0)?.checked_mul(1_000_000_000)?.checked_add(word(1)?)?;
    (nanos != 0).then_some(nanos)
}

fn error(content: &[u8]) -> Option<Error> {
    let [_, _, _, _, origin, kind, code, _, _, _, _, _, data @ ..] = content.first_chunk::<16>()?;
    Some(match (*origin, *kind, *code) {
        (libc::SO_EE_ORIGIN_TIMESTAMPING, _, _) => Error::Sent { key: u32::from_ne_bytes(*data) },
        // A packet that was too large for some link (code 4) is none of ours.
        (libc::SO_EE_ORIGIN_ICMP, 3, code) if code != 4 => Error::Unreachable { code },
        (libc::SO_EE_ORIGIN_ICMP6, 1, code) => Error::Unreachable { code },
        _ => Error::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(level: i32, kind: i32, content: &[u8]) -> Notes {
        Notes::read(std::iter::once((level, kind, content)))
    }

    #[test]
    fn a_stamp_counts_nanoseconds_and_zero_is_none() {
        let words = |seconds: libc::c_long, nanos: libc::c_long| {
            [seconds.to_ne_bytes(), nanos.to_ne_bytes()].concat()
        };
        let stamp = |content: &[u8]| read(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, content).stamp;
        assert_eq!(stamp(&words(2, 5)), Some(2_000_000_005));
        assert_eq!((stamp(&words(0, 0)), stamp(&words(2, 5)[..9])), (None, None));
    }

    #[test]
    fn errors_are_told_apart_by_origin() {
        let error = |origin: u8, kind: u8, code: u8| {
            let mut content = [0; 16];
            content[4..7].copy_from_slice(&[origin, kind, code]);
            content[12..].copy_from_slice(&7_u32.to_ne_bytes());
            read(libc::IPPROTO_IP, libc::IP_RECVERR, &content).error
        };
        assert_eq!(error(libc::SO_EE_ORIGIN_TIMESTAMPING, 0, 0), Some(Error::Sent { key: 7 }));
        assert_eq!(error(libc::SO_EE_ORIGIN_ICMP, 3, 1), Some(Error::Unreachable { code: 1 }));
        assert_eq!(error(libc::SO_EE_ORIGIN_ICMP, 3, 4), Some(Error::Other));
        assert_eq!(error(libc::SO_EE_ORIGIN_ICMP6, 1, 4), Some(Error::Unreachable { code: 4 }));
        assert_eq!(error(libc::SO_EE_ORIGIN_LOCAL, 3, 1), Some(Error::Other));
    }
}
