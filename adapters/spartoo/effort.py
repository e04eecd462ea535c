"""Bounds on what one answer may cost: its size, how far it was packed, what is parsed again."""

from adapters.spartoo.answer import BadAnswer

_LARGEST_FRAME = 1 << 16  # bytes of an export without its items
_FRAME_NAMESPACES = 16
_LARGEST_EXPORT = 4 << 30  # bytes, unpacked
_LARGEST_RATIO = 200  # of unpacked to packed; ten to thirty is what exports come to
_UNPACKED_FREELY = 64 << 20  # bytes, whatever their ratio
_LEAST_EFFORT = 1 << 22  # bytes that may be parsed again, and more per byte that came
_EFFORT = 8
_MOST_WITHOUT_ID = 10_000  # items; each is put aside on its own
NEW_PARSER = 1024  # bytes that could be parsed while a parser is made


class Effort:
    """What was parsed again, against what came."""

    def __init__(self) -> None:
        self.received = 0
        self._spent = 0
        self._without_id = 0

    def spend(self, size: int) -> None:
        """Parse so many bytes more than came. Raises BadAnswer when it becomes too much."""
        self._spent += size
        if self._spent > _LEAST_EFFORT + _EFFORT * self.received:
            raise BadAnswer("XML too broken to be cut into its parts")

    def note_without_id(self) -> None:
        """One more item shows no id. Raises BadAnswer when there are too many."""
        self._without_id += 1
        if self._without_id > _MOST_WITHOUT_ID:
            raise BadAnswer(f"XML with over {_MOST_WITHOUT_ID} parts that show no id")


def check_size(unpacked: int, packed: int) -> None:
    """Raises BadAnswer for an export that has become too large, or was packed too tightly."""
    if unpacked > _LARGEST_EXPORT:
        raise BadAnswer(f"an answer of over {_LARGEST_EXPORT} bytes")
    if unpacked > _UNPACKED_FREELY + _LARGEST_RATIO * packed:
        raise BadAnswer(f"a packed answer that swells over {_LARGEST_RATIO} times")


def check_frame(tag: str, frame: bytes, more: int = 0) -> None:
    """Raises BadAnswer when what stands around the items is too large to be parsed again."""
    if len(frame) + more > _LARGEST_FRAME:
        raise BadAnswer(f"XML with over {_LARGEST_FRAME} bytes outside its {tag}s")
    if frame.count(b"xmlns") > _FRAME_NAMESPACES:
        raise BadAnswer(f"XML with over {_FRAME_NAMESPACES} namespaces outside its {tag}s")
