//! What a URL is of: a server, a cluster, or a service that sentinels watch.

use std::sync::Arc;

use super::address::{Address, Login, misuse};
use super::failure::Failure;

/// Where the store is told to be.
pub(super) enum Target {
    Server(Address),
    /// Some of the nodes, from any of which the others are learned.
    Cluster(Vec<Address>),
    Sentinel(Sentinels),
}

/// Who knows where the primary is.
pub(super) struct Sentinels {
    pub(super) sentinels: Vec<Arc<Address>>,
    pub(super) service: Arc<str>,
}

/// How the servers are connected to that others have named.
#[derive(Clone)]
pub(super) struct Access {
    scheme: &'static str,
    login: Login,
}

impl Access {
    /// The address of the server there.
    pub(super) fn to(&self, host: &str, port: u16) -> Result<Address, Failure> {
        Address::new(&format!("{}://{}", self.scheme, place(host, port)), &self.login)
    }
}

/// `host:port`, as it stands in a URL.
fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Target {
    /// Reads `url`. What `login` has goes before what the URL says; `sentinel` are the user and
    /// the password for sentinels, which have none of the servers'.
    pub(super) fn new(
        url: &str,
        login: &Login,
        sentinel: Option<&(String, String)>,
    ) -> Result<(Self, Access), Failure> {
        let Some((scheme, kind, rest)) = split(url) else {
            if sentinel.is_some() {
                return Err(misuse(
                    "credentials for sentinels are given, but the URL is not a `redis+sentinel://` \
                     one",
                ));
            }
            let access = Access { scheme: "redis", login: login.clone() };
            return Ok((Self::Server(Address::new(url, login)?), access));
        };
        let (userinfo, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => (format!("{userinfo}@"), rest),
            None => (String::new(), rest),
        };
        let (places, path) = rest.split_once('/').unwrap_or((rest, ""));
        let places: Vec<&str> = places.split(',').map(str::trim).collect();
        if places.iter().any(|place| place.is_empty()) || path.contains(['?', '#']) {
            return Err(bad(kind));
        }
        // User and password are the same for all; the first server's URL shows what they are.
        let mut login = login.clone();
        let first = format!("redis://{userinfo}{}", places[0]);
        if login.credentials.is_none() {
            login.credentials = Address::credentials(&first)?;
        }
        if kind == Kind::Cluster {
            if !path.is_empty() || login.database.is_some_and(|number| number != 0) {
                return Err(misuse("a Redis Cluster has no database but 0"));
            }
            if sentinel.is_some() {
                return Err(misuse("credentials for sentinels are given, but it is a cluster"));
            }
            let access = Access { scheme, login };
            let seeds = addresses(&access, &places)?;
            return Ok((Self::Cluster(seeds), access));
        }
        let (service, database) = path.split_once('/').unwrap_or((path, ""));
        if service.is_empty() {
            return Err(bad(kind));
        }
        if !database.is_empty() {
            let number = database.parse().map_err(|_| bad(kind))?;
            login.database.get_or_insert(number);
        }
        let mut theirs = login.clone();
        theirs.credentials = sentinel.cloned();
        theirs.database = None;
        let sentinels = addresses(&Access { scheme, login: theirs }, &places)?;
        let service = percent_encoding::percent_decode_str(service)
            .decode_utf8()
            .map_err(|_| bad(kind))?
            .into();
        let sentinels = sentinels.into_iter().map(Arc::new).collect();
        Ok((Self::Sentinel(Sentinels { sentinels, service }), Access { scheme, login }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cluster,
    Sentinel,
}

/// Scheme of the servers, kind, and what follows; `None` for the URL of a single server.
fn split(url: &str) -> Option<(&'static str, Kind, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, kind) = scheme.split_once('+')?;
    let scheme = match scheme {
        "redis" | "valkey" => "redis",
        "rediss" | "valkeys" => "rediss",
        _ => return None,
    };
    match kind {
        "cluster" => Some((scheme, Kind::Cluster, rest)),
        "sentinel" => Some((scheme, Kind::Sentinel, rest)),
        _ => None,
    }
}

fn addresses(access: &Access, places: &[&str]) -> Result<Vec<Address>, Failure> {
    let url = |place| format!("{}://{place}", access.scheme);
    places.iter().map(|place| Address::new(&url(place), &access.login)).collect()
}

fn bad(kind: Kind) -> Failure {
    misuse(match kind {
        Kind::Cluster => {
            "not a URL of a cluster; expected \
             redis+cluster://[user:password@]host:port[,host:port…]"
        }
        Kind::Sentinel => {
            "not a URL of sentinels; expected \
             redis+sentinel://[user:password@]host:port[,host:port…]/service[/database]"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<(Target, Access), Failure> {
        Target::new(url, &Login::default(), None)
    }

    #[test]
    fn a_cluster_is_some_of_its_nodes() {
        let (target, access) = read("redis+cluster://me:p%40w@one:7000,[::1]:7001").ok().unwrap();
        let Target::Cluster(seeds) = target else { panic!("a cluster") };
        let shown: Vec<_> = seeds.iter().map(|seed| seed.shown().to_string()).collect();
        assert_eq!(shown, ["one:7000", "::1:7001"]);
        assert_eq!(access.login.credentials, Some(("me".to_owned(), "p@w".to_owned())));
        assert_eq!(&**access.to("fe80::1", 7002).ok().unwrap().shown(), "fe80::1:7002");
    }

    #[test]
    fn sentinels_watch_a_service() {
        let url = "redis+sentinel://:pw@one:26379,two:26379/my%20db/3";
        let (target, access) = read(url).ok().unwrap();
        let Target::Sentinel(target) = target else { panic!("sentinels") };
        assert_eq!((&*target.service, target.sentinels.len()), ("my db", 2));
        assert_eq!(access.login.database, Some(3));
        assert_eq!(access.login.credentials, Some((String::new(), "pw".to_owned())));
    }

    #[test]
    fn what_makes_no_sense_is_said_without_the_password() {
        for url in [
            "redis+cluster://",
            "redis+cluster://me:s3cret@one:7000,",
            "redis+cluster://me:s3cret@one:7000/1",
            "redis+cluster://me:s3cret@one:7000/?x",
            "redis+sentinel://:s3cret@one:26379",
            "redis+sentinel://:s3cret@one:26379/",
            "redis+sentinel://:s3cret@one:26379/it/x",
            "redis+other://:s3cret@one:1",
            "redis+cluster://s3cret@one:7000",
        ] {
            let text = read(url).err().map(|failure| failure.to_string()).expect(url);
            assert!(!text.contains("s3cret"), "{text}");
        }
        let theirs = ("s".to_owned(), "s3cret".to_owned());
        for url in ["redis://one", "redis+cluster://one:1"] {
            assert!(Target::new(url, &Login::default(), Some(&theirs)).is_err(), "{url}");
        }
    }
}
