//! The same faults at a primary that a sentinel names.

use std::time::Duration;

use crate::fixture::Fault;
use crate::matrix::faults;
use crate::network::Network;
use crate::operations::Operation;
use crate::support::fault_proxy::Mode;

faults! {
    p17_slow: Network::named_by_a_sentinel(), Fault::Network(Mode::Delay(Duration::from_millis(700))), Operation::all();
    p17_refused: Network::named_by_a_sentinel(), Fault::Network(Mode::Refuse), Operation::all();
    p17_closed: Network::named_by_a_sentinel(), Fault::Network(Mode::Close), Operation::all();
    p17_reset: Network::named_by_a_sentinel(), Fault::Network(Mode::Reset), Operation::all();
    p17_killed: Network::named_by_a_sentinel(), Fault::Kill, Operation::all();
    p17_stopped: Network::named_by_a_sentinel(), Fault::Stop, Operation::all();
}
