//! What the running agent says of itself: to the service manager now and then, and to whoever asks.

use crate::{
    link::Link,
    service::{self, News},
    spool::handle::SharedSpool,
    status::{Board, Status},
};
use std::time::Duration;

/// How often the service manager may hear something new.
const PERIOD: Duration = Duration::from_secs(3);
/// How long what waits may take to be counted: on a disk that hangs, what was known last is said.
const COUNTING: Duration = Duration::from_secs(1);

/// Who says what the agent is doing now.
#[derive(Clone)]
pub(super) struct Speaker {
    pub(super) board: Board,
    pub(super) spool: SharedSpool,
    pub(super) link: Link,
}

impl Speaker {
    /// The status as of now.
    pub(super) async fn status(self) -> Status {
        let spool = self.spool;
        // Whoever writes to the disk holds the spool meanwhile, and the schedule runs on this thread.
        let counting = tokio::task::spawn_blocking(move || spool.counts());
        if let Ok(Ok(counts)) = tokio::time::timeout(COUNTING, counting).await {
            self.board.update(|status| status.spool = counts);
        }
        let offset = &self.link.offset;
        Status {
            told_us: self.link.clock.wall().as_micros(),
            clock_offset_us: offset.micros(),
            clock_uncertainty_us: offset.uncertainty_micros(),
            ..self.board.get()
        }
    }

    /// Tells the service manager whenever there is something new.
    pub(super) async fn tell_manager(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        let mut said = String::new();
        loop {
            ticks.tick().await;
            let headline = self.clone().status().await.headline();
            if headline != said {
                service::tell(News::Doing(&headline));
                said = headline;
            }
        }
    }
}
