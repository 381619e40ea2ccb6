//! A fleet as its operator runs it, by the real programs alone: agents enrol themselves by a dropped token, get targets, refuse what
//! is beyond their ceilings, are looked into, retire, and come back on a machine that was set up anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod agent_file;
#[path = "fleet_operation/machines.rs"]
mod machines;

use machines::{AgentMachine, CollectorMachine};

const SITE: &str = "london-1";

#[tokio::test]
async fn targets_that_an_agent_refuses_are_seen_and_one_command_takes_them_back() {
    let collector = CollectorMachine::start().await;
    let token = collector.token(SITE, &["--uses", "2", "--source", "127.0.0.0/8", "--tag", "till"]).await;
    let mut agent = AgentMachine::new();
    agent.drop_token(&token);
    agent.run();
    agent.enrolled().await;
    let target = |name: &'static str, address: &'static str| {
        vec!["target", "add", name, "--address", address, "--probe", "tcp:443", "--tag", "till"]
    };
    collector.does(&target("echo", "127.0.0.1")).await;
    // An agent asks for its targets at its start, and every five minutes.
    agent.restart().await;
    collector
        .until(&["target", "sets"], "an agent that holds the first set", |said| said.holds(1, "1", "0"))
        .await;
    // A busy machine may be listed for that.
    let unhealthy = ["agent", "list", "--unhealthy"];
    assert!(!collector.says(&unhealthy).await.out.contains("refuses"));

    // No network's owner allowed this one.
    collector.does(&[target("elsewhere", "192.0.2.1"), vec!["--staged"]].concat()).await;
    collector.does(&["target", "roll-out", "100%"]).await;
    agent.restart().await;
    let said =
        collector.until(&unhealthy, "an agent to look into", |said| said.out.contains("refuses")).await;
    assert!(
        said.out.contains("refuses target set 2: 192.0.2.1 tcp:443: 192.0.2.1 is not a public unicast"),
        "{said:?}"
    );
    assert!(said.code == 1 && said.notes.contains("1 of the agents should be looked into"), "{said:?}");
    agent.until_status_says("target set 1 in force; target set 2 is REFUSED").await;
    collector.until(&["target", "sets"], "a refusal", |said| said.holds(2, "0", "1")).await;
    let audit = collector.does(&["audit"]).await;
    assert!(audit.contains("target refuse") && audit.contains("target roll-out"), "{audit}");

    collector.does(&["target", "roll-back"]).await;
    agent.restart().await;
    collector.until(&unhealthy, "an end of the refusal", |said| !said.out.contains("refuses")).await;
}

#[tokio::test]
async fn a_machine_is_decommissioned_and_comes_back_as_the_agent_that_it_was() {
    let collector = CollectorMachine::start().await;
    let mut agent = AgentMachine::new();
    agent.drop_token(&collector.token(SITE, &[]).await);
    agent.run();
    agent.enrolled().await;
    let id = agent.identity();
    let running = agent.command(&["decommission"]).await;
    assert!(running.code == 1 && running.notes.contains("stop that one first"), "{running:?}");
    agent.stop().await;
    let told = agent.command(&["decommission", "--abandon"]).await;
    assert!(told.code == 0 && told.out.contains("is retired"), "{told:?}");
    let all = collector.does(&["agent", "list", "--all"]).await;
    assert!(all.contains(&id) && all.contains("by its machine"), "{all}");
    let none = collector.says(&["agent", "list"]).await;
    assert!(none.notes.contains("no agents yet"), "{none:?}");

    // The same machine, set up anew.
    let mut anew = AgentMachine::new();
    anew.drop_token(collector.does(&["agent", "token", &id]).await.trim());
    anew.run();
    anew.enrolled().await;
    assert_eq!(anew.identity(), id);
    let back = |said: &machines::Said| said.out.contains(&id);
    collector.until(&["agent", "list"], "the agent to be back", back).await;
}
