//! Decommissioning because the program itself is about to go: nobody waits for it for long, and nothing that goes wrong in it holds the
//! removal up.

use super::{DecommissionArgs, DecommissionError, decommission};
use crate::{config::Config, credential::Enrolment, paths::StateDir};
use std::{fs, time::Duration};

/// A removal waits for the collector so long at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells the collector that the agent goes, and removes what made it itself. What to say of that; none if no collector knows of an
/// agent here, which is then left as it is.
pub async fn on_removal(config: &Config) -> Option<String> {
    let agent = identity(&config.state)?;
    if matches!(Enrolment::load(&config.state), Ok(None)) {
        return None;
    }
    let retire = format!("`peerlight-collector agent retire {agent}` does");
    if !config.collector.retire_on_removal {
        return Some(format!(
            "Agent {agent} is not retired, as [collector] retire_on_removal says; if it never comes back, {retire}."
        ));
    }
    let all = DecommissionArgs { abandon: true, offline: false, removal: false };
    let why = match tokio::time::timeout(PATIENCE, decommission(config, all)).await {
        Ok(Ok(told)) => return Some(told),
        Ok(Err(known @ DecommissionError::Remove { .. })) => return Some(known.to_string()),
        Ok(Err(error)) => error.to_string(),
        Err(_late) => format!("it did not answer within {} s", PATIENCE.as_secs()),
    };
    Some(format!(
        "The collector was not told that agent {agent} goes ({why}); if it never comes back, {retire}."
    ))
}

fn identity(state: &StateDir) -> Option<String> {
    fs::read_to_string(state.agent_id()).ok().map(|identity| identity.trim().to_owned())
}
