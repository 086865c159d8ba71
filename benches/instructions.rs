//! The same steps for callgrind, which counts their instructions: `scripts/bench-check` runs it.
//!
//! Without an argument it lists the steps, with one it runs that step.

mod redis_hits;
mod subjects;

/// How often a step is run before and while it is counted.
const TIMES: usize = 100;

fn main() {
    let Some(wanted) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        for (name, _) in subjects::all() {
            println!("{name} {TIMES}");
        }
        for name in redis_hits::ALL {
            println!("{name} {}", TIMES * redis_hits::AT_ONCE);
        }
        return;
    };
    if redis_hits::ALL.contains(&wanted.as_str()) {
        return redis_hits::run(&wanted, TIMES);
    }
    let mut all = subjects::all().into_iter();
    let (_, prepare) = all.find(|(name, _)| *name == wanted).expect("a step of the list");
    let warm: Vec<_> = (0..TIMES).map(|_| prepare()).collect();
    for step in warm {
        step();
    }
    let steps: Vec<_> = (0..TIMES).map(|_| prepare()).collect();
    counted(|| steps.into_iter().for_each(|step| step()));
}

/// What is counted: callgrind is told this function's name.
#[inline(never)]
#[allow(unreachable_pub, reason = "a name that callgrind finds")]
pub fn counted(steps: impl FnOnce()) {
    steps();
}
