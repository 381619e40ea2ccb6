//! From a parsed command to the running collector and back to the terminal.

use super::{
    Connection, Defaults, Operation, Output, ProviderCommand, agent, alert, audit, connect, location,
    operator, provider, registration, report, status, storage, target, token,
};

/// Carries out what the running collector is asked for.
pub async fn execute(
    operation: Operation,
    connection: &Connection,
    defaults: &Defaults,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    // The directory is part of this binary; nobody need be asked.
    if let Operation::Provider(ProviderCommand::Directory(options)) = operation {
        return provider::directory(options, output);
    }
    let client = connect::client(connection, defaults)?;
    match operation {
        Operation::Status(options) => status::run(options, &client, output).await,
        Operation::Storage(options) => storage::run(options, &client, output).await,
        Operation::Report(command) => report::run(command, &client, output).await,
        Operation::Alert(command) => alert::run(command, &client, output).await,
        Operation::Provider(command) => provider::run(command, &client, output).await,
        Operation::Location(command) => location::run(command, &client, output).await,
        Operation::Registration(command) => registration::run(command, &client, output).await,
        Operation::Agent(command) => agent::run(command, &client, output).await,
        Operation::Target(command) => target::run(command, &client, output).await,
        Operation::Token(command) => token::run(command, &client, output).await,
        Operation::Operator(command) => operator::run(command, &client, output).await,
        Operation::Audit(options) => audit::run(options, &client, output).await,
    }
}
