//! Asking the registry from a handler: on a thread that may wait for the disk.

use super::error::ApiError;
use crate::{
    app::App,
    registry::{Registry, RegistryError},
};
use peerlight_proto::time::Timestamp;

/// Runs `question` where it may block, with the time that it was asked at.
pub(super) async fn ask<T: Send + 'static>(
    app: &App,
    question: impl FnOnce(&Registry, Timestamp) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, ApiError> {
    let (registry, now) = (app.registry.clone(), app.clock.now());
    match tokio::task::spawn_blocking(move || question(&registry, now)).await {
        Ok(answer) => Ok(answer?),
        Err(panic) => {
            tracing::error!(%panic, "a question to the registry failed");
            Err(ApiError::internal())
        }
    }
}
