//! Two connections that have become something else than HTTP.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// Hands on whatever comes, in both directions, until one side ends.
pub(crate) fn join(client: OnUpgrade, origin: OnUpgrade) {
    tokio::spawn(async move {
        let (client, origin) = match tokio::try_join!(client, origin) {
            Ok(ends) => ends,
            Err(error) => {
                tracing::debug!(%error, "no tunnel");
                return;
            }
        };
        let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
        if let Err(error) = copy_bidirectional(&mut client, &mut origin).await {
            tracing::debug!(%error, "tunnel broken");
        }
    });
}
