//! What the kernel has dropped because a socket's receive buffer was full.

use std::fs;
use std::net::UdpSocket;

/// The kernel's tables of UDP sockets in this network namespace.
const TABLES: [&str; 2] = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
/// Columns of such a table: the socket's number, and what was dropped.
const INODE: usize = 9;
const DROPS: usize = 12;

/// A table is read page by page, and a line may move to a page that was read already when sockets
/// come and go meanwhile: then it is read again, so often at most.
const READS_MAX: usize = 16;

/// How many datagrams were dropped so far; `None` where the kernel has no such tables.
pub(super) fn of_socket(socket: &UdpSocket) -> Option<u64> {
    let inode = rustix::fs::fstat(socket).ok()?.st_ino;
    let of_one = |path: &&str| of_table(&fs::read_to_string(path).ok()?, inode);
    (0..READS_MAX).find_map(|_| TABLES.iter().find_map(of_one))
}

fn of_table(table: &str, inode: u64) -> Option<u64> {
    let number = |line: &str, column| line.split_whitespace().nth(column)?.parse::<u64>().ok();
    let line = table.lines().find(|line| number(line, INODE) == Some(inode))?;
    number(line, DROPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_socket_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt  \
                     uid  timeout inode ref pointer drops\n\
                     41: 0100007F:1BBC 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 \
                     7001 2 0000000000000000 0\n\
                     42: 0100007F:1BBD 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 \
                     7002 2 0000000000000000 99\n";
        assert_eq!((of_table(table, 7001), of_table(table, 7002)), (Some(0), Some(99)));
        assert_eq!((of_table(table, 7003), of_table("", 7001)), (None, None));
    }
}
