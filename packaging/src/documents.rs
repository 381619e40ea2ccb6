//! What is made of a program's command line: manual pages and shell completions.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;

/// A text with its place below `/usr/share`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its place.
    pub path: String,
    /// The text.
    pub text: Vec<u8>,
}

/// Where each shell looks for the completions of a program. On Debian zsh looks elsewhere.
const COMPLETIONS: [(Shell, &str, &str); 4] = [
    (Shell::Bash, "bash-completion/completions/", ""),
    (Shell::Fish, "fish/vendor_completions.d/", ".fish"),
    (Shell::Zsh, "zsh/site-functions/_", ""),
    (Shell::Zsh, "zsh/vendor-completions/_", ""),
];

/// A manual page for the program and for each of its commands.
pub fn manual(program: &Command) -> io::Result<Vec<Document>> {
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add_pages(&program, &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &Command, pages: &mut Vec<Document>) -> io::Result<()> {
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push(Document { path: format!("man/man1/{}", page.get_filename()), text });
    command.get_subcommands().try_for_each(|command| add_pages(command, pages))
}

/// The completions of each shell.
pub fn completions(program: &Command) -> Vec<Document> {
    let name = program.get_name();
    let completion = |(shell, directory, extension): &(Shell, &str, &str)| {
        let mut text = Vec::new();
        clap_complete::generate(*shell, &mut program.clone(), name, &mut text);
        Document { path: format!("{directory}{name}{extension}"), text }
    };
    COMPLETIONS.iter().map(completion).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_has_a_page_that_names_its_options() {
        let programs = [peerlight_agent::cli::Cli::command(), peerlight_collector::cli::Cli::command()];
        let [agent, collector] = programs.map(|program| manual(&program).unwrap());
        let paths: BTreeSet<&str> = agent.iter().chain(&collector).map(|page| page.path.as_str()).collect();
        assert_eq!(paths.len(), agent.len() + collector.len(), "no page twice");
        for page in [
            "peerlight-agent.1",
            "peerlight-agent-catalogue-update.1",
            "peerlight-collector-registration-add.1",
        ] {
            assert!(paths.contains(format!("man/man1/{page}").as_str()), "{page} of {paths:?}");
        }
        let enrol = agent.iter().find(|page| page.path.ends_with("/peerlight-agent-enrol.1")).unwrap();
        let text = String::from_utf8(enrol.text.clone()).unwrap();
        assert!(text.contains(r"\-\-token\-file") && text.contains("PEERLIGHT_TOKEN"), "{text}");
    }
}
