//! Readies the memory that a large desired file will take, all at once: page by page it is dear.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;

/// Pieces of up to so many bytes are kept. No more than 32 MiB, which is what the C library allows for.
const KEPT: usize = 31 * 1024 * 1024;

/// What a command takes beside its file, in bytes: what it collects before it writes, and what it sends to the kernel.
const BESIDE: usize = 256 * 1024;

/// Readies memory for a desired file of so many bytes and for what becomes of it, in a process that ends soon: a daemon
/// would hold it for ever.
///
/// A hundred thousand servers take some 4,000 pages. Each of them is a page fault when it is touched first, and those of
/// a process cost two to three times what they cost inside of one system call (measured where they are dearest, in User
/// Mode Linux: 18 and 8 us; there it is a twentieth of all that `apply` takes).
pub fn ready(file: u64) {
    keep_what_is_freed();
    // Text, state and plan of a file are some two and a half times as long as it is.
    let of_file = usize::try_from(file.saturating_mul(5) / 2).unwrap_or(KEPT);
    let length = of_file.saturating_add(BESIDE).min(KEPT);
    let mut room = Vec::with_capacity(length);
    if let Ok(zeroes) = File::open("/dev/zero") {
        // Whatever this cannot ready will be ready later.
        let _ = zeroes.take(length as u64).read_to_end(&mut room);
    }
}

/// Makes the C library keep what is freed. It returns a long piece to the kernel at once, and takes the next one anew,
/// until a longer one was freed (`M_MMAP_THRESHOLD` in mallopt(3)): so one is taken, not touched, and freed.
fn keep_what_is_freed() {
    drop(black_box(Vec::<u8>::with_capacity(KEPT)));
}
