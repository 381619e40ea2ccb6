//! ICMP echo over loopback, in both engines and families.

use super::{attribute, ending, latency, only, probe_with, settings, target};
use peerlight_agent::{
    probe::{IcmpEngine, Landing, Launch, Probe as _, ProbeSettings, Prober},
    sample::{Reading, Sample},
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Path},
};
use std::{net::Ipv4Addr, time::Duration};

/// A prober that may send ICMP; none, and says so, where the system forbids it.
fn permitted(test: &str, settings: ProbeSettings) -> Option<Prober> {
    let (prober, _strays) = Prober::open(settings).unwrap();
    match prober.icmp_problem() {
        None => Some(prober),
        Some(problem) => {
            eprintln!("skipped: {test}: {problem}");
            None
        }
    }
}

fn engine(icmp_engine: IcmpEngine) -> ProbeSettings {
    ProbeSettings { icmp_engine, ..settings() }
}

#[tokio::test]
async fn both_engines_get_replies_in_both_families() {
    let native = if cfg!(target_os = "linux") { Clock::Kernel } else { Clock::User };
    for (icmp_engine, clock) in [(IcmpEngine::Native, native), (IcmpEngine::Portable, Clock::User)] {
        let name = "both_engines_get_replies_in_both_families";
        let Some(prober) = permitted(name, engine(icmp_engine)) else { return };
        for (address, family) in [("127.0.0.1", Family::V4), ("::1", Family::V6)] {
            let sample = probe_with(&prober, &target(address, "icmp"), family).await.unwrap();
            let reading = only(&sample);
            assert!(latency(reading) < Duration::from_millis(200), "{sample:?}");
            assert_eq!(reading.clock, clock, "{sample:?}");
        }
    }
}

#[tokio::test]
async fn a_burst_of_probes_gets_every_reply_with_both_stamps() {
    let name = "a_burst_of_probes_gets_every_reply_with_both_stamps";
    let Some(prober) = permitted(name, engine(IcmpEngine::Native)) else { return };
    let targets: Vec<_> = (1..=250).map(|host| target(&format!("127.0.9.{host}"), "icmp")).collect();
    let burst = targets.iter().map(|target| probe_with(&prober, target, Family::V4));
    let samples = futures::future::join_all(burst).await;
    for sample in samples.into_iter().flatten() {
        let reading = only(&sample);
        latency(reading);
        assert_eq!(reading.clock == Clock::Kernel, cfg!(target_os = "linux"), "{sample:?}");
    }
    assert_eq!(prober.dropped_strays(), 0);
}

#[tokio::test]
async fn probes_that_are_launched_together_land_each_once() {
    let name = "probes_that_are_launched_together_land_each_once";
    let Some(prober) = permitted(name, engine(IcmpEngine::Native)) else { return };
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut targets: Vec<_> = (1..=150).map(|host| target(&format!("127.0.8.{host}"), "icmp")).collect();
    targets.push(target("192.0.2.1", "icmp"));
    targets.push(target("127.0.0.1", &format!("udp:{closed}")));
    targets.push(target("::1", "icmp"));
    let (landing, mut landed) = tokio::sync::mpsc::unbounded_channel();
    let due = tokio::time::Instant::now().into_std();
    let launches = targets.iter().enumerate().map(|(number, target)| {
        let landing = landing.clone();
        let landing: Landing = Box::new(move |sample| landing.send((number, sample)).unwrap());
        Launch { target, id: target.id(), family: Family::V4, path: Path::Direct, due, landing }
    });
    let launches = launches.collect();
    drop(landing);
    let prober = std::sync::Arc::new(prober);
    std::sync::Arc::clone(&prober).launch(launches, Duration::from_secs(5));
    let mut samples: Vec<_> = (0..targets.len()).map(|_| None).collect();
    while let Some((number, sample)) = landed.recv().await {
        assert!(samples[number].replace(sample).is_none(), "{number} landed twice");
    }
    let samples: Vec<_> = samples.into_iter().map(Option::unwrap).collect();
    let readings = |number: usize| -> [Reading; 2] {
        let sample: &Sample = samples[number].as_ref().unwrap();
        sample.readings.clone().try_into().unwrap()
    };
    for number in 0..150 {
        let [echo, noise] = readings(number);
        latency(echo);
        assert_eq!((noise.metric, ending(noise)), (Metric::AgentNoise, Ending::Answered));
    }
    assert_eq!(readings(150).map(ending), [Ending::SendFailed; 2], "outside the ceilings");
    assert_eq!(readings(151).map(ending), [Ending::Refused, Ending::Answered], "it left");
    assert!(samples[152].is_none(), "no address of the family");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_sleeps_through_the_answer_still_counts_it_at_the_kernels_time() {
    let name = "a_process_that_sleeps_through_the_answer_still_counts_it_at_the_kernels_time";
    let Some(prober) = permitted(name, engine(IcmpEngine::Native)) else { return };
    let target = target("127.0.0.1", "icmp");
    let sleep = async {
        // Holds this runtime's only thread past the deadline, as a stalled machine does.
        #[expect(clippy::disallowed_methods, reason = "the stall itself is what is tested")]
        let begin = std::time::Instant::now();
        while begin.elapsed() < super::DEADLINE + Duration::from_millis(100) {
            std::hint::spin_loop();
        }
    };
    let (sample, ()) = tokio::join!(probe_with(&prober, &target, Family::V4), sleep);
    let reading = only(&sample.unwrap());
    assert!(latency(reading) < Duration::from_millis(200), "{reading:?}");
}

#[tokio::test]
async fn probes_come_from_the_source_address() {
    let settings =
        ProbeSettings { source_v4: Some(Ipv4Addr::new(127, 7, 8, 9)), ..engine(IcmpEngine::Native) };
    let Some(prober) = permitted("probes_come_from_the_source_address", settings) else { return };
    let sample = probe_with(&prober, &target("127.0.0.1", "icmp"), Family::V4).await.unwrap();
    latency(only(&sample));
}

#[tokio::test]
async fn a_source_that_this_machine_lacks_fails_the_probes_of_its_family_alone() {
    let settings =
        ProbeSettings { source_v4: Some(Ipv4Addr::new(192, 0, 2, 77)), ..engine(IcmpEngine::Native) };
    let name = "a_source_that_this_machine_lacks_fails_the_probes_of_its_family_alone";
    let Some(prober) = permitted(name, settings) else { return };
    let sample = probe_with(&prober, &target("127.0.0.1", "icmp"), Family::V4).await.unwrap();
    assert_eq!(ending(only(&sample)), Ending::SendFailed);
    assert!(
        attribute(&sample, "error").unwrap().starts_with("cannot open an ICMP socket for IPv4"),
        "{sample:?}"
    );
    let sample = probe_with(&prober, &target("::1", "icmp"), Family::V6).await.unwrap();
    latency(only(&sample));
}
