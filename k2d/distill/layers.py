"""Which of a teacher's layers a student takes over: "first,last" (K²D), "spaced:N" (N layers at equal distances, ends
included, as Distil-Whisper), "all", or a list such as "0,3,7".

In: such a choice, and the number of layers. Out: their indices. Imports no torch.
"""

import re

from k2d.errors import UsageError

CHOICE = re.compile(r"all|spaced:[1-9][0-9]*|(first|last|[0-9]+)(,(first|last|[0-9]+))*")


def check_choice(choice: str) -> None:
    """UsageError for what is no choice among the layers of any teacher."""
    if not CHOICE.fullmatch(choice):
        raise UsageError(f"layer choice {choice!r}: expected all, spaced:N, or a list such as first,last or 0,3,7")


def choose_layers(choice: str, count: int) -> list[int]:
    """Indices of the layers that `choice` names among `count`. Raises UsageError."""
    check_choice(choice)
    if choice == "all":
        return list(range(count))
    if choice.startswith("spaced:"):
        wanted = int(choice.removeprefix("spaced:"))
        if not 1 <= wanted <= count:
            raise UsageError(f"layer choice {choice!r}: the teacher has {count} layers, choose 1 to {count}")
        return [0] if wanted == 1 else [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]
    names = {"first": 0, "last": count - 1}
    layers = [names[part] if part in names else int(part) for part in choice.split(",")]
    if bad := [i for i in layers if not 0 <= i < count]:
        raise UsageError(f"layer choice {choice!r}: {bad} is outside the teacher's layers 0 to {count - 1}")
    if len(set(layers)) < len(layers):
        raise UsageError(f"layer choice {choice!r} names a layer twice (the teacher has {count})")
    return layers
