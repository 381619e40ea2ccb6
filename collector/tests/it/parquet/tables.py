"""Holds each table of Parquet, as pyarrow reads it, against the same as CSV, and prints the schemas."""
import csv
import datetime
import json
import sys

import pyarrow.parquet


def same(value, cell):
    if value is None or cell == "":
        return value is None and cell == ""
    if isinstance(value, bool):
        return str(value).lower() == cell
    if isinstance(value, datetime.datetime):
        return value == datetime.datetime.fromisoformat(cell.replace("Z", "+00:00"))
    if isinstance(value, (int, float)):
        return value == float(cell)
    return value == cell


for asked in json.load(sys.stdin):
    table = pyarrow.parquet.read_table(asked["parquet"])
    header, *rows = csv.reader(asked["csv"].splitlines())
    assert table.column_names == header, (table.column_names, header)
    assert table.num_rows == len(rows), (table.num_rows, len(rows))
    for column, name in zip(table.columns, header):
        for value, row in zip(column.to_pylist(), rows):
            cell = row[header.index(name)]
            assert same(value, cell), (asked["name"], name, value, cell)
    kinds = {}
    for field in table.schema:
        kinds.setdefault(str(field.type), []).append(field.name)
    print(f"{asked['name']}: {table.num_rows} rows")
    for kind, names in sorted(kinds.items()):
        print(f"  {kind}: {' '.join(names)}")
