//! Port P2: a run loop in a process of its own, in whatever language, behind standard input and
//! output. SHIM.md is the protocol's text for who writes such a process.
//!
//! ```text
//!   suite                                              shim process
//!   stage ──► ShimNode ── D w Q ─────────────────────► queue
//!                      ── T (now) ───────────────────► the loop does all that is due
//!   edges ◄─ D W S ────────────────────────────────────   sends, asks its disk and its service
//!         ── w s ────────────────────────────────────►    (answers to append and service calls)
//!             ◄── t (wake, stopped, ended) ────────────
//!             ── V ──► ◄── v ──                          its state, for the observers
//! ```

mod body;
mod client;
mod client_body;
mod found;
mod frame;
mod guest;
mod pipe;
mod process;
mod program;
mod raw;
mod subject;
mod transport;
mod view_body;

pub use body::{Began, Begin, EventBody, Hello, OperateBody, TurnDone};
pub use frame::{FRAME_BYTES_MAX, Frame, FrameError};
pub use program::{ShimExit, run_program};
pub use raw::{DiskOutcome, DiskRequest, Reader, ServiceCall, ServiceOutcome};
pub use subject::{Reach, Shim, ShimOptions};
pub use view_body::ViewBody;

/// The version of the protocol.
pub const PROTOCOL: u32 = 1;
/// A shim ends with it when it cannot do what it is asked for, and only then.
pub const EXIT_UNIMPLEMENTED: u8 = 89;
/// A shim ends with it when its own configuration leaves this out.
pub const EXIT_SKIPPED: u8 = 90;

/// What a frame is about.
pub mod opcode {
    /// First of all: who the suite is. → shim
    pub const HELLO: u8 = b'H';
    /// Who the shim is. ← shim
    pub const HELLO_OK: u8 = b'h';
    /// Begin a node's life. → shim
    pub const BEGIN: u8 = b'B';
    /// Forget a node at once. → shim
    pub const KILL: u8 = b'K';
    /// A node has begun or is gone. ← shim
    pub const DONE: u8 = b'k';
    /// Stop a node gracefully. → shim
    pub const QUIT: u8 = b'Q';
    /// Hand a node's leadership over. → shim
    pub const OPERATE: u8 = b'O';
    /// Freeze a node: it does nothing before it goes on. → shim
    pub const FREEZE: u8 = b'Z';
    /// Let a frozen node go on. → shim
    pub const GO_ON: u8 = b'G';
    /// Something that happened in a node, for people. ← shim
    pub const EVENT: u8 = b'E';
    /// A datagram. ↔
    pub const DATAGRAM: u8 = b'D';
    /// Do everything that is due at a time. → shim
    pub const TIME: u8 = b'T';
    /// All that was due is done. ← shim
    pub const TIME_DONE: u8 = b't';
    /// Something for the disk. ← shim
    pub const DISK: u8 = b'W';
    /// What came of it. → shim
    pub const DISK_DONE: u8 = b'w';
    /// A call of the service. ← shim
    pub const SERVICE: u8 = b'S';
    /// What the service did. → shim
    pub const SERVICE_DONE: u8 = b's';
    /// Something for a client that the shim hosts: begin, a message, close. → shim
    pub const CLIENT: u8 = b'C';
    /// What such a client says of its messages and of itself. ← shim
    pub const CLIENT_DONE: u8 = b'c';
    /// What is a node like? → shim
    pub const VIEW: u8 = b'V';
    /// That. ← shim
    pub const VIEW_IS: u8 = b'v';
    /// Something is wrong, in words: the case ends. ↔
    pub const ERROR: u8 = b'X';
}
