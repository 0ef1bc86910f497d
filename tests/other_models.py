"""Models of other makes, as small as they come: two tones are the two words that they know.

The low tone is 低音, the high one is high.
"""

import json

import numpy as np
import pytest
import soundfile
import torch

from k2d.distill import espnet_import

RATE = 16000
WORDS = ("低音", "high")
TONES = (300.0, 1500.0)  # Hz


def tone(word: int, seconds: float, rng) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * np.sin(2 * np.pi * TONES[word] * t) + 0.005 * rng.standard_normal(len(t))).astype(np.float32)


def pause(seconds: float, rng) -> np.ndarray:
    return (0.0005 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """Files: low and high of 1 s; talk, 38 s: nine words of 1 s, 3 s of silence before each and behind the last,
    2 s in.
    """
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    talk = [pause(2, rng)]
    for n in range(9):
        talk += [tone(n % 2, 1.0, rng), pause(3, rng)]
    audio = {"low": tone(0, 1.0, rng), "high": tone(1, 1.0, rng), "talk": np.concatenate(talk)}
    for name, samples in audio.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE)
    return {name: str(folder / f"{name}.wav") for name in audio}


@pytest.fixture(scope="session")
def espnet_model(tones, tmp_path_factory):
    """Folder of an ESPnet model, trained for one epoch by ESPnet's own task."""
    with espnet_import.light():
        from espnet2.tasks.asr import ASRTask

    root = tmp_path_factory.mktemp("espnet")
    tokens = ["<blank>", "<unk>", "低", "音", "h", "i", "g", "<sos/eos>"]
    (root / "tokens.txt").write_text("\n".join(tokens) + "\n")
    tables = {
        "wav.scp": [tones["low"], tones["high"]] * 3,
        "text": list(WORDS) * 3,
        "speech_shape": [RATE] * 6,
        "text_shape": [f"{len(word)},{len(tokens)}" for word in WORDS] * 3,
    }
    for name, values in tables.items():
        (root / name).write_text("".join(f"u{n} {value}\n" for n, value in enumerate(values)))
    options = ["--ngpu 0 --num_workers 0 --use_matplotlib false --use_tensorboard false --use_preprocessor true"]
    for part in ("train", "valid"):
        options += [f"--{part}_data_path_and_name_and_type {root}/wav.scp,speech,sound"]
        options += [f"--{part}_data_path_and_name_and_type {root}/text,text,text"]
        options += [f"--{part}_shape_file {root}/speech_shape --{part}_shape_file {root}/text_shape"]
    for part in ("encoder", "decoder"):
        options += [f"--{part} transformer --{part}_conf attention_heads=2 --{part}_conf linear_units=16"]
        options += [f"--{part}_conf num_blocks=1"]
    options += [
        f"--output_dir {root}/exp --token_list {root}/tokens.txt --token_type char --encoder_conf output_size=32",
        "--frontend_conf hop_length=256 --normalize utterance_mvn --batch_type unsorted --batch_size 3",
        "--model_conf ctc_weight=0.5 --model_conf report_cer=false --model_conf report_wer=false",
        "--max_epoch 1 --num_iters_per_epoch 90 --optim adam --optim_conf lr=0.005 --keep_nbest_models 1",
    ]
    threads = torch.get_num_threads()
    ASRTask.main(cmd=" ".join(options).split())
    torch.set_num_threads(threads)
    return root / "exp"


@pytest.fixture(scope="session")
def ctc_model(tones, tmp_path_factory):
    """Folder of a Wav2Vec2ForCTC that has learnt the first letters of the two words."""
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    folder = tmp_path_factory.mktemp("ctc")
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "低": 5, "h": 6}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    features = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    torch.manual_seed(0)
    model = Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=len(vocabulary), pad_token_id=0, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, conv_dim=(32, 32), conv_kernel=(200, 4), conv_stride=(160, 4),
            num_feat_extract_layers=2, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
            feat_extract_norm="layer", mask_time_prob=0.0,
            do_stable_layer_norm=True, hidden_dropout=0.0, activation_dropout=0.0, attention_dropout=0.0,
            feat_proj_dropout=0.0, final_dropout=0.0, layerdrop=0.0, ctc_loss_reduction="mean",
        )
    )  # fmt: skip
    rng = np.random.default_rng(1)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(60):  # frame by frame: what CTC would take longer to align
        order = [step % 2, 1 - step % 2]
        parts = [(0, pause(rng.uniform(0.1, 1), rng)), (5 + order[0], tone(order[0], 1.0, rng))]
        parts += [(0, pause(rng.uniform(0.1, 1), rng)), (5 + order[1], tone(order[1], 1.0, rng))]
        audio = np.concatenate([samples for _, samples in parts])
        token = np.concatenate([np.full(len(samples), token) for token, samples in parts])
        inputs = features(audio, sampling_rate=RATE, return_tensors="pt")
        logits = model(**inputs).logits[0]
        frames = torch.from_numpy(token[np.linspace(0, len(token) - 1, len(logits)).round().astype(int)])
        loss = torch.nn.functional.cross_entropy(logits, frames)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    Wav2Vec2Processor(feature_extractor=features, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def speech2text_model(tmp_path_factory):
    """Folder of a Speech2TextForConditionalGeneration with random weights."""
    import io

    import sentencepiece
    from transformers import (
        Speech2TextConfig,
        Speech2TextFeatureExtractor,
        Speech2TextForConditionalGeneration,
        Speech2TextProcessor,
        Speech2TextTokenizer,
    )

    folder = tmp_path_factory.mktemp("speech2text")
    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["low tone and high tone", "低音 和 高音"] * 10), model_writer=proto, vocab_size=32,
        model_type="char", minloglevel=2,
    )  # fmt: skip
    (folder / "spm.model").write_bytes(proto.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=proto.getvalue())
    names = ["<s>", "<pad>", "</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size()))]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    tokenizer = Speech2TextTokenizer(str(folder / "vocab.json"), str(folder / "spm.model"))
    torch.manual_seed(0)
    model = Speech2TextForConditionalGeneration(
        Speech2TextConfig(
            vocab_size=len(names), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=32,
            conv_channels=32,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    Speech2TextProcessor(Speech2TextFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def half(file) -> None:
    """Cut a file as a download that broke off."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
