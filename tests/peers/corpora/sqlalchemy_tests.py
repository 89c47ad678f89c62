"""A plugin of pytest that writes each statement of SQLAlchemy's tests to the file $STATEMENTS, as a JSON string per line."""

import json
import os

from sqlalchemy import event
from sqlalchemy.engine import Engine

output = open(os.environ["STATEMENTS"], "w")
seen = set()


@event.listens_for(Engine, "before_cursor_execute")
def record(connection, cursor, statement, parameters, context, executemany):
    if connection.dialect.name == "sqlite" and statement not in seen:
        seen.add(statement)
        output.write(json.dumps(statement) + "\n")
        output.flush()
