//! What is proved: the seam between the suite and a member's run loop.

use quorate_core::client::ClientConfig;
use quorate_core::{
    Counters, GroupTag, Instant, Member, MemberConfig, Membership, Position, TermHistory, View,
};

use crate::client_node::ClientNode;
use crate::edges::Edges;

/// Something that can run a member on the suite's edges.
///
/// An implementation owns its run loop, its threads and its runtime. What it must take from the
/// suite are the edges: the socket, the clock, the log, the storage and the service of [`Edges`],
/// which are ports of [`quorate_driver`].
pub trait Subject {
    /// Who it is and what it can do.
    fn describe(&self) -> Description;

    /// Starts one life of a member. The disk lies in `edges`: recover from [`Edges::recovered`].
    ///
    /// # Errors
    /// The member cannot start; it stays down, and the case sees why.
    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError>;

    /// A client of the subject's own, which connects by itself. `None` if it has none
    /// ([`Feature::Clients`]): the suite's clients, the core's own, take their place.
    ///
    /// Its datagrams are those of `quorate-codecs`, whatever [`Subject::wording`] says.
    ///
    /// # Errors
    /// Within: it has clients, and this one does not begin.
    fn client(
        &self,
        config: &ClientConfig,
        now: Instant,
    ) -> Option<Result<Box<dyn ClientNode>, SpawnError>> {
        let _ = (config, now);
        None
    }

    /// How its datagrams are written, if not as `quorate-codecs` writes them. The suite's network,
    /// clients and observers speak that; between them and a member everything is translated.
    fn wording(&self) -> Option<Wording> {
        None
    }
}

/// The datagrams of a subject that has a codec of its own. What a function cannot read is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Wording {
    /// What the subject would write for a datagram of `quorate-codecs` in this group.
    pub write: fn(&[u8], GroupTag) -> Option<Vec<u8>>,
    /// What `quorate-codecs` would write for a datagram of the subject in this group.
    pub read: fn(&[u8], GroupTag) -> Option<Vec<u8>>,
}

/// A member's life under a subject. Dropped, it ends as a killed process does: nothing of it may
/// touch its edges any more.
pub trait Node {
    /// Takes in all that lies at its edges, serves what is due at [`Edges::now`], flushes, and
    /// returns when nothing more can be done before something happens or time passes.
    fn turn(&mut self) -> Turned;

    /// The member as it is now.
    fn view(&mut self) -> NodeView;

    /// Time stands still for the member: no turn comes before [`Node::resume`]. For loops with
    /// threads of their own that have to be held.
    fn pause(&mut self) {}

    /// Time goes on behind [`Node::pause`].
    fn resume(&mut self) {}

    /// Whether the subject can say what its member looks like inside. Without it the observers see
    /// only its edges.
    fn is_transparent(&self) -> bool {
        true
    }
}

/// How a turn ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Turned {
    /// When to turn again if nothing happens.
    pub wake: Option<Instant>,
    /// Why the member went inert, if it did.
    pub stopped: Option<String>,
    /// The member was asked to stop, has finished what it had begun, and is gone.
    pub ended: bool,
    /// The member has installed a snapshot of another: its life is over, and one has to begin on
    /// what its disk has now.
    pub restarts: bool,
    /// What happened within, in words: they become part of the story.
    pub notes: Vec<String>,
    /// What came of transfers of leadership that the operator asked for.
    pub handed_over: Vec<HandedOver>,
    /// What came of changes of the membership that the operator asked for.
    pub changed: Vec<Changed>,
    /// What the run loop did that none may do, such as to overlook a datagram: the case fails.
    pub fault: Option<String>,
}

/// What came of a transfer of leadership that the operator asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct HandedOver {
    /// The number of the request.
    pub request: u64,
    /// Who leads now, if it came about.
    pub leader: Option<u16>,
    /// Why it did not, by the core's stable name for it ([`quorate_core::TransferRefusal::name`]).
    pub refused: Option<String>,
}

impl HandedOver {
    pub(crate) fn refused(request: u64, reason: &str) -> Self {
        Self { request, leader: None, refused: Some(reason.into()) }
    }
}

/// What came of a change of the membership that the operator asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// The number of the request.
    pub request: u64,
    /// Where the last frame of the change ends, which is committed; or why there is none, by the
    /// core's stable name for it ([`quorate_core::ChangeRefusal::name`]).
    pub outcome: Result<Position, String>,
}

/// Whom a member takes for members of the group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MembersView {
    /// The end of the frame that says so; zero for those of the formation.
    pub position: Position,
    /// Who they are.
    pub membership: Membership,
    /// Who they would be if that frame was cut; nothing once it is known to be committed.
    pub former: Option<(Position, Membership)>,
    /// Since when it knows that it is none itself any more.
    pub removed_at: Option<Position>,
}

impl MembersView {
    /// As a member of the core says.
    #[must_use]
    pub fn of(member: &Member) -> Self {
        let former = member.former_membership();
        Self {
            position: member.membership_position(),
            membership: member.membership().clone(),
            former: former.map(|(position, membership)| (position, membership.clone())),
            removed_at: member.removed_at(),
        }
    }
}

/// What a subject is told of a member that it is to run.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// The member's configuration, with addresses and a seed.
    pub config: MemberConfig,
}

/// A member seen from outside.
#[derive(Clone, Debug, Default)]
pub struct NodeView {
    /// Role, term and positions.
    pub view: View,
    /// Its adopted term history.
    pub history: TermHistory,
    /// What it has counted.
    pub counters: Counters,
    /// The hash of its replicated state.
    pub replicated: u64,
    /// Whom it takes for members, if it says so: [`Feature::Members`].
    pub members: Option<MembersView>,
}

/// Who a subject is and what it can do.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
pub struct Description {
    /// A short name, as in `--subject`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is, in one sentence.
    pub about: String,
    /// What it can do beside running members.
    pub features: Vec<Feature>,
    /// Groups of cases that it claims to keep, such as `EL`: within these nothing may be
    /// unimplemented.
    #[serde(default)]
    pub claims: Vec<String>,
}

/// Something that not every subject can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// The suite can let the member's storage fail and stall.
    VirtualDisk,
    /// It takes datagrams from the suite's socket, and sees its errors.
    Sockets,
    /// The member stops on request, and says when it is done.
    GracefulStop,
    /// The member hands its leadership over on request, and says what came of it.
    Transfer,
    /// The member changes who is a member on request, says what came of it, and shows whom it takes
    /// for members.
    Members,
    /// It wants to be told when a node is paused, and when it goes on.
    Freeze,
    /// It has clients of its own, which take the place of the suite's.
    Clients,
    /// The member takes snapshots, and begins with the newest that is whole.
    Snapshots,
    /// The member's log is purged behind snapshots.
    Purging,
    /// The loop runs on a thread or runtime of its own.
    OwnThread,
}

/// A member could not start.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpawnError {
    /// Why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The subject itself broke, whatever the member: the case fails.
    #[error("{0}")]
    Broken(String),
    /// Its own configuration leaves out what the case needs: the case is not applicable to it.
    #[error("{0}")]
    LeftOut(String),
    /// The subject does not do yet what the case needs.
    #[error("{0}")]
    Unimplemented(String),
}
