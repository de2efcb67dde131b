//! Three members and a client in one process, over loopback datagrams and real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use core::cell::RefCell;
use core::net::Ipv4Addr;
use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::UdpSocket;

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::{ClientKey, GroupId, Limits, MemberId, Position, RecoveryEpoch, Timing};
use quorate_driver::{Configuration, Context, Faults, Service, ServiceError, endpoint_of};
use quorate_runtime_tokio::{ClientHandle, ClientOptions, MemberHandle, MemberOptions};

/// Keeps all messages.
#[derive(Default)]
struct Keeper(Vec<Vec<u8>>);

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

    fn snapshot(&self, bytes: &mut Vec<u8>) {
        for message in &self.0 {
            bytes.extend_from_slice(&(message.len() as u32).to_le_bytes());
            bytes.extend_from_slice(message);
        }
    }

    fn restore(&mut self, _bytes: &[u8]) -> Result<(), ServiceError> {
        Err(ServiceError("not needed here".into()))
    }
}

struct Group {
    _directory: tempfile::TempDir,
    configurations: Vec<Configuration>,
    sockets: Vec<UdpSocket>,
    faults: Option<Faults>,
}

impl Group {
    fn new(faults: Option<Faults>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bind = |_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sockets: Vec<UdpSocket> = (0..3).map(bind).collect();
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
            faults: faults.map(|faults| Faults { seed: u64::from(id.0), ..faults }),
        };
        let configurations = addresses.iter().map(configure).collect();
        Self { _directory: directory, configurations, sockets, faults }
    }

    fn start(&self, index: usize) -> MemberHandle<Keeper> {
        let mut options = MemberOptions::new(self.configurations[index].clone());
        options.bootstrap = true;
        options.socket = Some(self.sockets[index].try_clone().unwrap());
        MemberHandle::spawn(options, Keeper::default()).unwrap()
    }

    fn client(&self) -> ClientHandle {
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
        ClientHandle::spawn(ClientOptions { config, bind, faults: self.faults }).unwrap()
    }
}

/// The longest that anything here is waited for: far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `outcome`, but not for ever: `status` tells how far it got.
async fn in_time<T>(
    what: &str,
    outcome: impl Future<Output = T>,
    status: impl FnOnce() -> String,
) -> T {
    match tokio::time::timeout(PATIENCE, outcome).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("no {what} within {PATIENCE:?}; last seen: {}", status()),
    }
}

/// Asks again and again until all members have applied `messages`, and stand at one position.
async fn until_level(members: &[MemberHandle<Keeper>], messages: usize) {
    let last = RefCell::new(Vec::new());
    in_time("level members", level(members, messages, &last), || format!("{:?}", last.borrow()))
        .await;
}

/// Of each member: messages, applied, commit, digest.
type Seen = Vec<(usize, Position, Position, u64)>;

async fn level(members: &[MemberHandle<Keeper>], messages: usize, last: &RefCell<Seen>) {
    loop {
        let mut seen = Vec::new();
        for member in members {
            let look = |keeper: &Keeper, status: quorate_driver::MemberStatus| {
                (keeper.0.len(), status.view.applied, status.view.commit, status.digest)
            };
            seen.push(member.inspect(look).await.unwrap());
        }
        let level = seen.iter().all(|one| one.0 == messages && one.1 == one.2 && *one == seen[0]);
        last.replace(seen);
        if level {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn send(client: &ClientHandle, numbers: Range<u32>) {
    let mut pending = Vec::new();
    for number in numbers {
        let payload = number.to_le_bytes().to_vec();
        pending.push((payload.clone(), client.send(payload).await.unwrap()));
    }
    for (payload, reply) in pending {
        let status = || format!("no reply to {payload:?}");
        assert_eq!(in_time("reply", reply, status).await.unwrap().payload, payload);
    }
}

/// Waits for a member that serves: its index.
async fn serving(members: &[MemberHandle<Keeper>]) -> usize {
    let last = RefCell::new(String::new());
    let search = async {
        loop {
            let mut views = Vec::new();
            for member in members {
                views.push(member.status().await.unwrap().view);
            }
            if let Some(leader) = views.iter().position(|view| view.serving) {
                return leader;
            }
            last.replace(format!("{views:?}"));
            tokio::task::yield_now().await;
        }
    };
    in_time("leader", search, || last.borrow().clone()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_apply_every_message_once_in_order() {
    let group = Group::new(None);
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..500).await;
    until_level(&members, 500).await;
    let sent: Vec<Vec<u8>> = (0..500_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    for member in &members {
        assert_eq!(member.inspect(|keeper, _| keeper.0.clone()).await.unwrap(), sent);
    }
    client.close().await.unwrap();
    for member in members {
        member.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_is_followed_by_another_and_comes_back_level() {
    let loss = Faults { loss_percent: 5.0, ..Faults::default() };
    let group = Group::new(Some(loss));
    let mut members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..200).await;
    let leader = serving(&members).await;
    members.remove(leader).shutdown().await.unwrap();
    send(&client, 200..400).await;
    members.push(group.start(leader));
    send(&client, 400..600).await;
    until_level(&members, 600).await;
    client.close().await.unwrap();
    for member in members {
        member.shutdown().await.unwrap();
    }
}
