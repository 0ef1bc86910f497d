"""What decoding does unless it is told otherwise; light to import, since estimates and dry runs ask too."""


def default_batch(gpu: bool) -> int:
    """Windows decoded side by side.

    A GPU reads the weights once for all windows of a batch: large-v2 is decoded on an H100 2.7 times as fast with 64 as
    with 8, and with 32 needs 15 GB (tools/bench_decoder.py).
    """
    return 32 if gpu else 8
