//! A security descriptor: whom a file belongs to, and who may open it.

use std::{io, os::windows::ffi::OsStrExt as _, path::Path, ptr};
use windows_sys::{
    Win32::{
        Foundation::{ERROR_ALREADY_EXISTS, ERROR_SUCCESS, LocalFree},
        Security::{
            ACL,
            Authorization::{
                ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
                GetNamedSecurityInfoW, SDDL_REVISION_1, SE_FILE_OBJECT, SetNamedSecurityInfoW,
            },
            DACL_SECURITY_INFORMATION, GetSecurityDescriptorControl, GetSecurityDescriptorDacl,
            GetSecurityDescriptorOwner, OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION,
            PSECURITY_DESCRIPTOR, PSID, SE_DACL_PROTECTED, SECURITY_ATTRIBUTES,
        },
        Storage::FileSystem::CreateDirectoryW,
    },
    core::PWSTR,
};

/// One that the system made, and that is given back to it.
#[derive(Debug)]
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system allocated it for us, and nobody else has it.
        unsafe { LocalFree(self.0) };
    }
}

impl Descriptor {
    /// Of a text in Microsoft's language for them (SDDL).
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut descriptor = ptr::null_mut();
        // SAFETY: `text` ends with a zero; a descriptor is written to `descriptor`, whose length nobody wants.
        let parsed = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if parsed == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(descriptor)) }
    }

    /// Of a file or directory.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let path = wide(path);
        let mut descriptor = ptr::null_mut();
        // SAFETY: `path` ends with a zero; a descriptor is written to `descriptor`, whose parts nobody wants here.
        let error = unsafe {
            GetNamedSecurityInfoW(
                path.as_ptr(),
                SE_FILE_OBJECT,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut descriptor,
            )
        };
        succeeded(error).map(|()| Self(descriptor))
    }

    /// Whom it belongs to.
    pub(crate) fn owner(&self) -> io::Result<String> {
        text_of(self.owner_sid()?)
    }

    /// Whether its list takes nothing from the directory above.
    pub(crate) fn is_protected(&self) -> io::Result<bool> {
        let (mut control, mut revision) = (0, 0);
        // SAFETY: the descriptor is one; two numbers are written to where they live.
        if unsafe { GetSecurityDescriptorControl(self.0, &raw mut control, &raw mut revision) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(control & SE_DACL_PROTECTED != 0)
    }

    /// Creates a directory with it; false if it is there already.
    pub(crate) fn create_directory(&self, path: &Path) -> io::Result<bool> {
        let attributes = self.attributes();
        // SAFETY: the path ends with a zero, and the attributes and their descriptor live until the call returns.
        if unsafe { CreateDirectoryW(wide(path).as_ptr(), &raw const attributes) } != 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        let exists = error.raw_os_error() == Some(ERROR_ALREADY_EXISTS.cast_signed());
        if exists && path.is_dir() { Ok(false) } else { Err(error) }
    }

    /// What the system is told of it where something is made. It points to the descriptor, which has to live as long.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default(),
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }

    /// Gives its list to what is there and to all below it.
    pub(crate) fn apply_list(&self, path: &Path) -> io::Result<()> {
        self.apply(path, ptr::null_mut(), 0)
    }

    /// The same, with its owner.
    pub(crate) fn apply_owner_and_list(&self, path: &Path) -> io::Result<()> {
        self.apply(path, self.owner_sid()?, OWNER_SECURITY_INFORMATION)
    }

    fn apply(&self, path: &Path, owner: PSID, more: u32) -> io::Result<()> {
        let what = more | DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
        let (path, list) = (wide(path), self.list()?);
        // SAFETY: `path` ends with a zero; owner and list are parts of this descriptor, which lives on.
        let error = unsafe {
            SetNamedSecurityInfoW(
                path.as_ptr(),
                SE_FILE_OBJECT,
                what,
                owner,
                ptr::null_mut(),
                list,
                ptr::null_mut(),
            )
        };
        succeeded(error)
    }

    fn owner_sid(&self) -> io::Result<PSID> {
        let (mut owner, mut is_default) = (ptr::null_mut(), 0);
        // SAFETY: the descriptor is one; what is written to `owner` is a part of it.
        let told = unsafe { GetSecurityDescriptorOwner(self.0, &raw mut owner, &raw mut is_default) } != 0;
        if told && !owner.is_null() { Ok(owner) } else { Err(io::Error::last_os_error()) }
    }

    fn list(&self) -> io::Result<*const ACL> {
        let (mut list, mut is_there, mut is_default) = (ptr::null_mut(), 0, 0);
        // SAFETY: the descriptor is one; what is written to `list` is a part of it.
        let told = unsafe {
            GetSecurityDescriptorDacl(self.0, &raw mut is_there, &raw mut list, &raw mut is_default)
        } != 0;
        // Without a list everybody might do anything.
        if told && !list.is_null() { Ok(list) } else { Err(io::Error::last_os_error()) }
    }
}

/// An identifier as text.
pub(super) fn text_of(sid: PSID) -> io::Result<String> {
    let mut text: PWSTR = ptr::null_mut();
    // SAFETY: `sid` is a part of what its owner still holds; a text that ends with a zero is written to `text`.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system wrote it, and it ends with a zero.
    let units = (0..).take_while(|at| unsafe { *text.add(*at) } != 0).count();
    // SAFETY: so many units were just read.
    let copy = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, units) });
    // SAFETY: the system allocated it for us, and nobody else has it.
    unsafe { LocalFree(text.cast()) };
    Ok(copy)
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

fn succeeded(error: u32) -> io::Result<()> {
    if error == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(error.cast_signed())) }
}
