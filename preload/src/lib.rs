//! A preloaded library that bends the clocks of a program, as a page of memory says that the
//! program shares with a harness.
//!
//! The harness makes a file of [`PAGE_BYTES`], starts the program with `LD_PRELOAD` naming this
//! library and [`PAGE_VARIABLE`] naming the file, and writes to the file whenever it wants. Words
//! are of eight bytes, little-endian:
//!
//! | word | meaning |
//! |---|---|
//! | 0 | [`MAGIC`], or the page is not used |
//! | 1 | calls so far, counted here: that the library is in the way at all |
//! | 2 | nanoseconds that the wall clock is ahead, signed |
//! | 3 | parts of a million by which the monotonic clock is fast, signed |
//! | 4 | the monotonic time from which on it is, in nanoseconds; set with word 3 before the start |
//!
//! Whoever asks the system itself, without the C library, sees the clocks as they are. This is the
//! only package with code that the compiler does not prove safe: a function of C cannot be replaced
//! without.
#![deny(unsafe_op_in_unsafe_fn)]

use core::ffi::{CStr, c_int, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::OnceLock;

use libc::{clockid_t, timespec};

/// Names the file of the page, in the environment.
pub const PAGE_VARIABLE: &CStr = c"QUORATE_CLOCK_PAGE";
/// What the page begins with.
pub const MAGIC: u64 = u64::from_le_bytes(*b"QCLOCK 1");
/// Bytes of the page.
pub const PAGE_BYTES: usize = 4_096;

const SECOND: i64 = 1_000_000_000;
const MILLION: i128 = 1_000_000;

#[repr(C)]
struct Page {
    magic: AtomicU64,
    calls: AtomicU64,
    wall_ahead: AtomicI64,
    monotonic_fast: AtomicI64,
    monotonic_since: AtomicI64,
}

type ClockGettime = unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int;

static PAGE: OnceLock<Option<&'static Page>> = OnceLock::new();
static NEXT: OnceLock<Option<ClockGettime>> = OnceLock::new();

/// The C library's function of this name, bent.
///
/// # Safety
/// `time` is null or may be written to, as the function of the C library wants it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(next) = NEXT.get_or_init(next) else { return -1 };
    // SAFETY: it is the function that this one stands for, and the caller keeps its contract.
    let answer = unsafe { next(clock, time) };
    if answer != 0 || time.is_null() {
        return answer;
    }
    if let Some(page) = PAGE.get_or_init(page) {
        page.calls.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the function has just written to it, and nobody else has it until this returns.
        bend(page, clock, unsafe { &mut *time });
    }
    answer
}

fn bend(page: &Page, clock: clockid_t, time: &mut timespec) {
    let now = time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec);
    let bent = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => {
            now.saturating_add(page.wall_ahead.load(Ordering::Relaxed))
        }
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_BOOTTIME => {
            let since = page.monotonic_since.load(Ordering::Relaxed);
            let fast = page.monotonic_fast.load(Ordering::Relaxed);
            let ahead = i128::from(now.saturating_sub(since)) * i128::from(fast) / MILLION;
            now.saturating_add(i64::try_from(ahead).unwrap_or(0))
        }
        _ => now,
    };
    // Before 1970 there is nothing.
    let bent = bent.max(0);
    time.tv_sec = bent / SECOND;
    time.tv_nsec = bent % SECOND;
}

fn next() -> Option<ClockGettime> {
    // SAFETY: the name ends with a zero; the answer is null or the next function of that name.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"clock_gettime".as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: a function of this name has this type, by POSIX.
    Some(unsafe { transmute::<*mut c_void, ClockGettime>(found) })
}

/// The page that the environment names, if there is one.
fn page() -> Option<&'static Page> {
    // SAFETY: the name ends with a zero. A program that changes its environment in another thread
    // meanwhile races with each reader of it; the first look at a clock comes before its threads.
    let path = unsafe { libc::getenv(PAGE_VARIABLE.as_ptr()) };
    if path.is_null() {
        return None;
    }
    // SAFETY: the environment's strings end with a zero.
    let file = unsafe { libc::open(path, libc::O_RDWR | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    // SAFETY: a new mapping of a file, wherever there is room; it overlaps nothing that is in use.
    let mapped = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(ptr::null_mut(), PAGE_BYTES, access, libc::MAP_SHARED, file, 0)
    };
    // SAFETY: opened above, and used by nobody else. The mapping stays without it.
    unsafe { libc::close(file) };
    if mapped == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: mapped above for as long as the program runs, aligned as a page is, and longer than
    // what is looked at, which is of atomics: others may write to it at any time. The harness does
    // not shorten the file.
    let page = unsafe { &*mapped.cast::<Page>() };
    (page.magic.load(Ordering::Relaxed) == MAGIC).then_some(page)
}
