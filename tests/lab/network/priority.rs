//! Puts a thread before ordinary ones, where the system lets it, so that emulated delays are exact on a busy machine.

use nix::sys::prctl;

/// A middle real-time priority: before every ordinary thread, behind the kernel's own.
const PRIORITY: i32 = 50;

/// Raises the calling thread as far as is allowed. Without the right it stays an ordinary thread: delays are then less
/// exact, and the truth, which has other stamps, stays true.
pub fn raise() {
    // Timers shall not be rounded up by the default 50 us.
    let _ = prctl::set_timerslack(1);
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the pointer is to a live, initialised value for the length of the call; 0 means the calling thread.
    #[expect(unsafe_code, reason = "no safe wrapper of sched_setscheduler in the libraries at hand")]
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}
