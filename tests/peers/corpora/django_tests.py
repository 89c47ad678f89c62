"""Runs tests of Django on SQLite: `django_tests.py FILE TESTS LABEL...`, where TESTS is the folder of its tests. Writes each
statement to FILE, as a JSON string per line."""

import json
import os
import runpy
import sys

from django.db.backends.sqlite3 import base

output = open(sys.argv[1], "w")
tests = sys.argv[2]
seen = set()
execute, executemany = base.SQLiteCursorWrapper.execute, base.SQLiteCursorWrapper.executemany


def record(cursor, query, params):
    """Records a query as the driver gets it: with question marks for Django's own placeholders."""
    if params is not None:
        try:
            names = list(params) if hasattr(params, "keys") else None
            query = cursor.convert_query(query, param_names=names)
        except (KeyError, TypeError, ValueError):
            return
    if isinstance(query, str) and query not in seen:
        seen.add(query)
        output.write(json.dumps(query) + "\n")


def recorded_execute(self, query, params=None):
    record(self, query, params)
    return execute(self, query, params)


def recorded_executemany(self, query, param_list):
    record(self, query, ())
    return executemany(self, query, param_list)


base.SQLiteCursorWrapper.execute = recorded_execute
base.SQLiteCursorWrapper.executemany = recorded_executemany
os.chdir(tests)
sys.path[:0] = [os.path.dirname(tests), tests]
sys.argv = ["runtests.py", "--parallel=1", "--verbosity=0", *sys.argv[3:]]
runpy.run_path("runtests.py", run_name="__main__")
