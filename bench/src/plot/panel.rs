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
const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(140, 140, 140),
    RGBColor(136, 34, 85),
    RGBColor(17, 119, 51),
];
/// Pixels of a row of the legend, and its columns.
const LEGEND_ROW: (u32, usize) = (24, 3);

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

    /// Draws the curves, each in the colour of its name among `names`.
    fn draw(&self, area: &Area<'_>, names: &[&str]) -> Drawn {
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
        for (name, points) in &self.curves {
            let colour = colour_of(names, name);
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            let dots = points.iter().map(|&point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
        Ok(())
    }
}

impl Bars {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let most = self.bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
        // Bars of nothing have an axis, too.
        let most = if most > 0.0 { most * 1.2 } else { 1.0 };
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

fn colour_of(names: &[&str], name: &str) -> RGBColor {
    let index = names.iter().position(|known| *known == name).unwrap_or_default();
    COLOURS[index % COLOURS.len()]
}

/// The names of all curves, each once; none if there is but one, which the title tells of.
fn legend_of(panels: &[Panel]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for panel in panels {
        let Panel::Curves(curves) = panel else { continue };
        for (name, _) in &curves.curves {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    if names.len() < 2 { Vec::new() } else { names }
}

fn draw_legend(area: &Area<'_>, names: &[&str]) -> Drawn {
    let columns = names.len().div_ceil(names.len().div_ceil(LEGEND_ROW.1).max(1)).max(1);
    let width = area.dim_in_pixel().0 as i32 / columns as i32;
    for (index, name) in names.iter().enumerate() {
        let x = (index % columns) as i32 * width + 30;
        let y = (index / columns) as i32 * LEGEND_ROW.0 as i32 + 12;
        let stroke = colour_of(names, name).stroke_width(3);
        area.draw(&PathElement::new([(x, y), (x + 24, y)], stroke))?;
        area.draw(&Text::new(*name, (x + 32, y - 8), ("sans-serif", 15)))?;
    }
    Ok(())
}

/// Draws `panels`, two in a row, under `title`, and below them which curve is which.
///
/// # Errors
/// The file could not be written.
pub(super) fn draw(file: &Path, title: &str, panels: &[Panel]) -> Drawn {
    let columns = panels.len().clamp(1, 2);
    let rows = panels.len().div_ceil(columns);
    let names = legend_of(panels);
    let legend = names.len().div_ceil(LEGEND_ROW.1) as u32 * LEGEND_ROW.0;
    let above = PANEL_SIZE.1 * rows as u32 + TITLE_HEIGHT;
    let size = (PANEL_SIZE.0 * columns as u32, above + legend);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(above);
    draw_legend(&lower, &names)?;
    let upper = upper.titled(title, ("sans-serif", 26))?;
    for (panel, area) in panels.iter().zip(upper.split_evenly((rows, columns))) {
        match panel {
            Panel::Curves(curves) => curves.draw(&area, &names)?,
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
