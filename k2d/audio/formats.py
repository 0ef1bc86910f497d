"""What is known of the formats and codecs of ffmpeg's libraries that reading a recording by its packets depends on.

Formats and codecs are named as ffmpeg names them.
"""

from math import inf

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
# Bits of a frame's first bytes that are the same in all of them, those of its sampling rate too, where time stamps are
# made by counting frames.
MARK_BITS = {
    "aac": (0xFF, 0xF6, 0x3C), "mp3": (0xFF, 0xFE, 0x0C), "ac3": (0xFF, 0xFF, 0, 0, 0xC0), "eac3": (0xFF, 0xFF),
    "dts": (0xFF, 0xFF, 0xFF, 0xFF),
}  # fmt: skip
_LARGEST = {"ac3": 3840, "eac3": 4096, "dts": 16384, "mp2": 1729, "mp3": 1441}  # bytes of a frame

# Formats of sound and film only: with others, such as playlists, ffmpeg opens further addresses.
FORMATS = (
    "aa,aac,ac3,act,adx,aea,aiff,amr,amrnb,amrwb,ape,asf,au,avi,avr,caf,codec2,dhav,dsf,dss,dts,dtshd,dv,eac3,flac,flv,"
    "gsm,gxf,hcom,iff,ilbc,ircam,ivr,kux,live_flv,loas,lvf,matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,"
    "mpegts,mxf,nistsphere,nsv,nut,ogg,oma,osq,pva,pvf,qcp,qoa,rm,rso,shn,sox,spdif,swf,tak,truehd,tta,ty,vivo,voc,vqf,w64,"
    "wav,wsd,wtv,wv,wve,xwma"
)
HEADERLESS = {  # of one rate each
    ".g722": "g722", ".722": "g722", ".g729": "g729", ".sln": "sln", ".tco": "g723_1", ".g723": "g723_1",
}  # fmt: skip
# Stamps made by counting.
NO_CLOCK = {"aac", "ac3", "amr", "amrnb", "amrwb", "dts", "dtshd", "eac3", "gsm", "loas", "mlp", "mp3", "truehd"}
NO_CLOCK |= set(HEADERLESS.values())
# Whose header tells the length, so that less than that is damage,
PROMISING = {"ape", "flac", "mov", "tak", "tta", "wv"}
# or is damage only where the file also lacks bytes, or some could not be decoded: the header may be wrong.
ESTIMATING = {"asf", "avi", "matroska", "mp3", "rm"}


def largest_frame(codec: str, channels: int) -> float:
    """Bytes that a frame has at most; a larger packet holds what was to be several."""
    return 768 * max(1, channels) + 64 if codec == "aac" else _LARGEST.get(codec, inf)
