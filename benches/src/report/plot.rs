use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::{
    ChartBuilder, Circle, IntoDrawingArea, IntoLogRange, LineSeries, RGBColor, SVGBackend, SeriesLabelPosition, WHITE,
};
use plotters::style::{BLACK, Color};

use super::spread;
use crate::measures::Sample;
use crate::peers::System;

const SIZE: (u32, u32) = (640, 360);
/// Distinguishable with colour blindness too (Okabe and Ito).
const COLOURS: [(System, RGBColor); 2] = [(System::Disco, RGBColor(0, 114, 178)), (System::Etcd, RGBColor(213, 94, 0))];

/// Draws one picture for each figure that depends on the number of clients.
pub(crate) fn plot(folder: &Path, samples: &[Sample]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating `{}`", folder.display()))?;
    for (what, name) in [
        ("durable puts", "puts"),
        ("durable puts, p99", "puts-p99"),
        ("linearizable gets", "gets"),
        ("linearizable gets, p99", "gets-p99"),
    ] {
        let samples: Vec<_> = samples.iter().filter(|sample| sample.figure.what == what).collect();
        if !samples.is_empty() {
            let path = folder.join(name).with_extension("svg");
            draw(&path, what, &samples).with_context(|| format!("drawing `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Medians over the number of clients, both axes logarithmic.
fn draw(path: &Path, what: &str, samples: &[&Sample]) -> Result<()> {
    let clients = || samples.iter().filter_map(|sample| sample.figure.clients);
    let values = || samples.iter().map(|sample| sample.figure.value);
    let (least, most) = (clients().min().unwrap_or(1), clients().max().unwrap_or(1));
    let (low, high) = values().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let unit = samples.first().map_or("", |sample| sample.figure.unit);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{what}, three nodes"), ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d((least as f64..most as f64 * 1.1).log_scale(), (low * 0.7..high * 1.4).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("clients")
        .x_label_formatter(&f64::to_string)
        .y_desc(unit)
        .y_label_formatter(&f64::to_string)
        .light_line_style(WHITE)
        .draw()?;
    for (system, colour) in COLOURS {
        let mut line: Vec<(f64, f64)> = Vec::new();
        let mut counts: Vec<_> = clients().collect();
        counts.sort_unstable();
        counts.dedup();
        for count in counts {
            let all = samples.iter().filter(|sample| sample.system == system && sample.figure.clients == Some(count));
            if let Some((median, ..)) = spread(all.map(|sample| sample.figure.value).collect()) {
                line.push((count as f64, median));
            }
        }
        chart.draw_series(line.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(system.to_string())
            .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
