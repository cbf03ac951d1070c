//! Known prices of machines: a small table, `prices.csv`, which names its source.

use super::options::StartOptions;
use crate::Usd;

const TABLE: &str = include_str!("prices.csv");

/// The price per hour of any public IPv4 address, in every region: <https://aws.amazon.com/vpc/pricing/>, since February 2024.
pub(super) const PUBLIC_ADDRESS: Usd = Usd::from_micros(5_000);

/// The price per hour of a machine with these options. Spot prices change all the time, and are never known.
pub(super) fn of(region: &str, options: &StartOptions) -> Option<Usd> {
    options.instance_type.as_deref().filter(|_| !options.spot).and_then(|kind| on_demand(region, kind))
}

/// The on-demand price per hour of a machine of this type.
pub(super) fn on_demand(region: &str, instance_type: &str) -> Option<Usd> {
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let column = lines.next()?.split(',').position(|name| name == region)?;
    let line = lines.find(|line| line.split(',').next() == Some(instance_type))?;
    line.split(',').nth(column)?.parse().ok().map(Usd::from_dollars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_type_with_a_price_or_nothing_for_each_region() {
        let mut lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let regions: Vec<&str> = lines.next().unwrap().split(',').skip(1).collect();
        let mut types = std::collections::BTreeSet::new();
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), regions.len() + 1, "{line}");
            assert!(cells[0].contains('.') && types.insert(cells[0]), "{line}");
            for (region, cell) in regions.iter().zip(&cells[1..]) {
                let price = on_demand(region, cells[0]);
                assert_eq!(price.is_none(), cell.is_empty(), "{line}");
                assert!(price.is_none_or(|price| price > Usd::ZERO && price < Usd::from_dollars(1.0)), "{line}");
            }
        }
        assert!(types.len() > 20 && regions.contains(&"us-west-2"));
    }

    #[test]
    fn a_price_is_that_of_the_type_in_the_region_or_not_known() {
        assert_eq!(on_demand("us-west-2", "t4g.micro"), Some(Usd::from_micros(8_400)));
        assert_eq!(on_demand("eu-central-1", "t3.micro"), Some(Usd::from_micros(12_000)));
        for (region, kind) in
            [("mars-1", "t4g.micro"), ("us-west-2", "x9.huge"), ("type", "t4g.micro"), ("us-west-2", "t4g")]
        {
            let price = on_demand(region, kind);
            assert_eq!(price, None, "{kind} in {region}");
        }
        let spot = StartOptions { instance_type: Some("t4g.micro".into()), spot: true, ..StartOptions::default() };
        assert_eq!(of("us-west-2", &spot), None);
        assert_eq!(of("us-west-2", &StartOptions { spot: false, ..spot }), Some(Usd::from_micros(8_400)));
    }
}
