//! A UDP socket as a datagram port: the same one under all runtimes.

mod overflows;

use core::mem;
use core::net::{IpAddr, SocketAddr};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use quorate_core::Endpoint;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::{Domain, Protocol, Socket, Type};

use crate::endpoint::{address_of, endpoint_of};
use crate::member_loop::RECEIVE_BYTES;
use crate::port::{DatagramPort, Received};
use crate::sender::DATAGRAM_BYTES_MAX;

/// What the kernel is asked to buffer in each direction: a window's worth of bursts. It may give
/// less (`net.core.rmem_max`, `wmem_max`); what does not fit is lost and repaired.
const BUFFER_BYTES: usize = 4 << 20;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind a datagram socket to {address}: {source}; free the port, or change `bind`")]
pub struct SocketError {
    /// Where it should have been bound.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A UDP socket that never waits. Runs of datagrams go to the kernel as one segmented send, and
/// what the kernel has coalesced is received as one; where the kernel, or a network card, can do
/// neither, each datagram has a call of its own.
///
/// A runtime watches its descriptor for datagrams and calls the loop, which calls this.
#[derive(Debug)]
pub struct UdpPort {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Datagrams of a segmented send, at most; the state may have to say less, for good.
    segments_max: usize,
    ahead: Ahead,
}

/// What a receive has found out beyond what it was asked for. One that asks for two and gets one
/// has seen that there is no more: to ask again would cost a call, just before an answer goes out.
#[derive(Debug)]
struct Ahead {
    /// Room for the second; none where the system receives one at a time.
    buffer: Vec<u8>,
    /// The second, to be handed over next.
    received: Option<RecvMeta>,
    /// There was no second, and nobody was told yet.
    is_empty: bool,
}

impl Ahead {
    fn new() -> Self {
        let bytes = if BATCH_SIZE > 1 { RECEIVE_BYTES } else { 0 };
        Self { buffer: vec![0; bytes], received: None, is_empty: false }
    }
}

impl UdpPort {
    /// Binds a socket to `address`, or adopts one that is bound already.
    ///
    /// # Errors
    /// What the system says of it.
    pub fn open(address: SocketAddr, bound: Option<UdpSocket>) -> Result<Self, SocketError> {
        let open = || {
            let socket = match bound {
                Some(socket) => Socket::from(socket),
                None => {
                    let domain = Domain::for_address(address);
                    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
                    socket.bind(&address.into())?;
                    socket
                }
            };
            socket.set_recv_buffer_size(BUFFER_BYTES)?;
            socket.set_send_buffer_size(BUFFER_BYTES)?;
            let socket = UdpSocket::from(socket);
            // Makes the socket non-blocking, too.
            let state = UdpSocketState::new((&socket).into())?;
            allow_fragments(&socket)?;
            Ok(Self { socket, state, segments_max: usize::MAX, ahead: Ahead::new() })
        };
        open().map_err(|source| SocketError { address, source })
    }

    /// Where the socket is bound.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Datagrams that go to the kernel at once now.
    fn segments(&self, datagram_bytes: usize) -> usize {
        let room = DATAGRAM_BYTES_MAX / datagram_bytes;
        self.state.max_gso_segments().min(self.segments_max).min(room).max(1)
    }
}

impl AsFd for UdpPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl DatagramPort for UdpPort {
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        let destination = address_of(to);
        if !can_be_sent_to(destination) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let (size, mut rest, mut sent) = (datagram_bytes.max(1), run, 0);
        let mut whole = true;
        while !rest.is_empty() {
            let segments = if whole { self.segments(size) } else { 1 };
            let (contents, behind) = rest.split_at(rest.len().min(segments.saturating_mul(size)));
            let segmented = contents.len() > size;
            let segment_size = segmented.then_some(size);
            let transmit =
                Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
            match self.state.try_send((&self.socket).into(), &transmit) {
                Ok(()) => {
                    sent += contents.len().div_ceil(size);
                    rest = behind;
                }
                Err(error) if is_for_want_of_room(&error) => break,
                // Neither the kernel nor the card segments on this way, and the state remembers it.
                Err(_) if segmented && self.segments(size) == 1 => {}
                // The path has become too narrow for these: only one by one do they travel in
                // fragments. It may get wider again, so nobody remembers it.
                Err(error) if segmented && is_for_size(&error) => whole = false,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Ahead { buffer: second, received, is_empty } = &mut self.ahead;
        if let Some(meta) = received.take() {
            let (room, bytes) = (buffer.len(), meta.len.min(buffer.len()));
            buffer[..bytes].copy_from_slice(&second[..bytes]);
            return taken(&meta, room.min(second.len())).map(Some);
        }
        if mem::take(is_empty) {
            return Ok(None);
        }
        let (room, mut meta) = (buffer.len(), [RecvMeta::default(); 2]);
        let socket = (&self.socket).into();
        let count = if second.is_empty() {
            self.state.recv(socket, &mut [IoSliceMut::new(buffer)], &mut meta[..1])
        } else {
            let buffers = &mut [IoSliceMut::new(buffer), IoSliceMut::new(second)];
            self.state.recv(socket, buffers, &mut meta)
        };
        match count {
            Ok(2) => *received = Some(meta[1]),
            Ok(_) => *is_empty = !second.is_empty(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        taken(&meta[0], room).map(Some)
    }

    fn overflows(&self) -> Option<u64> {
        overflows::of_socket(&self.socket)
    }
}

/// What was received into `room` bytes.
fn taken(meta: &RecvMeta, room: usize) -> io::Result<Received> {
    if meta.len >= room {
        // It filled the buffer: more of it may have been cut off.
        return Err(ErrorKind::InvalidData.into());
    }
    let source = endpoint_of(meta.addr);
    Ok(Received { source, bytes: meta.len, datagram_bytes: meta.stride })
}

/// Datagrams larger than a link carries travel in fragments, as the system is set up to do it:
/// slices may be configured to be larger than any link's, and paths get narrower at times. Over
/// IPv6 quinn-udp forbids fragments by an option besides: what the link does not carry is refused.
fn allow_fragments(socket: &UdpSocket) -> io::Result<()> {
    // An IPv6 socket may carry IPv4 as well.
    sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    if socket.local_addr()?.is_ipv6() {
        sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
    }
    Ok(())
}

/// Whether the kernel takes datagrams for `address` at all. Clients choose the addresses that they
/// seem to send from; a refusal for such a reason would be taken for one of segmented sends.
fn can_be_sent_to(address: SocketAddr) -> bool {
    let possible = match address.ip() {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_unicast_link_local(),
    };
    possible && address.port() != 0
}

/// Whether a send failed because a segment is larger than the path carries.
fn is_for_size(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error())
}

/// Whether a send failed for want of room, in the socket or behind it.
fn is_for_want_of_room(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    error.kind() == ErrorKind::WouldBlock || code == Some(Errno::NOBUFS.raw_os_error())
}

#[cfg(test)]
mod tests;
