//! A process that holds the file system: a command a line in, an answer a line out.

use std::fs::File;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::command::{Answer, Command};
use crate::disk::{Disk, PAGES_MAX};
use crate::mount::mount;
use crate::station::Station;

/// The longest command, in bytes.
const LINE_BYTES_MAX: u64 = 4_096;

/// Mounts an empty file system at a directory, says `ok`, and obeys until the commands end; then it
/// is gone. Each call is written to `log`, if there is one.
///
/// # Errors
/// It cannot be mounted, or whoever reads the answers is gone; as text.
pub fn serve(
    at: &Path,
    log: Option<&Path>,
    mut commands: impl BufRead,
    mut answers: impl Write,
) -> Result<(), String> {
    let log = log.map(|path| {
        File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))
    });
    let station = Station::new(Disk::new(PAGES_MAX), log.transpose()?);
    let station = Arc::new(Mutex::new(station));
    let mounted = mount(at, Arc::clone(&station))?;
    let told = |error: std::io::Error| format!("nobody hears the answers: {error}");
    writeln!(answers, "{}", Answer::done(&[])).and_then(|()| answers.flush()).map_err(told)?;
    let mut line = String::new();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut commands, LINE_BYTES_MAX).read_line(&mut line);
        if read.map_err(|error| format!("no command can be read: {error}"))? == 0 {
            mounted.end();
            return Ok(());
        }
        let answer = match line.trim_end().parse::<Command>() {
            Ok(command) => station.lock().unwrap_or_else(PoisonError::into_inner).obey(command),
            Err(why) => Answer(Err(why)),
        };
        writeln!(answers, "{answer}").and_then(|()| answers.flush()).map_err(told)?;
    }
}
