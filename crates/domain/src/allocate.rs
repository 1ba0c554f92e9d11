//! Splitting an amount: largest remainder, so that the parts equal the whole, to the cent.

use thiserror::Error;

use crate::money::{Cents, MoneyError};

/// Why an amount cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AllocateError {
    /// Nobody weighs anything.
    #[error("the weights add up to zero: nobody can bear the amount")]
    NoWeight,
    /// A weight below zero.
    #[error("a weight is negative")]
    NegativeWeight,
    /// Numbers too large.
    #[error(transparent)]
    Amount(#[from] MoneyError),
}

/// Splits `total` by `weights`. Floors first, then a cent each to the largest fractions; ties go to the earlier position, so callers
/// sort by ascending member key. A weight of zero gets nothing. A negative total is split by its absolute value and negated.
///
/// # Errors
/// See [`AllocateError`].
pub fn allocate(total: Cents, weights: &[i64]) -> Result<Vec<Cents>, AllocateError> {
    let magnitude = i128::from(total.0).checked_abs().ok_or(MoneyError)?;
    split(magnitude, weights)?.into_iter().map(|part| signed(part, total)).collect()
}

/// The same for any whole units, which are zero or more.
///
/// # Errors
/// See [`AllocateError`].
pub fn split(total: i128, weights: &[i64]) -> Result<Vec<i128>, AllocateError> {
    if weights.iter().any(|weight| *weight < 0) {
        return Err(AllocateError::NegativeWeight);
    }
    let sum = weights
        .iter()
        .try_fold(0i128, |sum, weight| sum.checked_add(i128::from(*weight)))
        .ok_or(MoneyError)?;
    if sum == 0 {
        return Err(AllocateError::NoWeight);
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (position, weight) in weights.iter().enumerate() {
        let product = total.checked_mul(i128::from(*weight)).ok_or(MoneyError)?;
        parts.push(product.checked_div(sum).ok_or(MoneyError)?);
        remainders.push((product.checked_rem(sum).ok_or(MoneyError)?, position));
    }
    let given = parts.iter().try_fold(0i128, |given, part| given.checked_add(*part)).ok_or(MoneyError)?;
    let left = total.checked_sub(given).and_then(|left| usize::try_from(left).ok()).ok_or(MoneyError)?;
    remainders.sort_by(|(one, at), (other, other_at)| other.cmp(one).then(at.cmp(other_at)));
    for (_, position) in remainders.into_iter().take(left) {
        if let Some(part) = parts.get_mut(position) {
            *part = part.checked_add(1).ok_or(MoneyError)?;
        }
    }
    Ok(parts)
}

fn signed(part: i128, total: Cents) -> Result<Cents, AllocateError> {
    let part = if total.0 < 0 { part.checked_neg().ok_or(MoneyError)? } else { part };
    Ok(i64::try_from(part).map(Cents).map_err(|_| MoneyError)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_equal_the_whole(total in -1_000_000_000i64..1_000_000_000, weights in prop::collection::vec(0i64..10_000_000, 1..60)) {
            prop_assume!(weights.iter().any(|w| *w > 0));
            let parts = allocate(Cents(total), &weights).unwrap();
            prop_assert_eq!(parts.iter().map(|p| p.0).sum::<i64>(), total);
        }

        #[test]
        fn no_part_is_a_cent_or_more_from_its_exact_share(total in 0i64..1_000_000_000, weights in prop::collection::vec(0i64..10_000_000, 1..60)) {
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            prop_assume!(sum > 0);
            for (part, weight) in allocate(Cents(total), &weights).unwrap().iter().zip(&weights) {
                let distance = i128::from(part.0) * sum - i128::from(total) * i128::from(*weight);
                prop_assert!(distance.abs() < sum);
                prop_assert!(*weight > 0 || part.0 == 0);
            }
        }

        #[test]
        fn the_order_of_members_with_different_fractions_does_not_matter(total in 0i64..1_000_000, mut weights in prop::collection::vec(1i64..100_000, 2..20)) {
            weights.sort_unstable();
            weights.dedup();
            let mut forward: Vec<_> = weights.iter().copied().zip(allocate(Cents(total), &weights).unwrap()).collect();
            weights.reverse();
            let mut backward: Vec<_> = weights.iter().copied().zip(allocate(Cents(total), &weights).unwrap()).collect();
            forward.sort_unstable();
            backward.sort_unstable();
            let differing = forward.iter().zip(&backward).filter(|(a, b)| a != b).count();
            // Different weights may still have the same fraction; then, and only then, a cent may go to the other one.
            prop_assert!(differing == 0 || differing >= 2);
            prop_assert!(forward.iter().zip(&backward).all(|(a, b)| (a.1.0 - b.1.0).abs() <= 1));
        }
    }

    #[test]
    fn ties_go_to_the_earlier_member_and_no_weight_is_an_error() {
        assert_eq!(allocate(Cents(2), &[1, 1, 1]), Ok(vec![Cents(1), Cents(1), Cents(0)]));
        assert_eq!(allocate(Cents(-2), &[1, 1, 1]), Ok(vec![Cents(-1), Cents(-1), Cents(0)]));
        assert_eq!(allocate(Cents(2), &[0, 0]), Err(AllocateError::NoWeight));
        assert_eq!(allocate(Cents(2), &[1, -1]), Err(AllocateError::NegativeWeight));
    }
}
