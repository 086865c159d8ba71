//! The way to the server through TLS.
//!
//! It is built here rather than in the client, so that the configuration is made once, every
//! mistake in it is found before anything connects, and nothing is installed for the whole process.

use std::fmt;
use std::io;
use std::sync::Arc;

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::io::tcp::TcpSettings;
use bb8_redis::redis::io::tcp::socket2::SockRef;
use bb8_redis::redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisError,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_util::task::AbortOnDropHandle;

use super::address::{Opened, misuse};
use super::failure::Failure;
use crate::store::StoreErrorKind;

/// Certificates and a key, as they were given: in PEM, not looked at yet.
#[derive(Clone, Default)]
pub(super) struct Pem {
    pub(super) ca: Option<Vec<u8>>,
    /// The certificate with what leads to its authority, and its key.
    pub(super) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Pem {
    pub(super) fn is_given(&self) -> bool {
        self.ca.is_some() || self.client.is_some()
    }
}

/// A server behind TLS.
pub(super) struct Tls {
    host: String,
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
    has_certificate: bool,
    redis: RedisConnectionInfo,
    tcp: TcpSettings,
}

impl Tls {
    pub(super) fn new(info: &ConnectionInfo, pem: &Pem) -> Result<Self, Failure> {
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(misuse("TLS is for a host and a port"));
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|_| misuse("the URL's host is no name that a certificate could have"))?;
        Ok(Self {
            host: host.clone(),
            port: *port,
            name,
            connector: TlsConnector::from(Arc::new(config(pem)?)),
            has_certificate: pem.client.is_some(),
            redis: info.redis_settings().clone(),
            tcp: info.tcp_settings().clone(),
        })
    }

    pub(super) async fn open(
        &self,
        shown: &str,
        config: AsyncConnectionConfig,
    ) -> Result<Opened, Failure> {
        let stream = self
            .reach()
            .await
            .map_err(|error| Failure::unreachable(shown, &RedisError::from(error)))?;
        let stream = self
            .connector
            .connect(self.name.clone(), stream)
            .await
            .map_err(|error| self.no_handshake(shown, &error))?;
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&self.redis, stream, config)
                .await
                .map_err(|error| self.sent_away(shown, &error))?;
        Ok((connection, Some(AbortOnDropHandle::new(tokio::spawn(driver)))))
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(self.tcp.nodelay())?;
        let socket = SockRef::from(&stream);
        if let Some(keepalive) = self.tcp.keepalive() {
            socket.set_tcp_keepalive(keepalive)?;
        }
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        socket.set_tcp_user_timeout(self.tcp.user_timeout())?;
        Ok(stream)
    }

    fn no_handshake(&self, shown: &str, error: &io::Error) -> Failure {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        let (kind, advice) = match cause {
            Some(rustls::Error::InvalidCertificate(cause)) => {
                (StoreErrorKind::Refused, of_certificate(cause))
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                (StoreErrorKind::Refused, "is this the server's port for TLS (`tls-port`)?")
            }
            Some(rustls::Error::AlertReceived(_)) => {
                (StoreErrorKind::Refused, self.about_own_certificate())
            }
            _ => (StoreErrorKind::Unavailable, "is this the server's port for TLS (`tls-port`)?"),
        };
        Failure::new(kind, format!("no TLS with Redis at {shown}: {error}; {advice}"))
    }

    /// The handshake was done, and then nothing was answered. That is how a server of TLS 1.3 tells
    /// that it doesn't like the client's certificate, or the lack of one, if the client is lucky;
    /// else the connection just breaks.
    fn sent_away(&self, shown: &str, error: &RedisError) -> Failure {
        if !error.is_io_error() || error.is_timeout() {
            return Failure::unreachable(shown, error);
        }
        let kind = if error.to_string().contains("received fatal alert") {
            StoreErrorKind::Refused
        } else {
            StoreErrorKind::Unavailable
        };
        let advice = self.about_own_certificate();
        Failure::new(kind, format!("Redis at {shown} broke off after TLS: {error}; {advice}"))
    }

    fn about_own_certificate(&self) -> &'static str {
        if self.has_certificate {
            "is the client certificate of the authority that the server knows \
             (`tls-ca-cert-file`), and valid?"
        } else {
            "if it asks for a client certificate (`tls-auth-clients`), give one with \
             `client_certificate`"
        }
    }
}

fn of_certificate(cause: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Cause;
    match cause {
        Cause::UnknownIssuer | Cause::BadSignature => {
            "its certificate is of an authority that is not trusted here: give the right one with \
             `ca_certificate`, or add it to the system's"
        }
        Cause::NotValidForName | Cause::NotValidForNameContext { .. } => {
            "its certificate is for another name: the URL's host must be one that it is for"
        }
        Cause::Expired
        | Cause::ExpiredContext { .. }
        | Cause::NotValidYet
        | Cause::NotValidYetContext { .. } => "check the clocks, or renew its certificate",
        _ => "the server needs another certificate",
    }
}

fn config(pem: &Pem) -> Result<ClientConfig, Failure> {
    // Named, not taken from the process: which one that has, or whether, is up to others.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| misuse(format!("TLS can't be set up: {error}")))?
        .with_root_certificates(roots(pem.ca.as_deref())?);
    let Some((chain, key)) = &pem.client else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates("client_certificate", chain)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| misuse(format!("client_certificate: no private key in PEM: {error}")))?;
    config
        .with_client_auth_cert(chain, key)
        .map_err(|error| misuse(format!("client_certificate: {error}")))
}

/// The authorities that are trusted: those given and no others, or else the system's.
fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        for certificate in certificates("ca_certificate", ca)? {
            roots.add(certificate).map_err(|error| misuse(format!("ca_certificate: {error}")))?;
        }
        return Ok(roots);
    }
    let native = rustls_native_certs::load_native_certs();
    // What one system has in its store and another can't read must not forbid the rest.
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        return Err(misuse(
            "the system trusts no authority, so no server's certificate can be checked: install \
             its certificates, or give the server's authority with `ca_certificate`",
        ));
    }
    Ok(roots)
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| misuse(format!("{what}: not in PEM: {error}")))?;
    if found.is_empty() {
        return Err(misuse(format!("{what}: there is no certificate in PEM in it")));
    }
    Ok(found)
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem")
            .field("ca", &self.ca.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}
