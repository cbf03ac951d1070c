//! The scale: four buckets for each power of two, and one for each value below eight.

use std::ops::RangeInclusive;

/// Bits below the highest one that tell buckets apart.
const PRECISION_BITS: u32 = 2;
/// Buckets for each power of two.
const PER_POWER: u64 = 1 << PRECISION_BITS;

/// The number of the bucket that `value` falls into. Grows with `value`; the largest is 251.
pub(crate) fn index_of(value: u64) -> usize {
    if value < PER_POWER {
        return value as usize;
    }
    let power = value.ilog2();
    let within = (value >> (power - PRECISION_BITS)) & (PER_POWER - 1);
    ((u64::from(power - PRECISION_BITS) + 1) * PER_POWER + within) as usize
}

/// The values that fall into the bucket of that number.
pub(crate) fn values_of(index: usize) -> RangeInclusive<u64> {
    let index = index as u64;
    if index < PER_POWER {
        return index..=index;
    }
    let shift = index / PER_POWER - 1;
    let first = (PER_POWER + index % PER_POWER) << shift;
    first..=first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_values_without_gap_or_overlap() {
        let mut next = 0;
        for index in 0..=251 {
            let values = values_of(index);
            assert_eq!(*values.start(), next, "bucket {index}");
            assert_eq!(index_of(*values.start()), index);
            assert_eq!(index_of(*values.end()), index);
            next = values.end().wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends with the largest value");
    }

    #[test]
    fn a_bucket_is_no_wider_than_a_quarter_of_its_values() {
        for index in 0..=251 {
            let values = values_of(index);
            assert!((values.end() - values.start()) <= values.start() / 4, "bucket {index}");
        }
    }
}
