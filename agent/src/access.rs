//! Windows: who may open a directory and what is in it. `ProgramData` lets everybody make files, and lets everybody read them: what
//! is the agent's alone needs an access list of its own.
#![expect(unsafe_code, reason = "access lists are a C interface")]

mod descriptor;
mod sid;

pub(crate) use descriptor::Descriptor;
pub(crate) use sid::{of_this_process, service_sid};

use std::{io, path::Path};

/// The system, and the administrators.
const TRUSTED: [&str; 2] = ["S-1-5-18", "S-1-5-32-544"];

/// The list that lets them do all, and `others` what their entries say.
fn list(others: &[String]) -> String {
    let trusted = TRUSTED.iter().map(|sid| full(sid));
    trusted.chain(others.iter().cloned()).fold("D:P".to_owned(), |list, entry| list + &entry)
}

/// Lets one do all, there and below.
fn full(sid: &str) -> String {
    format!("(A;OICI;FA;;;{sid})")
}

/// Lets one read, there and below.
fn read(sid: &str) -> String {
    format!("(A;OICI;FRFX;;;{sid})")
}

/// Makes `directory` private to its owner, the service of this name, the system and administrators: created with the list if it is
/// not there, so that nobody is faster. A list that is protected from inheritance was made on purpose, and stays.
pub(crate) fn make_private(directory: &Path, service: &str) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let service = full(&service_sid(service));
    let is_new = Descriptor::parse(&list(std::slice::from_ref(&service)))?.create_directory(directory)?;
    let now = Descriptor::of(directory)?;
    if is_new || !now.is_protected()? {
        Descriptor::parse(&list(&[service, full(&now.owner()?)]))?.apply_list(directory)?;
    }
    Ok(())
}

/// Makes `directory` what an installed service keeps its files in: the administrators' and the system's, private to them and the
/// service of this name, or for everybody to read. One that somebody else made before is refused: that one would keep it open.
pub(crate) fn claim(directory: &Path, service: &str, everybody_reads: bool) -> io::Result<()> {
    /// Everybody who has signed in.
    const USERS: &str = "S-1-5-32-545";
    let service = service_sid(service);
    let others = if everybody_reads { vec![read(&service), read(USERS)] } else { vec![full(&service)] };
    let descriptor = Descriptor::parse(&format!("O:BA{}", list(&others)))?;
    if !descriptor.create_directory(directory)? {
        refuse_strangers(directory, &service)?;
        descriptor.apply_owner_and_list(directory)?;
    }
    Ok(())
}

/// What a pipe is made with that the system, the administrators, the service of this name and whoever runs this may open.
pub(crate) fn private_pipe(service: &str) -> io::Result<Descriptor> {
    Descriptor::parse(&list(&[full(&service_sid(service)), full(&of_this_process()?)]))
}

/// Refuses what belongs neither to the system, the administrators, the service with this SID nor whoever runs this.
pub(crate) fn refuse_strangers(path: &Path, service_sid: &str) -> io::Result<()> {
    let owner = match Descriptor::of(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        descriptor => descriptor?.owner()?,
    };
    if TRUSTED.contains(&owner.as_str()) || owner == service_sid || owner == of_this_process()? {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it belongs to {owner}, who is not an administrator and could open the agent's keys; move it away, or look at what is in it \
         and give it to the administrators (takeown /A /R /F \"{}\"), then install again",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_protected_from_what_the_directory_above_it_grants() {
        assert_eq!(
            list(&[read("S-1-5-32-545")]),
            "D:P(A;OICI;FA;;;S-1-5-18)(A;OICI;FA;;;S-1-5-32-544)(A;OICI;FRFX;;;S-1-5-32-545)"
        );
    }

    #[test]
    fn a_private_directory_keeps_what_is_made_in_it_readable_for_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a").join("b");
        make_private(&directory, "PeerlightAgent").unwrap();
        make_private(&directory, "PeerlightAgent").unwrap();
        std::fs::write(directory.join("key"), "secret").unwrap();
        assert_eq!(std::fs::read_to_string(directory.join("key")).unwrap(), "secret");
    }

    #[test]
    fn what_is_ones_own_can_be_claimed_and_what_is_missing_belongs_to_no_stranger() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a");
        refuse_strangers(&directory, "S-1-5-80-1").unwrap();
        claim(&directory, "PeerlightAgent", true).unwrap();
        claim(&directory, "PeerlightAgent", true).unwrap();
        assert!(directory.is_dir());
    }
}
