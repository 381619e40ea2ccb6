//! The one writer: a thread that groups what waits into one durable transaction.

use super::{
    encoded::Encoded,
    log::{self, Scratch},
    outage::Outage,
};
use crate::store::{PutOutcome, StoreError, Watch, crash_point::crash_point};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// The most batches that one transaction holds: at a batch's few kilobytes, well under 50 ms of writing.
const MAX_GROUP: usize = 256;
/// How many jobs may wait; further senders wait themselves.
const QUEUE: usize = 1_024;
/// At most so long the writer rests after a transaction …
const LONGEST_REST: Duration = Duration::from_millis(50);
/// … and no longer once nothing came for this.
const QUIET: Duration = Duration::from_millis(5);

type Task = Box<dyn FnOnce(&mut Connection) + Send>;

enum Job {
    Put(Waiting),
    Task(Task),
}

/// The way to the writer's thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on the connection that alone writes.
    pub(super) fn start(db: Connection, watch: Arc<Watch>) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write(db, &queue, &watch))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Stores a batch; resolves when it is durable.
    pub(super) async fn put(&self, batch: Encoded) -> Result<PutOutcome, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Put(Waiting { batch: Box::new(batch), answer })).await?;
        let (outcome, _batch) = answered.await.map_err(|_closed| StoreError::Closed)?;
        outcome
    }

    /// Runs `task` on the writing connection, between groups.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |db| {
            // Nobody waits any more: the work is done all the same.
            let _ = answer.send(task(db));
        });
        self.send(Job::Task(task)).await?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let jobs = self.jobs.clone().ok_or(StoreError::Closed)?;
        // The queue may be full: wait where blocking is allowed.
        match jobs.try_send(job) {
            Ok(()) => Ok(()),
            Err(std::sync::mpsc::TrySendError::Full(job)) => {
                match tokio::task::spawn_blocking(move || jobs.send(job)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) | Err(_) => Err(StoreError::Closed),
                }
            }
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => Err(StoreError::Closed),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(mut db: Connection, queue: &Receiver<Job>, watch: &Watch) {
    let (mut scratch, mut outage) = (Scratch::default(), Outage::default());
    let mut rested = Instant::now();
    while let Ok(job) = queue.recv() {
        let mut next = Some(job);
        while let Some(job) = next.take() {
            match job {
                Job::Task(task) => {
                    let begun = Instant::now();
                    task(&mut db);
                    watch.turned(begun.elapsed());
                    scratch.look_again();
                }
                Job::Put(waiting) => {
                    // Whatever came while the last transaction was written, and shortly after, shares the next one: a lone
                    // batch waits for nobody, and a crowd pays for few fsyncs.
                    let mut group = vec![waiting];
                    next = join(&mut group, queue);
                    while next.is_none() && group.len() < MAX_GROUP {
                        let (rest, before) = (rested.saturating_duration_since(Instant::now()), group.len());
                        std::thread::sleep(rest.min(QUIET));
                        next = join(&mut group, queue);
                        if rest <= QUIET || group.len() == before {
                            break;
                        }
                    }
                    let (begun, batches) = (Instant::now(), group.len());
                    put_group(&mut db, (&mut scratch, &mut outage), group, watch);
                    let ended = Instant::now();
                    rested = ended + rest(ended - begun, batches);
                }
            }
        }
    }
}

/// How long the writer rests after a transaction of so many batches that took so long: as long for each of them, so that a
/// crowd gathers in larger and larger groups, and an agent that pushes a backlog alone waits twice for each batch at most.
fn rest(took: Duration, batches: usize) -> Duration {
    LONGEST_REST.min(took.saturating_mul(u32::try_from(batches).unwrap_or(u32::MAX)))
}

/// Adds the batches that wait to a group, as long as there is room. Returns a task that it came upon.
fn join(group: &mut Vec<Waiting>, queue: &Receiver<Job>) -> Option<Job> {
    while group.len() < MAX_GROUP {
        match queue.try_recv() {
            Ok(Job::Put(waiting)) => group.push(waiting),
            Ok(task @ Job::Task(_)) => return Some(task),
            Err(_) => break,
        }
    }
    None
}

/// A batch that waits to be written, and where its outcome goes. The batch goes back with it: to free its pieces is work, and
/// there is one writer.
struct Waiting {
    batch: Box<Encoded>,
    answer: oneshot::Sender<(Result<PutOutcome, StoreError>, Box<Encoded>)>,
}

impl Waiting {
    /// An agent that hung up finds its batch acknowledged when it sends again.
    fn answer(self, outcome: Result<PutOutcome, StoreError>) {
        let _ = self.answer.send((outcome, self.batch));
    }
}

/// Writes a group, and answers each of its batches.
fn put_group(
    db: &mut Connection,
    (scratch, outage): (&mut Scratch, &mut Outage),
    mut group: Vec<Waiting>,
    watch: &Watch,
) {
    let begun = Instant::now();
    let outcomes = put_all(db, scratch, &group);
    crash_point("after-commit");
    let error = match outcomes {
        Ok(outcomes) => {
            outage.works();
            watch.committed(begun.elapsed(), group.iter().filter_map(|one| one.batch.newest_end()).max());
            for (waiting, outcome) in group.into_iter().zip(outcomes) {
                waiting.answer(Ok(outcome));
            }
            return;
        }
        Err(error) => error,
    };
    // What the transaction gave numbers to is gone with it.
    scratch.forget();
    let of_the_disk = error.repeated().is_some();
    if group.len() > 1 && !of_the_disk {
        // What fails for one batch leaves the rest of the group as it is: each by itself.
        for waiting in group {
            put_group(db, (scratch, outage), vec![waiting], watch);
        }
        return;
    }
    let Some(last) = group.pop() else { return };
    watch.failed(last.batch.received, &error);
    outage.fails(db, group.len() + 1, last.batch.number, &error);
    for waiting in group {
        waiting.answer(Err(error.repeated().unwrap_or(StoreError::Closed)));
    }
    last.answer(Err(error));
}

/// Writes a group in one transaction: all of it or nothing.
fn put_all(
    db: &mut Connection,
    scratch: &mut Scratch,
    group: &[Waiting],
) -> Result<Vec<PutOutcome>, StoreError> {
    let transaction = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(StoreError::while_doing("begin a transaction"))?;
    let outcomes: Vec<PutOutcome> = group
        .iter()
        .map(|waiting| log::put(&transaction, scratch, &waiting.batch))
        .collect::<Result<_, _>>()?;
    let stored = outcomes.iter().filter(|outcome| **outcome == PutOutcome::Stored).count();
    let received = group.iter().map(|waiting| waiting.batch.received).max();
    scratch
        .count(&transaction, stored, received.unwrap_or(Timestamp::from_secs(0)))
        .map_err(StoreError::while_doing("count a group"))?;
    crash_point("before-commit");
    transaction.commit().map_err(StoreError::while_doing("commit"))?;
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_rests_longer_than_one_that_pushes_alone_and_nobody_longer_than_the_longest() {
        let took = Duration::from_millis(2);
        assert_eq!([0, 1, 10, 1_000].map(|batches| rest(took, batches).as_millis()), [0, 2, 20, 50]);
        assert_eq!(rest(Duration::from_secs(9), 1), LONGEST_REST);
    }
}
