//! A listener with a thread for each core: a connection stays with one of them, so that what a push allocates is freed by the
//! thread that allocated it, and nothing moves from one core's caches to another's.

use super::{Service, accept_until};
use std::{io, net::TcpListener, num::NonZero, thread};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

/// Serves until `shutdown`, then lets open requests finish within [`super::Deadlines::drain`]. Panics if one of the threads
/// did.
pub async fn serve_on_each_core(
    listener: TcpListener,
    service: Service,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = |_core| Builder::new_current_thread().enable_all().build();
    let runtimes = (0..cores).map(runtime).collect::<io::Result<Vec<Runtime>>>()?;
    let handles: Vec<Handle> = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
    // One accepts for all: were each to listen, each connection would wake them all. It is the first of those that serve.
    let listener = {
        let _of_the_first = handles[0].enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    // It ends with this future, and all threads with the first that ends.
    let (accepts, serves) = (shutdown.child_token(), CancellationToken::new());
    let _ends = accepts.clone().drop_guard();
    let mut accepting = Some(Box::pin(accept_until(listener, service, handles, accepts.clone())));
    let mut threads = Vec::with_capacity(cores);
    for (core, runtime) in runtimes.into_iter().enumerate() {
        let (ends, ended) = oneshot::channel::<()>();
        let guards = (ends, accepts.clone().drop_guard());
        let (accepting, serves) = (accepting.take(), serves.clone());
        let thread = thread::Builder::new().name(format!("agents-{core}")).spawn(move || {
            let _guards = guards;
            match accepting {
                Some(accepting) => {
                    let _all_are_done = serves.drop_guard();
                    runtime.block_on(accepting);
                }
                None => runtime.block_on(serves.cancelled()),
            }
        })?;
        threads.push((ended, thread));
    }
    for (ended, thread) in threads {
        // Nothing is sent: the sender goes with the thread, which is joined without waiting then.
        let _gone = ended.await;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    Ok(())
}
