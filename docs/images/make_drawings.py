"""The drawings architecture.svg and queue.svg: `python docs/images/make_drawings.py`.

Each has a ground of its own and follows the reader's colour scheme, so it can be read anywhere.
"""

from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent

STYLE = """
:root { color-scheme: light dark }
.ground { fill: #fbfbfa } .band { fill: #f0f1f4 } .box { fill: #fff; stroke: #c4c7cf }
.core { fill: #e9eeff; stroke: #8fa3ea } .model { fill: #fff3df; stroke: #e0b463 }
.gone { fill: #fdecea; stroke: #e3a19b }
text { fill: #17181c; font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
.head { font-weight: 600; font-size: 15px } .name { font-weight: 600 }
.soft { fill: #5b5e68; font-size: 11.5px } .line { stroke: #6d7180; fill: none; stroke-width: 1.5 }
.tip { fill: #6d7180 } .back { stroke: #c2571a } .backtip { fill: #c2571a } .warm { fill: #a8480f }
@media (prefers-color-scheme: dark) {
.ground { fill: #16181c } .band { fill: #1f2228 } .box { fill: #2a2d35; stroke: #4b4f5a }
.core { fill: #24304f; stroke: #5f78c7 } .model { fill: #3b3020; stroke: #a58244 }
.gone { fill: #40262a; stroke: #96595c }
text { fill: #eeeef0 } .soft { fill: #a9acb8 } .line { stroke: #9498a5 } .tip { fill: #9498a5 }
.back { stroke: #ff9d5c } .backtip { fill: #ff9d5c } .warm { fill: #ffb27d }
}
"""


def main() -> None:
    (HERE / "architecture.svg").write_text(architecture(), encoding="utf-8")
    (HERE / "queue.svg").write_text(queue(), encoding="utf-8")


def architecture() -> str:
    """From HTTP bytes to segments, from a training sample to a gradient, and what they share."""
    serve = [
        ("receive", "app/api", "", "bytes"),
        ("decode", "to RGB", "", "(h, w, 3)"),
        ("preprocess", "resize, pad", "", "(3, H, W)"),
        ("wait", "batcher", "", "(B, 3, H, W)"),
        ("infer", "engine", "core", "logits"),
        ("postprocess", "one mode", "", "segments"),
        ("encode", "RLE, PNG", "", "parts"),
        ("answer", "app/answer", "", ""),
    ]
    train = [
        ("read or draw", "model/data", "", "example"),
        ("augment", "scale, crop", "", "example"),
        ("collate", "pad, mask", "", "batch"),
        ("predict", "model/network", "core", "logits"),
        ("match", "query, segment", "", "pairs"),
        ("lose", "class and mask", "", "loss"),
        ("step", "AdamW, mean", "", "weights"),
        ("finish", "round, score", "", ""),
    ]
    slots = "the event loop waits; threads decode, post-process and encode; the engine has slots"
    parts = [
        band(16, 16, 1008, 184, "A picture: from HTTP bytes to segments"),
        *lane(serve, 70),
        text(30, 184, slots, "soft"),
        path("M 583 226 V 134"),
        box(410, 228, 346, 74, "model"),
        text(583, 252, "a model folder", "name", "middle"),
        text(583, 271, "artifact.json, model.safetensors, model.onnx", "soft", "middle"),
        text(583, 288, "sizes, classes and thresholds stand here only", "soft", "middle"),
        text(593, 217, "loads", "soft"),
        band(16, 330, 1008, 176, "A sample: from disk to a gradient"),
        *lane(train, 384),
        path("M 958 384 V 265 H 762"),
        text(860, 257, "writes", "soft", "middle"),
        path("M 708 440 V 480 H 458 V 446", "back"),
        text(583, 472, "the gradient", "warm", "middle"),
        text(30, 490, "blue: the same network and weights", "soft"),
    ]
    return svg(1040, 522, "How the parts of the project work together", parts)


def queue() -> str:
    """Who waits, who goes, and who is told to leave."""
    parts = [
        text(30, 40, "The queue of one model", "head"),
        box(30, 92, 118, 56, ""),
        *words(89, 92, "prepared", "pictures come"),
        path("M 148 120 H 196"),
        box(200, 66, 316, 108, "band"),
        text(358, 60, "at most max_queue pictures wait", "soft", "middle"),
    ]
    for index, (size, form) in enumerate([("512", ""), ("512", ""), ("640", "core"), ("512", "")]):
        left = 214 + index * 75
        parts += [box(left, 92, 64, 56, form), *words(left + 32, 92, f"{size} px", "waits")]
    parts += [
        path("M 516 120 H 574"),
        text(545, 110, "equal", "soft", "middle"),
        text(545, 138, "sizes", "soft", "middle"),
        box(578, 66, 152, 108, "core"),
        *words(654, 84, "engine slot", "a batch of 512 px"),
        text(654, 148, "starts when idle", "soft", "middle"),
        path("M 730 120 H 778"),
        box(782, 92, 110, 56, ""),
        *words(837, 92, "each answer", "to its caller"),
        path("M 89 148 V 214"),
        box(30, 218, 118, 56, "gone"),
        *words(89, 218, "queue full", "429, Retry-After"),
        path("M 290 174 V 214"),
        box(214, 218, 152, 56, "gone"),
        *words(290, 218, "deadline passed", "504, never run"),
        path("M 450 174 V 214"),
        box(384, 218, 132, 56, "gone"),
        *words(450, 218, "caller hung up", "dropped, never run"),
        path("M 654 174 V 214"),
        box(578, 218, 152, 56, "gone"),
        *words(654, 218, "run takes too long", "503, /livez fails"),
    ]
    return svg(922, 300, "The queue before the engine, and the four ways out of it", parts)


def lane(stages: list[tuple[str, str, str, str]], top: int) -> list[str]:
    """Boxes from left to right; what flows on is written below the arrow."""
    parts = []
    for index, (name, where, form, flows) in enumerate(stages):
        left = 28 + index * 125
        parts += [box(left, top, 110, 56, form), *words(left + 55, top, name, where)]
        if flows:
            parts.append(path(f"M {left + 110} {top + 28} H {left + 123}"))
            parts.append(text(left + 118, top + 74, flows, "soft", "middle"))
    return parts


def words(middle: float, top: int, name: str, more: str) -> list[str]:
    return [
        text(middle, top + 24, name, "name", "middle"),
        text(middle, top + 42, more, "soft", "middle"),
    ]


def band(left: int, top: int, width: int, height: int, title: str) -> str:
    return box(left, top, width, height, "band") + text(left + 14, top + 30, title, "head")


def box(left: float, top: float, width: float, height: float, form: str) -> str:
    where = f'x="{left}" y="{top}" width="{width}" height="{height}"'
    return f'<rect {where} rx="9" class="{form or "box"}"/>'


def text(left: float, top: float, words: str, form: str = "", anchor: str = "start") -> str:
    where = f'x="{left}" y="{top}" text-anchor="{anchor}"'
    return f'<text {where} class="{form}">{escape(words)}</text>'


def path(way: str, form: str = "") -> str:
    return f'<path d="{way}" class="line {form}" marker-end="url(#{form or "tip"})"/>'


def svg(width: int, height: int, title: str, parts: list[str]) -> str:
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" class="{form}"/></marker>'
        for name, form in (("tip", "tip"), ("back", "backtip"))
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title><style>{STYLE}</style><defs>{tips}</defs>',
        f'<rect width="{width}" height="{height}" rx="12" class="ground"/>',
        *parts,
        "</svg>\n",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
