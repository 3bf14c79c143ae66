"""`curate push`: an export to a dataset repository of the Hub.

The token comes from the environment or from `hf auth login`, as huggingface_hub finds it; it is
not printed or stored here. `HF_ENDPOINT` is honoured by huggingface_hub itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.export.command import record_rejects, warn_about
from curate.export.hub import write_folder
from curate.export.options import PushOptions
from curate.export.parquet_table import hub_tables
from curate.export.staging import scratch
from curate.licenses import objection
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import say
from pairwright.dataset.store import Dataset
from pairwright.errors import Error, NotFoundError, UsageError
from pairwright.text.counts import counted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Where an export keeps its rows: one table, or each under its name.
SHARDS = ("data/*.parquet", "samples/*.parquet", "pairs/*.parquet")
_SHOWN = 5
_EXAMPLES = 3


class PushError(Error):
    """The Hub did not take the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a folder would publish.

    Attributes:
        rows: Number of rows.
        objections: Rows that should not be public, by (source, license, why).
        examples: Some of their ids.
    """

    rows: int
    objections: Counter[tuple[str, str, str]]
    examples: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    def complaint(self) -> str:
        """Which rows and why, in words; empty if there are none."""
        lines = []
        for key, n in self.objections.most_common(_SHOWN):
            source, license, why = key
            what = f"license {license!r}" if license else "no license"
            ids = ", ".join(self.examples.get(key, []))
            lines.append(f"{counted(n, 'row')} of {source!r} ({what}: {why}), such as {ids}")
        more = len(self.objections) - _SHOWN
        return "; ".join(lines) + (f"; and {more} more sources" if more > 0 else "")


def push(dataset: Dataset, options: PushOptions, run: RunOptions) -> Outcome:
    """Export, unless a folder is given, and upload what changed.

    Raises:
        UsageError: If rows would become public that their license does not allow.
        PushError: If the Hub refuses or cannot be reached.
    """
    if options.folder is not None:
        return push_folder(options.folder, options, run)
    tables = hub_tables(dataset, options, limit=run.limit)
    with scratch(dataset.path, "push") as out:
        done = write_folder(dataset, tables, options, out)
        if not run.dry_run:
            record_rejects(dataset, done, options, run)
        warn_about(done)
        outcome = push_folder(out, options, run)
    return Outcome(
        message=outcome.message,
        rows=outcome.rows,
        rejects=len(done.rejects),
        summary={**done.summary(), **outcome.summary},
    )


def push_folder(folder: Path, options: PushOptions, run: RunOptions) -> Outcome:
    """Upload an exported folder.

    Raises:
        NotFoundError: If it is not an exported folder.
        UsageError: As `push`.
        PushError: As `push`.
    """
    content = read_content(folder)
    with _hub_errors(options.repo):
        from huggingface_hub import HfApi

        api = HfApi()
        private = _is_private(api, options)
        check_licenses(content, options, private=private)
        if run.dry_run:
            text = f"dry run, nothing sent: {content.rows:,} rows to {options.repo}"
            return Outcome(message=text, rows=content.rows, summary={"repo": options.repo})
        url = api.create_repo(
            options.repo, repo_type="dataset", private=not options.public, exist_ok=True
        )
        repo = url.repo_id
        if options.branch is not None:
            api.create_branch(repo, repo_type="dataset", branch=options.branch, exist_ok=True)
        before = _head(api, repo, options.branch)
        api.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            folder_path=folder,
            revision=options.branch,
            commit_message=options.message or "Upload data set with pairwright",
            allow_patterns=["README.md", *SHARDS],
            # Shards of an earlier export with other names would be read along.
            delete_patterns=list(SHARDS),
        )
        after = _head(api, repo, options.branch)
    changed = before != after
    message = f"{url}: {'pushed' if changed else 'up to date, nothing sent:'} {content.rows:,} rows"
    summary = {"repo": repo, "url": str(url), "commit": after, "changed": changed}
    return Outcome(message=message, rows=content.rows, summary=summary)


def read_content(folder: Path) -> Content:
    """Count the rows of an exported folder and look at their licenses.

    Raises:
        NotFoundError: If it is not an exported folder.
    """
    import polars as pl

    files = sorted(file for pattern in SHARDS for file in folder.glob(pattern))
    if not files or not (folder / "README.md").is_file():
        msg = f"{folder}: not an exported folder (README.md and data/*.parquet); make one with `curate export`"
        raise NotFoundError(msg)
    objections: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], list[str]] = {}
    n_rows = 0
    for file in files:
        frame = pl.scan_parquet(file, glob=False)
        known = frame.collect_schema().names()
        key = next((name for name in ("pair_id", "sample_id") if name in known), None)
        columns = [
            next((pl.col(n) for n in names if n in known), pl.lit(None, dtype=pl.String)).alias(
                names[0]
            )
            for names in (("source",), ("license", "licence"))  # the last in older exports
        ]
        row_id = pl.lit("?").alias("id") if key is None else pl.col(key).alias("id")
        counts = (
            frame.select(*columns, row_id)
            .group_by("source", "license", maintain_order=True)
            .agg(pl.len(), pl.col("id").head(_EXAMPLES))
            .collect()
        )
        for source, license, n, ids in counts.iter_rows():
            n_rows += n
            why = objection(license)
            if why is not None:
                entry = (source or "unknown", license or "", why)
                objections[entry] += n
                known_ids = examples.setdefault(entry, [])
                known_ids += ids[: _EXAMPLES - len(known_ids)]
    return Content(rows=n_rows, objections=objections, examples=examples)


def check_licenses(content: Content, options: PushOptions, *, private: bool) -> None:
    """Refuse what must not be public; warn if the repository is private.

    Raises:
        UsageError: If a public repository would get such rows.
    """
    complaint = content.complaint()
    if not complaint:
        return
    if private or options.allow_license:
        say(f"licenses: {complaint}")
        return
    msg = f"{options.repo} is public, and licenses do not allow it: {complaint}. Push to a private repository, leave these rows out, or allow it with --allow-license"
    raise UsageError(msg)


def _is_private(api: HfApi, options: PushOptions) -> bool:
    """Whether the repository is private, or will be."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        private = api.dataset_info(options.repo).private
    except RepositoryNotFoundError:
        return not options.public
    if (private is False and options.private) or (private and options.public):
        asked = "public" if options.public else "private"
        msg = f"{options.repo} exists and is not {asked}: change that on the Hub, or leave --{asked} out"
        raise UsageError(msg)
    # A repository counts as public unless the Hub reports it as private.
    return bool(private)


