//! Scalar products of vectors of bytes.

use crate::machine::instructions::{InstructionSet, compile_for_each};

compile_for_each! {
    fn compiled(query: &[i8], rows: &[i8], chosen: &[u32], products: &mut [i32]) = dots_of_rows;
}

/// The scalar products of `query` with chosen rows. `rows` is a contiguous array of rows as long as
/// `query`, at most 2^16, so that 32 bits hold the sum; `chosen` holds indices into it.
///
/// # Panics
/// If `products` is not as long as `chosen`, or a chosen row is not there.
pub fn dots(
    instructions: InstructionSet,
    query: &[i8],
    rows: &[i8],
    chosen: &[u32],
    products: &mut [i32],
) {
    assert!(chosen.len() == products.len());
    compiled(instructions, query, rows, chosen, products);
}

/// The body of [`dots`].
#[inline(always)]
fn dots_of_rows(query: &[i8], rows: &[i8], chosen: &[u32], products: &mut [i32]) {
    for (product, &row) in products.iter_mut().zip(chosen) {
        let row = &rows[row as usize * query.len()..][..query.len()];
        let terms = query
            .iter()
            .zip(row)
            .map(|(&a, &b)| i32::from(a) * i32::from(b));
        *product = terms.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_sums_of_products(
            (query, rows) in (1usize..200)
                .prop_flat_map(|len| (vec(-127i8..=127, len), vec(-127i8..=127, 5 * len))),
            chosen in vec(0u32..5, 0..9),
        ) {
            let wanted = chosen.iter().map(|row| {
                let row = rows.chunks(query.len()).nth(*row as usize).unwrap();
                query.iter().zip(row).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
            });
            let wanted: Vec<i32> = wanted.collect();
            for instructions in InstructionSet::available() {
                let mut products = vec![1; chosen.len()];
                dots(instructions, &query, &rows, &chosen, &mut products);
                prop_assert_eq!(&products, &wanted, "{}", instructions.name());
            }
        }
    }
}
