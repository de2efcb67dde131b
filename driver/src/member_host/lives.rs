//! The lives of a member in one process: the first, one more behind each snapshot of another member
//! that was installed, and one when its log has rotted. Socket, service and handles stay.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::mpsc::TryRecvError;

use quorate_archive::{ArchiveError, Scrub};
use quorate_core::{Instant, Member, MemberConfig, Position, Recovered};

use super::{Completions, DATAGRAMS_PER_TURN, MemberHost, Phase};
use crate::archive_ports::{
    ArchivePorts, ArchiveReader, ArchiveSnapshots, ArchiveStore, LogWriter, OpenError,
    open_to_mend, recovery_epoch_of,
};
use crate::archive_storage::{ArchiveStorage, StorageMode};
use crate::belonging::member_config;
use crate::configuration::Configuration;
use crate::doorbell::Doorbell;
use crate::faults::FaultyPort;
use crate::frozen::Frozen;
use crate::host::{ServiceHost, snapshot_of};
use crate::member_handle::{MemberHandle, MemberOptions, RunError, StartMemberError};
use crate::member_loop::MemberLoop;
use crate::mender::Mender;
use crate::port::{Clock, DatagramPort, LogPort, StoragePort, SystemClock};
use crate::recording::Recording;
use crate::service::{Service, ServiceError};
use crate::turn::{Turn, Wake, random_number};
use crate::udp_port::UdpPort;

/// How long a new life waits for the disk to let go of the last one. It has nothing to write; reads
/// may be under way.
const RENEW_TIMEOUT: Duration = Duration::from_secs(30);

type Renewed = Result<Next, StartMemberError>;
type Renew<S, P, L, Q> =
    dyn FnMut(&mut MemberLoop<P, L, Q, S>, Instant, Completions) -> Renewed + Send;

/// What comes behind a life.
pub(super) enum Next {
    /// Another one, which has begun.
    Life,
    /// None, until others have mended the log.
    Mending(Box<Mender>),
}

/// How a member begins anew.
pub(super) struct Renewal<S, P, L, Q>(Box<Renew<S, P, L, Q>>);

impl<S, P, L, Q> fmt::Debug for Renewal<S, P, L, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").finish_non_exhaustive()
    }
}

impl<S: Service + 'static> MemberHost<S> {
    /// Opens the member's data, recovers and binds its socket. `wake` is called only
    /// after a turn that said [`Turn::Wait`], and once for all that is put down until the next.
    ///
    /// A member that installs a snapshot of another begins anew within a turn, which takes as long
    /// as this does: with its socket, its handles, and the same service, which is restored.
    ///
    /// # Errors
    /// [`StartMemberError`]: nothing is open then.
    pub fn start(
        options: MemberOptions,
        mut service: S,
        wake: Wake,
    ) -> Result<(Self, MemberHandle<S>), StartMemberError> {
        let began = std::time::Instant::now();
        let ports = match ArchivePorts::open(&options.configuration, options.bootstrap) {
            // A sector that cannot be read is told at a start: it may be the cable.
            Err(OpenError::Archive(refused @ ArchiveError::Damaged { .. })) => {
                return Self::start_mending(options, refused, service, wake);
            }
            ports => ports?,
        };
        let MemberOptions { configuration, socket, storage, record, .. } = options;
        let ArchivePorts {
            identity,
            recovered,
            writer,
            store,
            reader,
            snapshots,
            scrub,
            service_state,
        } = ports;
        let clock = SystemClock::start();
        let config = member_config(&identity, &configuration, random_number());
        let now = clock.now();
        // Before the recording, which takes a new file each time: not for a port in use.
        let port = UdpPort::open(configuration.bind, socket)?;
        let mut lives = Lives::new(configuration, storage, record, &service);
        lives.count = 1;
        let recording = lives.recording(&config, &recovered, now)?;
        let member = Member::new(config, recovered, now)?;
        if let Some(state) = &service_state {
            let restored = service.restore(state);
            restored.map_err(|reason| refused(&member, reason))?;
            tell_beginning(state, &member, began);
        }
        let address = port.address().unwrap_or(lives.configuration.bind);
        let doorbell = Doorbell::new(wake);
        let (completed, completions) = Completions::new(doorbell.clone());
        let storage = lives.storage((store, reader, snapshots), scrub, completed)?;
        let port = FaultyPort::new(port, lives.configuration.faults);
        let service = ServiceHost::new(service);
        let mut member = MemberLoop::new(member, port, writer, storage, service);
        if let Some(recording) = recording {
            member.record(recording);
        }
        let stop_timeout = lives.configuration.stop_timeout;
        let (mut host, handle) = Self::over(member, clock, completions, doorbell, address);
        host.stop_within(stop_timeout);
        host.renewal =
            Some(Renewal(Box::new(move |ended, now, put| lives.begin_again(ended, now, put))));
        Ok((host, handle))
    }

    /// Starts a member whose archive was `refused`, if others can mend it: its first life begins
    /// when they have.
    fn start_mending(
        options: MemberOptions,
        refused: ArchiveError,
        service: S,
        wake: Wake,
    ) -> Result<(Self, MemberHandle<S>), StartMemberError> {
        let MemberOptions { configuration, socket, storage, record, .. } = options;
        let clock = SystemClock::start();
        let now = clock.now();
        let mut lives = Lives::new(configuration, storage, record, &service);
        let mender = Box::new(lives.mender(refused, now)?);
        let configuration = &lives.configuration;
        let port = UdpPort::open(configuration.bind, socket)?;
        let address = port.address().unwrap_or(configuration.bind);
        let port = FaultyPort::new(port, configuration.faults);
        // Nothing ever happens to this one.
        let recovery_epoch = recovery_epoch_of(configuration);
        let config = configuration.member_config(random_number());
        let config = MemberConfig { recovery_epoch, ..config };
        let member = Member::new(config, Recovered::empty(mender.life()), now)?;
        let doorbell = Doorbell::new(wake);
        let (_, completions) = Completions::new(doorbell.clone());
        let host = ServiceHost::new(service);
        let member = MemberLoop::without_log(member, port, ArchiveStorage::Absent, host);
        let stop_timeout = lives.configuration.stop_timeout;
        let (mut host, handle) = Self::over(member, clock, completions, doorbell, address);
        host.stop_within(stop_timeout);
        host.renewal =
            Some(Renewal(Box::new(move |ended, now, put| lives.begin_again(ended, now, put))));
        host.begin_mending(mender);
        Ok((host, handle))
    }
}

