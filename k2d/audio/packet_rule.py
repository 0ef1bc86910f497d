"""How many samples a packet holds, without decoding it: what makes it cheap to reach a part in the middle."""

_EVIDENCE = 3  # packets, without durations, of which as many samples are no chance


class PacketRule:
    """Always as many samples (`constant`), as many as the packet's duration says, or, where each sample has so many
    bytes (`width`), as its size says.
    """

    def __init__(self, constant: int | None, rate: int, tick: float, bits: tuple[int, ...], width: int):
        self._constant, self._rate, self._tick, self._bits, self._mark = constant, rate, tick, bits, None
        self._width = width

    @classmethod
    def learn(
        cls, seen: list[tuple], rate: int, tick: float, codec: str, bits: tuple[int, ...]
    ) -> "PacketRule | None":
        """From (packet, samples of its frames) of the first second; None if there is no rule. The first two may be
        trimmed. tick: seconds of a packet's unit of time; bits: those of its first bytes that are the same in all.
        """
        settled = [(packet, sum(frames)) for packet, frames in seen[2:] if not _trimmed(packet)]
        if not settled or not all(samples for _, samples in settled):
            return None
        if len(settled) < _EVIDENCE and not all(packet.duration for packet, _ in settled):
            return None
        constant = settled[0][1] if len({samples for _, samples in settled}) == 1 else None
        if constant is None and tick * rate > 1.001:
            return None
        width = settled[0][0].size // settled[0][1]
        plain = codec.startswith("pcm_") and all(packet.size == width * samples for packet, samples in settled)
        if codec.startswith("pcm_") and not plain:  # DVDs and Blu-rays: a packet begins inside a sample
            return None
        rule = cls(constant, rate, tick, bits, width if plain else 0)
        return rule if all(rule.samples(packet) == samples for packet, samples in settled) else None

    def samples(self, packet) -> int | None:
        """None for a packet that does not keep the rule."""
        if self._bits:
            mark = tuple(byte & bits for byte, bits in zip(bytes(packet)[: len(self._bits)], self._bits))
            self._mark = self._mark or mark
            if mark != self._mark:
                return None
        if self._width:
            return packet.size // self._width
        said = (packet.duration or 0) * self._tick * self._rate
        if self._constant is None:
            return round(said) or None
        close = abs(said - self._constant) <= max(0.0015, 1.5 * self._tick) * self._rate
        return max(0, self._constant - _trimmed(packet)) if close or not said else None


def _trimmed(packet) -> int:
    """Samples of a packet that the decoder leaves out: padding, as where one recording of a joined file ends."""
    for data in packet.iter_sidedata():
        if data.data_type == "skip_samples":
            raw = bytes(data)
            return int.from_bytes(raw[:4], "little") + int.from_bytes(raw[4:8], "little")
    return 0
