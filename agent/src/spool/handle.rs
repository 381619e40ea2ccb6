//! The spool for async code: a cheap handle whose operations run where blocking on the disk is allowed.

use super::{Counts, Key, RESEND_REQUEST, Spool, SpoolError, Waiting, pack::Draft};
use peerlight_proto::{
    batch::Remarks,
    drops::{DropReason, Signed},
    id::SessionId,
    time::Timestamp,
};
use std::{
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A cheap handle to a spool.
#[derive(Debug, Clone)]
pub struct SharedSpool {
    spool: Arc<Mutex<Spool>>,
    grown: Arc<Notify>,
}

impl SharedSpool {
    /// Shares a spool.
    pub fn new(spool: Spool) -> Self {
        Self { spool: Arc::new(Mutex::new(spool)), grown: Arc::new(Notify::new()) }
    }

    /// Waits until batches were added since the last call.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }

    /// See [`Spool::begin_session`] and [`Spool::append`].
    pub async fn append(
        &self,
        session: SessionId,
        drafts: Vec<Draft>,
        created: Timestamp,
        offset_us: Option<i64>,
    ) -> Result<(), SpoolError> {
        self.run(move |spool| {
            spool.begin_session(session);
            // One that the disk does not take costs no other.
            let appended = drafts.into_iter().map(|draft| spool.append(draft, created, offset_us).map(drop));
            appended.fold(Ok(()), Result::and)
        })
        .await?;
        self.grown.notify_one();
        Ok(())
    }

    /// See [`Spool::remark`].
    pub async fn remark(&self, remarks: Remarks) -> Result<(), SpoolError> {
        self.run(move |spool| {
            spool.remark(remarks);
            Ok(())
        })
        .await
    }

    /// The batch to push next, read and checked. Damaged ones are set aside on the way.
    pub async fn next(&self) -> Result<Option<Waiting>, SpoolError> {
        self.run(|spool| {
            while let Some(key) = spool.next() {
                if let Some(waiting) = spool.read(key)? {
                    spool.pushes(key);
                    return Ok(Some(waiting));
                }
            }
            Ok(None)
        })
        .await
    }

    /// See [`Spool::acknowledge`].
    pub async fn acknowledge(
        &self,
        key: Key,
        refused: u64,
        dropped: Option<Signed>,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        self.run(move |spool| spool.acknowledge(key, refused, dropped, now)).await
    }

    /// See [`Spool::reject`].
    pub async fn reject(&self, key: Key, reason: DropReason) -> Result<(), SpoolError> {
        self.run(move |spool| spool.reject(key, reason)).await
    }

    /// See [`Spool::set_too_large_aside`].
    pub async fn set_too_large_aside(&self, key: Key) -> Result<(), SpoolError> {
        self.run(move |spool| spool.set_too_large_aside(key)).await
    }

    /// Splits a batch, in `session` if none is numbered yet; see [`Spool::split`].
    pub async fn split(
        &self,
        session: SessionId,
        waiting: Waiting,
        created: Timestamp,
    ) -> Result<bool, SpoolError> {
        self.run(move |spool| {
            if spool.session.is_none() {
                spool.begin_session(session);
            }
            spool.split(&waiting, created)
        })
        .await
    }

    /// Applies the bound of age, if `corrected` says what the collector's clock shows, and forgets acknowledged batches
    /// whose day is over at `now`.
    pub async fn expire(&self, corrected: Option<Timestamp>, now: Timestamp) -> Result<(), SpoolError> {
        self.run(move |spool| {
            spool.prune_acknowledged(now)?;
            corrected.map_or(Ok(()), |corrected| spool.expire(corrected))
        })
        .await
    }

    /// Does what `resend` asked for in a file, if it did; says how many batches wait again.
    pub async fn honour_resend_request(&self) -> Result<Option<u64>, SpoolError> {
        let again = self
            .run(|spool| {
                let path = spool.directory.file(RESEND_REQUEST);
                let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
                fs::remove_file(&path).map_err(super::disk("remove", &path))?;
                let Ok(since) = text.trim().parse() else { return Ok(None) };
                spool.resend(Timestamp::from_micros(since)).map(Some)
            })
            .await?;
        if again.is_some() {
            self.grown.notify_one();
        }
        Ok(again)
    }

    /// See [`Spool::close`]; what other handles still try fails with [`SpoolError::Closed`].
    pub fn close(&self) {
        self.lock().close();
    }

    /// See [`Spool::counts`].
    pub fn counts(&self) -> Counts {
        self.lock().counts()
    }

    fn lock(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let shared = self.clone();
        match tokio::task::spawn_blocking(move || {
            let mut spool = shared.lock();
            if spool.directory.is_closed() { Err(SpoolError::Closed) } else { operation(&mut spool) }
        })
        .await
        {
            Ok(outcome) => outcome,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down: nobody will use the outcome.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }
}
