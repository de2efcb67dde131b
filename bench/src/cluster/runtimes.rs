//! A member under each runtime.

use core::error::Error;

use quorate_driver::{MemberHandle, MemberOptions, MemberStatus, Service};
use quorate_runtime_mio::ThreadOptions;

use super::options::{Idle, Runtime};

/// Turns without work that a member that backs off takes at once, before it offers its processor
/// to others as often; then it blocks.
const BACKOFF_TURNS: u32 = 100;

/// Runs a member until `answer` returns, and tells how it was then.
///
/// # Errors
/// It did not start, or did not end well, or the runtime does not know that kind of idleness.
pub(super) fn run_member<S: Service + Send + 'static>(
    runtime: Runtime,
    idle: Idle,
    options: MemberOptions,
    service: S,
    answer: impl FnOnce(&MemberHandle<S>) + Send + 'static,
) -> Result<MemberStatus, Box<dyn Error>> {
    match (runtime, idle) {
        (Runtime::Mio, idle) => {
            let thread = ThreadOptions { idle: idle_of(idle), ..ThreadOptions::default() };
            let spawned = quorate_runtime_mio::spawn_member(options, service, thread);
            finish(spawned?, answer)
        }
        (Runtime::Tokio, Idle::Block) => on_tokio(options, service, answer),
        (Runtime::AsyncStd, Idle::Block) => {
            let spawned = quorate_runtime_async_std::spawn_member(options, service);
            finish(spawned?, answer)
        }
        (runtime, idle) => Err(format!("`{idle}` is not to be had under `{runtime}`").into()),
    }
}

const fn idle_of(idle: Idle) -> quorate_runtime_mio::Idle {
    match idle {
        Idle::Block => quorate_runtime_mio::Idle::Block,
        Idle::Spin => quorate_runtime_mio::Idle::Spin,
        Idle::Backoff => {
            quorate_runtime_mio::Idle::Backoff { spins: BACKOFF_TURNS, yields: BACKOFF_TURNS }
        }
    }
}

fn finish<S: Service + Send + 'static>(
    member: MemberHandle<S>,
    answer: impl FnOnce(&MemberHandle<S>),
) -> Result<MemberStatus, Box<dyn Error>> {
    answer(&member);
    let status = member.blocking_status();
    // If it has ended by itself, this says why.
    member.blocking_shutdown()?;
    Ok(status?)
}

fn on_tokio<S: Service + Send + 'static>(
    options: MemberOptions,
    service: S,
    answer: impl FnOnce(&MemberHandle<S>) + Send + 'static,
) -> Result<MemberStatus, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let member = quorate_runtime_tokio::spawn_member(options, service)?;
        let answering = tokio::task::spawn_blocking(move || {
            answer(&member);
            member
        });
        let member = answering.await?;
        let status = member.status().await;
        member.shutdown().await?;
        Ok(status?)
    })
}
