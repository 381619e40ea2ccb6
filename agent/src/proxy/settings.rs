//! What the configuration says of proxies, and what that comes to on this machine.

use super::{
    Proxies, Proxy,
    address::{self, AddressError},
    authentication::{Authentication, Secret},
    bypass::Bypass,
    paths::{HttpsPaths, Paths},
    system::SystemProxies,
};
use peerlight_proto::target::Host;
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The variables that name a proxy for HTTPS, the one that counts first; as curl reads them.
const PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const BYPASS_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// The longest password.
const MAX_PASSWORD_BYTES: u64 = 4 << 10;

/// What the configuration says of proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Which proxy.
    pub choice: ProxyChoice,
    /// Who is reached directly all the same; together with what the environment says, where that names the proxy.
    pub bypass: Bypass,
    /// By which paths HTTPS targets are probed.
    pub probe: HttpsPaths,
}

/// Which proxy is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None, whatever the environment says.
    Nothing,
    /// The one that the environment names (`HTTPS_PROXY`, `ALL_PROXY`; `NO_PROXY`), if it does.
    #[default]
    Environment,
    /// The one that the system names for each host, by PAC, WPAD or its settings (Windows).
    System,
    /// This one.
    Static {
        /// Its name or address.
        host: Host,
        /// Its port.
        port: u16,
        /// How to sign on.
        login: Option<Login>,
    },
}

/// A name, and where its password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name; without a colon.
    pub username: String,
    /// The file that holds the password and nothing else.
    pub password_file: PathBuf,
}

/// Why no proxy can be used.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The environment names one that cannot be used. What it says may hold a password and is not repeated.
    #[error("the environment's {variable} {source}; or set use = \"none\" or \"static\" in [proxy]")]
    Environment {
        /// Which variable.
        variable: &'static str,
        /// What is wrong.
        source: AddressError,
    },
    /// The password cannot be read.
    #[error("cannot read the proxy's password_file {path}: {source}")]
    PasswordFile {
        /// Where it is said to be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system has no settings of proxies.
    #[error(
        "this system runs no PAC files and knows no proxy settings (Windows does); write use = \"environment\" or \"static\" in [proxy]"
    )]
    System,
    /// The password is everybody's.
    #[error("everybody may read the proxy's password_file {0}; take that away, for example by `chmod 600`")]
    Exposed(PathBuf),
    /// There is no password in the file.
    #[error("the proxy's password_file {0} must hold the password alone, on one line")]
    Password(PathBuf),
}

impl ProxySettings {
    /// Whom which proxy serves, with the variables of this process and the password as it now is.
    pub fn open(&self) -> Result<Proxies, ProxyError> {
        self.open_with(|name| std::env::var(name).ok())
    }

    /// The same, with these variables.
    pub fn open_with(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Proxies, ProxyError> {
        match &self.choice {
            ProxyChoice::Nothing => Ok(Proxies::default()),
            ProxyChoice::Environment => from_environment(&self.bypass, variable),
            ProxyChoice::System => SystemProxies::open()
                .map(|system| Proxies::of_system(system, self.bypass.clone()))
                .ok_or(ProxyError::System),
            ProxyChoice::Static { host, port, login } => {
                let authentication = login.as_ref().map(Login::authentication).transpose()?;
                let proxy = Proxy { host: host.clone(), port: *port, authentication };
                Ok(Proxies::new(proxy, self.bypass.clone()))
            }
        }
    }

    /// Whether the password's file, if one is named, can be read, and not by everybody.
    pub fn check_login(&self) -> Result<(), ProxyError> {
        match &self.choice {
            ProxyChoice::Static { login: Some(login), .. } => login.authentication().map(drop),
            ProxyChoice::Static { login: None, .. }
            | ProxyChoice::Nothing
            | ProxyChoice::Environment
            | ProxyChoice::System => Ok(()),
        }
    }

    /// By which paths targets are probed, if these proxies are there.
    pub fn paths(&self, proxies: Proxies) -> Paths {
        Paths { https: self.probe, proxies }
    }
}

impl Login {
    fn authentication(&self) -> Result<Authentication, ProxyError> {
        let password = read_password(&self.password_file)?;
        Ok(Authentication::Basic { username: self.username.clone(), password })
    }
}

fn from_environment(
    bypass: &Bypass,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Proxies, ProxyError> {
    let said = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let proxy = PROXY_VARIABLES.into_iter().find_map(|name| Some((name, said(name)?)));
    let Some((name, value)) = proxy else { return Ok(Proxies::default()) };
    let proxy =
        address::parse(&value).map_err(|source| ProxyError::Environment { variable: name, source })?;
    let more = BYPASS_VARIABLES.into_iter().find_map(said);
    Ok(Proxies::new(proxy, bypass.and(&Bypass::parse(&more.unwrap_or_default()))))
}

#[cfg(unix)]
fn everybody_may_read(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o004 != 0)
}

/// Elsewhere the access list of its directory decides.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail where there is a mode")]
fn everybody_may_read(_file: &File) -> io::Result<bool> {
    Ok(false)
}

fn read_password(path: &Path) -> Result<Secret, ProxyError> {
    let unreadable = |source| ProxyError::PasswordFile { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    if everybody_may_read(&file).map_err(unreadable)? {
        return Err(ProxyError::Exposed(path.to_owned()));
    }
    file.take(MAX_PASSWORD_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    let too_long = u64::try_from(password.len()).is_ok_and(|length| length > MAX_PASSWORD_BYTES);
    if password.is_empty() || too_long || password.chars().any(char::is_control) {
        return Err(ProxyError::Password(path.to_owned()));
    }
    Ok(Secret::new(password.to_owned()))
}
