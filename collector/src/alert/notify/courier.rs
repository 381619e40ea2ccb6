//! A courier: tells one receiver what it has not heard, one event after another, and notes what became of it.

use super::{Receiver, Refusal, retry::outcome};
use crate::{
    app::App,
    lasting::Lasting,
    organisation::OrganisationId,
    registry::{Delivery, DeliveryOutcome, RegistryError},
};
use peerlight_proto::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it looks for something to tell though nobody said that there is.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long it waits after the registry failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

pub(super) async fn run(app: &App, receiver: Receiver, shutdown: CancellationToken) {
    let mut courier = Courier { app, receiver, failing: Lasting::default(), reminded: None };
    loop {
        // Before it looks: what is noted meanwhile is not missed.
        let notice = app.notices.notified();
        tokio::pin!(notice);
        notice.as_mut().enable();
        let wait = tokio::select! {
            () = shutdown.cancelled() => return,
            wait = courier.work() => wait,
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = notice => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Courier<'a> {
    app: &'a App,
    receiver: Receiver,
    failing: Lasting,
    reminded: Option<Instant>,
}

impl Courier<'_> {
    /// Tells everything that is due. Returns how long there is nothing to do.
    async fn work(&mut self) -> Duration {
        let reminder = self.remind().await;
        loop {
            match self.next().await {
                Ok(Ok(delivery)) => {
                    if let Err(error) = self.deliver(&delivery).await {
                        tracing::error!(%error, receiver = self.receiver.name, "it cannot be noted what was told");
                        return AFTER_FAILURE;
                    }
                }
                Ok(Err(due)) => {
                    let due = due.map_or(LOOK_EVERY, |due| due.since(self.app.clock.now()));
                    // Never at once: a due time may be the very instant.
                    return due.min(LOOK_EVERY).min(reminder).max(Duration::from_millis(100));
                }
                Err(error) => {
                    tracing::error!(%error, receiver = self.receiver.name, "it cannot be read what is to be told");
                    return AFTER_FAILURE;
                }
            }
        }
    }

    async fn next(&self) -> Result<Result<Delivery, Option<Timestamp>>, RegistryError> {
        let name = self.receiver.name.clone();
        self.ask(move |registry, now| registry.next_delivery(&name, now)).await
    }

    async fn deliver(&mut self, delivery: &Delivery) -> Result<(), RegistryError> {
        let now = self.app.clock.now();
        let told = self.receiver.notify.tell(delivery, now).await;
        self.log(&told);
        let outcome = outcome(told, (delivery.created, delivery.attempts), now);
        if let DeliveryOutcome::GivenUp { error } = &outcome {
            tracing::error!(
                receiver = self.receiver.name,
                alert = delivery.event.alert.id,
                error,
                "an event was given up; `peerlight-collector alert show` says which"
            );
        }
        self.app.metrics.told(outcome_name(&outcome));
        let id = delivery.id;
        self.ask(move |registry, now| registry.note_delivery(id, &outcome, now)).await
    }

    /// Tells a receiver that forgets of all that fires. Returns when to do so again.
    async fn remind(&mut self) -> Duration {
        let Some(every) = self.receiver.notify.reminded_every() else { return Duration::MAX };
        let at = Instant::now();
        if let Some(reminded) = self.reminded.filter(|reminded| *reminded + every > at) {
            return reminded + every - at;
        }
        let firing = self.ask(|registry, _now| registry.alerts(OrganisationId::DEFAULT, false)).await;
        let told = match firing {
            Ok(alerts) => {
                let firing: Vec<_> = alerts.into_iter().filter(|alert| alert.state.is_told()).collect();
                self.receiver.notify.remind(&firing, self.app.clock.now()).await
            }
            Err(error) => Err(Refusal::Later(error.to_string())),
        };
        self.log(&told);
        self.reminded = Some(at);
        every
    }

    fn log(&mut self, told: &Result<(), Refusal>) {
        let (now, receiver) = (Instant::now(), &self.receiver.name);
        match told {
            Ok(()) => {
                if let Some(over) = self.failing.works(now) {
                    let lasted_s = over.lasted.as_secs();
                    tracing::warn!(receiver, lasted_s, "the receiver of alerts takes them again");
                }
            }
            Err(error) => {
                if self.failing.fails(1, now).is_some() {
                    tracing::error!(receiver, %error, "a receiver of alerts does not take them; it is tried again for a day");
                }
            }
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&crate::registry::Registry, Timestamp) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let (registry, now) = (self.app.registry.clone(), self.app.clock.now());
        match tokio::task::spawn_blocking(move || ask(&registry, now)).await {
            Ok(answer) => answer,
            Err(_ended) => Err(RegistryError::Conflict { detail: "the registry was not asked".to_owned() }),
        }
    }
}

fn outcome_name(outcome: &DeliveryOutcome) -> &'static str {
    match outcome {
        DeliveryOutcome::Delivered => "delivered",
        DeliveryOutcome::Later { .. } => "failed",
        DeliveryOutcome::GivenUp { .. } => "given_up",
    }
}
