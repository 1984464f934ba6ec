"""A table as text, written to a file and read."""

from yisheng.data import tables

ROWS = "".join(f"{n}.5,{['red', 'blue'][n % 2]},{n % 7}\n" for n in range(20))
PLAIN = f"a,b,y\n{ROWS}"


def write(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder, content, name="t.csv", **options):
    return tables.from_file(write(folder, content, name), **{"target": "last", **options})
