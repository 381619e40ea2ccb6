//! A named pipe. Every account sees the names of pipes and may make some, so this one has a new random name for each life of the agent,
//! which stands in the state directory, and an access list of its own.
#![expect(unsafe_code, reason = "access lists are a C interface")]

use crate::{access, paths::StateDir, service};
use std::{fs, io, path::PathBuf, time::Duration};
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::ERROR_PIPE_BUSY;

/// How soon to try again where somebody else asks at this moment.
const TRIES_EVERY: Duration = Duration::from_millis(20);

/// Where the agent is asked.
#[derive(Debug)]
pub(super) struct Listener {
    /// For the next one who asks.
    next: NamedPipeServer,
    name: String,
    path: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // One that stays is taken for what it is: nobody listens there.
        let _removed = fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Listens, and says where in this state directory, in the place of an agent that was killed.
    pub(super) fn open(state: &StateDir) -> io::Result<Self> {
        let name = format!(r"\\.\pipe\peerlight-agent-{}", hex::encode(rand::random::<[u8; 16]>()));
        let listener = Self { next: create(&name, true)?, name, path: state.status() };
        fs::write(&listener.path, &listener.name)?;
        Ok(listener)
    }

    /// The next one who asks.
    pub(super) async fn accept(&mut self) -> io::Result<NamedPipeServer> {
        self.next.connect().await?;
        Ok(std::mem::replace(&mut self.next, create(&self.name, false)?))
    }
}

/// An end of the pipe, to which the agent writes and nobody else.
fn create(name: &str, is_first: bool) -> io::Result<NamedPipeServer> {
    let descriptor = access::private_pipe(service::NAME)?;
    let mut attributes = descriptor.attributes();
    let mut options = ServerOptions::new();
    options.first_pipe_instance(is_first).reject_remote_clients(true).access_inbound(false);
    // SAFETY: the attributes and their descriptor live until the call returns.
    unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast()) }
}

/// Reaches the agent.
pub(super) async fn connect(state: &StateDir) -> io::Result<NamedPipeClient> {
    let name = fs::read_to_string(state.status())?;
    loop {
        match ClientOptions::new().write(false).open(&name) {
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed()) => {
                tokio::time::sleep(TRIES_EVERY).await;
            }
            opened => return opened,
        }
    }
}
