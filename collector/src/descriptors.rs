//! File descriptors: each connection takes one, and many systems give a process a thousand unless it asks for more.

use std::num::NonZeroU32;

/// What everything besides connections takes at most: databases, keys, logs, the runtime.
const BESIDES: u64 = 256;

/// Asks the system for as many descriptors as it permits, and says how many connections each of two listeners can hold: as
/// many as `wanted`, unless there are too few.
pub fn for_connections(wanted: u32) -> u32 {
    let Some(limit) = raised() else { return wanted };
    let share = u32::try_from(limit.saturating_sub(BESIDES) / 2).unwrap_or(u32::MAX);
    let share = NonZeroU32::new(share).unwrap_or(NonZeroU32::MIN).get();
    if share < wanted {
        tracing::warn!(
            permitted = limit,
            connections = share,
            "the system permits too few open files for [limits] connections; raise its limit (LimitNOFILE of the service)"
        );
    }
    wanted.min(share)
}

/// The number of descriptors that this process may have from now on; none where the system does not tell.
#[cfg(unix)]
fn raised() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Some(if raised { hard } else { soft })
}

#[cfg(not(unix))]
const fn raised() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_what_it_wants_as_far_as_the_system_permits() {
        assert_eq!(for_connections(1), 1);
        assert!(for_connections(u32::MAX) < u32::MAX);
    }
}
