//! How long the steps of a hit take: `cargo bench --bench micro`.

mod subjects;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn steps(criterion: &mut Criterion) {
    for (name, prepare) in subjects::all() {
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(&prepare, |step| step(), BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
