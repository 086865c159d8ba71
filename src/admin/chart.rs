//! Where the lines and bars of the page's charts are. Their markup is in the page's templates.

use super::samples::Step;

/// The inner size of the line chart, in units of its view box.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 80.0;

/// A part of a bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) x: String,
    pub(super) width: String,
}

/// The line of the hit ratio over the last steps, one for each stretch in which there were requests.
pub(super) fn hit_ratio(steps: &[Step]) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    for (index, step) in steps.iter().enumerate() {
        match (step.hit_ratio, lines.last_mut()) {
            (Some(ratio), Some(line)) => {
                line.push((at(index, steps.len()), HEIGHT * (1.0 - ratio)));
            }
            _ => lines.push(Vec::new()),
        }
    }
    lines.retain(|line| !line.is_empty());
    for line in &mut lines {
        // A line of one point would not be seen.
        if let [(x, y)] = line[..] {
            *line = vec![((x - 2.0).max(0.0), y), ((x + 2.0).min(WIDTH), y)];
        }
    }
    let points = |line: &Vec<(f64, f64)>| -> Vec<String> {
        line.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect()
    };
    lines.iter().map(|line| points(line).join(" ")).collect()
}

/// One bar of all counts, in which each has its share.
#[allow(clippy::cast_precision_loss, reason = "drawn on a few hundred dots")]
pub(super) fn bar(counts: &[(&'static str, u64)]) -> Vec<Part> {
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let scale = WIDTH / (total.max(1) as f64);
    let mut before = 0;
    let mut parts = Vec::new();
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        parts.push(Part {
            name,
            x: format!("{:.2}", before as f64 * scale),
            width: format!("{:.2}", *count as f64 * scale),
        });
        before += count;
    }
    parts
}

/// The lengths of two bars that are compared, the longer one from end to end.
pub(super) fn compared(one: Option<f64>, other: Option<f64>) -> Option<[String; 2]> {
    let (one, other) = (one?, other?);
    let longest = one.max(other);
    let length = |number: f64| format!("{:.2}", WIDTH * number / longest);
    (longest > 0.0).then(|| [length(one), length(other)])
}

#[allow(clippy::cast_precision_loss, reason = "there are less than a hundred")]
fn at(index: usize, count: usize) -> f64 {
    WIDTH * (index as f64) / (count.saturating_sub(1).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_are_broken_where_nothing_was_asked() {
        let step =
            |hit_ratio| Step { ago: Duration::ZERO, requests: 0, per_second: 0.0, hit_ratio };
        let steps = [Some(0.0), Some(1.0), None, Some(0.5)].map(step);
        assert_eq!(hit_ratio(&steps), ["0.0,80.0 100.0,0.0", "298.0,40.0 300.0,40.0"]);
        assert!(hit_ratio(&[]).is_empty());
    }

    #[test]
    fn parts_fill_the_bar() {
        let parts = bar(&[("hit", 3), ("stale", 0), ("miss", 1)]);
        let spans: Vec<_> = parts.iter().map(|part| (part.name, &*part.x, &*part.width)).collect();
        assert_eq!(spans, [("hit", "0.00", "225.00"), ("miss", "225.00", "75.00")]);
        assert!(bar(&[("hit", 0)]).is_empty());
        let lengths = compared(Some(1.0), Some(4.0)).unwrap();
        assert_eq!(lengths, ["75.00", "300.00"]);
        assert_eq!(compared(Some(0.0), Some(0.0)), None);
        assert_eq!(compared(None, Some(1.0)), None);
    }
}
