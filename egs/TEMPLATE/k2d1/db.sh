# shellcheck shell=bash disable=SC2034 # the recipes use what is set here
# Where the corpora lie: the one file to edit before a recipe runs. Empty: the corpus is not there.

COOL=              # training: a folder of course recordings, audio or video, nested as you like
COOL_TEST=         # recordings with hand-corrected .srt (or .vtt) of the same name beside them
COOL_DEV=          # the same form, for choosing the epoch; empty: NTUML2021's dev set
NTUML2021=         # the Hugging Face folder ky552/ML2021_ASR_ST
COMMONVOICE_ZH_TW= # …/cv-corpus-16.1-2023-12-06/zh-TW of the official release
ASCEND=            # the Hugging Face folder CAiRE/ASCEND, or the original zip, packed or not

# stated: the files must be those of the release the figures belong to; any: take what is there, with a warning
COUNTS=stated
