//! Plots: counts over time as lines, drawn by the server, each with its table.

use serde::Serialize;
use vestibule_protocol::instant;

/// The drawing's size, and what is left of it for the lines.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// A line of a plot.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// A text of ours, where it has no name.
    pub label: Option<&'static str>,
    pub name: String,
    pub total: i64,
    /// `x,y` between blanks: one piece for each stretch without a gap.
    pieces: Vec<String>,
}

/// A number beside the drawing.
#[derive(Debug, Serialize)]
struct Mark {
    at: f64,
    text: String,
}

/// A row of the table under a plot.
#[derive(Debug, Serialize)]
struct Row {
    when: String,
    counts: Vec<Option<i64>>,
}

/// Counts over time.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    /// What it is called in the page.
    pub id: &'static str,
    pub title: &'static str,
    pub lines: Vec<Line>,
    levels: Vec<Mark>,
    times: Vec<Mark>,
    rows: Vec<Row>,
    is_empty: bool,
}

/// A line before it is drawn.
pub(super) struct Values {
    pub label: Option<&'static str>,
    pub name: String,
    pub values: Vec<Option<i64>>,
}

impl Plot {
    /// Draws these lines. `starts` are the buckets' beginnings and `size` their length, both in seconds.
    pub fn new(id: &'static str, title: &'static str, starts: &[i64], size: i64, lines: Vec<Values>) -> Self {
        let greatest = lines.iter().flat_map(|line| line.values.iter().flatten()).copied().max().unwrap_or_default();
        let step = round_step(greatest);
        let top = (greatest + step - 1) / step * step;
        let y = |count: i64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share(count, top));
        let x = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * share(at as i64, starts.len() as i64 - 1);
        let levels = (0..=top / step).map(|level| Mark { at: y(level * step), text: (level * step).to_string() });
        let shown = [0, starts.len() / 2, starts.len().saturating_sub(1)];
        let times = shown.iter().filter_map(|at| Some(Mark { at: x(*at), text: written(*starts.get(*at)?, size) }));
        let rows = starts.iter().enumerate().rev().map(|(at, start)| Row {
            when: written(*start, size),
            counts: lines.iter().map(|line| line.values.get(at).copied().flatten()).collect(),
        });
        Self {
            id,
            title,
            levels: levels.collect(),
            times: times.collect(),
            rows: rows.collect(),
            is_empty: greatest == 0,
            lines: lines
                .into_iter()
                .map(|line| Line {
                    label: line.label,
                    name: line.name,
                    total: line.values.iter().flatten().sum(),
                    pieces: pieces(&line.values, x, y),
                })
                .collect(),
        }
    }
}

/// The points of a line, in pieces between the buckets that nobody counted.
fn pieces(values: &[Option<i64>], x: impl Fn(usize) -> f64, y: impl Fn(i64) -> f64) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for (at, value) in values.iter().enumerate() {
        match (value, pieces.last_mut()) {
            (Some(value), Some(piece)) => piece.push_str(&format!("{:.1},{:.1} ", x(at), y(*value))),
            (None, Some(piece)) if !piece.is_empty() => pieces.push(String::new()),
            _ => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    // A line with one point would be drawn as nothing; to itself it is drawn as a dot.
    for piece in pieces.iter_mut().filter(|piece| piece.matches(',').count() == 1) {
        *piece = piece.repeat(2);
    }
    pieces
}

fn share(part: i64, whole: i64) -> f64 {
    if whole <= 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The distance of two levels: 1, 2 or 5 with noughts, so that there are five at most.
fn round_step(greatest: i64) -> i64 {
    let mut unit = 1;
    loop {
        for step in [unit, unit * 2, unit * 5] {
            if step * 5 >= greatest {
                return step;
            }
        }
        unit *= 10;
    }
}

/// The beginning of a bucket of this size, as far as it says something, in UTC.
fn written(start: i64, size: i64) -> String {
    let text = instant::write(start);
    let (date, time) = text.split_once('T').unwrap_or_default();
    if size >= 86_400 { date.to_owned() } else { time.get(..5).unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Plot, Values, round_step};

    #[test]
    fn levels_are_round_and_few() {
        for greatest in [0, 1, 4, 5, 6, 10, 11, 99, 1_000, 123_456] {
            let step = round_step(greatest);
            assert!(step * 5 >= greatest && (greatest == 0 || (greatest - 1) / step < 5), "{greatest}: {step}");
        }
    }

    #[test]
    fn a_line_has_a_point_a_bucket_and_gaps_where_nobody_counted() {
        let values = vec![Some(0), Some(4), None, Some(2)];
        let line = Values { label: None, name: "a".to_owned(), values };
        let plot = Plot::new("p", "p", &[0, 60, 120, 180], 60, vec![line]);

        let json = serde_json::to_value(&plot).unwrap();

        assert_eq!(
            json["lines"][0]["pieces"],
            serde_json::json!(["44.0,192.0 238.7,12.0 ", "628.0,102.0 628.0,102.0 "])
        );
        assert_eq!(json["lines"][0]["total"], 6);
        assert_eq!(json["levels"].as_array().unwrap().len(), 5);
        assert_eq!(json["rows"][0], serde_json::json!({ "when": "00:03", "counts": [2] }));
        assert_eq!(json["times"][2]["text"], "00:03");
    }
}
