//! The same faults at a primary that a sentinel names.

use std::time::Duration;

use crate::fixture::Fault;
use crate::matrix::operations;
use crate::network::Network;
use crate::operations::Operation;
use crate::support::fault_proxy::Mode;

macro_rules! faults {
    ($($name:ident: $fault:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                operations(Network::named_by_a_sentinel(), $fault, Operation::all()).await;
            }
        )*
    };
}

faults! {
    p17_slow: Fault::Network(Mode::Delay(Duration::from_millis(700)));
    p17_refused: Fault::Network(Mode::Refuse);
    p17_closed: Fault::Network(Mode::Close);
    p17_reset: Fault::Network(Mode::Reset);
    p17_killed: Fault::Kill;
    p17_stopped: Fault::Stop;
}
