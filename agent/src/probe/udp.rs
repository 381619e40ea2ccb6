//! UDP echo: one packet to an echo server and back.
//!
//! On Linux all probes of a family share a socket, so that a target sees them come from one port, as the packets of a call
//! do, and routers send them the same way.

#[cfg(any(test, not(target_os = "linux")))]
mod portable;

#[cfg(target_os = "linux")]
pub(crate) use native::Udp;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::probe;

#[cfg(target_os = "linux")]
mod native {
    use crate::probe::{
        echo::Echoes, exchange::Exchange, settings::ProbeSettings, stamped::CLOCK, strays::Strays,
    };
    use peerlight_proto::{measurement::Ending, series::Family};
    use std::sync::OnceLock;

    /// What sends UDP for both families. A socket opens with its first probe.
    #[derive(Default)]
    pub(crate) struct Udp {
        v4: OnceLock<Echoes>,
        v6: OnceLock<Echoes>,
    }

    impl Udp {
        /// The echoes of a family, or how its probes end without them.
        pub(crate) fn echoes(
            &self,
            settings: &ProbeSettings,
            family: Family,
            strays: &Strays,
        ) -> Result<&Echoes, Exchange> {
            let opened = match family {
                Family::V4 => &self.v4,
                Family::V6 => &self.v6,
            };
            if let Some(echoes) = opened.get() {
                return Ok(echoes);
            }
            match Echoes::udp(settings, family, strays) {
                Ok(echoes) => Ok(opened.get_or_init(|| echoes)),
                Err(error) => {
                    let error = format!("cannot send from this machine: {error}");
                    Err(Exchange::failed(CLOCK, Ending::SendFailed, error))
                }
            }
        }
    }
}
