"""What GitHub's answers are worth: each judge gets whole answers and returns findings; not knowing counts as no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairlead.model import Finding, Status

if TYPE_CHECKING:
    from fairlead.outside.github import Alert, CheckRun, CommitStatus, Comparison, Pull, Review

_PASSED = ("success", "neutral", "skipped")
"""What GitHub itself lets a required check pass with."""
_FAILED = ("failure", "timed_out", "cancelled", "action_required", "startup_failure", "stale")
_WAITING = ("queued", "in_progress", "waiting", "requested", "pending")
_HARMLESS = ("low", "medium")
_GRAVE = ("high", "critical")
_DECIDES = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
"""States of a review that take the place of what the same person has said before."""
_TEAM = ("OWNER", "MEMBER", "COLLABORATOR")
"""Whose word counts; on a public repository anybody may press `approve`."""
_OTHERS = ("CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", "FIRST_TIMER", "MANNEQUIN", "NONE")
"""All others that GitHub knows; of anybody else it is not known whether their word counts."""

Seen = tuple[Status, str]


def judged_ci(
    commit: str, runs: Sequence[CheckRun], statuses: Sequence[CommitStatus], not_asked: Sequence[str] = ()
) -> list[Finding]:
    """Has CI said yes to this commit: every check run and every status, of each rerun the newest.

    `not_asked`: names of checks that are left out, such as the job that asks.
    """
    asked = [run for run in newest(runs) if run.name not in not_asked]
    told = [status for status in statuses if status.context not in not_asked]
    if not asked and not told:
        says = f"nothing has looked at {commit[:12]}"
        return [_finding("ci", commit[:12], ("unknown", says), "was it pushed, and does CI run for its branch?")]
    found = [_finding("ci", run.name, _of_run(run, commit), run.html_url or "") for run in asked]
    found += [_finding("ci", one.context, _of_status(one.state), one.target_url or "") for one in told]
    if all(one.status == "ok" for one in found) and not _anybody_said_yes(asked, told):
        says = f"every check of {commit[:12]} was skipped, so nothing was tested"
        found.append(_finding("ci", commit[:12], ("unknown", says), "run one: gh workflow run"))
    return found


def newest(runs: Sequence[CheckRun]) -> list[CheckRun]:
    """Of the runs of one check in one suite the one that was begun last: a rerun takes the place of what was before."""
    last: dict[tuple[int, int, str], CheckRun] = {}
    for run in runs:
        key = (run.app.id if run.app else 0, run.check_suite.id if run.check_suite else 0, run.name)
        if key not in last or run.id > last[key].id:
            last[key] = run
    return list(last.values())


def _anybody_said_yes(runs: Sequence[CheckRun], statuses: Sequence[CommitStatus]) -> bool:
    return any(run.conclusion == "success" for run in runs) or any(one.state == "success" for one in statuses)


def _of_run(run: CheckRun, commit: str) -> Seen:
    if run.head_sha != commit:
        return "unknown", f"GitHub answers for another commit than {commit[:12]}"
    if run.status in _WAITING:
        return "unknown", f"has not ended yet: {run.status.replace('_', ' ')}"
    end = run.conclusion or ""
    if run.status == "completed" and end in _FAILED:
        return "fail", f"ended with {end.replace('_', ' ')}"
    if run.status == "completed" and end in _PASSED:
        return "ok", f"ended with {end}"
    return "unknown", "has ended in a way that is not known here"


def _of_status(state: str) -> Seen:
    known: dict[str, Seen] = {
        "success": ("ok", "success"),
        "failure": ("fail", "failure"),
        "error": ("fail", "error"),
        "pending": ("unknown", "has not ended yet: pending"),
    }
    return known.get(state, ("unknown", "has ended in a way that is not known here"))


def judged_alerts(repository: str, alerts: Sequence[Alert]) -> list[Finding]:
    """Is no grave weakness of a dependency open: a finding for each that is, by package and advisory."""
    found = [finding for alert in alerts if (finding := _alert(alert)) is not None]
    if found:
        return found
    says = f"no alert is high or critical{f', {len(alerts)} are low or medium' if alerts else ''}"
    return [_finding("dependabot", repository, ("ok", says))]


def _alert(alert: Alert) -> Finding | None:
    advisory = alert.security_advisory
    severities = {advisory.severity, alert.security_vulnerability.severity}
    if alert.state == "open" and severities <= set(_HARMLESS):
        return None
    bad = next((word for word in reversed(_GRAVE) if word in severities), "")
    numbers = ", ".join(filter(None, (advisory.ghsa_id, advisory.cve_id)))
    seen: Seen = ("fail", f"{bad}: {numbers}") if bad else ("unknown", f"of a kind that is not known here: {numbers}")
    if alert.state != "open":
        seen = ("unknown", f"GitHub was asked for open alerts, and tells another: {numbers}")
    return _finding("dependabot", alert.dependency.package.name, seen, alert.html_url or "")


def judged_pull(commit: str, repository: str, main: str, pulls: Sequence[Pull]) -> Pull | Finding:
    """The pull request into `main` that has brought this commit, or why there is none whose reviews could count."""
    ours = [one for one in pulls if one.base.ref == main and _in(one, repository)]
    merged = [one for one in ours if one.merged_at]
    waiting = [one for one in ours if one.state == "open"]
    exact = [one for one in merged if commit in (one.merge_commit_sha, one.head.sha)]
    # A commit that is neither end of a merged request is one of several that were rebased or merged as they were.
    for one in (*exact, *(one for one in waiting if one.head.sha == commit), *merged):
        return one
    if waiting:
        says = f"pull request #{waiting[0].number} has moved on to {waiting[0].head.sha[:12]}, {commit[:12]} is older"
        return _finding("review", f"#{waiting[0].number}", ("fail", says), "git pull")
    says = f"{commit[:12]} came by no pull request into {main}, so nobody has reviewed it"
    return _finding("review", commit[:12], ("fail", says), "gh pr create")


def _in(pull: Pull, repository: str) -> bool:
    """Not one of a fork's own: those are reviewed by others."""
    return pull.base.repo is not None and pull.base.repo.full_name.lower() == repository.lower()


