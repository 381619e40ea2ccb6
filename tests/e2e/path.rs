//! The `path` command along a real path of four network namespaces, over which the kernel forwards: this machine, a router
//! that answers, one that never does, and the target.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, helpers of tests too")]

use futures::TryStreamExt as _;
use ipnet::IpNet;
use nix::sys::socket::{SetSockOpt as _, sockopt};
use peerlight_agent::{
    paths::StateDir,
    status::{Status, ask},
};
use peerlight_lab::{
    eventually::{Look, eventually},
    network::namespace::Namespace,
};
use rtnetlink::{
    Handle, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::address::{AddressAttribute, AddressFlags},
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write as _,
    net::{IpAddr, TcpListener, UdpSocket},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// An account without any privilege.
const NOBODY: u32 = 65_534;
const PING_GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";
const TARGET_V4: &str = "10.77.3.2";
const TARGET_V6: &str = "fd77:3::2";
/// The nodes' settings: forward, and use addresses at once. What a family that is absent lacks cannot be set.
const SETTINGS: [(&str, &str); 5] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
];
/// A router that answers one expired packet in a thousand seconds, and has not rested for so long, answers none.
const SILENT: &str = "1000000";

/// The path: machine, first router, silent router, target.
struct Nodes {
    all: [Namespace; 4],
    v6: bool,
    /// As long as a socket asks for stamps, what comes in is stamped.
    _stamping: UdpSocket,
}

impl Nodes {
    /// None without the right to make namespaces.
    fn create() -> Option<Self> {
        let all = [
            Namespace::create().ok()?,
            Namespace::create().ok()?,
            Namespace::create().ok()?,
            Namespace::create().ok()?,
        ];
        let stamping = UdpSocket::bind("127.0.0.1:0").unwrap();
        sockopt::ReceiveTimestampns.set(&stamping, &true).unwrap();
        let v6 = Path::new("/proc/net/if_inet6").exists();
        let nodes = Self { all, v6, _stamping: stamping };
        for (number, node) in nodes.all.iter().enumerate() {
            within(node, || {
                for (name, value) in SETTINGS {
                    set(name, value, nodes.v6);
                }
                let limit = if number == 2 { SILENT } else { "0" };
                set("ipv4/icmp_ratelimit", limit, nodes.v6);
                set("ipv6/icmp/ratelimit", limit, nodes.v6);
            });
            netlink(node, async |handle| up(&handle, "lo").await);
        }
        for (link, pair) in (1..).zip(nodes.all.windows(2)) {
            nodes.link(link, &pair[0], &pair[1]);
        }
        for (node, to, via) in [
            (0, "10.77.0.0/16", "10.77.1.2"),
            (1, "10.77.3.0/24", "10.77.2.2"),
            (2, "10.77.1.0/24", "10.77.2.1"),
            (3, "10.77.0.0/16", "10.77.3.1"),
            (0, "fd77::/16", "fd77:1::2"),
            (1, "fd77:3::/64", "fd77:2::2"),
            (2, "fd77:1::/64", "fd77:2::1"),
            (3, "fd77::/16", "fd77:3::1"),
        ] {
            nodes.route(node, to.parse().unwrap(), via.parse().unwrap());
        }
        Some(nodes)
    }

    /// Joins two nodes by the network of this number: the nearer one has address 1 there, the farther one 2.
    fn link(&self, number: u8, near: &Namespace, far: &Namespace) {
        let (near_end, far_end) = (format!("near{number}"), format!("far{number}"));
        let far_descriptor = within(far, || File::open("/proc/thread-self/ns/net").unwrap());
        netlink(near, async |handle| {
            handle.link().add(LinkVeth::new(&near_end, &far_end).build()).execute().await.unwrap();
            let far_index = index(&handle, &far_end).await;
            let moved = LinkUnspec::new_with_index(far_index).setns_by_fd(far_descriptor.as_raw_fd());
            handle.link().change(moved.build()).execute().await.unwrap();
        });
        for (node, end, host) in [(near, near_end, 1), (far, far_end, 2)] {
            let mut addresses: Vec<IpNet> = vec![format!("10.77.{number}.{host}/24").parse().unwrap()];
            if self.v6 {
                addresses.push(format!("fd77:{number}::{host}/64").parse().unwrap());
            }
            netlink(node, async |handle| {
                up(&handle, &end).await;
                let device = index(&handle, &end).await;
                for address in &addresses {
                    let mut request = handle.address().add(device, address.addr(), address.prefix_len());
                    request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
                    request.execute().await.unwrap();
                }
            });
        }
    }

    fn route(&self, node: usize, to: IpNet, via: IpAddr) {
        if via.is_ipv6() && !self.v6 {
            return;
        }
        netlink(&self.all[node], async |handle| {
            let route = RouteMessageBuilder::<IpAddr>::new()
                .destination_prefix(to.network(), to.prefix_len())
                .unwrap()
                .gateway(via)
                .unwrap()
                .build();
            handle.route().add(route).execute().await.unwrap();
        });
    }

