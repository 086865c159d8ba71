//! Where the server is, and the way to it.

use std::sync::Arc;
use std::time::Duration;

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::io::tcp::TcpSettings;
use bb8_redis::redis::io::tcp::socket2::TcpKeepalive;
use bb8_redis::redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, RedisError, parse_redis_url,
};
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;
#[cfg(feature = "tls")]
use super::tls::{Pem, Tls};
use crate::store::StoreErrorKind;

/// A connection, and the task that drives it if it isn't the client's own: it ends with the last
/// clone, even where the server is silent.
pub(super) type Opened = (MultiplexedConnection, Option<AbortOnDropHandle<()>>);

/// The address of a server, with what it takes to be let in.
///
/// It knows the password, so it has no `Debug`.
pub(super) struct Address {
    way: Way,
    shown: Arc<str>,
}

enum Way {
    /// TCP, or a Unix socket.
    Plain(Client),
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

/// What was said of the address in code, beside the URL.
#[derive(Clone, Default)]
pub(super) struct Login {
    /// User and password; an empty user is the server's default one.
    pub(super) credentials: Option<(String, String)>,
    pub(super) database: Option<u32>,
    #[cfg(feature = "tls")]
    pub(super) pem: Pem,
}

impl Address {
    /// Reads `url`. What `login` has goes before what the URL says.
    pub(super) fn new(url: &str, login: &Login) -> Result<Self, Failure> {
        let mut url = parse_redis_url(url).ok_or_else(|| bad("it can't be read as one"))?;
        let tls = matches!(url.scheme(), "rediss" | "valkeys");
        match url.fragment() {
            None => {}
            Some("insecure") => {
                return Err(misuse(
                    "`#insecure` is refused: the server's certificate is always checked; for one \
                     of an authority of your own, give that with `ca_certificate`",
                ));
            }
            Some(_) => return Err(bad("`#` and what follows it has no meaning here")),
        }
        if tls {
            is_built_in(cfg!(feature = "tls"))?;
        }
        #[cfg(feature = "tls")]
        if !tls && login.pem.is_given() {
            return Err(misuse(
                "certificates are given, but the URL is not a `rediss://` one: nothing would be \
                 encrypted",
            ));
        }
        // The client reads the rest alike, and the way through TLS is not the client's.
        if tls && url.set_scheme("redis").is_err() {
            return Err(bad("its host is missing"));
        }
        let info = url.into_connection_info().map_err(|error| match error.detail() {
            // A detail is a piece of the URL.
            Some(_) => bad("a parameter makes no sense"),
            None => bad(&error),
        })?;
        // Liveness is seen through a push, which the second version of the protocol hasn't got.
        let mut redis = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        if let Some((user, password)) = &login.credentials {
            let user = if user.is_empty() { "default" } else { user };
            redis = redis.set_username(user).set_password(password);
        }
        if let Some(number) = login.database {
            redis = redis.set_db(number.into());
        }
        if redis.username().is_some() && redis.password().is_none() {
            return Err(misuse("there is a user without a password"));
        }
        let shown = Arc::from(info.addr().to_string());
        let info = info.set_redis_settings(redis).set_tcp_settings(tcp());
        #[cfg(feature = "tls")]
        if tls {
            let way = Way::Tls(Box::new(Tls::new(&info, &login.pem)?));
            return Ok(Self { way, shown });
        }
        let client = Client::open(info).map_err(bad)?;
        Ok(Self { way: Way::Plain(client), shown })
    }

    /// The user and the password that a URL holds; an empty user is the server's default one.
    pub(super) fn credentials(url: &str) -> Result<Option<(String, String)>, Failure> {
        let info = parse_redis_url(url)
            .and_then(|url| url.into_connection_info().ok())
            .ok_or_else(|| bad("it can't be read as one"))?;
        let redis = info.redis_settings();
        match (redis.username(), redis.password()) {
            (user, Some(password)) => {
                Ok(Some((user.unwrap_or_default().to_owned(), password.to_owned())))
            }
            (Some(_), None) => Err(misuse("there is a user without a password")),
            (None, None) => Ok(None),
        }
    }

    /// Host and port, or a path: never a password.
    pub(super) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// What may be the matter if there is somebody who says nothing.
    pub(super) fn doubt(&self) -> &'static str {
        match &self.way {
            Way::Plain(_) => "",
            // A server takes what TLS begins with for the beginning of a command.
            #[cfg(feature = "tls")]
            Way::Tls(_) => "; is this its port for TLS (`tls-port`)?",
        }
    }

    pub(super) async fn open(&self, config: AsyncConnectionConfig) -> Result<Opened, Failure> {
        match &self.way {
            Way::Plain(client) => client
                .get_multiplexed_async_connection_with_config(&config)
                .await
                .map(|connection| (connection, None))
                .map_err(|error: RedisError| Failure::unreachable(&self.shown, &error)),
            #[cfg(feature = "tls")]
            Way::Tls(tls) => tls.open(&self.shown, config).await,
        }
    }
}

/// A peer that vanished without a word is noticed by the kernel in seconds, not hours.
fn tcp() -> TcpSettings {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(2));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(5));
    settings
}

fn is_built_in(tls: bool) -> Result<(), Failure> {
    if tls {
        return Ok(());
    }
    Err(misuse(
        "`rediss://` needs TLS, which is not built in: switch on the feature `tls` of \
         tower-response-cache",
    ))
}

fn bad(reason: impl std::fmt::Display) -> Failure {
    misuse(format!(
        "not a URL of a Redis server: {reason}; expected \
         redis://[user:password@]host[:port][/database], with characters such as `#`, `/` and `@` \
         in user and password as %23, %2F and %40 (or give them with `credentials`)"
    ))
}

/// A mistake in what was configured.
pub(super) fn misuse(text: impl Into<Arc<str>>) -> Failure {
    Failure::new(StoreErrorKind::Refused, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_that_is_not_built_in_is_named() {
        let text = is_built_in(false).unwrap_err().to_string();
        assert!(text.contains("`rediss://`") && text.contains("feature `tls`"), "{text}");
        let known = Address::new("rediss://h", &Login::default()).err().map(|f| f.to_string());
        // With it, all that can be lacking is an authority to trust.
        let named = known.as_ref().is_some_and(|text| text.contains("feature `tls`"));
        assert_eq!(named, cfg!(not(feature = "tls")), "{known:?}");
    }

    #[test]
    fn what_code_says_goes_before_the_url() {
        let login = Login {
            credentials: Some((String::new(), "pw".to_owned())),
            database: Some(3),
            ..Login::default()
        };
        let address = Address::new("redis://who:other@h:1/9", &login).ok().unwrap();
        assert_eq!(&**address.shown(), "h:1");
        #[allow(irrefutable_let_patterns, reason = "without TLS there is one way")]
        let Way::Plain(client) = &address.way else { panic!("TLS") };
        let redis = client.get_connection_info().redis_settings();
        assert_eq!((redis.username(), redis.password()), (Some("default"), Some("pw")));
        assert_eq!(redis.db(), 3);
    }
}
