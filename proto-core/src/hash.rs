//! Fixed 64-bit mixing: the same on every platform and in every version of the log.

use core::hash::Hasher;

/// Mixes `value` into `state`: a multiply and fold of both, as in the finaliser of SplitMix64.
#[must_use]
pub const fn mix(state: u64, value: u64) -> u64 {
    let mut z = state.rotate_left(23) ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hasher whose result depends on the values only, not on the platform: what
/// `Member::state_hash` and digests of services are made with. It is no defence against somebody
/// who chooses the input.
#[derive(Clone, Debug, Default)]
pub struct StateHasher {
    state: u64,
}

impl Hasher for StateHasher {
    fn finish(&self) -> u64 {
        mix(self.state, 0)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut array = [0; 8];
            array.copy_from_slice(word);
            self.write_u64(u64::from_le_bytes(array));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        // The length keeps `[0]` and `[0, 0]` apart.
        self.write_u64(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.state = mix(self.state, value);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_i8(&mut self, value: i8) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as i64 as u64);
    }
}
