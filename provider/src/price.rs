//! Prices of machines, and the limit that a script may set.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Hours of a month in prices: those of a year, divided by twelve.
const HOURS_PER_MONTH: i64 = 730;
/// Millionths in a dollar.
const MICROS: f64 = 1e6;

/// US dollars. Counted in millionths, so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(i64);

impl Usd {
    /// Zero dollars.
    pub const ZERO: Self = Self(0);

    /// From millionths of a dollar.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Millionths of a dollar.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// From dollars, to the nearest millionth.
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Self {
        Self((dollars * MICROS).round() as i64)
    }

    /// Dollars.
    #[must_use]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / MICROS
    }

    /// The price per month of a price per hour.
    #[must_use]
    pub const fn per_month(self) -> Self {
        Self(self.0.saturating_mul(HOURS_PER_MONTH))
    }

    /// This price times `count`.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self(self.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Neg for Usd {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl std::iter::Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        Self(all.fold(0, |sum, one| sum.saturating_add(one.0)))
    }
}

/// Such as `0.0084 USD`, with as many decimals as needed, at least two.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.dollars());
        let short = text.trim_end_matches('0');
        let digits = short.len() - short.find('.').map_or(short.len(), |point| point + 1);
        write!(f, "{:.*} USD", digits.max(2), self.dollars())
    }
}

/// The limit for the cost of a cluster's machines, and their prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The most that all of them together may cost per hour.
    pub limit: Usd,
    /// The prices per hour of the present machines; `None`: unknown.
    pub present: Vec<Option<Usd>>,
    /// The price per hour of one more; `None`: unknown.
    pub each: Option<Usd>,
}

/// Why no more machines are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OverBudget {
    /// The cost would exceed the limit.
    #[error("{machines} machines would cost {would} an hour, and `max_hourly_usd` allows {limit}")]
    TooMuch {
        /// The number of machines.
        machines: usize,
        /// Their cost.
        would: Usd,
        /// The limit.
        limit: Usd,
    },
    /// The price is unknown.
    #[error(
        "`max_hourly_usd` allows {limit}, but the price of such machines is unknown: Disco knows the on-demand prices of \
         common types in some regions; use one of these, or remove the limit"
    )]
    Unknown {
        /// The limit.
        limit: Usd,
    },
}

/// More than any cluster has nodes.
const PLENTY: usize = 1000;

impl Budget {
    /// How many more machines are allowed, and why not one more.
    #[must_use]
    pub fn room(&self) -> (usize, Option<OverBudget>) {
        for more in 1..=PLENTY {
            if let Err(over) = self.check(more) {
                return (more - 1, Some(over));
            }
        }
        (PLENTY, None)
    }

    /// Checks that this many more machines are allowed. Zero more are always within the budget.
    ///
    /// # Errors
    /// See [`OverBudget`].
    pub fn check(&self, more: usize) -> Result<(), OverBudget> {
        if more == 0 {
            return Ok(());
        }
        let limit = self.limit;
        let present: Option<Usd> = self.present.iter().copied().sum();
        let (Some(present), Some(each)) = (present, self.each) else { return Err(OverBudget::Unknown { limit }) };
        let would: Usd = [present, each.times(more)].into_iter().sum();
        if would > limit {
            return Err(OverBudget::TooMuch { machines: self.present.len() + more, would, limit });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Usd = Usd::from_micros(8_400);

    fn budget(limit: f64, present: usize) -> Budget {
        Budget { limit: Usd::from_dollars(limit), present: vec![Some(MICRO); present], each: Some(MICRO) }
    }

    #[test]
    fn prices_are_exact_and_readable() {
        assert_eq!(MICRO.per_month(), Usd::from_micros(6_132_000));
        assert_eq!(MICRO.per_month().to_string(), "6.132 USD");
        assert_eq!(Usd::from_dollars(0.0084), MICRO);
        assert_eq!(MICRO.to_string(), "0.0084 USD");
        assert_eq!(Usd::from_dollars(3.5).to_string(), "3.50 USD");
        assert_eq!((-MICRO).to_string(), "-0.0084 USD");
        assert_eq!(Usd::ZERO.to_string(), "0.00 USD");
        assert_eq!([MICRO; 3].into_iter().sum::<Usd>(), MICRO.times(3));
    }

    #[test]
    fn a_budget_holds_as_many_machines_as_it_pays_for() {
        // Exactly three fit, despite the binary representation of 0.0252.
        assert_eq!(budget(0.0252, 1).check(2), Ok(()));
        let over = budget(0.0252, 1).check(3).unwrap_err();
        assert_eq!(
            over.to_string(),
            "4 machines would cost 0.0336 USD an hour, and `max_hourly_usd` allows 0.0252 USD"
        );
        assert_eq!(budget(0.0252, 1).room(), (2, Some(over)));
        assert_eq!(budget(0.0, 3).check(0), Ok(()), "what is there may stay");
    }

    #[test]
    fn what_is_not_known_is_not_within_a_budget() {
        let unknown = Budget { each: None, ..budget(100.0, 1) };
        assert!(matches!(unknown.check(1), Err(OverBudget::Unknown { .. })));
        let strange = Budget { present: vec![Some(MICRO), None], ..budget(100.0, 1) };
        assert!(matches!(strange.check(1), Err(OverBudget::Unknown { .. })));
        assert_eq!(unknown.check(0), Ok(()));
    }
}
