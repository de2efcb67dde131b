//! How a shim is reached: through its standard input and output, or through a loopback port.

use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use super::subject::{Reach, ShimOptions};

/// A connection that does not say who it is within this is none of a shim.
const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether a shim has connected, or ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// A shim's process, and both directions to it.
pub(super) struct Transport {
    pub(super) child: Child,
    pub(super) to: Box<dyn Write + Send>,
    pub(super) from: Box<dyn Read + Send>,
}

/// Starts the shim and reaches it.
pub(super) fn start(options: &ShimOptions) -> Result<Transport, String> {
    let Some((program, arguments)) = options.command.split_first() else {
        return Err("no command: say shim:PROGRAM ARGUMENTS".into());
    };
    let mut command = Command::new(program);
    command.args(arguments);
    match options.reach {
        Reach::Pipes => through_pipes(command, program),
        Reach::Port => through_port(command, program, options.idle_limit),
    }
}

fn spawn(command: &mut Command, program: &str) -> Result<Child, String> {
    command.spawn().map_err(|error| format!("cannot start the shim {program}: {error}"))
}

fn through_pipes(mut command: Command, program: &str) -> Result<Transport, String> {
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()), program)?;
    let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the shim has no pipes".into());
    };
    Ok(Transport { child, to: Box::new(to), from: Box::new(from) })
}

/// For platforms that write to standard output themselves. The shim is told where to connect, and a
/// number with which it says that it is the one that was started.
fn through_port(
    mut command: Command,
    program: &str,
    patience: Option<Duration>,
) -> Result<Transport, String> {
    static STARTED: AtomicU64 = AtomicU64::new(1);
    let told = |error: std::io::Error| format!("no loopback port: {error}");
    let id = (u64::from(std::process::id()) << 32) | STARTED.fetch_add(1, Ordering::Relaxed);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(told)?;
    listener.set_nonblocking(true).map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    command.args(["--connect", &address.to_string(), "--id", &id.to_string()]);
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::null()), program)?;
    match accept(&listener, id, &mut child, patience) {
        Ok(stream) => {
            let from = stream.try_clone().map_err(told)?;
            Ok(Transport { child, to: Box::new(Closing(stream)), from: Box::new(from) })
        }
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn accept(
    listener: &TcpListener,
    id: u64,
    child: &mut Child,
    patience: Option<Duration>,
) -> Result<TcpStream, String> {
    let begun = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                // Somebody else at this port is no shim, and no reason to give up.
                if greeted(&stream, id).is_some() {
                    return Ok(stream);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(format!("no loopback port: {error}")),
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the shim ended with {status} and did not connect"));
        }
        if patience.is_some_and(|patience| begun.elapsed() > patience) {
            return Err("the shim does not connect to the port that it was given".into());
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

fn greeted(mut stream: &TcpStream, id: u64) -> Option<()> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(GREETING_LIMIT)).ok()?;
    let mut said = [0; 8];
    stream.read_exact(&mut said).ok()?;
    // The idle limit is watched elsewhere.
    stream.set_read_timeout(None).ok()?;
    stream.set_nodelay(true).ok()?;
    (u64::from_le_bytes(said) == id).then_some(())
}

/// The suite's end of a connection. Dropped, the shim sees its end, as with a pipe.
struct Closing(TcpStream);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // A shim that is gone has closed it already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
