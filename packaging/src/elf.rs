//! What a program for Linux says of itself: for which machines it is, and what it needs of the system that it is installed on.

use anyhow::Context as _;
use object::{
    Architecture, Endianness, Object as _,
    read::elf::{ElfFile64, ProgramHeader as _},
};

/// A machine that Peerlight is packed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit Intel and AMD.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

/// Where a program has its C library from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// The system, which must have glibc.
    Glibc,
    /// It brings its own, and runs on any system.
    Own,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// For which machines it is.
    pub machine: Machine,
    /// Where its C library is.
    pub library: Library,
}

impl Machine {
    /// As Debian calls it, and nfpm does for every kind of package.
    pub fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl Program {
    /// Reads what cargo built.
    pub fn read(program: &[u8]) -> anyhow::Result<Self> {
        let elf =
            ElfFile64::<Endianness>::parse(program).context("is no program for Linux on a 64-bit machine")?;
        let machines = [(Architecture::X86_64, Machine::Amd64), (Architecture::Aarch64, Machine::Arm64)];
        let machine = machines.into_iter().find(|(architecture, _)| *architecture == elf.architecture());
        let (_, machine) = machine.with_context(|| {
            format!("is for {:?}; packages are made for amd64 and arm64", elf.architecture())
        })?;
        let interpreter = interpreter(&elf, program)?;
        let library = match interpreter.as_deref() {
            None => Library::Own,
            Some(loader) if loader.contains("/ld-linux-") => Library::Glibc,
            Some(loader) => anyhow::bail!(
                "wants the C library of {loader}; link it with glibc, or with a C library of its own (`packaging/build --target`)"
            ),
        };
        Ok(Self { machine, library })
    }

    /// What it was built for, as Rust calls it.
    pub fn target(self) -> &'static str {
        match (self.machine, self.library) {
            (Machine::Amd64, Library::Glibc) => "x86_64-unknown-linux-gnu",
            (Machine::Amd64, Library::Own) => "x86_64-unknown-linux-musl",
            (Machine::Arm64, Library::Glibc) => "aarch64-unknown-linux-gnu",
            (Machine::Arm64, Library::Own) => "aarch64-unknown-linux-musl",
        }
    }
}

/// What loads its libraries, if anything does.
fn interpreter(elf: &ElfFile64<'_, Endianness>, program: &[u8]) -> anyhow::Result<Option<String>> {
    for segment in elf.elf_program_headers() {
        let named = segment.interpreter(elf.endian(), program).context("names no loader where it should")?;
        if let Some(named) = named {
            return Ok(Some(String::from_utf8_lossy(named).into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "../tests/stand_in/elf.rs"]
mod stand_in;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_where_it_runs() {
        let [amd64, arm64] = stand_in::MACHINES;
        let read =
            |bytes: Vec<u8>| Program::read(&bytes).map(Program::target).map_err(|error| error.to_string());
        let glibc = Some("/lib64/ld-linux-x86-64.so.2");
        assert_eq!(read(stand_in::elf(amd64, glibc)), Ok("x86_64-unknown-linux-gnu"));
        assert_eq!(read(stand_in::elf(amd64, None)), Ok("x86_64-unknown-linux-musl"));
        assert_eq!(read(stand_in::elf(arm64, None)), Ok("aarch64-unknown-linux-musl"));
        let glibc = Some("/lib/ld-linux-aarch64.so.1");
        assert_eq!(read(stand_in::elf(arm64, glibc)), Ok("aarch64-unknown-linux-gnu"));
        let musl = read(stand_in::elf(amd64, Some("/lib/ld-musl-x86_64.so.1"))).unwrap_err();
        assert!(musl.contains("/lib/ld-musl-x86_64.so.1") && musl.contains("--target"), "{musl}");
        assert!(read(stand_in::elf(243, None)).unwrap_err().contains("amd64 and arm64"));
        assert!(read(b"peerlight-agent".to_vec()).unwrap_err().contains("no program for Linux"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_program_says_what_it_was_built_for() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let program = Program::read(&this).unwrap();
        assert_eq!(program.target().split('-').next(), Some(std::env::consts::ARCH));
        let library = if cfg!(target_env = "gnu") { Library::Glibc } else { Library::Own };
        assert_eq!(program.library, library);
    }
}
