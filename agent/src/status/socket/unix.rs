//! A Unix domain socket in the state directory, which is the owner's alone; so is the socket.

use crate::paths::StateDir;
use std::{fs, io, os::unix::fs::PermissionsExt as _, path::PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Where the agent is asked.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // One that stays is taken for what it is: nobody listens there.
        let _removed = fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Listens in this state directory, in the place of an agent that was killed: whoever runs holds the spool's lock.
    pub(super) fn open(state: &StateDir) -> io::Result<Self> {
        let path = state.status();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = Self { socket: UnixListener::bind(&path)?, path };
        fs::set_permissions(&listener.path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// The next one who asks.
    pub(super) async fn accept(&mut self) -> io::Result<UnixStream> {
        self.socket.accept().await.map(|(asker, _address)| asker)
    }
}

/// Reaches the agent.
pub(super) async fn connect(state: &StateDir) -> io::Result<UnixStream> {
    UnixStream::connect(state.status()).await
}
