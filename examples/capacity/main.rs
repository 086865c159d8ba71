//! What a fleet needs: a model of what was measured, and a simulation of what can't be run here.
//!
//! `scripts/scale` measures, runs this, and writes what it prints into docs/SCALE.md:
//!
//! `cargo run --release --example capacity -- target/scale/measured.json`
//!
//! With `--json` it prints the predictions and the simulated figures instead.

mod costs;
mod model;
mod page;
mod plans;
mod simulation;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = arguments.iter().position(|argument| argument == "--json");
    let json = json.map(|at| arguments.remove(at)).is_some();
    let [path] = <[String; 1]>::try_from(arguments).map_err(|_| "expected the measured file")?;
    let measured: costs::Measured = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    if json {
        println!("{:#}", page::figures(&measured));
    } else {
        print!("{}", page::page(&measured));
    }
    Ok(())
}
