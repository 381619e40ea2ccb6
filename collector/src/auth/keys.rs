//! Agents' keys: what a key is still good for, and that a new one is used from its first request on.

use crate::{
    api::{batches::CLOCK_RETRY_AFTER, error::ApiError},
    app::App,
    key_life::{KeyLife, KeyStage},
    registry::Signer,
    rfc3339,
};
use peerlight_proto::{http::KEYS_PATH, id::AgentId, problem::ProblemType, time::Timestamp};

/// Whether the key that signed may still do what is asked for; the key that is to follow is used from now on.
pub(super) async fn admit(app: &App, agent: AgentId, signer: Signer, path: &str) -> Result<(), ApiError> {
    let (life, now) = (KeyLife::from(app.config.keys), app.clock.now());
    match life.stage(signer.key.since, now) {
        KeyStage::Valid => {}
        // By a clock that jumped, every key of a fleet may seem to have expired: no agent is told to stop for that.
        KeyStage::Expired | KeyStage::Ended if app.clock.jumped().is_some() => {
            return Err(ApiError::agent(
                ProblemType::Unavailable,
                "the collector's clock jumped; come again",
            )
            .retry_after(CLOCK_RETRY_AFTER));
        }
        KeyStage::Expired if path == KEYS_PATH => {}
        KeyStage::Expired => {
            let until = rfc3339::seconds(life.ends(signer.key.since));
            return Err(expired(
                &life,
                signer.key.since,
                &format!("the agent itself replaces it, if it does so before {until}"),
            ));
        }
        KeyStage::Ended => return Err(enrol_again(&life, signer.key.since)),
    }
    if signer.first_use {
        let key = signer.key.public_key;
        app.ask_for_agent(move |registry, now| registry.use_next_key(agent, &key, now)).await?;
        tracing::info!(%agent, "an agent uses its new key; the one before is believed no more");
    }
    Ok(())
}

/// The refusal of a key that is good for nothing any more.
pub(crate) fn enrol_again(life: &KeyLife, since: Timestamp) -> ApiError {
    expired(
        life,
        since,
        "create a token for this agent (`peerlight-collector agent token`) and enrol it with a new key \
         (`peerlight-agent enrol --new-key`)",
    )
}

fn expired(life: &KeyLife, since: Timestamp, what_to_do: &str) -> ApiError {
    let at = rfc3339::seconds(life.expires(since));
    ApiError::agent(ProblemType::KeyExpired, format!("its life ended at {at}; {what_to_do}"))
}