    /// Traces from the first node.
    fn trace(&self, uid: u32, arguments: &str) -> Output {
        within(&self.all[0], || {
            Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
                .args("path --count 2 --interval 50ms --format json".split_whitespace())
                .args(arguments.split_whitespace())
                .uid(uid)
                .gid(uid)
                .output()
                .unwrap()
        })
    }

    /// Traces until the kernel stamps what comes in: it begins some time after the first socket has asked for it.
    fn await_stamps(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while clocks(&self.trace(NOBODY, "10.77.1.2 --max-hops 1")) != ["kernel"] {
            assert!(Instant::now() < deadline, "the kernel does not stamp what comes in");
        }
    }

    /// Who may open ICMP sockets at the first node.
    fn open_ping_sockets(&self, groups: &str) {
        within(&self.all[0], || fs::write(PING_GROUPS, groups).unwrap());
    }
}

fn within<T: Send>(node: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    node.within(|| Ok(work())).unwrap()
}

fn set(name: &str, value: &str, v6: bool) {
    if v6 || !name.starts_with("ipv6") {
        fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
    }
}

fn netlink(node: &Namespace, work: impl AsyncFnOnce(Handle) + Send) {
    within(node, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            work(handle).await;
        });
    });
}

async fn index(handle: &Handle, name: &str) -> u32 {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    links.try_next().await.unwrap().unwrap().header.index
}

async fn up(handle: &Handle, name: &str) {
    let link = index(handle, name).await;
    handle.link().change(LinkUnspec::new_with_index(link).up().build()).execute().await.unwrap();
}

/// One line for each hop: who answered, how often, and what.
fn hops(output: &Output) -> Vec<String> {
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    hops_of(&document)
}

fn hops_of(document: &Value) -> Vec<String> {
    let line = |hop: &Value| {
        let from = hop["addresses"][0]["address"].as_str().unwrap_or("*");
        format!("{} {from} {}/{} {}", hop["hop"], hop["answered"], hop["sent"], hop["says"])
    };
    document["hops"].as_array().unwrap().iter().map(line).collect()
}

/// The clocks of the hops that answered.
fn clocks(output: &Output) -> Vec<String> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let hops = document["hops"].as_array().unwrap().iter();
    hops.filter_map(|hop| hop["clock"].as_str().map(str::to_owned)).collect()
}

fn expected(first: &str, target: &str, says: &str) -> Vec<String> {
    vec![
        format!("1 {first} 2/2 [\"time exceeded\"]"),
        "2 * 0/2 []".to_owned(),
        format!("3 {target} 2/2 [\"{says}\"]"),
    ]
}

#[test]
fn every_method_finds_the_path_past_a_silent_router_without_a_privilege() {
    let Some(nodes) = Nodes::create() else {
        writeln!(std::io::stderr(), "SKIPPED: only root can make network namespaces").unwrap();
        return;
    };
    nodes.open_ping_sockets("0 2147483647");
    nodes.await_stamps();
    let listener =
        within(&nodes.all[3], || TcpListener::bind("[::]:80").or_else(|_v4| TcpListener::bind("0.0.0.0:80")));
    let _listener = listener.unwrap();
    let mut ends = vec![("10.77.1.2", TARGET_V4)];
    if nodes.v6 {
        ends.push(("fd77:1::2", TARGET_V6));
    } else {
        writeln!(std::io::stderr(), "SKIPPED: IPv6, which this kernel does not have").unwrap();
    }
    for (first, target) in ends {
        for (arguments, says, clock) in [
            (target.to_owned(), "reached", "kernel"),
            (format!("udp://{target}"), "reached, refused", "kernel"),
            (format!("tcp://[{target}]:80"), "reached", "user"),
            (format!("tcp://[{target}]:81"), "reached, refused", "user"),
        ] {
            let output = nodes.trace(NOBODY, &arguments);
            assert_eq!(hops(&output), expected(first, target, says), "{arguments}");
            assert_eq!(clocks(&output), [clock, clock], "{arguments}");
            assert!(output.status.success(), "{arguments}");
        }
    }
}

#[test]
fn icmp_needs_what_probes_need_and_says_so() {
    let Some(nodes) = Nodes::create() else {
        writeln!(std::io::stderr(), "SKIPPED: only root can make network namespaces").unwrap();
        return;
    };
    nodes.open_ping_sockets("1 0");
    let denied = nodes.trace(NOBODY, TARGET_V4);
    let said = String::from_utf8_lossy(&denied.stderr);
    assert!(said.contains("net.ipv4.ping_group_range") && !denied.status.success(), "{said}");
    let privileged = nodes.trace(0, TARGET_V4);
    assert_eq!(hops(&privileged), expected("10.77.1.2", TARGET_V4, "reached"));
    if nodes.v6 {
        let privileged = nodes.trace(0, TARGET_V6);
        assert_eq!(hops(&privileged), expected("fd77:1::2", TARGET_V6, "reached"));
    }
}

