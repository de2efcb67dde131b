//! A UDP socket as a datagram port.

use core::net::SocketAddr;
use std::io;

use quorate_core::Endpoint;
use quorate_driver::{DatagramPort, address_of, endpoint_of};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

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

/// A UDP socket of tokio's under the loops.
#[derive(Debug)]
pub struct TokioPort {
    socket: UdpSocket,
}

impl TokioPort {
    /// Binds a socket to `address`, or adopts one that is bound already. Must be called within a
    /// runtime.
    pub(crate) fn open(
        address: SocketAddr,
        bound: Option<std::net::UdpSocket>,
    ) -> Result<Self, SocketError> {
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
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket.into())
        };
        open().map(|socket| Self { socket }).map_err(|source| SocketError { address, source })
    }

    /// Where the socket is bound.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns when datagrams may be there. Nothing is lost when it is cancelled.
    pub(crate) async fn readable(&self) {
        // An error shows at the next receive, which counts it.
        let _ = self.socket.readable().await;
    }

    /// Returns when the socket is known to take datagrams: before that it takes none.
    pub(crate) async fn writable(&self) {
        let _ = self.socket.writable().await;
    }
}

impl DatagramPort for TokioPort {
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        let (to, mut sent) = (address_of(to), 0);
        for datagram in run.chunks(datagram_bytes.max(1)) {
            match self.socket.try_send_to(datagram, to) {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<(usize, Endpoint)>> {
        match self.socket.try_recv_from(buffer) {
            Ok((length, from)) => Ok(Some((length, endpoint_of(from)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
