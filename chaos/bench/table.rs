//! The table: medians of both forwarders, their ratio, and the goals.

use crate::load::Window;

/// Loss up to which a window counts as lossless.
const LOSSLESS: f64 = 0.001;

/// What was measured of one forwarder.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Windows at 150 packets per second in.
    pub(crate) slow: Vec<Window>,
    /// Windows at 1000 packets per second in.
    pub(crate) fast: Vec<Window>,
    /// Windows of rising rate.
    pub(crate) ramp: Vec<Window>,
}

impl Figures {
    fn highest_lossless(&self) -> Option<f64> {
        let lossless = self.ramp.iter().filter(|window| window.loss.abs() <= LOSSLESS);
        lossless.map(|window| window.forwarded_per_second).max_by(f64::total_cmp)
    }
}

/// Both forwarders.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) starling: Figures,
    pub(crate) str0m: Figures,
    subscribers: usize,
    quick: bool,
}

struct Row {
    name: &'static str,
    unit: &'static str,
    goal: &'static str,
    digits: usize,
    values: [Option<f64>; 2],
}

impl Report {
    pub(crate) fn new(subscribers: usize, quick: bool) -> Self {
        Self { starling: Figures::default(), str0m: Figures::default(), subscribers, quick }
    }

    /// The whole report as Markdown.
    pub(crate) fn markdown(&self, machine: &str, load_average: &str) -> String {
        let mut text = format!(
            "1 publisher → {} subscribers, 1200-byte packets in bursts of 5, AES-GCM, NACK history, SR, TWCC extension; \
             load in another process. {machine}; load average {load_average}{}.\n\n",
            self.subscribers,
            if self.quick { "; quick run, not to be quoted" } else { "" },
        );
        text.push_str("| | Starling | str0m 0.25 with our GSO | ratio | goal |\n|---|---|---|---|---|\n");
        for row in self.rows() {
            text.push_str(&row.markdown());
        }
        let windows = |figures: &Figures, pick: fn(&Figures) -> &[Window]| {
            let values = pick(figures).iter().map(|window| format!("{:.2}", window.cpu_us_per_packet));
            values.collect::<Vec<_>>().join(" ")
        };
        text.push_str(&format!(
            "\nCPU of every run, µs per packet, Starling [{}] and str0m [{}] at 1000/s, [{}] and [{}] at 150/s.\n",
            windows(&self.starling, |figures| &figures.fast),
            windows(&self.str0m, |figures| &figures.fast),
            windows(&self.starling, |figures| &figures.slow),
            windows(&self.str0m, |figures| &figures.slow),
        ));
        text
    }

    fn rows(&self) -> Vec<Row> {
        let fast = |field: fn(&Window) -> f64| self.both(|figures| median(&figures.fast, field));
        let slow = |field: fn(&Window) -> f64| self.both(|figures| median(&figures.slow, field));
        let row = |name, unit, goal, digits, values| Row { name, unit, goal, digits, values };
        vec![
            row("CPU per forwarded packet, 1000/s in", "µs", "≤ 2.0 and ≤ 0.65 ×", 2, fast(|w| w.cpu_us_per_packet)),
            row("CPU per forwarded packet, 150/s in", "µs", "≤ 3.2", 2, slow(|w| w.cpu_us_per_packet)),
            row("highest lossless rate, one core", "packets/s", "≥ 500 000", 0, self.both(Figures::highest_lossless)),
            row("memory per subscriber, 1000/s in", "kB", "≤ 80", 0, fast(|w| w.rss_kb_per_subscriber)),
            row("memory per subscriber, 150/s in", "kB", "", 0, slow(|w| w.rss_kb_per_subscriber)),
            row("added latency p50, 1000/s in", "µs", "", 0, fast(|w| w.delay_p50_us)),
            row("added latency p99, 1000/s in", "µs", "", 0, fast(|w| w.delay_p99_us)),
            row("added latency p50, 150/s in", "µs", "", 0, slow(|w| w.delay_p50_us)),
            row("added latency p99, 150/s in", "µs", "", 0, slow(|w| w.delay_p99_us)),
            row("CPU to connect one peer", "ms", "", 2, slow(|w| w.connect_ms_per_peer)),
            row("loss, 1000/s in", "%", "0", 3, fast(|w| w.loss * 100.0)),
            row("loss, 150/s in", "%", "0", 3, slow(|w| w.loss * 100.0)),
        ]
    }

    fn both(&self, figure: impl Fn(&Figures) -> Option<f64>) -> [Option<f64>; 2] {
        [figure(&self.starling), figure(&self.str0m)]
    }
}

impl Row {
    fn markdown(&self) -> String {
        let value =
            |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.*} {}", self.digits, self.unit));
        let [starling, str0m] = self.values;
        let ratio = match (starling, str0m) {
            (Some(starling), Some(str0m)) if str0m > 0.0 && self.unit != "%" => format!("{:.2} ×", starling / str0m),
            _ => String::new(),
        };
        format!("| {} | {} | {} | {ratio} | {} |\n", self.name, value(starling), value(str0m), self.goal)
    }
}

fn median(windows: &[Window], field: impl Fn(&Window) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = windows.iter().map(field).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(rate: f64, loss: f64) -> Window {
        Window {
            rate: 1000,
            forwarded_per_second: rate,
            loss,
            other: 0,
            cpu_us_per_packet: rate / 1e5,
            sfu_core_share: 0.0,
            load_core_share: 0.0,
            rss_kb_per_subscriber: 0.0,
            connect_ms_per_peer: 0.0,
            delay_p50_us: 0.0,
            delay_p99_us: 0.0,
        }
    }

    #[test]
    fn a_rate_that_loses_does_not_count_as_highest() {
        let ramp = vec![window(100_000.0, 0.0), window(200_000.0, 0.0009), window(300_000.0, 0.02)];
        let figures = Figures { ramp, ..Figures::default() };
        assert_eq!(figures.highest_lossless(), Some(200_000.0));
    }

    #[test]
    fn the_table_shows_medians_and_their_ratio() {
        let mut report = Report::new(100, true);
        report.starling.fast = vec![window(300_000.0, 0.0), window(100_000.0, 0.0), window(150_000.0, 0.0)];
        report.str0m.fast = vec![window(300_000.0, 0.0)];
        let text = report.markdown("a machine", "0.1");
        assert!(text.contains("| 1.50 µs | 3.00 µs | 0.50 × | ≤ 2.0 and ≤ 0.65 × |"), "{text}");
        assert!(text.contains("| highest lossless rate, one core | – | – |"), "{text}");
    }
}
