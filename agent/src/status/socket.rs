//! The local socket by which a running agent says what it is doing: a Unix domain socket in its state directory, on Windows a named
//! pipe; for who owns the agent, and administrators, alone. The agent never reads from it, so that nothing can be sent to it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix::{Listener, connect};
#[cfg(windows)]
use windows::{Listener, connect};

use super::Status;
use crate::paths::StateDir;
use std::{io, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Whoever asks has so long to take the answer: the next one waits.
const TAKES: Duration = Duration::from_secs(2);
/// After a failure to hear who asks (descriptors may have run out) so long nobody is heard.
const PAUSE: Duration = Duration::from_secs(1);
/// How long `ask` waits. An agent that works answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers have some kilobytes; what goes on and on is none.
const MAX_BYTES: u64 = 8 << 20;

/// Why no agent says what it is doing.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no agent runs with the state directory {}; `peerlight-agent service status` says why the service does not, \
         `peerlight-agent service start` starts it",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// This account may not ask.
    #[error("{} is not this account's to look into: ask as root (or from an elevated prompt), or as the account that the agent runs under", .0.display())]
    Denied(PathBuf),
    /// An agent is there, and hangs.
    #[error(
        "the agent of {} runs, and did not answer within {} s: it hangs, and the service manager will start it anew; its log may say why",
        .0.display(), PATIENCE.as_secs()
    )]
    Silent(PathBuf),
    /// It ended while it answered, or is of another version.
    #[error("the agent of {state} said something else than a status ({source}); ask again")]
    Unreadable {
        /// The state directory.
        state: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The system refused.
    #[error("cannot ask the agent of {state}: {source}")]
    System {
        /// The state directory.
        state: String,
        /// Why.
        source: io::Error,
    },
}

/// Tells everybody who asks what `status` says then, one after the other, for ever. An agent that cannot be asked measures all the same.
pub(crate) async fn answer<Saying: Future<Output = Status> + Send>(
    state: StateDir,
    status: impl Fn() -> Saying + Send,
) {
    let mut listener = match Listener::open(&state) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, path = %state.status().display(), "nobody can ask what the agent is doing");
            return;
        }
    };
    loop {
        let mut asker = match listener.accept().await {
            Ok(asker) => asker,
            Err(error) => {
                tracing::warn!(%error, "somebody asked what the agent is doing, and could not be heard");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let said = serde_json::to_vec_pretty(&status().await).unwrap_or_default();
        match timeout(TAKES, asker.write_all(&said)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "who asked for the status went away"),
            Err(_late) => tracing::debug!("who asked for the status did not take it"),
        }
    }
}

/// What the agent with this state directory is doing now.
pub async fn ask(state: &StateDir) -> Result<Status, AskError> {
    let directory = || state.path().to_owned();
    let asking = async { hear(connect(state).await?).await };
    let said = match timeout(PATIENCE, asking).await {
        Err(_late) => return Err(AskError::Silent(directory())),
        Ok(Ok(said)) => said,
        Ok(Err(source)) => {
            let kind = source.kind();
            // The file of an agent that was killed leads to nobody.
            let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&kind);
            return Err(if nobody {
                AskError::NotRunning(directory())
            } else if kind == io::ErrorKind::PermissionDenied {
                AskError::Denied(directory())
            } else {
                AskError::System { state: state.path().display().to_string(), source }
            });
        }
    };
    serde_json::from_slice(&said)
        .map_err(|source| AskError::Unreadable { state: state.path().display().to_string(), source })
}

/// All that is said.
async fn hear(agent: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    match agent.take(MAX_BYTES).read_to_end(&mut said).await {
        // How a pipe of Windows ends.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(_) | Err(_) => Ok(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::PushState;

    /// A private state directory.
    fn state() -> (tempfile::TempDir, StateDir) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path().join("state"));
        crate::durable::create_private_directory(state.path()).unwrap();
        (directory, state)
    }

    fn retrying() -> Status {
        Status { push: PushState::Retrying { reason: "x".to_owned() }, ..Status::default() }
    }

    /// What comes once an agent listens.
    async fn asked(state: &StateDir) -> Status {
        loop {
            match ask(state).await {
                Ok(status) => return status,
                Err(AskError::NotRunning(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test]
    async fn everybody_who_asks_is_told_and_nobody_once_the_agent_has_ended() {
        let (_directory, state) = state();
        let never = ask(&state).await.unwrap_err();
        assert!(matches!(never, AskError::NotRunning(_)), "{never}");
        let agent = tokio::spawn(answer(state.clone(), || async { retrying() }));
        assert_eq!(asked(&state).await, retrying());
        let all = futures::future::join_all((0..20).map(|_| ask(&state))).await;
        assert!(all.into_iter().all(|status| status.unwrap() == retrying()));
        agent.abort();
        assert!(agent.await.unwrap_err().is_cancelled());
        let ended = ask(&state).await.unwrap_err();
        assert!(matches!(ended, AskError::NotRunning(_)), "{ended}");
        assert!(!state.status().exists(), "nothing stays behind");
    }

    #[tokio::test]
    async fn an_agent_takes_the_place_of_one_that_was_killed() {
        let (_directory, state) = state();
        // Forgotten as by a process that is killed: what it made stays.
        let mut killed = tokio::spawn(answer(state.clone(), || async { Status::default() }));
        asked(&state).await;
        let left = state.status().with_extension("left");
        std::fs::rename(state.status(), &left).unwrap();
        killed.abort();
        assert!((&mut killed).await.unwrap_err().is_cancelled());
        std::fs::rename(&left, state.status()).unwrap();
        let nobody = ask(&state).await.unwrap_err();
        assert!(matches!(nobody, AskError::NotRunning(_)), "{nobody}");
        let _next = tokio::spawn(answer(state.clone(), || async { retrying() }));
        assert_eq!(asked(&state).await, retrying());
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_hangs_is_told_from_one_that_does_not_run() {
        let (_directory, state) = state();
        let _hangs = Listener::open(&state).unwrap();
        let silent = ask(&state).await.unwrap_err();
        assert!(matches!(silent, AskError::Silent(_)), "{silent}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_socket_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_directory, state) = state();
        let _listener = Listener::open(&state).unwrap();
        assert_eq!(std::fs::metadata(state.status()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn whoever_may_not_look_into_the_state_directory_is_told_who_may() {
        let (_directory, state) = state();
        let _listener = Listener::open(&state).unwrap();
        let (nobody, root) = (nix::unistd::Uid::from_raw(65_534), nix::unistd::Uid::from_raw(0));
        if !nix::unistd::geteuid().is_root() {
            return eprintln!(
                "skipped: whoever may not look into the state directory: only root is somebody else"
            );
        }
        // This thread alone, which asks, is nobody to the file system.
        nix::unistd::setfsuid(nobody);
        let refused = ask(&state).await.unwrap_err();
        nix::unistd::setfsuid(root);
        assert!(matches!(refused, AskError::Denied(_)), "{refused}");
        assert!(refused.to_string().contains("as root"), "{refused}");
    }
}