/// What all lives of a member have in common.
#[derive(Debug)]
struct Lives {
    configuration: Configuration,
    storage: StorageMode,
    record: Option<PathBuf>,
    count: u64,
    /// The service's state at the beginning of the log, if it gave it.
    beginning: Option<Frozen>,
    /// Where the log was mended from on, since the last life began.
    mended_at: Option<Position>,
}

impl Lives {
    /// None has begun; `service` has applied nothing.
    fn new(
        configuration: Configuration,
        storage: StorageMode,
        record: Option<PathBuf>,
        service: &impl Service,
    ) -> Self {
        let beginning = snapshot_of(service).ok();
        Self { configuration, storage, record, count: 0, beginning, mended_at: None }
    }

    /// Who mends the archive that was `refused`. What was mended from the same place on before, and
    /// is damaged again, is not mended by that.
    fn mender(&mut self, refused: ArchiveError, now: Instant) -> Result<Mender, OpenError> {
        let mending = open_to_mend(&self.configuration, &refused)?;
        let at = mending.as_ref().and_then(|mending| Some(mending.hole()?.at));
        match mending {
            Some(mending) if at != self.mended_at => {
                self.mended_at = at;
                Ok(Mender::new(mending, &self.configuration, now))
            }
            _ => Err(refused.into()),
        }
    }

    /// Begins another life in place of `ended`, whose archive is closed, unless that has to be
    /// mended before.
    fn begin_again<S: Service>(
        &mut self,
        ended: &mut MemberLoop<UdpPort, LogWriter, ArchiveStorage, S>,
        now: Instant,
        completed: Completions,
    ) -> Renewed {
        let began = std::time::Instant::now();
        let ports = match ArchivePorts::open(&self.configuration, false) {
            Err(OpenError::Archive(refused)) => {
                return Ok(Next::Mending(Box::new(self.mender(refused, now)?)));
            }
            ports => ports?,
        };
        (self.count, self.mended_at) = (self.count + 1, None);
        let ArchivePorts {
            identity,
            recovered,
            writer,
            store,
            reader,
            snapshots,
            scrub,
            service_state,
        } = ports;
        let config = member_config(&identity, &self.configuration, random_number());
        let recording = self.recording(&config, &recovered, now).unwrap_or_else(|error| {
            // The group needs the member more than anybody needs the file.
            tracing::error!(%error, "the new life is not recorded");
            None
        });
        let member = Member::new(config, recovered, now)?;
        let Some(state) = service_state.or_else(|| self.beginning_laid_out()) else {
            let reason = ServiceError("there is no snapshot to restore it from".into());
            return Err(refused(&member, reason));
        };
        tell_beginning(&state, &member, began);
        let position = member.view().applied;
        let storage = self.storage((store, reader, snapshots), scrub, completed)?;
        let restored = ended.begin_again(member, writer, storage, &state);
        restored.map_err(|reason| StartMemberError::Restore { position, reason })?;
        if let Some(recording) = recording {
            ended.record(recording);
        }
        Ok(Next::Life)
    }

