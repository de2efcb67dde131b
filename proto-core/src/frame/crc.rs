//! CRC32C, the same value by whatever the build has: the processor's instruction where every
//! processor that the build is for has it, a library that looks for the instruction when it runs,
//! or tables.

/// The CRC32C of bytes whose CRC so far is `crc`, continued over `bytes`.
#[inline]
pub(super) fn continued(crc: u32, bytes: &[u8]) -> u32 {
    #[cfg(all(feature = "std", target_arch = "x86_64", target_feature = "sse4.2"))]
    if bytes.len() < LONG_BYTES {
        return by_instruction(crc, bytes);
    }
    by_library(crc, bytes)
}

/// From here on the library is faster: it keeps three sums at a time.
#[cfg(all(feature = "std", target_arch = "x86_64", target_feature = "sse4.2"))]
const LONG_BYTES: usize = 512;

/// Not inlined: a message's bytes are summed at six places, and a call of ten instructions takes
/// less time than six copies do that drive others out of the processor's cache of instructions.
#[cfg(all(feature = "std", target_arch = "x86_64", target_feature = "sse4.2"))]
#[inline(never)]
fn by_instruction(crc: u32, bytes: &[u8]) -> u32 {
    let word = |sum, &word: &[u8; 8]| safe_arch::crc32_u64(sum, u64::from_le_bytes(word));
    // Four at a time: counting takes as long as summing.
    let (blocks, rest) = bytes.as_chunks::<32>();
    let sum = blocks.iter().fold(u64::from(!crc), |sum, block| {
        let (words, _) = block.as_chunks::<8>();
        words.iter().fold(sum, word)
    });
    let (words, rest) = rest.as_chunks::<8>();
    let sum = words.iter().fold(sum, word) as u32;
    // Frames are whole words.
    if rest.is_empty() { !sum } else { !by_bytes(sum, rest) }
}

/// The rest of what is no whole words, not inlined with the others.
#[cfg(all(feature = "std", target_arch = "x86_64", target_feature = "sse4.2"))]
#[inline(never)]
fn by_bytes(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, &byte| safe_arch::crc32_u8(sum, byte))
}

#[cfg(feature = "std")]
#[inline(never)]
fn by_library(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

#[cfg(not(feature = "std"))]
fn by_library(crc: u32, bytes: &[u8]) -> u32 {
    static TABLES: crc::Crc<u32, crc::Table<16>> =
        crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);
    // The library takes the register before reflection and final inversion.
    let mut digest = TABLES.digest_with_initial((!crc).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}
