//! Members and their service.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::PathBuf;

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::{ClientKey, Durability, GroupId, Limits, MemberId, RecoveryEpoch, Timing};
use quorate_driver::{
    ClientHandle, ClientOptions, Configuration, Context, Faults, Frozen, MemberHandle,
    MemberOptions, QueryError, STOP_TIMEOUT, Scrubbing, Service, ServiceError, SnapshotWriting,
    StartMemberError, StorageMode, endpoint_of, next_incarnation, rejoin_archive,
};

/// Starts members and clients.
pub(crate) trait Runtime {
    /// Starts a member.
    fn member(&self, options: MemberOptions) -> Result<MemberHandle<Keeper>, StartMemberError>;
    /// Starts a client.
    fn client(&self, options: ClientOptions) -> ClientHandle;
}

/// Keeps all messages.
#[derive(Debug, Default)]
pub(crate) struct Keeper(pub(crate) Vec<Vec<u8>>);

impl Service for Keeper {
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        self.0.push(payload.to_vec());
        reply.extend_from_slice(payload);
        Ok(())
    }

    fn query(&self, request: &[u8], reply: &mut Vec<u8>) -> Result<(), QueryError> {
        match request {
            b"count" => reply.extend_from_slice(&(self.0.len() as u64).to_le_bytes()),
            b"panic" => panic!("a deliberate panic"),
            _ => return Err(QueryError::Unsupported),
        }
        Ok(())
    }

    fn snapshot(&self) -> Frozen {
        let mut bytes = Vec::new();
        for message in &self.0 {
            bytes.extend_from_slice(&(message.len() as u32).to_le_bytes());
            bytes.extend_from_slice(message);
        }
        Frozen::laid_out(bytes)
    }

    fn restore(&mut self, mut bytes: &[u8]) -> Result<(), ServiceError> {
        self.0.clear();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            let message = rest.get(..length);
            self.0.push(message.ok_or_else(|| ServiceError("cut short".into()))?.to_vec());
            bytes = &rest[length..];
        }
        Ok(())
    }
}

/// A member for each runtime, with its port and its directory.
pub(crate) struct Group<'a> {
    pub(crate) runtimes: Vec<&'a dyn Runtime>,
    /// Who waits for the disk, of each member.
    pub(crate) storage: StorageMode,
    /// Of each member; clients fit the default ones.
    pub(crate) limits: Limits,
    /// What it takes in it that a message is committed.
    pub(crate) durability: Durability,
    /// How each reads again what is stored.
    pub(crate) scrubbing: Scrubbing,
    _directory: tempfile::TempDir,
    configurations: Vec<Configuration>,
    sockets: Vec<UdpSocket>,
    faults: Option<Faults>,
}

impl<'a> Group<'a> {
    pub(crate) fn new<const COUNT: usize>(
        runtimes: [&'a dyn Runtime; COUNT],
        faults: Option<Faults>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bind = |_: &_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sockets: Vec<UdpSocket> = runtimes.iter().map(bind).collect();
        let addresses: BTreeMap<_, _> =
            (1..).map(MemberId).zip(sockets.iter().map(|one| one.local_addr().unwrap())).collect();
        let configure = |(id, address): (&MemberId, &_)| Configuration {
            group: GroupId(0x7e57),
            member: *id,
            members: addresses.clone(),
            bind: *address,
            data: directory.path().join(id.to_string()),
            timing: Timing::default(),
            limits: Limits::default(),
            durability: Durability::Durable,
            stop_timeout: STOP_TIMEOUT,
            scrubbing: Scrubbing::default(),
            snapshots: SnapshotWriting::default(),
            faults: faults.map(|faults| Faults { seed: u64::from(id.0), ..faults }),
        };
        let configurations = addresses.iter().map(configure).collect();
        let (runtimes, storage) = (runtimes.to_vec(), StorageMode::Threads);
        Self {
            runtimes,
            storage,
            limits: Limits::default(),
            durability: Durability::Durable,
            scrubbing: Scrubbing::default(),
            _directory: directory,
            configurations,
            sockets,
            faults,
        }
    }

    /// What the member is started with: a new group at its first start, else its old data.
    pub(crate) fn options(&self, index: usize) -> MemberOptions {
        let mut options = MemberOptions::new(self.configurations[index].clone());
        options.configuration.limits = self.limits.clone();
        options.configuration.durability = self.durability;
        options.configuration.scrubbing = self.scrubbing;
        options.bootstrap = true;
        options.socket = Some(self.sockets[index].try_clone().unwrap());
        options.storage = self.storage;
        options
    }

    /// The first file of a member's log.
    pub(crate) fn segment(&self, index: usize) -> PathBuf {
        self.configurations[index].data.join("log/0000000000000000.segment")
    }

    /// The newest snapshot of a member: its file.
    pub(crate) fn newest_snapshot(&self, index: usize) -> PathBuf {
        let directory = self.configurations[index].data.join("snapshots");
        let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files.max().unwrap()
    }

    /// A stopped member loses its directory, and gets a new one.
    pub(crate) fn wipe(&self, index: usize) {
        let configuration = &self.configurations[index];
        std::fs::remove_dir_all(&configuration.data).unwrap();
        rejoin_archive(configuration, next_incarnation()).unwrap();
    }

    pub(crate) fn start(&self, index: usize) -> MemberHandle<Keeper> {
        self.start_under(index, self.runtimes[index])
    }

    pub(crate) fn start_under(&self, index: usize, runtime: &dyn Runtime) -> MemberHandle<Keeper> {
        runtime.member(self.options(index)).unwrap()
    }

    /// A client, under the first runtime.
    pub(crate) fn client(&self) -> ClientHandle {
        let members = &self.configurations[0].members;
        let config = ClientConfig {
            group: self.configurations[0].group,
            recovery_epoch: RecoveryEpoch(0),
            key: ClientKey(0),
            members: members.iter().map(|(id, at)| (*id, endpoint_of(*at))).collect(),
            seed: 0,
            timing: ClientTiming::default(),
            limits: ClientLimits::default(),
        };
        let bind = Some((Ipv4Addr::LOCALHOST, 0).into());
        self.runtimes[0].client(ClientOptions { config, bind, faults: self.faults })
    }
}
