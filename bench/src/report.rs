//! The table: medians of the repeats with their least and greatest value, and ratios of what ran side by side.

use std::fmt::Write;

use anyhow::Result;

use crate::Run;

/// See the module.
#[derive(Debug)]
pub(crate) struct Report {
    text: String,
}

/// Several values of one measurement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Median, and the least and greatest in brackets.
    pub(crate) fn shown(&self, digits: usize) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.digits$} ({least:.digits$}–{most:.digits$})", self.median())
    }

    /// Pair by pair: both sides of a pair ran one after the other.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }
}

impl Report {
    pub(crate) fn begin(run: &Run) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let built = if cfg!(debug_assertions) {
            "**Built without optimisation** (`cargo build`): counts and ratios of what etcd does are as always, what is our own code is many \
             times slower than in a release."
        } else {
            "Built with the profile `measure`."
        };
        let text = format!(
            "# What was measured\n\nWritten by `make bench` ({} members of the register with {} instances each, {} repeats of {} s, {cores} \
             cores shared by\nclient, API and etcd). etcd syncs to disk. Sides of a comparison take turns; a cell is the median of the repeats \
             with the least and\nthe greatest, a ratio is taken pair by pair. Ratios compare; absolute numbers are this machine's.\n\n{built}\n",
            run.members, run.instances, run.repeats, run.seconds
        );
        Self { text }
    }

    pub(crate) fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.text, "{line}");
    }

    pub(crate) fn title(&mut self, title: &str, columns: &[&str]) {
        self.line(&format!("\n## {title}\n"));
        self.row(&columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>());
        self.line(&format!("|{}", "---|".repeat(columns.len())));
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    pub(crate) fn end(self, path: &str) -> Result<()> {
        if path != "-" {
            std::fs::write(path, self.text)?;
        }
        Ok(())
    }
}
