"""The libSQL client for Python with a database behind a server of torso's, remote and as an embedded replica. Ends with an
error where anything is not as it has to be."""

import os
import sys

import libsql

url, foreign_url, folder = sys.argv[1:]
token = os.environ["DATABASE_TOKEN"]
read_only = os.environ["DATABASE_READ_ONLY"]


def refused(what, *needles):
    try:
        what()
    except Exception as error:
        assert all(needle in str(error) for needle in needles), error
        return
    raise AssertionError("it was not refused")


def count(connection):
    return connection.execute("select count(*) from things").fetchone()[0]


remote = libsql.connect(url, auth_token=token)
remote.executescript("drop table if exists things; create table things (id integer primary key, name text unique, raw blob)")
remote.commit()
cursor = remote.execute("insert into things (name, raw) values (?, ?)", ("first ☃", bytes(range(256)) * 1000))
assert cursor.lastrowid == 1, cursor.lastrowid
remote.commit()
row = remote.execute("select id, name, raw, null, 1.5 from things").fetchone()
assert row == (1, "first ☃", bytes(range(256)) * 1000, None, 1.5), row[:2]
remote.executemany("insert into things (name) values (?)", [("second",), ("third",)])
remote.commit()
assert remote.execute("select name from things order by id").fetchall()[1:] == [("second",), ("third",)]
remote.execute("delete from things")
remote.rollback()
assert count(remote) == 3
refused(lambda: remote.execute("insert into things (name) values ('second')"), "UNIQUE")
remote.rollback()
refused(lambda: remote.execute("select * from nowhere"), "nowhere")

# Without the slash at the end as well.
assert count(libsql.connect(url.rstrip("/"), auth_token=token)) == 3

reader = libsql.connect(url, auth_token=read_only)
assert count(reader) == 3
refused(lambda: (reader.execute("insert into things (name) values ('refused')"), reader.commit()))
for bad in ["nonsense", ""]:
    refused(lambda: count(libsql.connect(url, auth_token=bad)))
refused(lambda: count(libsql.connect(foreign_url, auth_token=token)))

replica = libsql.connect(os.path.join(folder, "python.db"), sync_url=url, auth_token=token)
replica.sync()
assert count(replica) == 3
replica.execute("insert into things (name) values (?)", ("replica",))
replica.commit()
assert count(remote) == 4
replica.sync()
assert count(replica) == 4
remote.execute("insert into things (name) values ('remote')")
remote.commit()
assert count(replica) == 4
replica.sync()
assert count(replica) == 5

lazy = libsql.connect(os.path.join(folder, "reader.db"), sync_url=url, auth_token=read_only)
lazy.sync()
assert count(lazy) == 5
refused(lambda: (lazy.execute("insert into things (name) values ('refused')"), lazy.commit()))
assert count(remote) == 5
refused(lambda: libsql.connect(os.path.join(folder, "foreign.db"), sync_url=foreign_url, auth_token=token).sync())
print("fine")
