//! Users and opening hours, by gym.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, Result, Row, Transaction, TransactionBehavior,
    named_params, params,
};
use serde::{Deserialize, Serialize};

/// Each gym counts its users from 1, and gives no number twice.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS gyms (gym TEXT PRIMARY KEY, last_user INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS users (
        gym TEXT NOT NULL, id INTEGER NOT NULL,
        name TEXT NOT NULL, role TEXT NOT NULL, status TEXT NOT NULL,
        PRIMARY KEY (gym, id)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS operating_hours (gym TEXT PRIMARY KEY, hours TEXT NOT NULL) STRICT;
";

/// How long a write waits for another process's write.
const BUSY: Duration = Duration::from_secs(10);

/// One member of a gym.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) status: String,
}

/// A new value for each field of a user that is to change.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) status: Option<String>,
}

/// The service's only connection to its database.
///
/// Its methods block for the few microseconds that a statement takes, inside of the poll that
/// calls them, on purpose: a handler whose client has gone is dropped between two polls, so its
/// write is either done, and the cache invalidates after it, or has not begun. One on a thread of
/// `spawn_blocking` would commit some time after the invalidation that should have followed it.
pub(crate) struct Database(Mutex<Connection>);

impl Database {
    /// Opens `file`, or a database in memory.
    pub(crate) fn open(file: Option<&str>) -> Result<Self> {
        let connection = match file {
            Some(file) => Connection::open(file)?,
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(BUSY)?;
        let began = Instant::now();
        while let Err(error) = prepare(&connection, file.is_some()) {
            // Two processes that create one file: to switch to WAL, and to become a writer after
            // having read, are what SQLite refuses at once instead of waiting.
            let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
            if !busy || began.elapsed() > BUSY {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self(Mutex::new(connection)))
    }

    /// The users with this role and this status, where one is given, in the order of their ids.
    pub(crate) fn users(
        &self,
        gym: &str,
        role: Option<&str>,
        status: Option<&str>,
    ) -> Result<Vec<User>> {
        self.run(|connection| {
            connection
                .prepare_cached(
                    "SELECT id, name, role, status FROM users WHERE gym = :gym
                     AND (:role IS NULL OR role = :role)
                     AND (:status IS NULL OR status = :status) ORDER BY id",
                )?
                .query_map(
                    named_params! { ":gym": gym, ":role": role, ":status": status },
                    User::read,
                )?
                .collect()
        })
    }

    pub(crate) fn user(&self, gym: &str, id: i64) -> Result<Option<User>> {
        self.run(|connection| {
            connection
                .prepare_cached(
                    "SELECT id, name, role, status FROM users WHERE gym = ? AND id = ?",
                )?
                .query_row(params![gym, id], User::read)
                .optional()
        })
    }

    pub(crate) fn create(&self, gym: &str, name: &str, role: &str, status: &str) -> Result<User> {
        self.write(|write| {
            let id: i64 = write.query_row(
                "INSERT INTO gyms VALUES (?, 1)
                 ON CONFLICT (gym) DO UPDATE SET last_user = last_user + 1 RETURNING last_user",
                [gym],
                |row| row.get(0),
            )?;
            write.query_row(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?) RETURNING id, name, role, status",
                params![gym, id, name, role, status],
                User::read,
            )
        })
    }

    /// The user after the change, or `None` if there is no such user.
    pub(crate) fn update(&self, gym: &str, id: i64, change: &Change) -> Result<Option<User>> {
        self.write(|write| {
            write
                .query_row(
                    "UPDATE users SET name = coalesce(?3, name), role = coalesce(?4, role),
                     status = coalesce(?5, status) WHERE gym = ?1 AND id = ?2
                     RETURNING id, name, role, status",
                    params![gym, id, change.name, change.role, change.status],
                    User::read,
                )
                .optional()
        })
    }

    /// Answers whether there was such a user.
    pub(crate) fn delete(&self, gym: &str, id: i64) -> Result<bool> {
        self.write(|write| {
            let gone =
                write.execute("DELETE FROM users WHERE gym = ? AND id = ?", params![gym, id])?;
            Ok(gone > 0)
        })
    }

    /// The gym's opening hours as JSON text, if it ever set any.
    pub(crate) fn hours(&self, gym: &str) -> Result<Option<String>> {
        self.run(|connection| {
            connection
                .query_row("SELECT hours FROM operating_hours WHERE gym = ?", [gym], |row| {
                    row.get(0)
                })
                .optional()
        })
    }

    pub(crate) fn set_hours(&self, gym: &str, hours: &str) -> Result<()> {
        self.write(|write| {
            write
                .execute("INSERT OR REPLACE INTO operating_hours VALUES (?, ?)", [gym, hours])
                .map(drop)
        })
    }

    /// Answers once the work is committed.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.run(|connection| {
            // Immediate: a transaction that begins as a reader can't wait for another writer.
            let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&write)?;
            write.commit()?;
            Ok(done)
        })
    }

    /// Lets the other tasks of this thread go elsewhere meanwhile.
    fn run<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        tokio::task::block_in_place(|| {
            work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }
}

fn prepare(connection: &Connection, on_disk: bool) -> Result<()> {
    if on_disk {
        // Readers of one process don't wait for the writer of another.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    connection.execute_batch(SCHEMA)
}

impl User {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self { id: row.get(0)?, name: row.get(1)?, role: row.get(2)?, status: row.get(3)? })
    }
}
