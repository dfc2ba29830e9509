//! Bars, as an SVG that reads on light and on dark pages.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use crate::sections::Effort;
use crate::stats::number;

/// One bar. Ours stand out.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) is_ours: bool,
}

const WIDTH: f64 = 770.0;
const NAMES: f64 = 300.0;
const FIGURES: f64 = 90.0;
const STEP: f64 = 26.0;
const HEAD: f64 = 34.0;

/// Draws bars into `docs/benchmarks/NAME.svg`, unless nothing is to be written, and gives the Markdown that shows them.
pub(crate) fn bars(effort: Effort, name: &str, title: &str, unit: &str, bars: &[Bar]) -> Result<String> {
    if !effort.is_quick() {
        fs::create_dir_all("docs/benchmarks").context("docs/benchmarks cannot be made")?;
        let path = format!("docs/benchmarks/{name}.svg");
        fs::write(&path, drawn(title, unit, bars)?).with_context(|| format!("{path} cannot be written"))?;
    }
    Ok(format!("![{title}](benchmarks/{name}.svg)\n"))
}

fn drawn(title: &str, unit: &str, bars: &[Bar]) -> Result<String> {
    let longest = bars.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let height = HEAD + STEP * bars.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>text{{font:13px system-ui,sans-serif;fill:#57606a}}.t{{font-weight:600}}.b{{fill:#8c959f}}.o{{fill:#1a7f5a}}\
         @media(prefers-color-scheme:dark){{text{{fill:#9da7b1}}.b{{fill:#6e7681}}.o{{fill:#3fb984}}}}</style>\n\
         <text class=\"t\" x=\"0\" y=\"16\">{} <tspan font-weight=\"400\">({})</tspan></text>\n",
        escape(title),
        escape(unit),
    );
    for (at, bar) in bars.iter().enumerate() {
        let y = HEAD + STEP * at as f64;
        let value = if bar.value.is_finite() { bar.value } else { 0.0 };
        let width = if longest > 0.0 { (WIDTH - NAMES - FIGURES) * value / longest } else { 0.0 };
        let class = if bar.is_ours { "o" } else { "b" };
        writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{NAMES}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            NAMES - 8.0,
            y + 13.0,
            escape(&bar.name),
            NAMES + width + 6.0,
            y + 13.0,
            number(bar.value),
        )?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
