//! Enrolment with nobody at the machine: by a token that the service manager hands over (`LoadCredential=`), or that
//! `service install` left in the state directory.

use super::{Applicant, EnrolError, enrol, token};
use crate::{backoff::Backoff, credential::Enrolment, paths::StateDir, status::Board};
use peerlight_proto::enrolment::EnrolmentToken;
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

/// Where the token is, if one was handed over. The service manager's is the newer one.
pub fn handed_over(state: &StateDir) -> Option<PathBuf> {
    let credential = env::var_os("CREDENTIALS_DIRECTORY").map(|home| PathBuf::from(home).join(CREDENTIAL));
    credential.into_iter().chain([state.token()]).find(|path| path.exists())
}

/// Enrols `applicant` with the token in this file, unless it is enrolled. As long as nobody answers it tries again, since a
/// site's network may come up long after its machine; what the collector refuses is for its operator to put right.
pub async fn enrol_unattended(applicant: &Applicant, file: &Path, asked: Option<&str>, board: &Board) {
    match Enrolment::load(&applicant.state) {
        Ok(None) => {}
        Ok(Some(_)) => return forget_token(&applicant.state),
        // Whoever needs it tells.
        Err(_) => return,
    }
    let outcome = match token::read(Some(file)) {
        Ok(token) => attempt(applicant, &token, asked, board).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(enrolment) => {
            tracing::info!(
                site = enrolment.site.name,
                collector = enrolment.collector,
                "the agent enrolled itself"
            );
            board.update(|status| status.enrolment_problem = None);
            forget_token(&applicant.state);
        }
        Err(error) => {
            let problem = format!("{error:#}");
            tracing::error!(
                problem,
                "the agent could not enrol itself, and tries no more before its next start"
            );
            board.update(|status| status.enrolment_problem = Some(problem));
        }
    }
}

/// The token in the state directory has served. The service manager's is not ours to remove.
fn forget_token(state: &StateDir) {
    match fs::remove_file(state.token()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %state.token().display(), "the token that has served cannot be removed");
        }
        Ok(()) | Err(_) => {}
    }
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
