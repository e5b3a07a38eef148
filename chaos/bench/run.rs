//! Orchestrates the measurement: forwarder and load as processes on their cores, both forwarders in turns.

use crate::load::Window;
use crate::process;
use crate::table::{Figures, Report};
use clap::Args;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Core of the forwarder and core of the load.
const SFU_CORE: usize = 0;
const LOAD_CORE: usize = 1;
/// Rates of the ramp, packets per second in.
const RAMP: [u64; 18] =
    [1600, 2000, 2400, 2800, 3200, 3600, 4000, 4400, 4800, 5000, 5400, 5800, 6200, 6600, 7000, 7600, 8200, 9000];

/// How the measurement is made.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArguments {
    /// Short windows and one round: to see that everything works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Subscribers.
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Rounds whose median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the table is kept.
    #[arg(long, default_value = "target/bench.md")]
    output: PathBuf,
    /// Only these forwarders.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Forwarder::Starling, Forwarder::Str0m])]
    forwarders: Vec<Forwarder>,
}

impl RunArguments {
    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    fn seconds(&self) -> f64 {
        if self.quick { 4.0 } else { 12.0 }
    }
}

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Forwarder {
    Starling,
    Str0m,
}

impl Forwarder {
    fn subcommand(self) -> &'static str {
        match self {
            Self::Starling => "sfu-starling",
            Self::Str0m => "sfu-str0m",
        }
    }
}

/// One setting of the load.
#[derive(Clone, Copy)]
struct Setting<'a> {
    rates: &'a [u64],
    whole: usize,
    seconds: f64,
    stop_at_loss: bool,
}

/// Everything but joins.
pub(crate) fn run(arguments: &RunArguments) -> io::Result<()> {
    let mut report = Report::new(arguments.subscribers, arguments.quick);
    for round in 0..arguments.rounds() {
        // A B A B: what the machine does beside the measurement meets both alike.
        for forwarder in &arguments.forwarders {
            let figures = report.figures(*forwarder);
            for (rate, whole) in [(150, arguments.subscribers), (1000, arguments.subscribers.min(10))] {
                let setting = Setting { rates: &[rate], whole, seconds: arguments.seconds(), stop_at_loss: false };
                let windows = measure(*forwarder, arguments, setting)?;
                eprintln!("round {} {:?} {rate}/s: {:?}", round + 1, forwarder, windows);
                if rate == 150 { &mut figures.slow } else { &mut figures.fast }.extend(windows);
            }
        }
    }
    climb(arguments, &mut report)?;
    finish(arguments, &report)
}

/// The highest lossless rate alone.
pub(crate) fn ramp(arguments: &RunArguments) -> io::Result<()> {
    let mut report = Report::new(arguments.subscribers, arguments.quick);
    climb(arguments, &mut report)?;
    finish(arguments, &report)
}

fn climb(arguments: &RunArguments, report: &mut Report) -> io::Result<()> {
    for forwarder in &arguments.forwarders {
        let seconds = if arguments.quick { 2.0 } else { 4.0 };
        let setting = Setting { rates: &RAMP, whole: 2, seconds, stop_at_loss: true };
        let windows = measure(*forwarder, arguments, setting)?;
        for window in &windows {
            eprintln!(
                "ramp {forwarder:?} {:>4}/s in: {:>7.0}/s out, loss {:.3} %, forwarder {:.0} %, load {:.0} %",
                window.rate,
                window.forwarded_per_second,
                window.loss * 100.0,
                window.sfu_core_share * 100.0,
                window.load_core_share * 100.0,
            );
        }
        report.figures(*forwarder).ramp = windows;
    }
    Ok(())
}

fn finish(arguments: &RunArguments, report: &Report) -> io::Result<()> {
    let text = report.markdown(&process::machine(), &process::load_average());
    println!("{text}");
    if let Some(folder) = arguments.output.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&arguments.output, text)
}

/// A child process that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[String]) -> io::Result<(Process, impl BufRead + use<>)> {
    let mut child = Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or_else(|| io::Error::other("the child has no standard output"))?;
    Ok((Process(child), BufReader::new(output)))
}

fn measure(forwarder: Forwarder, arguments: &RunArguments, setting: Setting<'_>) -> io::Result<Vec<Window>> {
    let (sfu, mut announcement) = start(&[forwarder.subcommand().into(), "--core".into(), SFU_CORE.to_string()])?;
    let mut signal = String::new();
    announcement.read_line(&mut signal)?;
    let rates: Vec<String> = setting.rates.iter().map(u64::to_string).collect();
    let mut words = vec![
        "load".to_owned(),
        format!("--signal={}", signal.trim()),
        format!("--sfu-pid={}", sfu.0.id()),
        format!("--subscribers={}", arguments.subscribers),
        format!("--whole={}", setting.whole),
        format!("--rates={}", rates.join(",")),
        format!("--seconds={}", setting.seconds),
        format!("--core={LOAD_CORE}"),
    ];
    if setting.stop_at_loss {
        words.push("--stop-at-loss".into());
    }
    let (mut load, lines) = start(&words)?;
    let windows: Vec<Window> =
        lines.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<io::Result<_>>()?;
    let status = load.0.wait()?;
    if status.success() { Ok(windows) } else { Err(io::Error::other(format!("the load ended with {status}"))) }
}

impl Report {
    fn figures(&mut self, forwarder: Forwarder) -> &mut Figures {
        match forwarder {
            Forwarder::Starling => &mut self.starling,
            Forwarder::Str0m => &mut self.str0m,
        }
    }
}
