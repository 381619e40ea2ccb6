//! What settings and environment come to, and that nothing shows a secret.

use super::{address, *};
use std::{collections::BTreeMap, fs};

fn environment(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
    open(&ProxySettings::default(), variables)
}

fn open(settings: &ProxySettings, variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    settings.open_with(|name| variables.get(name).map(|&value| value.to_owned()))
}

fn named(proxies: &Proxies, host: &str) -> Option<String> {
    proxies.of(host, 443).map(|proxy| proxy.to_string())
}

#[test]
fn the_environment_is_read_as_curl_reads_it() {
    assert_eq!(environment(&[]).unwrap(), Proxies::default());
    assert_eq!(
        environment(&[("HTTPS_PROXY", " "), ("HTTP_PROXY", "http://p:1")]).unwrap(),
        Proxies::default()
    );
    for (variables, expected) in [
        (vec![("HTTPS_PROXY", "http://p.test:3128")], "p.test:3128"),
        (vec![("HTTPS_PROXY", "p.test:3128/")], "p.test:3128"),
        (vec![("ALL_PROXY", "http://P.test")], "p.test:80"),
        (
            vec![("all_proxy", "http://a.test:1"), ("HTTPS_PROXY", "http://[2001:db8::1]:2")],
            "[2001:db8::1]:2",
        ),
        (vec![("HTTPS_PROXY", "http://a.test:1"), ("https_proxy", "http://b.test:2")], "b.test:2"),
    ] {
        assert_eq!(
            named(&environment(&variables).unwrap(), "outlook.office365.com").as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn whom_the_environment_or_the_configuration_excepts_is_reached_directly() {
    let settings = ProxySettings { bypass: Bypass::parse("corp.test"), ..ProxySettings::default() };
    let variables = [("https_proxy", "p.test:1"), ("NO_PROXY", "10.0.0.0/8,office.com")];
    let proxies = open(&settings, &variables).unwrap();
    for host in ["10.1.2.3", "www.office.com", "a.corp.test"] {
        assert_eq!(named(&proxies, host), None, "{host}");
    }
    assert!(named(&proxies, "office365.com").is_some());
}

#[test]
fn credentials_of_the_environment_are_honoured_and_never_shown() {
    let proxies = environment(&[("HTTPS_PROXY", "http://svc%40corp:p%3Aw%20d@p.test:3128")]).unwrap();
    let proxy = proxies.of("outlook.office365.com", 443).unwrap();
    // What `printf 'svc@corp:p:w d' | base64` says.
    let expected = "Basic c3ZjQGNvcnA6cDp3IGQ=";
    assert_eq!(proxy.authentication.as_ref().unwrap().authorization(), expected);
    let shown = format!("{proxies:?} {proxy} {proxy:#?}");
    for secret in ["svc", "corp:", "w d", "c3Zj"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn an_environment_that_names_no_usable_proxy_is_an_error_without_its_words() {
    for value in [
        "socks5://me:hunter2@p.test:1080",
        "https://me:hunter2@p.test",
        "http://me:hunter2@",
        "http://me:hunter2@p.test/x",
    ] {
        let error = environment(&[("HTTPS_PROXY", value)]).unwrap_err();
        let text = crate::causes::with_causes(&error);
        assert!(text.contains("HTTPS_PROXY") && text.contains("write http://HOST:PORT"), "{text}");
        assert!(
            !text.contains("hunter2") && !text.contains("me:") && !format!("{error:?}").contains("hunter2")
        );
    }
    let nothing = ProxySettings { choice: ProxyChoice::Nothing, ..ProxySettings::default() };
    assert_eq!(open(&nothing, &[("HTTPS_PROXY", "socks5://p.test")]).unwrap(), Proxies::default());
}

#[test]
fn a_static_proxy_takes_its_password_from_a_file_and_nothing_from_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let password_file = directory.path().join("password");
    let login = Login { username: "agent-7".to_owned(), password_file: password_file.clone() };
    let proxy = address::parse("http://p.test:3128").unwrap();
    let choice = ProxyChoice::Static { host: proxy.host, port: proxy.port, login: Some(login) };
    let settings = ProxySettings { choice, ..ProxySettings::default() };
    let variables = [("HTTPS_PROXY", "http://other.test:1"), ("NO_PROXY", "*")];
    let missing = open(&settings, &variables).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the proxy's password_file"), "{missing}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&password_file, "sesame").unwrap();
        fs::set_permissions(&password_file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(&settings, &variables), Err(ProxyError::Exposed(_))));
        fs::set_permissions(&password_file, fs::Permissions::from_mode(0o640)).unwrap();
    }
    for wrong in ["", "\n", "two\nlines\n", &"x".repeat(5_000)] {
        fs::write(&password_file, wrong).unwrap();
        assert!(matches!(open(&settings, &variables), Err(ProxyError::Password(_))), "{wrong:?}");
    }
    fs::write(&password_file, "Aladdin's sesame\r\n").unwrap();
    let proxies = open(&settings, &variables).unwrap();
    assert_eq!(named(&proxies, "outlook.office365.com").as_deref(), Some("p.test:3128"));
    // What `printf "agent-7:Aladdin's sesame" | base64` says.
    let proxy = proxies.of("outlook.office365.com", 443).unwrap();
    assert_eq!(
        proxy.authentication.as_ref().unwrap().authorization(),
        "Basic YWdlbnQtNzpBbGFkZGluJ3Mgc2VzYW1l"
    );
    assert!(!format!("{proxies:?}").contains("sesame"));
}

#[test]
fn only_https_targets_that_the_proxy_serves_go_through_it() {
    use peerlight_proto::{series::Path, target::Target};
    let target = |address: &str, probe: &str| Target {
        name: String::new(),
        service: String::new(),
        address: address.parse().unwrap(),
        probe: probe.parse().unwrap(),
    };
    let proxies = environment(&[("HTTPS_PROXY", "p.test:1"), ("NO_PROXY", "corp.test")]).unwrap();
    let of = |https, target: &Target| Paths { https, proxies: proxies.clone() }.of(target);
    let (far, near) = (target("outlook.office365.com", "https"), target("a.corp.test", "https"));
    assert_eq!(of(HttpsPaths::Direct, &far), [Path::Direct]);
    assert_eq!(of(HttpsPaths::Proxy, &far), [Path::Proxy]);
    assert_eq!(of(HttpsPaths::Both, &far), [Path::Direct, Path::Proxy]);
    for https in [HttpsPaths::Direct, HttpsPaths::Proxy, HttpsPaths::Both] {
        assert_eq!(of(https, &near), [Path::Direct]);
        assert_eq!(of(https, &target("outlook.office365.com", "tcp:443")), [Path::Direct]);
        assert_eq!(Paths { https, proxies: Proxies::default() }.of(&far), [Path::Direct]);
    }
}
