//! Integers in as few bytes as they need: LEB128, and zigzag for differences.

/// The most bytes that a varint takes.
pub(super) const MAX: usize = 10;

/// Why bytes are no varint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// They end within it.
    Short,
    /// It is longer than it need be, or over 64 bits.
    Form,
}

/// Writes `value` to the start of `buffer` and answers its length.
pub(super) fn write(mut value: u64, buffer: &mut [u8; MAX]) -> usize {
    let mut length = 0;
    for slot in buffer.iter_mut() {
        length += 1;
        *slot = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            break;
        }
        *slot |= 0x80;
    }
    length
}

/// The varint that `bytes` begin with, and its length.
///
/// Each value has one form only: a longer one is no encoder's work.
pub(super) fn read(bytes: &[u8]) -> Result<(u64, usize), Bad> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(MAX).enumerate() {
        // The tenth byte has room for the 64th bit alone.
        if index == MAX - 1 && byte > 1 {
            return Err(Bad::Form);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let padded = byte == 0 && index > 0;
            return if padded { Err(Bad::Form) } else { Ok((value, index + 1)) };
        }
    }
    Err(Bad::Short)
}

/// The way from `base` to `value`, small if they are near one another, in either direction.
pub(super) fn difference(base: u64, value: u64) -> u64 {
    let signed = value.wrapping_sub(base).cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

/// The value that lies `difference` from `base`.
pub(super) fn apply(base: u64, difference: u64) -> u64 {
    let signed = (difference >> 1) ^ (difference & 1).wrapping_neg();
    base.wrapping_add(signed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_survives(value: u64, rest: Vec<u8>) {
            let mut buffer = [0; MAX];
            let length = write(value, &mut buffer);
            let mut bytes = buffer[..length].to_vec();
            bytes.extend(rest);
            prop_assert_eq!(read(&bytes), Ok((value, length)));
            for end in 0..length {
                prop_assert_eq!(read(&bytes[..end]), Err(Bad::Short));
            }
        }

        #[test]
        fn a_difference_survives(base: u64, value: u64) {
            prop_assert_eq!(apply(base, difference(base, value)), value);
        }

        #[test]
        fn near_values_differ_by_little(base: u64, step in -64_i64..64) {
            let value = base.wrapping_add_signed(step);
            prop_assert!(difference(base, value) < 128);
        }
    }

    #[test]
    fn only_the_shortest_form_is_read() {
        assert_eq!(read(&[0x80, 0x00]), Err(Bad::Form));
        assert_eq!(read(&[0xff; 10]), Err(Bad::Form));
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(read(&largest), Ok((u64::MAX, 10)));
        largest[9] = 2;
        assert_eq!(read(&largest), Err(Bad::Form));
    }
}