def _head(api: HfApi, repo: str, branch: str | None) -> str | None:
    return api.dataset_info(repo, revision=branch).sha


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into one line."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    # The HTTP library below changed its name between versions; its base class is the first here.
    transport_error: type[BaseException] = HfHubHTTPError.__bases__[0]
    try:
        yield
    except Error:
        raise
    except HFValidationError as error:
        msg = f"{repo!r} is not the name of a repository: use owner/name ({error})"
        raise UsageError(msg) from error
    except OfflineModeIsEnabled as error:
        msg = "HF_HUB_OFFLINE is set, so nothing can be pushed; unset it"
        raise PushError(msg) from error
    except LocalTokenNotFoundError as error:
        raise PushError(_no_access(repo, "no token")) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise PushError(_no_access(repo, f"HTTP {status}")) from error
        msg = f"{repo}: the Hub refused ({_first_line(error)}); the same command again resumes"
        raise PushError(msg) from error
    except (transport_error, OSError, RuntimeError) as error:
        msg = f"{repo}: the Hub cannot be reached ({_first_line(error)}); the same command again resumes"
        raise PushError(msg) from error


def _no_access(repo: str, why: str) -> str:
    return f"{repo}: you cannot write there ({why}); log in with `hf auth login`, or set HF_TOKEN to a token with write access"


def _first_line(error: BaseException) -> Any:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
