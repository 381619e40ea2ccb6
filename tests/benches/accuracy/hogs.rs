//! Busy threads: the load under which a tool must still tell the truth.

use crate::course::Condition;
use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

const THREADS: usize = 4;

/// Busy threads; they end when this is dropped.
pub(crate) struct Hogs(Arc<AtomicBool>);

/// Starts what `condition` asks for.
pub(crate) fn start(condition: Condition) -> Hogs {
    let ended = Arc::new(AtomicBool::new(false));
    let threads = if condition == Condition::Idle { 0 } else { THREADS };
    for _ in 0..threads {
        let ended = Arc::clone(&ended);
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                hint::spin_loop();
            }
        });
    }
    Hogs(ended)
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