def judged_reviews(pull: Pull, reviews: Sequence[Review]) -> list[Finding]:
    """Has somebody of the team who is not the author approved it, and does nobody of them still ask for changes?"""
    subject, words = f"#{pull.number}", _last_words(reviews)
    found = [
        _finding("review", subject, ("unknown", f"{who}'s review is of a kind that is not known here"), _see(pull))
        for who, review in words.items()
        if review.state not in _DECIDES or review.author_association not in (*_TEAM, *_OTHERS)
    ]
    found += [
        _finding("review", subject, ("fail", f"{who} asks for changes"), _see(pull))
        for who, review in words.items()
        if review.state == "CHANGES_REQUESTED" and review.author_association in _TEAM
    ]
    approvals = {who: one for who, one in words.items() if one.state == "APPROVED" and _counts(one, pull)}
    if not approvals:
        says = f"nobody who counts has approved it{_why_not(words, pull)}"
        found.append(_finding("review", subject, ("fail", says), _see(pull)))
    return found or [_approved(pull, approvals)]


def _last_words(reviews: Sequence[Review]) -> dict[str, Review]:
    """The last word of each person; GitHub tells them in order of time, and a comment takes nothing back.

    Deleted accounts are not taken for one person.
    """
    last: dict[str, Review] = {}
    for review in reviews:
        if review.state not in ("COMMENTED", "PENDING"):
            last[review.user.login if review.user else f"a deleted account ({review.id})"] = review
    return last


def _counts(review: Review, pull: Pull) -> bool:
    return review.user is not None and not _is_author(review, pull) and review.author_association in _TEAM


def _is_author(review: Review, pull: Pull) -> bool:
    if review.user is None or pull.user is None:
        return False
    return review.user.id == pull.user.id or review.user.login.lower() == pull.user.login.lower()


def _why_not(words: dict[str, Review], pull: Pull) -> str:
    """What has become of the approvals that there were."""
    told = [f"{who}'s approval was dismissed" for who, one in words.items() if one.state == "DISMISSED"]
    for who, one in words.items():
        if one.state == "APPROVED":
            told.append(f"{who} is its author" if _is_author(one, pull) else f"{who} is not of the team")
    return f": {', '.join(told)}" if told else ""


def _approved(pull: Pull, approvals: dict[str, Review]) -> Finding:
    says = f"#{pull.number} is approved by {', '.join(approvals)}"
    if any(one.commit_id == pull.head.sha for one in approvals.values()):
        return _finding("review", f"#{pull.number}", ("ok", says))
    says += ", who saw an earlier commit of it"
    return _finding("review", f"#{pull.number}", ("warn", says), _see(pull))


def _see(pull: Pull) -> str:
    return pull.html_url or f"gh pr view {pull.number}"


def judged_behind(commit: str, main: str, seen: Comparison) -> list[Finding]:
    """Has the commit all that is in `main`?"""
    if seen.status != _stands(seen.ahead_by, seen.behind_by):
        says = (
            f"GitHub's answer contradicts itself: {seen.behind_by} behind, {seen.ahead_by} ahead, `{seen.status[:20]}`"
        )
        return [_finding("behind", main, ("unknown", says), "ask again")]
    if seen.behind_by == 0:
        return [_finding("behind", main, ("ok", f"{commit[:12]} has all that is in {main}"))]
    says = f"{commit[:12]} lacks {seen.behind_by} commits of {main}"
    return [_finding("behind", main, ("fail", says), f"git fetch && git rebase origin/{main}")]


def _stands(ahead: int, behind: int) -> str:
    """GitHub's word for these counts; empty = there is none."""
    if min(ahead, behind) < 0:
        return ""
    words = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    return words[ahead > 0, behind > 0]


def told_pulls(repository: str, pulls: Sequence[Pull]) -> list[Finding]:
    """Which pull requests are open; that forbids nothing."""
    titles = [f"#{one.number} {' '.join(one.title.split())[:60]}" for one in pulls]
    shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
    says = f"{len(titles)} open: {shown}" if titles else "none is open"
    found = _finding("pulls", repository, ("ok", says))
    return [found.model_copy(update={"evidence": {"open": list(titles)}})]


def _finding(check: str, subject: str, seen: Seen, hint: str = "") -> Finding:
    status, says = seen
    return Finding(check=check, subject=subject, status=status, says=says, hint="" if status == "ok" else hint)