#[test]
fn a_path_that_ends_early_says_where() {
    let Some(nodes) = Nodes::create() else {
        writeln!(std::io::stderr(), "SKIPPED: only root can make network namespaces").unwrap();
        return;
    };
    // The first router knows no way there, and says so.
    let nowhere = nodes.trace(NOBODY, "udp://10.77.200.1 --max-hops 2 --timeout 500ms");
    assert_eq!(hops(&nowhere), ["1 10.77.1.2 2/2 [\"no route\"]"]);
    assert_eq!(nowhere.status.code(), Some(1));
    // Nobody has this address: the silent router asks for it in vain.
    let absent = nodes.trace(NOBODY, "tcp://10.77.3.9:80 --max-hops 4 --timeout 500ms");
    assert_eq!(hops(&absent), ["1 10.77.1.2 2/2 [\"time exceeded\"]"]);
    assert_eq!(absent.status.code(), Some(1));
}

/// An agent that runs at the first node until this is dropped.
struct Agent {
    process: Child,
    directory: tempfile::TempDir,
}

impl Agent {
    fn start(nodes: &Nodes, settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (config, state) = (directory.path().join("agent.toml"), directory.path().join("state"));
        fs::write(&config, format!("state = '{}'\n{settings}", state.display())).unwrap();
        let process = within(&nodes.all[0], || {
            Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
                .args(["run", "--config"])
                .arg(&config)
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        Self { process, directory }
    }

    async fn status(&self) -> Option<Status> {
        ask(&StateDir::new(self.directory.path().join("state"))).await.ok()
    }

    /// What triggered each capture and its hops, once there are `count` of them.
    fn captures(&self, count: usize) -> Vec<(Value, Vec<String>)> {
        let state = self.directory.path().join("state");
        let look = async || {
            let shown = Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
                .args(["path", "--captured", "--format", "json", "--state-dir"])
                .arg(&state)
                .output()
                .unwrap();
            let captures: Vec<Value> = serde_json::from_slice(&shown.stdout).unwrap();
            if captures.len() >= count {
                Look::Holds(captures)
            } else {
                Look::NotYet(format!("{captures:?}"))
            }
        };
        let captures = await_look(&format!("capture {count}"), look);
        captures.iter().map(|capture| (capture["trigger"].clone(), hops_of(&capture["path"]))).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn await_look<T>(what: &str, look: impl AsyncFnMut() -> Look<T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(eventually(what, Duration::from_mins(1), look)).unwrap()
}

#[test]
fn a_running_agent_captures_the_path_to_a_target_that_turns_bad_and_when_it_is_good_again() {
    let Some(nodes) = Nodes::create() else {
        writeln!(std::io::stderr(), "SKIPPED: only root can make network namespaces").unwrap();
        return;
    };
    let agent = Agent::start(
        &nodes,
        &format!(
            r#"
            [[target]]
            name = "far"
            address = "{TARGET_V4}"
            probes = ["icmp"]
            interval = "100ms"
            [[target]]
            name = "never-there"
            address = "10.77.3.9"
            probes = ["icmp"]
            interval = "100ms"
            [probing]
            timeout = "300ms"
            deadline = "500ms"
            families = ["v4"]
            interval = "1s"
            [limits]
            allow = ["10.77.0.0/16"]
            "#
        ),
    );
    let forward = |on: &str| within(&nodes.all[2], || set("ipv4/ip_forward", on, nodes.v6));
    await_look("the first turns", async || match agent.status().await {
        Some(status) if status.measuring.turns >= 40 => Look::Holds(()),
        status => Look::NotYet(format!("{status:?}")),
    });
    forward("0");
    let bad = agent.captures(1);
    let lost = serde_json::json!({ "kind": "lost", "probes": 3 });
    assert_eq!(bad, [(lost.clone(), vec!["1 10.77.1.2 3/3 [\"time exceeded\"]".to_owned()])]);
    forward("1");
    let path = ["1 10.77.1.2 3/3 [\"time exceeded\"]", "2 * 0/3 []", "3 10.77.3.2 3/3 [\"reached\"]"];
    let recovered = (serde_json::json!({ "kind": "recovered" }), path.map(str::to_owned).to_vec());
    assert_eq!(agent.captures(2), [bad[0].clone(), recovered]);
    let captured = await_look("the status of it", async || match agent.status().await.unwrap().captured {
        Some(captured) if captured.count == 2 => Look::Holds(captured),
        captured => Look::NotYet(format!("{captured:?}")),
    });
    assert_eq!(captured.latest, "far over IPv4: good again");
}
