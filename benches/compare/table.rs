//! Markdown tables that can be read as text too.

use std::fmt;

/// A table. The first columns are text, the others numbers.
pub struct Table {
    texts: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns, of which the first so many are text.
    pub fn new<const N: usize>(texts: usize, columns: [&str; N]) -> Self {
        Self::with(texts, columns.map(str::to_owned).to_vec())
    }

    /// The same, of columns that are counted only as it runs.
    pub fn with(texts: usize, columns: Vec<String>) -> Self {
        let rows = vec![columns];
        Self { texts, rows }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.add(cells.to_vec());
    }

    /// The same, of as many cells as there are columns.
    pub fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let length = |row: &Vec<String>, column: usize| row[column].chars().count();
        let widths: Vec<_> = (0..columns)
            .map(|column| {
                self.rows
                    .iter()
                    .map(|row| length(row, column))
                    .max()
                    .unwrap_or(0)
                    .max(3)
            })
            .collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match column < self.texts {
                    true => write!(f, "| {cell:<width$} ")?,
                    false => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    match column < self.texts {
                        true => write!(f, "|{:-<1$}", "", width + 2)?,
                        false => write!(f, "|{:->1$}:", "", width + 1)?,
                    }
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A number with three figures or more, unless it is whole, and commas between thousands.
pub fn number(value: f64) -> String {
    if value < 100.0 && value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that may not have been measured.
pub fn optional(value: Option<f64>, show: impl FnOnce(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), show)
}

/// A part of a whole.
pub fn percent(value: f64) -> String {
    format!("{} %", number(value * 100.0))
}
