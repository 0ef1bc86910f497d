"""A published folder to the Hugging Face Hub: which files go where, and the upload.

In: the folder that `k2d publish` wrote, an id OWNER/NAME. Out: one commit in that repository. Files of `huggingface/`
lie at its top, where transformers and k2d look for them, the other forms beside them. Nothing else goes: what is
private, and records of how the folder was made, are on no list. HF_TOKEN or `hf auth login` says who uploads;
HF_ENDPOINT names another server.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from k2d.errors import UserError, first_line
from k2d.publish.card import PLACEHOLDER
from k2d.publish.forms import CTRANSLATE2, GGML, HUGGINGFACE, OPENAI
from k2d.whisper.hub import REPOSITORY, of_network
from k2d.wording import counted
from k2d.work.folders import size_in_words

CARD = "README.md"


class NotUploaded(UserError):
    """The Hub did not take the files; the message says what to do."""


@dataclass(frozen=True)
class Upload:
    """One file: where it lies, its path in the repository, its bytes."""

    file: Path
    path: str
    size: int


def check_id(repo: str) -> None:
    if not re.fullmatch(REPOSITORY, repo):
        raise NotUploaded(f"--push_to_hub {repo}: no id of the Hub; expected OWNER/NAME")


def planned(folder: Path) -> list[Upload]:
    """Every file that goes, the card first. Raises NotUploaded where there is no card."""
    top = folder / HUGGINGFACE
    if not (top / CARD).is_file():
        raise NotUploaded(f"{top / CARD}: missing; run k2d publish with --record first")
    files = [(path, path.relative_to(top)) for path in sorted(top.rglob("*"))]
    # openai-whisper and whisper.cpp know their vocabularies by size: where there is one file, both can read theirs.
    single = [OPENAI, GGML] if (folder / GGML).is_file() else []
    files += [(folder / name, Path(name)) for name in single]
    files += [(path, path.relative_to(folder)) for path in sorted((folder / CTRANSLATE2).rglob("*"))]
    found = [
        Upload(path, inside.as_posix(), path.stat().st_size)
        for path, inside in files
        if path.is_file() and not any(part.startswith(".") for part in inside.parts)
    ]
    return sorted(found, key=lambda each: each.path != CARD)


def described(plan: list[Upload], repo: str, public: bool) -> str:
    """The plan, a file a line, with sizes."""
    lines = [f"{size_in_words(each.size):>9}  {each.path}" for each in plan]
    kind = "public" if public else "private (--release makes it public)"
    total = size_in_words(sum(each.size for each in plan))
    lines.append(f"{total:>9}  in {counted(len(plan), 'file')} to {repo}, {kind}")
    if PLACEHOLDER in plan[0].file.read_text(encoding="utf-8"):
        lines.append(f"The uploaded card says {repo} where {plan[0].file} says {PLACEHOLDER}.")
    return "\n".join(lines)


def upload(plan: list[Upload], repo: str, public: bool) -> str:
    """Make the repository if need be, and commit the files. Returns the commit's address. Raises NotUploaded.

    A repository that is public already takes nothing that is not released.
    """
    import huggingface_hub.constants as settings
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    host = settings.ENDPOINT
    if settings.HF_HUB_OFFLINE:
        raise NotUploaded(f"{repo}: HF_HUB_OFFLINE forbids to upload; unset it")
    api = HfApi()
    if not get_token():
        raise NotUploaded(
            f"{repo}: no token for {host}; log in with 'hf auth login', or set HF_TOKEN to one that may write"
        )
    operations = [
        CommitOperationAdd(each.path, _card(each.file, repo) if each.path == CARD else str(each.file)) for each in plan
    ]

    def send() -> str:
        api.create_repo(repo, private=not public, exist_ok=True)
        private = bool(api.model_info(repo).private)
        if not public and not private:
            raise NotUploaded(f"{repo}: is public already; give --release, which asks the gates, or another name")
        commit = api.create_commit(repo, operations, commit_message="Upload by k2d publish")
        if public and private:  # last: nobody sees half of it
            api.update_repo_settings(repo, private=False)
        return str(commit.commit_url)

    return _guarded(repo, host, send)


def _card(file: Path, repo: str) -> bytes:
    """The card with the repository's name in its examples."""
    return file.read_text(encoding="utf-8").replace(PLACEHOLDER, repo).encode()


def _guarded(repo: str, host: str, send) -> str:
    from huggingface_hub import errors

    try:
        return send()
    except NotUploaded:
        raise
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        what = f"{host} answered: {first_line(error)}; try again later: what has arrived is not sent twice"
        if status in (401, 403):
            owner = repo.partition("/")[0]
            what = (
                f"{host} refused the token ({first_line(error)}); make one that may write to {owner} "
                f"({host}/settings/tokens), then 'hf auth login' or HF_TOKEN"
            )
        raise NotUploaded(f"{repo}: {what}") from None
    except json.JSONDecodeError:
        raise NotUploaded(f"{repo}: {host} does not answer as the Hub does; correct HF_ENDPOINT") from None
    except Exception as error:
        if not of_network(error):
            raise
        raise NotUploaded(
            f"{repo}: {host} cannot be reached ({first_line(error)}); connect, name a proxy in HTTPS_PROXY or "
            "another server in HF_ENDPOINT, and run the same command again"
        ) from None
