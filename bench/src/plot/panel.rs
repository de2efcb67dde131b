//! Panels: axes with curves, or bars with names.

use core::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

/// Pixels of one panel.
const PANEL_SIZE: (u32, u32) = (560, 420);
/// Pixels of the title above all panels.
const TITLE_HEIGHT: u32 = 44;
/// The colours of curves, one after the other; told apart by the colour-blind too.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(140, 140, 140),
];

/// A drawing area of an SVG.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What drawing returns.
type Drawn = Result<(), Box<dyn Error>>;

/// One panel of a figure.
#[derive(Clone, Debug)]
pub(super) enum Panel {
    /// Curves over logarithmic axes.
    Curves(Curves),
    /// Horizontal bars.
    Bars(Bars),
}

/// Curves over logarithmic axes.
#[derive(Clone, Debug, Default)]
pub(super) struct Curves {
    /// What is shown.
    pub(super) title: String,
    /// What the horizontal axis is.
    pub(super) across: String,
    /// What the vertical axis is.
    pub(super) up: String,
    /// Names and points.
    pub(super) curves: Vec<(String, Vec<(f64, f64)>)>,
}

/// Horizontal bars.
#[derive(Clone, Debug, Default)]
pub(super) struct Bars {
    /// What is shown.
    pub(super) title: String,
    /// What the axis is.
    pub(super) across: String,
    /// Names and lengths, from top to bottom.
    pub(super) bars: Vec<(String, f64)>,
}

impl Curves {
    /// Adds a point to the curve `name`, which is begun if there is none.
    pub(super) fn add(&mut self, name: &str, point: (f64, f64)) {
        match self.curves.iter_mut().find(|(known, _)| known == name) {
            Some((_, points)) => points.push(point),
            None => self.curves.push((name.to_owned(), vec![point])),
        }
    }

    /// The smallest and the largest of a coordinate.
    fn bounds(&self, of: fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let values = self.curves.iter().flat_map(|(_, points)| points.iter().map(of));
        values.fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(value), b.max(value)))
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let (left, right) = self.bounds(|point| point.0);
        let (left, right) = (left / 1.15, right * 1.15);
        // Whole decades, since only these are sure to have labels.
        let (bottom, top) = self.bounds(|point| point.1);
        let decade = |value: f64| 10_f64.powf(value);
        let (bottom, top) = (decade(bottom.log10().floor()), decade((top * 1.1).log10().ceil()));
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 21))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(76)
            .build_cartesian_2d((left..right).log_scale(), (bottom..top).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(self.across.as_str())
            .y_desc(self.up.as_str())
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .light_line_style(WHITE.mix(0.0))
            .label_style(("sans-serif", 15))
            .axis_desc_style(("sans-serif", 16))
            .draw()?;
        for ((name, points), colour) in self.curves.iter().zip(COLOURS.iter().cycle()) {
            let curve = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(curve)?.label(name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
            });
            let dots = points.iter().map(|&point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
        chart
            .configure_series_labels()
            .label_font(("sans-serif", 15))
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        Ok(())
    }
}

impl Bars {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let most = self.bars.iter().map(|bar| bar.1).fold(0.0, f64::max) * 1.2;
        let count = self.bars.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 21))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(150)
            .build_cartesian_2d(0.0..most, count..0.0)?;
        let name = |at: &f64| match self.bars.get(at.floor() as usize) {
            Some((name, _)) if (at.fract() - 0.5).abs() < 0.01 => name.clone(),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .label_style(("sans-serif", 15))
            .axis_desc_style(("sans-serif", 16))
            .x_desc(self.across.as_str())
            .y_labels(4 * self.bars.len())
            .y_label_formatter(&name)
            .x_label_formatter(&|value| short(*value))
            .draw()?;
        for (index, (_, length)) in self.bars.iter().enumerate() {
            let (top, bottom) = (index as f64 + 0.2, index as f64 + 0.8);
            let bar = Rectangle::new([(0.0, top), (*length, bottom)], COLOURS[0].filled());
            let text = Text::new(short(*length), (*length, top + 0.1), ("sans-serif", 15));
            chart.draw_series([bar])?;
            chart.draw_series([text])?;
        }
        Ok(())
    }
}

/// Draws `panels`, two in a row, under `title`.
///
/// # Errors
/// The file could not be written.
pub(super) fn draw(file: &Path, title: &str, panels: &[Panel]) -> Drawn {
    let columns = panels.len().clamp(1, 2);
    let rows = panels.len().div_ceil(columns);
    let size = (PANEL_SIZE.0 * columns as u32, PANEL_SIZE.1 * rows as u32 + TITLE_HEIGHT);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, ("sans-serif", 26))?;
    for (panel, area) in panels.iter().zip(root.split_evenly((rows, columns))) {
        match panel {
            Panel::Curves(curves) => curves.draw(&area)?,
            Panel::Bars(bars) => bars.draw(&area)?,
        }
    }
    root.present()?;
    Ok(())
}

/// A number in few characters: `1.5 M`, `300 k`, `12`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = if scaled.abs() < 10.0 && scaled.fract().abs() > 0.04 { 1 } else { 0 };
    format!("{scaled:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shortened() {
        let shown: Vec<String> = [0.5, 12.0, 1_500.0, 300_000.0, 1.5e6].map(short).into();
        assert_eq!(shown, ["0.5", "12", "1.5 k", "300 k", "1.5 M"]);
    }
}
