//! Network namespaces without a name: each lives as long as its descriptor, so nothing is left behind however the lab
//! ends.

use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    thread,
};

/// A network namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    descriptor: Arc<OwnedFd>,
}

/// What could not be done in a namespace.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}: {source}")]
pub struct NamespaceError {
    /// What was tried.
    pub operation: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

impl NamespaceError {
    /// Says what was tried when it failed.
    pub fn at(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { operation, source }
    }
}

impl Namespace {
    /// A new and empty namespace. The calling thread stays where it is.
    pub fn create() -> Result<Self, NamespaceError> {
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(io::Error::from)
                .map_err(NamespaceError::at("make a network namespace"))?;
            let file = File::open("/proc/thread-self/ns/net")
                .map_err(NamespaceError::at("open the new network namespace"))?;
            Ok(Self { descriptor: Arc::new(file.into()) })
        })
    }

    /// Moves the calling thread into this namespace, for good: its sockets and those of the threads that it starts are
    /// there from now on.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        setns(self.descriptor.as_fd(), CloneFlags::CLONE_NEWNET)
            .map_err(io::Error::from)
            .map_err(NamespaceError::at("enter a network namespace"))
    }

    /// Does `work` in this namespace, on a thread of its own.
    pub fn within<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, NamespaceError> + Send,
    ) -> Result<T, NamespaceError> {
        on_own_thread(|| {
            self.enter()?;
            work()
        })
    }
}

fn on_own_thread<T: Send>(
    work: impl FnOnce() -> Result<T, NamespaceError> + Send,
) -> Result<T, NamespaceError> {
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|_panicked| {
        Err(NamespaceError::at("finish the work in a namespace")(io::Error::other("its thread panicked")))
    })
}
