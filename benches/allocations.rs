//! How often the steps of a hit ask for memory, and for how much: counted by a global allocator, so
//! that this is a program of its own. Prints a line for each step: calls and bytes.

mod redis_hits;
mod subjects;

/// How often a step is run while it is counted.
const TIMES: usize = 100;

fn main() {
    for (name, prepare) in subjects::all() {
        // Once before, for what a thread sets up once.
        prepare()();
        let steps: Vec<_> = (0..TIMES).map(|_| prepare()).collect();
        print!("{name}");
        // The list of steps is not freed within.
        let mut steps = steps.into_iter();
        counted(|| steps.by_ref().for_each(|step| step()));
        println!(" {TIMES}");
    }
    for name in redis_hits::ALL {
        print!("{name}");
        redis_hits::run(name, TIMES);
        println!(" {}", TIMES * redis_hits::AT_ONCE);
    }
}

/// Counts, and tells.
#[allow(unreachable_pub, reason = "as in the other program that runs these steps")]
pub fn counted(steps: impl FnOnce()) {
    let counted = allocation_counter::measure(steps);
    print!(" {} {}", counted.count_total, counted.bytes_total);
}
