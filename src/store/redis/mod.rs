//! x
/// x
#[derive(Debug)]
pub struct RedisStore;
/// x
#[derive(Debug)]
pub struct RedisStoreBuilder;
