//! Who is who: security identifiers as text.

use super::descriptor::text_of;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::{fmt::Write as _, io, ptr};
use windows_sys::Win32::{
    Foundation::{CloseHandle, HANDLE},
    Security::{GetTokenInformation, TOKEN_QUERY, TOKEN_USER, TokenUser},
    System::Threading::{GetCurrentProcess, OpenProcessToken},
};

/// The identifier of a service, and of its virtual account: the system derives it from the name, whether or not there is such a
/// service (Microsoft, "Service SIDs": SHA-1 of the name in capitals as UTF-16).
pub(crate) fn service_sid(name: &str) -> String {
    let bytes: Vec<u8> = name.to_uppercase().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let mut sid = "S-1-5-80".to_owned();
    for part in hash.as_ref().as_chunks::<4>().0 {
        // Writing to a String cannot fail.
        let _infallible = write!(sid, "-{}", u32::from_le_bytes(*part));
    }
    sid
}

/// The account that this process runs under.
pub(crate) fn of_this_process() -> io::Result<String> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: writes a handle to `token`, which lives until the call returns.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // Room for the longest identifier there is; numbers of 8 bytes align it.
    let mut user = [0_u64; 32];
    let mut length = 0;
    let room = u32::try_from(size_of_val(&user)).unwrap_or_default();
    // SAFETY: writes at most `room` bytes to `user`, which has so many.
    let told =
        unsafe { GetTokenInformation(token, TokenUser, user.as_mut_ptr().cast(), room, &raw mut length) };
    let outcome = if told == 0 {
        Err(io::Error::last_os_error())
    } else {
        // SAFETY: the call filled it as a TOKEN_USER, whose identifier lies behind it in `user`.
        text_of(unsafe { (*user.as_ptr().cast::<TOKEN_USER>()).User.Sid })
    };
    // SAFETY: it was opened above, and nobody else has it.
    unsafe { CloseHandle(token) };
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifier_of_a_service_is_what_windows_documents_for_its_own_installer() {
        assert_eq!(
            service_sid("TrustedInstaller"),
            "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
        );
    }

    #[test]
    fn this_process_runs_under_an_account() {
        assert!(of_this_process().unwrap().starts_with("S-1-5-"));
    }
}
