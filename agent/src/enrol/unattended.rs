//! Enrolment with nobody at the machine: by a token that the service manager hands over (`LoadCredential=`), that stands in the
//! environment (`PEERLIGHT_TOKEN`), that `service install` left in the state directory, or that somebody dropped beside the
//! configuration.

use super::{Applicant, EnrolError, enrol, token};
use crate::{backoff::Backoff, credential::Enrolment, paths::StateDir, status::Board};
use peerlight_proto::{enrolment::EnrolmentToken, id::AgentId};
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// What the credential is called.
const CREDENTIAL: &str = "peerlight-agent.token";
/// The wait after a first attempt that nobody answered …
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// … and the longest after many.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// How often a dropped token is looked for.
const LOOK: Duration = Duration::from_secs(3);

/// A token that was handed over, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HandedOver {
    /// The service manager put it there.
    Credential(PathBuf),
    /// It stands in the environment.
    Environment,
    /// `service install` left it in the state directory.
    Installed(PathBuf),
    /// Somebody dropped it beside the configuration.
    Dropped(PathBuf),
}

impl HandedOver {
    /// The first that there is.
    fn find(state: &StateDir, dropped: Option<&Path>) -> Option<Self> {
        let credential =
            env::var_os("CREDENTIALS_DIRECTORY").map(|directory| PathBuf::from(directory).join(CREDENTIAL));
        if let Some(path) = credential.filter(|path| path.exists()) {
            return Some(Self::Credential(path));
        }
        if token::is_in_the_environment() {
            return Some(Self::Environment);
        }
        let installed = Some(state.token()).filter(|path| path.exists()).map(Self::Installed);
        let dropped = dropped.filter(|path| path.exists()).map(|path| Self::Dropped(path.to_owned()));
        installed.or(dropped)
    }

    fn read(&self) -> anyhow::Result<EnrolmentToken> {
        match self {
            Self::Credential(path) | Self::Installed(path) | Self::Dropped(path) => token::read(Some(path)),
            Self::Environment => token::read(None),
        }
    }

    /// What the agent has of it has no further use.
    fn used(&self) {
        let (Self::Installed(path) | Self::Dropped(path)) = self else { return };
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(file = %path.display(), %error, "the token was used and its file cannot be removed; remove it by hand");
        }
    }
}

/// Enrols `applicant` with the token that was handed over, or that somebody will drop beside the configuration, unless it is
/// enrolled. As long as nobody answers it tries again, since a site's network may come up long after its machine; what the
/// collector refuses is for its operator to put right. Some: this machine is to become that agent first.
pub async fn enrol_unattended(
    applicant: &Applicant,
    dropped: Option<&Path>,
    asked: Option<&str>,
    board: &Board,
) -> Option<AgentId> {
    let mut refused = None;
    loop {
        // An enrolment that cannot be read is told by whoever needs it.
        match Enrolment::load(&applicant.state) {
            Ok(None) => {}
            Ok(Some(_)) => {
                forget_installed(&applicant.state);
                return None;
            }
            Err(_) => return None,
        }
        let Some(handed_over) = HandedOver::find(&applicant.state, dropped) else {
            dropped?;
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let token = handed_over.read();
        let text = token.as_ref().ok().map(EnrolmentToken::to_text);
        if refused.as_ref() == Some(&text) {
            // Only another token can help.
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let outcome = match token {
            Ok(token) => attempt(applicant, &token, asked, board).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        let error = match outcome {
            Ok(enrolment) => {
                handed_over.used();
                return told(&enrolment, board);
            }
            Err(error) => error,
        };
        if let Some(EnrolError::KnownAs(agent)) = error.downcast_ref() {
            return Some(*agent);
        }
        let problem = format!("{error:#}");
        tracing::error!(
            problem,
            "the agent could not enrol itself, and tries no more with this token before its next start"
        );
        board.update(|status| status.enrolment_problem = Some(problem));
        if !matches!(handed_over, HandedOver::Dropped(_)) {
            return None;
        }
        refused = Some(text);
    }
}

/// What `service install` left has no use for an agent that is enrolled.
fn forget_installed(state: &StateDir) {
    let installed = HandedOver::Installed(state.token());
    if state.token().exists() {
        installed.used();
    }
}

fn told(enrolment: &Enrolment, board: &Board) -> Option<AgentId> {
    let (site, collector) = (&enrolment.site.name, &enrolment.collector);
    tracing::info!(site, collector, "the agent enrolled itself");
    board.update(|status| status.enrolment_problem = None);
    None
}

/// Until somebody answers who can be believed.
async fn attempt(
    applicant: &Applicant,
    token: &EnrolmentToken,
    asked: Option<&str>,
    board: &Board,
) -> Result<Enrolment, EnrolError> {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        match enrol(applicant, token, asked).await {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "the agent could not enrol itself yet");
                board.update(|status| status.enrolment_problem = Some(error.to_string()));
                tokio::time::sleep(backoff.failed(rand::random(), None)).await;
            }
            outcome => return outcome,
        }
    }
}
