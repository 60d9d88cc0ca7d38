"""How much memory does a server take: at rest, after pictures of one size, after five sizes?

    python -m benchmarks.memory

The same checkpoint (Swin-T, 150 classes) behind each. Resident memory of all processes of the
server, shared pages split among those that share them; `peak` sums each process's highest.
"""

import io
from typing import Any

from PIL import Image

from benchmarks._model import as_huggingface, swin_tiny
from benchmarks._report import Row, pictures, plot, read_arguments, report
from benchmarks._servers import Server, ours, peer
from model.artifact import load_artifact

REPEATS = 2
# Width of 427 px tall pictures: 5 different padded sizes at a shortest edge of 512 px.
WIDTHS_PX = range(440, 441 + 4 * 108, 108)


def main() -> None:
    arguments = read_arguments(__doc__ or "", seconds=0)
    artifact = load_artifact(arguments.model) if arguments.model else swin_tiny()
    huggingface = as_huggingface(artifact)
    rows: list[Row] = []
    for who, start in (
        ("ours", lambda: ours(artifact.folder)),
        ("litserve, float32", lambda: peer("litserve", "float32", artifact, huggingface)),
    ):
        server = start()
        try:
            rows.append({"who": who} | follow(server))
        finally:
            server.end()
    report("memory", arguments, {"memory": rows}, sizes=len(WIDTHS_PX))

    def draw(axes: Any) -> None:
        names = [row["who"] for row in rows]
        for offset, key in enumerate(("ready_mb", "one_size_mb", "many_sizes_mb")):
            places = [index + 0.27 * (offset - 1) for index in range(len(rows))]
            axes.bar(places, [row[key] for row in rows], 0.25, label=key[:-3].replace("_", " "))
        axes.set_xticks(range(len(rows)), names)
        axes.set_ylabel("MB")
        axes.legend()

    plot(arguments, "memory", draw)


def follow(server: Server) -> Row:
    """Memory along the way, in MB."""
    found = {"ready_mb": server.memory_mb()}
    for _ in range(REPEATS):
        server.ask(pictures()[0])
    found["one_size_mb"] = server.memory_mb()
    with Image.open(io.BytesIO(pictures()[0])) as picture:
        picture.load()
        for width in WIDTHS_PX:
            buffer = io.BytesIO()
            picture.resize((width, 427)).save(buffer, "JPEG")
            server.ask(buffer.getvalue())
    return found | {"many_sizes_mb": server.memory_mb(), "peak_mb": server.peak_mb()}


if __name__ == "__main__":
    main()
