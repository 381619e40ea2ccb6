//! Enrolment with nobody at the machine: by a token that the service manager hands over (`LoadCredential=`).

use super::{Applicant, EnrolError, enrol, token};
use crate::{backoff::Backoff, credential::Enrolment, status::Board};
use peerlight_proto::enrolment::EnrolmentToken;
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

/// What the credential is called.
const CREDENTIAL: &str = "peerlight-agent.token";
/// The wait after a first attempt that nobody answered …
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// … and the longest after many.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Where the service manager put the token, if it did.
pub fn handed_over() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("CREDENTIALS_DIRECTORY")?).join(CREDENTIAL);
    path.exists().then_some(path)
}

/// Enrols `applicant` with the token in this file, unless it is enrolled. As long as nobody answers it tries again, since a
/// site's network may come up long after its machine; what the collector refuses is for its operator to put right.
pub async fn enrol_unattended(applicant: &Applicant, file: &Path, asked: Option<&str>, board: &Board) {
    // An enrolment that cannot be read is told by whoever needs it.
    if !matches!(Enrolment::load(&applicant.state), Ok(None)) {
        return;
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
