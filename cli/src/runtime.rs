//! What a member, a client or a replay runs on.

use std::io::Read;

use clap::ValueEnum;
use quorate_driver::recording::{RecordingError, RecordingReader, ReplayHandle, ReplayHost};
use quorate_driver::{
    ClientHandle, ClientOptions, MemberHandle, MemberOptions, Service, StartClientError,
    StartMemberError,
};
use quorate_runtime_mio::ThreadOptions;

/// A runtime: all are alike but for how they wait.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Runtime {
    /// A task of tokio
    #[default]
    Tokio,
    /// A thread of its own, with mio
    Mio,
    /// A task of async-std, which is discontinued
    AsyncStd,
}

impl Runtime {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Tokio, Self::Mio, Self::AsyncStd];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Mio => "mio",
            Self::AsyncStd => "async-std",
        }
    }

    /// Starts a member. Of the other runtimes' threads nobody here decides.
    pub(crate) fn spawn_member<S: Service + Send + 'static>(
        self,
        options: MemberOptions,
        service: S,
        thread: ThreadOptions,
    ) -> Result<MemberHandle<S>, StartMemberError> {
        match self {
            Self::Tokio => quorate_runtime_tokio::spawn_member(options, service),
            Self::Mio => quorate_runtime_mio::spawn_member(options, service, thread),
            Self::AsyncStd => quorate_runtime_async_std::spawn_member(options, service),
        }
    }

    /// Starts a client.
    pub(crate) fn spawn_client(
        self,
        options: ClientOptions,
    ) -> Result<ClientHandle, StartClientError> {
        match self {
            Self::Tokio => quorate_runtime_tokio::spawn_client(options),
            Self::Mio => quorate_runtime_mio::spawn_client(options, ThreadOptions::default()),
            Self::AsyncStd => quorate_runtime_async_std::spawn_client(options),
        }
    }

    /// Starts a replay.
    pub(crate) fn spawn_replay<R: Read + Send + 'static>(
        self,
        recording: RecordingReader<R>,
    ) -> Result<ReplayHandle, RecordingError> {
        match self {
            Self::Tokio => {
                quorate_runtime_tokio::spawn_host(|wake| ReplayHost::start(recording, wake))
            }
            Self::Mio => quorate_runtime_mio::spawn_host(ThreadOptions::default(), |wake| {
                ReplayHost::start(recording, wake)
            }),
            Self::AsyncStd => {
                quorate_runtime_async_std::spawn_host(|wake| ReplayHost::start(recording, wake))
            }
        }
    }
}
