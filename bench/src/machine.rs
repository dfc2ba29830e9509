//! What was measured on what.

use std::fs;
use std::process::Command;

/// A line about the machine, its system and the programs that were measured.
pub(crate) fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).unwrap_or(("", "?")).1;
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let gibibytes = memory.and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(0.0) / 1_048_576.0;
    format!(
        "{model}, {cores} cores, {gibibytes:.0} GiB, Linux {}, {}.",
        said(&["uname", "-r"]),
        said(&["rustc", "--version"]).split(" (").next().unwrap_or("?")
    )
}

/// The first line that a program prints; empty where there is none.
pub(crate) fn said(command: &[&str]) -> String {
    let [program, arguments @ ..] = command else { return String::new() };
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().trim().to_owned()
}
