//! What the commands do, other than `run` and `probe`.

use crate::{
    RunError, captures,
    catalogue::{self, published::Published},
    cli::{CatalogueCommand, Cli, Command, EnrolArgs, UpdateArgs},
    clock::Clock,
    config::{Config, ConfigError, Description, describe},
    credential,
    decommission::{decommission, on_removal},
    doctor,
    enrol::{Applicant, EnrolError, adoption::adopt, enrol_beside, enrol_with_new_key, token},
    format::Format,
    logging::complain,
    oneshot,
    paths::{StateDir, default_config},
    selftest, service,
    spool::{RESEND_REQUEST, Spool, SpoolError},
    status, trace,
    uplink::{Uplink, is_same_site},
};
use anyhow::Context as _;
use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The exit code of a wrong configuration (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Does what the command line says.
pub async fn execute(cli: Cli, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
    if let Command::Doctor(args) = cli.command {
        return doctor::run(load(&cli), args).await;
    }
    // The service is managed whatever its configuration says.
    if let Command::Service(args) = &cli.command {
        return service::manage(&cli, args).await;
    }
    let config = match load(&cli) {
        Ok(config) => config,
        Err(error) => return Ok(misconfigured(&error)),
    };
    match cli.command {
        Command::Run => match crate::run(config, shutdown).await {
            // Nothing was opened yet.
            Err(RunError::Proxy(error)) => return Ok(misconfigured(&error)),
            ended => ended?,
        },
        Command::Enrol(args) => enrol_agent(&config, &args).await?,
        Command::Probe(args) => return oneshot::run(args, &shutdown).await,
        Command::Path(args) if args.captured => {
            return captures::show(&config.state, args.target.as_deref(), args.format);
        }
        Command::Path(args) => return trace::run(args, &shutdown).await,
        Command::Selftest(args) => return selftest::run(&args, &shutdown).await,
        Command::CheckConfig(args) => match config.proxy.check_login() {
            Err(error) => return Ok(misconfigured(&error)),
            Ok(()) => check_config(&config, args.format)?,
        },
        Command::Catalogue(args) => match args.command {
            None => say(&catalogue::show::describe(&Published::load(&config.state)))?,
            Some(CatalogueCommand::Update(args)) => update_catalogue(&config, &args).await?,
        },
        Command::Status(args) => show_status(&config.state, args.format).await?,
        Command::Resend(args) => resend(&config, args.since)?,
        Command::Decommission(args) if args.removal => {
            if let Some(told) = on_removal(&config).await {
                say(&told)?;
            }
        }
        Command::Decommission(args) => say(&decommission(&config, args).await?)?,
        // Done above: they look at a configuration that cannot be read, too.
        Command::Doctor(_) | Command::Service(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn misconfigured(error: &(dyn Error + 'static)) -> ExitCode {
    complain(error);
    ExitCode::from(EXIT_CONFIG)
}

/// The configuration of the command line. Only `run` and `check-config` insist on a file; the others need the state
/// directory alone.
fn load(cli: &Cli) -> Result<Config, ConfigError> {
    let path = cli.config.clone().unwrap_or_else(default_config);
    let optional = match cli.command {
        Command::Run | Command::CheckConfig(_) => false,
        Command::Path(ref args) if args.captured => cli.config.is_none(),
        Command::Probe(_) | Command::Path(_) | Command::Selftest(_) | Command::Service(_) => {
            return Ok(Config::default());
        }
        Command::Enrol(_)
        | Command::Catalogue(_)
        | Command::Status(_)
        | Command::Resend(_)
        | Command::Doctor(_)
        | Command::Decommission(_) => cli.config.is_none(),
    };
    let mut config = match Config::load(&path) {
        Err(ConfigError::Read { source, .. }) if optional && source.kind() == io::ErrorKind::NotFound => {
            Config::default()
        }
        loaded => loaded?,
    };
    if let Some(state) = &cli.state_dir {
        config.state = StateDir::new(state);
    }
    Ok(config)
}

async fn enrol_agent(config: &Config, args: &EnrolArgs) -> anyhow::Result<()> {
    let uplink = chosen_uplink(config, args.uplink.as_deref())?;
    let token = token::read(args.token_file.as_deref())?;
    let mut applicant = Applicant {
        state: config.state.clone(),
        key: Arc::new(credential::load_or_create(&config.state)?),
        trust: config.collector.trust,
        proxies: config.proxy.open()?,
        site: uplink.map_or_else(|| config.site.clone(), |uplink| Some(uplink.site.clone())),
        clock: Clock::system(),
    };
    let configured = config.collector.url.as_ref().map(url::Url::as_str);
    if let (Some(argument), Some(configured)) = (&args.collector, configured) {
        let same = crate::exchange::parse_address(argument)?.as_str() == configured;
        anyhow::ensure!(same, "--collector says {argument}, but the configuration says {configured}");
    }
    let asked = args.collector.as_deref().or(configured);
    let uplinks = config.uplink_names();
    let enrolment = if args.new_key {
        enrol_with_new_key(&applicant, &uplinks, &token, asked).await?
    } else {
        match enrol_beside(&applicant, &uplinks, &token, asked).await {
            Err(EnrolError::KnownAs(agent)) => {
                applicant.key = Arc::new(adopt(&config.state, agent, config.spool)?);
                enrol_beside(&applicant, &uplinks, &token, asked).await?
            }
            outcome => outcome?,
        }
    };
    let site = &enrolment.site;
    say(&format!(
        "Agent {} is enrolled at {}: it measures for {} of {} in {}.",
        applicant.key.agent(),
        enrolment.collector,
        site.name,
        site.provider,
        site.location
    ))?;
    let missing: Vec<_> =
        config.uplinks.iter().map(Uplink::name).filter(|name| !enrolment.is_for(name)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        say(&format!("Nothing is handed over before these are enrolled, too: {}.", missing.join(", ")))
    }
}

/// The uplink that the command line names; one must be named where there are any.
fn chosen_uplink<'a>(config: &'a Config, wanted: Option<&str>) -> anyhow::Result<Option<&'a Uplink>> {
    let names = config.uplink_names().join(", ");
    match wanted {
        None if config.uplinks.is_empty() => Ok(None),
        None => anyhow::bail!("each [[uplink]] is enrolled on its own; name one with --uplink: {names}"),
        Some(wanted) if config.uplinks.is_empty() => anyhow::bail!(
            "the configuration has no [[uplink]], so there is no `{wanted}`; leave --uplink out, or give --config"
        ),
        Some(wanted) => {
            let found = config.uplinks.iter().find(|uplink| is_same_site(uplink.name(), wanted));
            found.map(Some).with_context(|| format!("there is no uplink `{wanted}`, but: {names}"))
        }
    }
}

fn check_config(config: &Config, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => say(&describe(config)),
        Format::Json => say(&serde_json::to_string_pretty(&Description::of(config))?),
    }
}

async fn update_catalogue(config: &Config, args: &UpdateArgs) -> anyhow::Result<()> {
    let now = Clock::system().wall();
    crate::durable::create_private_directory(config.state.path())
        .with_context(|| format!("cannot open the state directory {}", config.state.path().display()))?;
    let published = match (&args.file, &args.url) {
        (Some(file), _) => catalogue::update::from_file(file, now)?,
        (None, url) => {
            let service = || {
                let agent = credential::load_or_create(&config.state)?.agent();
                anyhow::Ok(catalogue::update::service(&agent)?)
            };
            let url = url.clone().map_or_else(service, anyhow::Ok)?;
            {
                let proxies = config.proxy.open()?;
                catalogue::update::from_url(&url, &config.probing.settings.trust, &proxies, now).await?
            }
        }
    };
    catalogue::update::store(&published, &config.state)?;
    say(&format!(
        "{} address ranges, as of {}, are kept in {}; they serve from the agent's next start.",
        published.ranges(),
        published.dated,
        config.state.published().display()
    ))
}

async fn show_status(state: &StateDir, format: Format) -> anyhow::Result<()> {
    let status = status::ask(state).await?;
    match format {
        Format::Table => say(&status.table()),
        Format::Json => say(&serde_json::to_string_pretty(&status)?),
    }
}

fn resend(config: &Config, since: Duration) -> anyhow::Result<()> {
    let since = Clock::system().wall().minus(since);
    let key = credential::load_or_create(&config.state)?;
    match Spool::open(&config.state.spool(), key.agent(), config.spool) {
        Ok(mut spool) => {
            let again = spool.resend(since)?;
            say(&format!("{again} batches will be sent again when the agent runs."))
        }
        Err(SpoolError::InUse(directory)) => {
            let request = since.as_micros().to_string();
            crate::durable::replace(&directory.join(RESEND_REQUEST), request.as_bytes())?;
            say("The running agent was asked to send them again; it does so within seconds.")
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes to standard output; a reader that went away is no failure.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}
