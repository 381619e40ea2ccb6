//! Through a proxy: probes, enrolment, push and assignment, against one that really opens tunnels and ones that do not.

mod collecting;
mod probing;
pub(crate) mod server;

use peerlight_agent::proxy::{Bypass, Proxies};
use server::TestProxy;

/// That proxy for everybody, with these credentials (`user:password@`) if any.
fn through(proxy: &TestProxy, credentials: &str) -> Proxies {
    let proxy = format!("http://{credentials}{}", proxy.address).parse().unwrap();
    Proxies::new(proxy, Bypass::default())
}
