//! systemd, through `systemctl`.

use super::{
    args::{InstallArgs, UninstallArgs},
    first,
    purge::purge,
    state::{Installer, ServiceState},
    unit::{self, PROPERTIES, UNIT},
};
use crate::{
    durable,
    paths::{default_config, default_state},
};
use anyhow::{Context as _, bail, ensure};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Where packages put their units.
const PACKAGED: [&str; 2] =
    ["/usr/lib/systemd/system/peerlight-agent.service", "/lib/systemd/system/peerlight-agent.service"];

/// Installs the service for this program, and says what it did.
pub(super) fn install(program: &Path, args: &InstallArgs) -> anyhow::Result<Vec<String>> {
    ensure!(!args.package, "packages for this system bring the unit with them");
    require_systemd()?;
    refuse_packaged("installed the service already: `peerlight-agent service start` starts it")?;
    let (collector, files) = (args.collector()?, unit::files(program)?);
    let token = first::read_token(args.token_file())?;
    for (path, text) in &files {
        refuse_foreign(path)?;
        write(path, text)?;
    }
    run("systemd-sysusers", &["/etc/sysusers.d/peerlight-agent.conf"])?;
    let config = default_config();
    fs::create_dir_all(config.parent().unwrap_or(&config)).with_context(|| denied("make", &config))?;
    let mut told = vec![first::make_configuration(collector.as_ref())?];
    // Containers have the sysctl of their host.
    if let Err(error) = run("/lib/systemd/systemd-sysctl", &["/etc/sysctl.d/60-peerlight-agent.conf"]) {
        told.push(format!("ICMP may not be permitted before the next start of the machine: {error:#}"));
    }
    if let Some(token) = &token {
        // systemd gives the directory, and what is in it, to the account of the service.
        let state = first::state_directory();
        durable::create_private_directory(state.path())?;
        told.push(first::hand_over(token, &state)?);
    }
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", UNIT])?;
    Ok(told)
}

/// Stops the service and removes what `install` wrote; false if there was no service.
pub(super) fn uninstall(args: &UninstallArgs) -> anyhow::Result<bool> {
    ensure!(!args.package, "packages for this system take their unit away themselves");
    require_systemd()?;
    refuse_packaged(
        "installed the service: it is removed with it (apt remove peerlight-agent, dnf remove peerlight-agent)",
    )?;
    let files = unit::files(Path::new("/peerlight-agent"))?.map(|(path, _)| path);
    let ours =
        files.into_iter().filter(|path| fs::read_to_string(path).is_ok_and(|text| unit::is_ours(&text)));
    let ours: Vec<PathBuf> = ours.collect();
    if ours.iter().any(|path| path.ends_with(UNIT)) {
        systemctl(&["disable", "--now", UNIT])?;
    } else {
        ensure!(
            state_of_unit()?.installed_by.is_none(),
            "another than `service install` wrote {UNIT}: `systemctl cat {UNIT}` shows where it is"
        );
    }
    for path in &ours {
        fs::remove_file(path).with_context(|| denied("remove", path))?;
    }
    systemctl(&["daemon-reload"])?;
    Ok(!ours.is_empty())
}

/// Removes what a removal leaves, if that is asked for.
pub(super) fn forget(args: &UninstallArgs) -> anyhow::Result<()> {
    if args.purge { purge(&default_config(), &default_state()) } else { Ok(()) }
}

/// Starts the service, and waits until it measures.
pub(super) fn start() -> anyhow::Result<()> {
    require_service()?;
    systemctl(&["start", UNIT]).with_context(|| {
        let ended = state_of_unit().ok().and_then(|state| state.exit_code).map(super::state::explain);
        format!(
            "the service does not start{}; `journalctl --unit {UNIT}` says why",
            ended.map(|ended| format!(" ({ended})")).unwrap_or_default()
        )
    })
}

/// Stops the service, and waits until it has.
pub(super) fn stop() -> anyhow::Result<()> {
    require_service()?;
    systemctl(&["stop", UNIT])
}

/// What the service is doing.
pub(super) fn state() -> anyhow::Result<ServiceState> {
    require_systemd()?;
    state_of_unit()
}

fn state_of_unit() -> anyhow::Result<ServiceState> {
    let shown = run("systemctl", &["show", "--property", PROPERTIES, UNIT])?;
    Ok(unit::parse(&shown, default_config()))
}

fn require_systemd() -> anyhow::Result<()> {
    // What sd_booted(3) looks at.
    ensure!(
        Path::new("/run/systemd/system").is_dir(),
        "systemd does not run this system; have its own service manager run `peerlight-agent run`"
    );
    Ok(())
}

fn require_service() -> anyhow::Result<()> {
    let state = state()?;
    ensure!(
        state.installed_by.is_some(),
        "there is no service; `peerlight-agent service install` installs it"
    );
    Ok(())
}

fn refuse_packaged(what: &str) -> anyhow::Result<()> {
    match PACKAGED.iter().find(|unit| unit::installer(unit) == Installer::Package && Path::new(unit).exists())
    {
        Some(unit) => bail!("a package {what} ({unit})"),
        None => Ok(()),
    }
}

/// Nothing of an administrator's own is overwritten.
fn refuse_foreign(path: &Path) -> anyhow::Result<()> {
    match fs::read_to_string(path) {
        Ok(text) if unit::is_ours(&text) => Ok(()),
        Ok(_) => bail!("{} is not of `service install`; move it away first", path.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).with_context(|| denied("make", directory))?;
    fs::write(path, text).with_context(|| denied("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).with_context(|| denied("write", path))
}

fn denied(what: &str, path: &Path) -> String {
    format!("cannot {what} {} (services are root's to install)", path.display())
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    run("systemctl", arguments).map(drop)
}

/// Runs a program; what it prints, or why it failed in its own words.
fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let done = Command::new(program).args(arguments).env("SYSTEMD_COLORS", "0").output();
    let done = done.with_context(|| format!("cannot run {program}"))?;
    ensure!(
        done.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
