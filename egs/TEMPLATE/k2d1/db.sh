# shellcheck shell=bash disable=SC2034 # the recipes use what is set here
# Paths of the corpora: the only file to edit before a recipe runs. Empty: you do not have the corpus.

COOL=              # training: a folder of course recordings, audio or video, with any subfolders
COOL_TEST=         # recordings with hand-corrected .srt (or .vtt) of the same name beside them
COOL_DEV=          # the same, for choosing the epoch; empty: NTUML2021's dev set
NTUML2021=         # the Hugging Face folder ky552/ML2021_ASR_ST
COMMONVOICE_ZH_TW= # …/cv-corpus-16.1-2023-12-06/zh-TW of the official release
ASCEND=            # the Hugging Face folder CAiRE/ASCEND, or the original zip, unpacked or not

# stated: the number of files must be that of the published release; any: accept other numbers, with a warning
COUNTS=stated
