"""The libSQL client for Python with a remote connection that is quiet for longer than a server keeps its stream. Tells when it is
quiet and goes on when it is told to. Ends with an error where anything is not as it has to be."""

import os
import sys

import libsql


def lost(what):
    try:
        what()
    except Exception as error:
        assert "STREAM_EXPIRED" in str(error) or "invalid baton" in str(error), error
        return
    raise AssertionError("a transaction that is lost went on")


def count(connection):
    return connection.execute("select count(*) from python_rows").fetchone()[0]


url, token = sys.argv[1], os.environ["DATABASE_TOKEN"]
reads = libsql.connect(url, auth_token=token)
reads.execute("create table python_rows (n)")
reads.execute("insert into python_rows values (1)")
reads.commit()
assert count(reads) == 1
writes = libsql.connect(url, auth_token=token)
writes.execute("insert into python_rows values (2)")

print("quiet", flush=True)
sys.stdin.readline()
# What only read goes on; what had a transaction has lost it, says so, and goes on when that is over.
assert count(reads) == 1
reads.execute("insert into python_rows values (3)")
reads.commit()
lost(lambda: writes.execute("insert into python_rows values (4)"))
try:
    writes.rollback()
except Exception as error:
    assert "no transaction is active" in str(error), error
writes.execute("insert into python_rows values (5)")
writes.commit()
assert writes.execute("select group_concat(n) from python_rows").fetchone()[0] == "1,3,5"
print("fine", flush=True)