    /// The service's state before it had applied anything. From then on it is kept laid out.
    fn beginning_laid_out(&mut self) -> Option<Vec<u8>> {
        let state = self.beginning.take()?.into_bytes().ok()?;
        self.beginning = Some(Frozen::laid_out(state.clone()));
        Some(state)
    }

    fn storage(
        &self,
        (store, reader, snapshots): (ArchiveStore, ArchiveReader, ArchiveSnapshots),
        scrub: Scrub,
        completed: Completions,
    ) -> Result<ArchiveStorage, StartMemberError> {
        let complete = move |completion| completed.put(completion);
        let scrubs = (scrub, self.configuration.scrubbing);
        let snapshots = (snapshots, self.configuration.snapshots);
        let storage =
            ArchiveStorage::start(self.storage, store, reader, snapshots, scrubs, complete);
        storage.map_err(StartMemberError::Thread)
    }

    /// Begins the recording of this life, if there is to be one.
    fn recording(
        &self,
        config: &MemberConfig,
        recovered: &Recovered,
        now: Instant,
    ) -> Result<Option<Recording>, StartMemberError> {
        let Some(file) = &self.record else { return Ok(None) };
        let mut name = file.clone().into_os_string();
        if self.count > 1 {
            name.push(format!(".{}", self.count));
        }
        let file = PathBuf::from(name);
        let recording = Recording::create(&file, config, recovered, now);
        recording.map(Some).map_err(|source| {
            let file = file.display().to_string();
            StartMemberError::Recording { file, source }
        })
    }
}

fn refused(member: &Member, reason: ServiceError) -> StartMemberError {
    StartMemberError::Restore { position: member.view().applied, reason }
}

/// Says what `member` begins with, and what that took since `began`.
fn tell_beginning(state: &[u8], member: &Member, began: std::time::Instant) {
    let view = member.view();
    tracing::info!(
        member = view.life.member.0,
        position = view.applied.0,
        service_bytes = state.len(),
        log_bytes_to_apply = view.verified.since(view.applied),
        milliseconds = began.elapsed().as_millis() as u64,
        "begins with a snapshot"
    );
}

impl<S, P, L, Q, C> MemberHost<S, P, L, Q, C>
where
    S: Service + 'static,
    P: DatagramPort,
    L: LogPort,
    Q: StoragePort<L::Cut>,
    C: Clock,
{
    /// Says how the member begins anew when it has installed a snapshot of another
    /// ([`MemberLoop::begin_again`]); the storage of the new life puts its completions into what is
    /// handed over. It is called when all of the last storage is gone, or has been awaited for
    /// long. A host of ports that was not told ends with [`RunError::MustRestart`].
    pub fn renew_by<F>(&mut self, mut renew: F)
    where
        F: FnMut(&mut MemberLoop<P, L, Q, S>, Instant, Completions) -> Result<(), StartMemberError>
            + Send
            + 'static,
    {
        let renew = move |ended: &mut MemberLoop<P, L, Q, S>, now, put| {
            renew(ended, now, put).map(|()| Next::Life)
        };
        self.renewal = Some(Renewal(Box::new(renew)));
    }

    /// The member is inert; its storage lets go of the directory.
    pub(super) fn end_life(&mut self) -> Turn {
        if self.renewal.is_none() {
            self.report.outcome = Some(Err(RunError::MustRestart));
            return self.close();
        }
        self.member.end_life();
        // A member that fetches does not lead: nobody is handed over to.
        self.transfers.waiting.clear();
        self.changes.waiting.clear();
        let timeout = RENEW_TIMEOUT.as_nanos() as u64;
        self.phase = Phase::Renewing(Instant(self.clock.now().0.saturating_add(timeout)));
        Turn::Again
    }

    /// Waits for the last storage to end, then begins anew.
    pub(super) fn renew(&mut self, until: Instant) -> Turn {
        loop {
            match self.completions.try_recv() {
                Ok(_) => {}
                Err(TryRecvError::Empty) if self.clock.now() < until => {
                    // Whoever sends says it again to the new life.
                    if self.member.discard(DATAGRAMS_PER_TURN) {
                        return Turn::Again;
                    }
                    return Turn::Wait { until: Some(until), worked: false };
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        self.begin_anew()
    }

    /// Begins another life; nobody has the directory open.
    pub(super) fn begin_anew(&mut self) -> Turn {
        let (completed, completions) = Completions::new(self.doorbell.clone());
        self.completions = completions;
        let now = self.clock.now();
        let Some(Renewal(renew)) = &mut self.renewal else {
            return self.close();
        };
        match renew(&mut self.member, now, completed) {
            Ok(Next::Life) => self.phase = Phase::Fresh,
            Ok(Next::Mending(mender)) => self.begin_mending(mender),
            Err(error) => {
                self.report.outcome = Some(Err(RunError::Restart(error)));
                return self.close();
            }
        }
        Turn::Again
    }
}
