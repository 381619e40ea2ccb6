//! `registration add|check|list|end`; `import` stands in `import.rs`, the commands that move measurements in
//! `reattribution.rs`.

use super::{
    Format, Output, RegistrationArgs, RegistrationCommand, RegistrationListOptions, import,
    output::{listed, or_dash},
    reattribution,
};
use crate::{
    api::registrations::Checked,
    client::{Client, ClientError},
    registry::{NewRegistration, Registration},
    rfc3339,
};
use anyhow::bail;
use http::StatusCode;

const PATH: &str = "/api/v1/registrations";

pub(super) async fn run(
    command: RegistrationCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        RegistrationCommand::Add(args) => {
            let format = args.options.format;
            let added: Registration = client.post(PATH, &new(args)).await?;
            output.changed(format, &added, &format!("registered {}", describe(&added)))?;
            output.note(&format!("next: `peerlight-collector token create {}` for its agent", added.site))
        }
        RegistrationCommand::Check(args) => {
            let format = args.options.format;
            let passed: Checked = client.post(&format!("{PATH}/check"), &new(args)).await?;
            output.changed(format, &passed, "every check passes; nothing was registered")
        }
        RegistrationCommand::Import(args) => import::run(args, client, output).await,
        RegistrationCommand::List(options) => list(options, client, output).await,
        RegistrationCommand::Reattribute(args) => reattribution::reattribute(args, client, output).await,
        RegistrationCommand::Reattributions(options) => reattribution::list(options, client, output).await,
        RegistrationCommand::End { registration, at, options } => {
            let found = find(&registration, client).await?;
            let query: Vec<(&str, String)> = at.map(|at| ("at", at)).into_iter().collect();
            let ended: Registration = client.delete(&format!("{PATH}/{}", found.id.0), &query).await?;
            let end = or_dash(ended.valid_to.map(rfc3339::seconds));
            output.changed(options.format, &ended, &format!("{} ends at {end}", describe(&ended)))
        }
    }
}

/// The one registration of a site that has not ended, or the one of this number.
pub(super) async fn find(registration: &str, client: &Client) -> anyhow::Result<Registration> {
    let found = match registration.parse::<i64>() {
        Ok(number) => numbered(number, client).await?.into_iter().collect(),
        Err(_a_site) => client.list(PATH, &[("site", registration.to_owned())]).await?,
    };
    match found.as_slice() {
        [found] => Ok(found.clone()),
        [] => bail!(
            "there is no registration `{registration}`; `peerlight-collector registration list` lists them"
        ),
        several => {
            let numbers: Vec<i64> = several.iter().map(|found: &Registration| found.id.0).collect();
            bail!("`{registration}` has several registrations; give the number of one: {}", listed(&numbers))
        }
    }
}

/// The registration of this number, if there is one.
async fn numbered(number: i64, client: &Client) -> Result<Option<Registration>, ClientError> {
    match client.get(&format!("{PATH}/{number}"), &[]).await {
        Ok(found) => Ok(Some(found)),
        Err(ClientError::Refused { problem }) if problem.status == StatusCode::NOT_FOUND.as_u16() => Ok(None),
        Err(error) => Err(error),
    }
}

fn new(args: RegistrationArgs) -> NewRegistration {
    NewRegistration {
        site: args.site,
        provider: args.provider,
        location: args.location,
        prefixes: args.prefix,
        count_declared: args.count_declared,
        allow_non_public: args.allow_non_public,
        nested: args.nested,
        valid_from: args.from,
        valid_to: args.to,
    }
}

fn describe(registration: &Registration) -> String {
    format!(
        "{} through {} in {} (registration {})",
        registration.site, registration.provider, registration.location, registration.id.0
    )
}

async fn list(
    options: RegistrationListOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let mut query = vec![("all", options.history.all.to_string())];
    query.extend(options.address.map(|address| ("address", address.to_string())));
    let registrations: Vec<Registration> = client.list(PATH, &query).await?;
    if options.history.format == Format::Json {
        return output.json(&registrations);
    }
    let rows = registrations.iter().map(|registration| {
        [
            registration.id.0.to_string(),
            registration.site.clone(),
            registration.provider.clone(),
            registration.location.clone(),
            listed(&registration.prefixes),
            if registration.count_declared { "counted" } else { "shown" }.to_owned(),
            rfc3339::seconds(registration.valid_from),
            or_dash(registration.valid_to.map(rfc3339::seconds)),
        ]
    });
    output.table(
        &["id", "site", "provider", "location", "prefixes", "declared", "from", "to"],
        rows,
        "no registrations; `peerlight-collector registration add` registers a site",
    )
}
