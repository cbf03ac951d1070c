use comfy_table::{CellAlignment, Table, presets};

use super::spread;
use crate::measures::Sample;
use crate::peers::System;

/// One line for each figure: both systems with their range over the rounds, and the ratio of the medians.
pub(crate) fn table(samples: &[Sample]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "clients", "unit", "disco", "etcd", "disco : etcd"]);
    let mut seen: Vec<(String, Option<usize>, &str)> = Vec::new();
    for Sample { figure, .. } in samples {
        let line = (figure.what.clone(), figure.clients, figure.unit);
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    for (what, clients, unit) in seen {
        let of = |system| {
            let all = samples.iter().filter(|sample| {
                sample.system == system && sample.figure.what == what && sample.figure.clients == clients
            });
            spread(all.map(|sample| sample.figure.value).collect())
        };
        let (disco, etcd) = (of(System::Disco), of(System::Etcd));
        let ratio = disco.zip(etcd).map(|(disco, etcd)| format!("{:.2}", disco.0 / etcd.0));
        table.add_row([
            what.clone(),
            clients.map(|count| count.to_string()).unwrap_or_default(),
            unit.to_owned(),
            disco.map(ranged).unwrap_or_default(),
            etcd.map(ranged).unwrap_or_default(),
            ratio.unwrap_or_default(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn ranged((median, least, most): (f64, f64, f64)) -> String {
    format!("{} ({} to {})", short(median), short(least), short(most))
}

/// Three significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::Figure;

    #[test]
    fn a_line_has_both_systems_and_the_ratio_of_their_medians() {
        let sample = |system, round, value| Sample {
            system,
            round,
            figure: Figure::new("durable puts", "per second", value).at(16),
        };
        let samples = [
            sample(System::Disco, 0, 300.0),
            sample(System::Disco, 1, 100.0),
            sample(System::Disco, 2, 200.0),
            sample(System::Etcd, 0, 100.0),
        ];
        let text = table(&samples).to_string();
        let line = text.lines().nth(1).unwrap();
        let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, ["durable puts", "16", "per second", "200 (100 to 300)", "100 (100 to 100)", "2.00"]);
    }
}
