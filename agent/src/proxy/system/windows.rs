//! Windows: asks `WinHTTP`, which knows the settings of the account and of the machine, finds PAC files by WPAD and runs them
//! in its own sandbox (Microsoft, "`WinHTTP` `AutoProxy` Support").
#![expect(unsafe_code, reason = "WinHTTP is a C interface")]

use super::choice;
use crate::proxy::{Proxy, authority};
use std::{ffi::c_void, ptr};
use windows_sys::{
    Win32::{
        Foundation::{ERROR_FILE_NOT_FOUND, GetLastError, GlobalFree},
        Networking::WinHttp::{
            ERROR_WINHTTP_AUTODETECTION_FAILED, WINHTTP_ACCESS_TYPE_NAMED_PROXY,
            WINHTTP_ACCESS_TYPE_NO_PROXY, WINHTTP_AUTO_DETECT_TYPE_DHCP, WINHTTP_AUTO_DETECT_TYPE_DNS_A,
            WINHTTP_AUTOPROXY_AUTO_DETECT, WINHTTP_AUTOPROXY_CONFIG_URL, WINHTTP_AUTOPROXY_OPTIONS,
            WINHTTP_CURRENT_USER_IE_PROXY_CONFIG, WINHTTP_PROXY_INFO, WinHttpCloseHandle,
            WinHttpGetDefaultProxyConfiguration, WinHttpGetIEProxyConfigForCurrentUser,
            WinHttpGetProxyForUrl, WinHttpOpen,
        },
    },
    core::PWSTR,
};

/// The longest list that is read, in UTF-16 units.
const MAX_LIST: usize = 64 << 10;

/// Asks it.
pub(super) const ASK: Option<fn(&str, u16) -> Option<Proxy>> = Some(ask);

/// What the system says of a host: by the settings of this account (PAC by WPAD or at a URL, else a fixed proxy), or by
/// those of the machine (`netsh winhttp`) where the account, such as a service's, has none.
fn ask(host: &str, port: u16) -> Option<Proxy> {
    let account = account();
    let automatic = account.automatic().and_then(|automatic| by_script(host, port, &automatic));
    match automatic {
        Some(Settings { proxies: None, .. }) => None,
        Some(script) => script.proxy(host),
        None => account.settings.proxy(host).or_else(|| machine().proxy(host)),
    }
}

/// Fixed proxies, and whom they do not serve.
#[derive(Debug, Default)]
struct Settings {
    proxies: Option<String>,
    bypass: Option<String>,
}

impl Settings {
    fn proxy(&self, host: &str) -> Option<Proxy> {
        let excepted = self.bypass.as_ref().is_some_and(|list| choice::bypasses(list, host));
        self.proxies.as_deref().filter(|_| !excepted).and_then(choice::for_https)
    }

    fn taken(info: &WINHTTP_PROXY_INFO) -> Self {
        let (proxies, bypass) = (taken(info.lpszProxy), taken(info.lpszProxyBypass));
        Self { proxies: proxies.filter(|_| info.dwAccessType == WINHTTP_ACCESS_TYPE_NAMED_PROXY), bypass }
    }
}

/// What is set for this account.
#[derive(Debug, Default)]
struct Account {
    detect: bool,
    script: Option<String>,
    settings: Settings,
}

/// Where a PAC file is to be found.
struct Automatic {
    detect: bool,
    script: Option<Vec<u16>>,
}

impl Account {
    fn automatic(&self) -> Option<Automatic> {
        let script = self.script.as_deref().map(wide);
        (self.detect || script.is_some()).then_some(Automatic { detect: self.detect, script })
    }
}

fn account() -> Account {
    let mut config = WINHTTP_CURRENT_USER_IE_PROXY_CONFIG::default();
    // SAFETY: the pointer is to a structure of the right type that outlives the call.
    if unsafe { WinHttpGetIEProxyConfigForCurrentUser(&raw mut config) } == 0 {
        let code = last_error();
        if code != ERROR_FILE_NOT_FOUND {
            tracing::warn!(code, "Windows does not tell the proxy settings of this account");
        }
        return Account::default();
    }
    Account {
        detect: config.fAutoDetect != 0,
        script: taken(config.lpszAutoConfigUrl),
        settings: Settings { proxies: taken(config.lpszProxy), bypass: taken(config.lpszProxyBypass) },
    }
}

fn machine() -> Settings {
    let mut info = WINHTTP_PROXY_INFO::default();
    // SAFETY: the pointer is to a structure of the right type that outlives the call.
    if unsafe { WinHttpGetDefaultProxyConfiguration(&raw mut info) } == 0 {
        return Settings::default();
    }
    Settings::taken(&info)
}

/// What the PAC file says; none where there is no PAC file after all.
fn by_script(host: &str, port: u16, automatic: &Automatic) -> Option<Settings> {
    let session = Session::open()?;
    let host = host.parse().ok()?;
    let url = wide(&format!("https://{}/", authority(&host, port)));
    let script = automatic.script.as_ref();
    let mut options = WINHTTP_AUTOPROXY_OPTIONS {
        dwFlags: if automatic.detect { WINHTTP_AUTOPROXY_AUTO_DETECT } else { 0 }
            | if script.is_some() { WINHTTP_AUTOPROXY_CONFIG_URL } else { 0 },
        dwAutoDetectFlags: if automatic.detect {
            WINHTTP_AUTO_DETECT_TYPE_DHCP | WINHTTP_AUTO_DETECT_TYPE_DNS_A
        } else {
            0
        },
        lpszAutoConfigUrl: script.map_or(ptr::null(), Vec::as_ptr),
        ..WINHTTP_AUTOPROXY_OPTIONS::default()
    };
    let mut info = WINHTTP_PROXY_INFO::default();
    // SAFETY: the session is open, both texts end in a zero and, as the structures, outlive the call.
    let done = unsafe { WinHttpGetProxyForUrl(session.0, url.as_ptr(), &raw mut options, &raw mut info) };
    if done == 0 {
        let code = last_error();
        // Nobody offers a PAC file here: the usual case where detection is on, as it is by default.
        if code != ERROR_WINHTTP_AUTODETECTION_FAILED {
            tracing::warn!(code, "the PAC file cannot be used; the system's fixed proxy settings hold");
        }
        return None;
    }
    Some(Settings::taken(&info))
}

/// A `WinHTTP` session; it makes no request.
struct Session(*mut c_void);

impl Session {
    fn open() -> Option<Self> {
        // SAFETY: null texts stand for none.
        let handle =
            unsafe { WinHttpOpen(ptr::null(), WINHTTP_ACCESS_TYPE_NO_PROXY, ptr::null(), ptr::null(), 0) };
        (!handle.is_null()).then_some(Self(handle))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and nobody uses it any more.
        unsafe { WinHttpCloseHandle(self.0) };
    }
}

fn last_error() -> u32 {
    // SAFETY: reads a value of this thread.
    unsafe { GetLastError() }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The text that `WinHTTP` allocated for us, and frees it. None where there is none.
fn taken(text: PWSTR) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: WinHTTP ends its texts with a zero, up to which they are read.
    let length = (0..MAX_LIST).take_while(|&place| unsafe { *text.add(place) } != 0).count();
    // SAFETY: that many units were read above.
    let units = unsafe { std::slice::from_raw_parts(text, length) };
    let read = String::from_utf16_lossy(units);
    // SAFETY: the caller of these functions frees what they allocated, once, by GlobalFree.
    unsafe { GlobalFree(text.cast()) };
    (!read.is_empty()).then_some(read)
}
