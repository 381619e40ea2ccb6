//! E-mail by SMTP. Mails of one alert stand in one thread.

use super::{ANSWER_TIMEOUT, Notify, Refusal, read};
use crate::{
    alert::{EventKind, message},
    config::{self, SmtpTls},
    registry::Delivery,
};
use futures::future::BoxFuture;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use peerlight_proto::time::Timestamp;
use url::Url;

/// A receiver of mails.
pub(super) struct Email {
    from: Mailbox,
    to: Vec<Mailbox>,
    base: Option<Url>,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Email {
    /// Reads the password.
    pub(super) fn new(config: &config::Email, base: Option<Url>) -> Result<Self, String> {
        let mailbox = |text: &str| {
            text.parse::<Mailbox>().map_err(|error| format!("`{text}` is no address of a mail: {error}"))
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.server)
            .port(config.port)
            .timeout(Some(ANSWER_TIMEOUT))
            .tls(tls(config)?);
        if let (Some(username), Some(path)) = (&config.username, &config.password_file) {
            let password = read(path)?.trim_end_matches(['\r', '\n']).to_owned();
            transport = transport.credentials(Credentials::new(username.clone(), password));
        }
        Ok(Self {
            from: mailbox(&config.from)?,
            to: config.to.iter().map(|text| mailbox(text)).collect::<Result<_, _>>()?,
            base,
            transport: transport.build(),
        })
    }

    fn message(&self, delivery: &Delivery) -> Result<Message, lettre::error::Error> {
        let (event, domain) = (&delivery.event, self.from.email.domain());
        let alert = &event.alert;
        let thread = format!("<{}@{domain}>", alert.key());
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(message::title(event))
            // The same in every attempt, so that a mail that comes twice is seen to be one.
            .message_id(Some(match event.kind {
                EventKind::Firing => thread.clone(),
                EventKind::Updated | EventKind::Resolved => {
                    format!("<peerlight-event-{}-{}@{domain}>", delivery.id, delivery.created.as_secs())
                }
            }))
            .header(ContentType::TEXT_PLAIN);
        if event.kind != EventKind::Firing {
            builder = builder.in_reply_to(thread.clone()).references(thread);
        }
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder.body(message::text(event, self.base.as_ref()))
    }
}

/// How the connection is protected.
fn tls(config: &config::Email) -> Result<Tls, String> {
    let parameters = || {
        let mut parameters = TlsParameters::builder(config.server.clone());
        if let Some(path) = &config.ca_file {
            let pem = read(path)?;
            let certificate = Certificate::from_pem(pem.as_bytes())
                .map_err(|error| format!("{} holds no certificate: {error}", path.display()))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        parameters.build().map_err(|error| format!("TLS cannot be used: {error}"))
    };
    Ok(match config.tls {
        SmtpTls::Starttls => Tls::Required(parameters()?),
        SmtpTls::Implicit => Tls::Wrapper(parameters()?),
        SmtpTls::None => Tls::None,
    })
}

impl Notify for Email {
    fn tell<'a>(&'a self, delivery: &'a Delivery, _now: Timestamp) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let message = self.message(delivery);
            let message =
                message.map_err(|error| Refusal::Never(format!("no mail can be made of it: {error}")))?;
            match self.transport.send(message).await {
                Ok(_taken) => Ok(()),
                Err(error) => Err(Refusal::Later(words(&error))),
            }
        })
    }
}

/// The error and its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
