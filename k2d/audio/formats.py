"""What is known of the formats and codecs of ffmpeg's libraries that reading a recording by its packets depends on.

Formats and codecs are named as ffmpeg names them.
"""

# Decoders that draw noise.
NOISY = {"aac", "aac_latm", "ac3", "eac3", "mp2"}
# What these make of a packet depends on a few packets before it at most. Of all others it may depend on every one
# (AMR, GSM, G.72x, Speex), so that parts are cut out of the whole.
FORGETTING = frozenset(
    "aac aac_latm ac3 adpcm_ima_wav adpcm_ms alac ape dts eac3 flac mp1 mp2 mp3 opus tak tta vorbis wavpack wmapro "
    "wmav2".split()
)
LOSSY = frozenset("aac aac_latm ac3 dts eac3 mp1 mp2 mp3 opus vorbis wmapro wmav1 wmav2".split())
# Frame types from which on no speech was sent (3GPP TS 26.101 and 26.201): in pauses phones send comfort noise at most,
# which ffmpeg's libraries do not decode.
PAUSES = {"amr_nb": 8, "amr_wb": 9}
# Bits of a frame's first bytes that say its sampling rate: of AAC with the head of ADTS, of others always.
_MPEG_RATE = (0, 0x18, 0x0C, 0, 0)
_RATE_BITS = {
    "aac": (0, 0, 0x3C, 0, 0), "mp1": _MPEG_RATE, "mp2": _MPEG_RATE, "mp3": _MPEG_RATE, "ac3": (0, 0, 0, 0, 0xC0),
    "eac3": (0, 0, 0, 0, 0xF0), "dts": (0, 0, 0, 0, 0, 0, 0, 0, 0x3C),
}  # fmt: skip
# kbit/s by index: of MPEG audio by (version 1, layer), ISO/IEC 11172-3 and 13818-3; of AC-3, ATSC A/52.
_MPEG_BIT_RATES = {
    (True, 1): range(0, 449, 32),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = (44100, 48000, 32000)
_AC3_BIT_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)

# Formats of sound and film only: with others, such as playlists, ffmpeg opens further addresses.
FORMATS = (
    "aa,aac,ac3,act,adx,aea,aiff,amr,amrnb,amrwb,ape,asf,au,avi,avr,caf,codec2,dhav,dsf,dss,dts,dtshd,dv,eac3,flac,flv,"
    "gsm,gxf,hcom,iff,ilbc,ircam,ivr,kux,live_flv,loas,lvf,matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,"
    "mpegts,mxf,nistsphere,nsv,nut,ogg,oma,osq,pva,pvf,qcp,qoa,rm,roq,rso,shn,sox,spdif,swf,tak,truehd,tta,ty,vivo,voc,vqf,"
    "w64,wav,wsd,wtv,wv,wve,xwma"
)
HEADERLESS = {  # of one rate each, or of frames that tell it
    ".g722": "g722", ".722": "g722", ".g729": "g729", ".sln": "sln", ".tco": "g723_1", ".g723": "g723_1",
    ".sbc": "sbc", ".msbc": "sbc",
}  # fmt: skip
# Stamps made by counting.
NO_CLOCK = {"aac", "ac3", "amr", "amrnb", "amrwb", "dts", "dtshd", "eac3", "gsm", "loas", "mlp", "mp3", "truehd", "voc"}
NO_CLOCK |= set(HEADERLESS.values())
# Whose header tells the length, so that less than that is damage,
PROMISING = {"ape", "caf", "flac", "mov", "mxf", "tak", "tta", "wv"}
# or is damage only where the file also lacks bytes, or some could not be decoded: the header may be wrong.
ESTIMATING = {"asf", "avi", "flv", "matroska", "mp3", "rm", "wtv"}


def rate_bits(codec: str, head: bytes) -> tuple[int, ...]:
    """Which bits of a packet's first bytes are the same in all as long as the sampling rate is; of some codecs none."""
    return _RATE_BITS.get(codec, ()) if frame_length(codec, head) else ()


def frame_length(codec: str, head: bytes) -> int | None:
    """Bytes of the frame that begins so, as it says itself; 0 where no frame begins, None where that is not known."""
    if len(head) < 8:
        return None
    if codec == "aac":
        if head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            return 0
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if codec in ("mp1", "mp2", "mp3"):
        return _mpeg_length(head)
    if codec in ("ac3", "eac3"):
        return _ac3_length(head)
    if codec == "aac_latm":
        return ((head[1] & 31) << 8 | head[2]) + 3 if head[0] == 0x56 and head[1] & 0xE0 == 0xE0 else 0
    if codec == "dts" and head[:4] == b"\x7f\xfe\x80\x01":
        return ((head[5] & 3) << 12 | head[6] << 4 | head[7] >> 4) + 1
    return None


def is_found_anew(codec: str, head: bytes) -> bool:
    """Whether ffmpeg's libraries go on behind damage with a frame that begins so, having dropped what lies before: of
    TrueHD and MLP, whose decoders may fail nowhere."""
    return codec in ("truehd", "mlp") and head[4:7] == b"\xf8\x72\x6f"


def begins_frame(head: bytes) -> bool:
    """Whether a frame of AAC, also of LATM, MPEG audio, AC-3 or DTS begins so."""
    return any(frame_length(codec, head) for codec in ("aac", "aac_latm", "mp3", "ac3", "dts"))


def _mpeg_length(head: bytes) -> int | None:
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    index, rate = head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or version == 1 or layer == 4 or index == 15 or rate == 3:
        return 0
    if not index:  # of free format
        return None
    kilobits = _MPEG_BIT_RATES[version == 3, layer if version == 3 else min(layer, 2)][index]
    hertz, padding = _MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version], head[2] >> 1 & 1
    if layer == 1:
        return (12000 * kilobits // hertz + padding) * 4
    return (72000 if layer == 3 and version != 3 else 144000) * kilobits // hertz + padding


def mpeg_seconds(head: bytes) -> float:
    """Of the frame of MPEG audio, layer 3, that begins so; 0 where none does."""
    version, rate = head[1] >> 3 & 3, head[2] >> 2 & 3
    if head[0] != 0xFF or version == 1 or rate == 3:
        return 0.0
    return (1152 if version == 3 else 576) / (_MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version])


def _ac3_length(head: bytes) -> int:
    if head[:2] != b"\x0b\x77":
        return 0
    if head[5] >> 3 > 10:  # E-AC-3
        return ((head[2] & 7) << 8 | head[3]) * 2 + 2
    rate, index = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or index >= 2 * len(_AC3_BIT_RATES):
        return 0
    kilobits = _AC3_BIT_RATES[index // 2]
    return (kilobits * 4, 2 * (kilobits * 96000 // 44100 + index % 2), kilobits * 6)[rate]
