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
# Bits of a frame's first bytes that say its sampling rate, where time stamps are made by counting frames.
RATE_BITS = {"aac": (0, 0, 0x3C, 0, 0), "mp3": (0, 0x18, 0x0C, 0, 0), "ac3": (0, 0, 0, 0, 0xC0)}

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
ESTIMATING = {"asf", "avi", "matroska", "mp3"}
