"""Runs statements in the ClickHouse engine (the chdb-core wheel) for the benchmark that starts it.

Each line of standard input is a JSON object with the keys `sql` and `format`. Each answer is a line, `ok N` or `error N`,
and then N bytes. Whatever the engine itself prints goes to standard error.
"""

import json
import os
import sys

answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)

from chdb import session  # noqa: E402 (the engine must not have the pipe)


def main() -> None:
    engine = session.Session(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            word, body = "ok", engine.query(asked["sql"], asked["format"]).bytes() or b""
        except Exception as error:  # whatever it is, the benchmark is to say it
            word, body = "error", str(error).encode()
        answers.write(f"{word} {len(body)}\n".encode() + body)
        answers.flush()


main()
