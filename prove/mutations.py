"""A test is believed only after it has failed: promises of the product are broken one by one, and it must be noticed.

Each mutation is made in a copy of the working tree, and the tests that hold its promise are run there: they pass
without it, and fail with it. A mutation whose place is gone is a failure too: it has to move with the product.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prove.table import Row

ROOT = Path(__file__).parents[1]
PATIENCE = 300.0
"""Seconds that the tests of one mutation may take."""


class Mutation(NamedTuple):
    """One promise broken."""

    name: str
    file: str
    """Below src/fairlead."""
    old: str
    """Stands there exactly once."""
    new: str
    tests: tuple[str, ...]
    """Below tests; each must pass without the mutation, and one must fail with it."""


TARGET = "journal/target.sh"
RUNNER = "run/test_runner.py"
OPERATE = "run/test_operate.py"
RELEASE = "strategies/test_release.py"
GATE = "checks/test_gate.py"
READERS = "checks/reports/test_readers.py"
QUALITY = "checks/test_quality.py"
LOGS = "checks/test_logs.py"
WINDOW = "checks/test_window.py"
PERSONAL = "checks/test_personal.py"
GITHUB = "checks/test_github.py"
READY = "app/test_ready.py"
UFW = "strategies/ufw.sh"
UFW_ROWS = "strategies/test_ufw_script.py"

MUTATIONS = (
    Mutation(
        "what a window is meant for is told with the secrets in it",
        "app/announce.py",
        "self._app.secrets.redact(words.window_opening(project, environment, times, services, reason))",
        "words.window_opening(project, environment, times, services, reason)",
        ("app/test_announce.py::test_a_window_is_told_beforehand",),
    ),
    Mutation(
        "a minute has sixty seconds more",
        "model/duration.py",
        "    if round(seconds, 1) < 60:",
        "    if seconds < 60:",
        ("model/test_duration.py::test_seconds_in_words",),
    ),
    Mutation(
        "who belongs to no group that is known here has no say",
        "checks/github.py",
        "or review.author_association not in (*_TEAM, *_OTHERS)",
        "",
        (f"{GITHUB}::test_situation",),
    ),
    Mutation(
        "gates are asked one after the other",
        "checks/gate.py",
        "    await asyncio.gather(*(ask(one) for one in several if not one.alone))",
        "    for one in several:\n        if not one.alone:\n            await ask(one)",
        (f"{READY}::test_gates_that_only_wait_are_waited_for_together",),
    ),
    Mutation(
        "a window's issue stays open when its run begins",
        "app/announce.py",
        "        self._window_begins(run)\n",
        "",
        ("app/test_announce.py::test_the_first_run_in_a_window_closes_its_issue",),
    ),
    Mutation(
        "what is announced anew of a window is lost",
        "app/announce.py",
        "first is None or first.opening == fresh.opening:",
        "first is None or first.opening:",
        ("app/test_announce.py::test_a_window_is_told_once_and_what_differs_is_added",),
    ),
    Mutation(
        "a window is announced into a freeze",
        "checks/window.py",
        "    end = _end(window, opened, at)\n    return Stretch(",
        "    end = opened.end\n    return Stretch(",
        ("checks/test_window.py::test_which_window_comes",),
    ),
    Mutation(
        "what sudo would want a password for is allowed",
        "checks/rights.py",
        "    elif rules and _asks_password(words, rules):",
        "    elif False:",
        ("checks/test_rights.py::test_what_sudo_allows",),
    ),
    Mutation(
        "the first rule of sudo counts",
        "checks/rights.py",
        "    return said[-1] if said else True",
        "    return said[0] if said else True",
        ("checks/test_rights.py::test_what_sudo_allows",),
    ),
    Mutation(
        "what sudo refuses is no fault",
        "checks/rights.py",
        "    if code:\n",
        "    if code > 1:\n",
        ("checks/test_rights.py::test_what_sudo_allows",),
    ),
    Mutation(
        "sudo is not asked but told",
        "checks/rights.py",
        """shlex.join(("sudo", "-n", "-l", *self.argv[1:]))""",
        """shlex.join(("sudo", "-n", *self.argv[1:]))""",
        ("checks/test_rights.py::test_what_sudo_allows",),
    ),
    Mutation(
        "systemd need not know a unit",
        "checks/rights.py",
        """    if not unit.needed or state == "loaded":""",
        """    if state != "-":""",
        ("checks/test_rights.py::test_units",),
    ),
    Mutation(
        "a command whose program is not there is passed over",
        "checks/host.sh",
        """command -v -- "$2" >/dev/null ||""",
        """true ||""",
        ("checks/test_rights.py::test_programs_of_commands",),
    ),
    Mutation(
        "what is to come takes no room",
        "checks/host.py",
        "    if needed and disk.free - needed < DISK_LEAST:",
        "    if needed and disk.free < DISK_LEAST:",
        ("checks/test_host.py::test_what_is_to_come_must_fit",),
    ),
    Mutation(
        "the oldest backup says how large the next will be",
        "checks/host.sh",
        "*) newest=$file;; esac",
        "*) newest=${newest:-$file};; esac",
        ("checks/test_rights.py::test_what_is_to_come_is_measured_by_what_lies_there",),
    ),
    Mutation(
        "load is not shared out among cores",
        "checks/host.py",
        "    each = seen.load / max(1, seen.cores)",
        "    each = seen.load",
        ("checks/test_host.py::test_load_is_judged_against_cores",),
    ),
    Mutation(
        "a place beside a docroot is not looked at",
        "checks/gates/hosts.py",
        "for folder in (s.path, s.beside) if folder]",
        "for folder in (s.path,) if folder]",
        ("checks/test_rights.py::test_what_an_environment_needs_of_a_host",),
    ),
    Mutation(
        "probe and change share a line whatever their length",
        "run/session.py",
        '*_command(step, "do").argv))) < ONE_LINE',
        '*_command(step, "do").argv))) < 10 * ONE_LINE',
        (f"{RUNNER}::test_programs_that_are_too_long_together_go_one_after_the_other",),
    ),
    Mutation(
        "a freeze counts only where no window is open",
        "checks/window.py",
        "    if not frozen and (opened or not window.open):",
        "    if opened or (not frozen and not window.open):",
        (f"{WINDOW}::test_may_a_deployment_start",),
    ),
    Mutation(
        "a time that clocks show twice is the first of both",
        "checks/window.py",
        "return Stretch(start, later_end, span) if wide else",
        "return Stretch(start, end, span) if wide else",
        (f"{WINDOW}::test_may_a_deployment_start",),
    ),
    Mutation(
        "whose clocks are meant is not heeded",
        "checks/window.py",
        "    return datetime.fromtimestamp(now, ZoneInfo(span.zone)).replace(",
        "    return datetime.fromtimestamp(now, UTC).replace(",
        (f"{WINDOW}::test_may_a_deployment_start",),
    ),
    Mutation(
        "any answer of a gate of one's own is a yes",
        "checks/own.py",
        "    if result.code not in (0, 1):",
        "    if result.code < 0:",
        ("checks/test_own.py::test_a_command",),
    ),
    Mutation(
        "an error in a gate of one's own is told with what it says",
        "checks/own.py",
        "failed: {type(error).__name__}",
        "failed: {error!r}",
        ("checks/test_own.py::test_a_check_of_a_package",),
    ),
    Mutation(
        "a placeholder is a secret",
        "checks/secrets.py",
        "return len(plain) < 3 or bool(_PLACEHOLDER.fullmatch(plain))",
        "return len(plain) < 3",
        ("checks/test_secrets.py::test_what_only_keeps_a_place", "checks/test_secrets.py::test_what_is_said"),
    ),
    Mutation(
        "what was found in a log is forgotten by the next look",
        "checks/logs.py",
        "counts, places = Counter(known.counts), dict(known.places)",
        "counts, places = Counter[str](), dict[str, tuple[int, ...]]()",
        (f"{LOGS}::test_what_was_found_counts_until_it_is_gone", f"{LOGS}::test_much_is_read_in_parts"),
    ),
    Mutation(
        "a log that was rotated is not read to its end",
        "checks/logs.sh",
        """*) tell old "$number" "$old";; esac""",
        """*) ;; esac""",
        (f"{LOGS}::test_a_file_that_is_rotated_is_read_to_its_end",),
    ),
    Mutation(
        "a log that was emptied goes on where it was",
        "checks/logs.py",
        "        if known.offset > file.size or not same:",
        "        if known.offset > file.size and not same:",
        (f"{LOGS}::test_a_file_that_was_emptied_is_read_from_its_beginning",),
    ),
    Mutation(
        "a log that is not there is passed over",
        "checks/logs.py",
        "for pattern in missing),",
        "for pattern in missing[:0]),",
        (f"{LOGS}::test_no_file_is_no_yes",),
    ),
    Mutation(
        "a log of which much is left counts as looked through",
        "checks/logs.py",
        "        elif left:\n",
        "        elif left < 0:\n",
        (f"{LOGS}::test_too_much_for_one_look_goes_on_with_the_next",),
    ),
    Mutation(
        "half a line at the end of a log is not looked at",
        "checks/logs.py",
        "self.known[file.id] = rest if last else whole",
        "self.known[file.id] = whole",
        (f"{LOGS}::test_nothing_of_it_is_kept_or_told", f"{LOGS}::test_a_line_that_is_still_being_written"),
    ),
    Mutation(
        "an account's sum is not reckoned",
        "checks/personal.py",
        "if whole and _is_iban(number) and",
        "if whole and",
        (f"{PERSONAL}::test_what_only_looks_like_it",),
    ),
    Mutation(
        "ten digits in a row are a social insurance number",
        "checks/personal.py",
        r"""_SVNR = re.compile(r"[1-9]\d{3} \d{6}""",
        r"""_SVNR = re.compile(r"[1-9]\d{3} ?\d{6}""",
        (f"{PERSONAL}::test_what_only_looks_like_it", f"{PERSONAL}::test_how_well_the_difference_is_told"),
    ),
    Mutation(
        "what is encoded in a log is not decoded",
        "checks/personal.py",
        "    text = _decoded(text)\n",
        "    text = str(text)\n",
        (f"{PERSONAL}::test_what_counts",),
    ),
    Mutation(
        "an empty list of results that is missing counts as none found",
        "checks/reports/sarif.py",
        'listing(run.get("results"), "results")',
        'listing(run.get("results") or [], "results")',
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "a run of a tool that failed is believed",
        "checks/reports/sarif.py",
        'if not flag(invocation.get("executionSuccessful"), "executionSuccessful"):',
        "if False:",
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "severities are looked for in results alone",
        "checks/reports/sarif.py",
        "for one in (result, rule)]",
        "for one in (result,)]",
        (f"{READERS}::test_severities_of_sarif",),
    ),
    Mutation(
        "a rejected suppression suppresses",
        "checks/reports/sarif.py",
        "return bool(several) and all(",
        "return bool(several) and any(",
        (f"{READERS}::test_severities_of_sarif",),
    ),
    Mutation(
        "a wrapper's empty answer is a clean report of gitleaks",
        "checks/reports/gitleaks.py",
        'listing(document(raw), "list of leaks")',
        'listing(found.get("findings") if isinstance(found := document(raw), dict) else found, "list of leaks")',
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "what gitleaks has found is told",
        "checks/reports/gitleaks.py",
        'name(leak.get("File"))',
        'name(leak.get("Match"))',
        (f"{READERS}::test_nothing_of_what_was_found_comes_out",),
    ),
    Mutation(
        "a file that bandit could not read is passed over",
        "checks/reports/bandit.py",
        'if errors := listing(report.get("errors"), "errors"):',
        'if errors := listing([], "errors"):',
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "a package that pip-audit skipped is passed over",
        "checks/reports/pip_audit.py",
        "    if skipped:\n",
        "    if len(skipped) == len(packages) > 99:\n",
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "npm's counts are not held against its list",
        "checks/reports/npm_audit.py",
        "        agree(counted, listed[severity],",
        "        agree(counted, counted,",
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "lighthouse's scores are not held against its audits",
        "checks/reports/lighthouse.py",
        "    if total and abs(",
        "    if total < 0 and abs(",
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "of a key that stands there twice the last counts",
        "checks/reports/report.py",
        "    if len(found) != len(pairs):",
        "    if len(found) > len(pairs):",
        (f"{READERS}::test_a_tool_that_did_not_run_to_its_end_is_not_believed",),
    ),
    Mutation(
        "a report that is older than the commit is believed",
        "checks/quality.py",
        "    if made < copy.committed:",
        "    if made < 0:",
        (f"{QUALITY}::test_how_old_a_report_may_be",),
    ),
    Mutation(
        "a report for another commit is believed",
        "checks/quality.py",
        "not commit.startswith(named.lower()):",
        "not commit:",
        (f"{QUALITY}::test_a_report_that_ci_left", f"{QUALITY}::test_the_commit_beside_a_report"),
    ),
    Mutation(
        "a report of an earlier run is believed",
        "checks/quality.py",
        "    if entry.file and after == before:",
        "    if entry.file and after is None:",
        (f"{QUALITY}::test_a_report_of_an_earlier_run_is_not_believed",),
    ),
    Mutation(
        "any exit code of a tool will do",
        "checks/quality.py",
        "    if result.code not in (0, *entry.findings):",
        "    if result.code < 0:",
        (f"{QUALITY}::test_a_command",),
    ),
    Mutation(
        "an exit code that speaks of findings is not held against the report",
        "checks/quality.py",
        "if seen.code and not _has_something(gate, seen)",
        "if seen.code < 0",
        (f"{QUALITY}::test_a_command",),
    ),
    Mutation(
        "a figure is rounded up",
        "checks/quality.py",
        "        if min(found) < least:",
        "        if round(min(found)) < least:",
        (f"{QUALITY}::test_a_report_that_ci_left",),
    ),
    Mutation(
        "what is kept is dropped on its last day",
        "plan/beside.py",
        "if last_day(one, databases[one.database]) < date",
        "if last_day(one, databases[one.database]) <= date",
        ("faults/test_kept.py",),
    ),
    Mutation(
        "what could not be dropped is said to be gone",
        "surfaces/cli/data.py",
        "if code == 0 and left.steps:",
        "if code == 9 and left.steps:",
        ("faults/test_kept.py",),
    ),
    Mutation(
        "the record is not flushed to the disk",
        TARGET,
        """printf '%s' "$2" >>"$record" && sync -d "$record" ||""",
        """printf '%s' "$2" >>"$record" ||""",
        ("run/test_durability.py",),
    ),
    Mutation(
        "the lock is renamed without being flushed",
        TARGET,
        """>"$1.new" && sync "$1.new" && mv""",
        """>"$1.new" && mv""",
        ("run/test_durability.py",),
    ),
    Mutation(
        "a change runs whatever the fence says",
        TARGET,
        """[ "$fence_token $fence_state" = "$1 open" ] || no fenced""",
        """true || no fenced""",
        (f"{RUNNER}::test_a_host_that_somebody_else_raised_accepts_nothing_of_ours",),
    ),
    Mutation(
        "the record takes lines of an older token",
        TARGET,
        """[ "$lock_state $lock_token $lock_run" = "held $1 $2" ] || no fenced""",
        """[ "$lock_state $lock_run" = "held $2" ] || no fenced""",
        (f"{RUNNER}::test_who_was_fenced_changes_and_writes_nothing_more",),
    ),
    Mutation(
        "a lease that is not over protects nobody",
        TARGET,
        """[ "$lease_token" = "$lock_token" ] && [ "$lease_end" -gt "$now" ]; then""",
        """false; then""",
        (f"{OPERATE}::test_a_second_operator_is_refused_and_the_first_keeps_the_lock",),
    ),
    Mutation(
        "a change begins after its lease is over",
        TARGET,
        """[ "$now" -le "$2" ] || no late""",
        """true || no late""",
        ("journal/test_target_script.py::test_refused_change_did_not_begin",),
    ),
    Mutation(
        "a record in which the token falls is believed",
        "journal/record.py",
        "if lines and line.token < lines[-1].token:",
        "if lines and line.token < 0:",
        ("journal/test_record.py::test_refuses",),
    ),
    Mutation(
        "a torn line of the record is believed",
        "journal/record.py",
        "if match[3].decode() != _sum(seq, token, text):",
        "if len(match[3]) != 16:",
        ("journal/test_record.py",),
    ),
    Mutation(
        "the exit code of a change is swallowed",
        "run/runner.py",
        "done is not None and done.rc != 0:",
        "done is not None and done.rc < 0:",
        (f"{RUNNER}::test_a_failing_change_turns_round_and_says_why",),
    ),
    Mutation(
        "what was announced is begun wherever it stands",
        "run/runner.py",
        'any(one.get(step.id) == "before" for one in seen)',
        'any(one.get(step.id) != "" for one in seen)',
        (f"{RUNNER}::test_staging_from_every_state",),
    ),
    Mutation(
        "what was announced is announced again",
        "run/session.py",
        "            if not intended:\n                await self.append(intent)",
        "            await self.append(intent)",
        (f"{RUNNER}::test_staging_from_every_state",),
    ),
    Mutation(
        "a plan made a moment ago counts, whoever was there since",
        "run/operate.py",
        "held.idle > ago + 1.0",
        "held.idle >= 0",
        ("run/test_operate.py::test_a_plan_made_a_moment_ago_is_not_made_again",),
    ),
    Mutation(
        "an old plan counts as made a moment ago",
        "run/operate.py",
        "ago < YOUNG and",
        "ago < 10 * YOUNG and",
        ("run/test_operate.py::test_a_plan_made_a_moment_ago_is_not_made_again",),
    ),
    Mutation(
        "anybody raises the fence with the holder's token",
        "journal/target.sh",
        '[ "$lock_state @$lock_nonce" = "held $token" ]',
        '[ "$lock_state" = held ]',
        ("journal/test_target_script.py",),
    ),
    Mutation(
        "a probe that does not answer is taken for `after`",
        "run/runner.py",
        'as_where(result.stdout) if result.ok else "cannot_tell"',
        'as_where(result.stdout) if result.ok else "after"',
        (f"{RUNNER}::test_a_probe_that_does_not_answer_cannot_tell",),
    ),
    Mutation(
        "what cannot be told is taken for done",
        "run/table.py",
        '"begun": ("do", "seen", "undo_then_do", "halt"),',
        '"begun": ("do", "seen", "undo_then_do", "seen"),',
        ("run/test_table.py", f"{RUNNER}::test_forward_from_every_state"),
    ),
    Mutation(
        "what was never begun keeps the way back from going on",
        "run/table.py",
        '    "none": ("next", "next", "halt", "next"),',
        '    "none": ("next", "next", "halt", "halt"),',
        (
            "run/test_table.py",
            "run/test_operate.py::test_a_run_comes_back_that_cannot_tell_where_a_step_stands_before_it_is_begun",
        ),
    ),
    Mutation(
        "what maintenance had stopped is started a second time",
        "strategies/release.py",
        'sh -c "${5:-false}" >/dev/null 2>&1 || sh -c "$4"; rm -f',
        'sh -c "$4"; rm -f',
        ("strategies/test_release.py::test_what_was_stopped_is_started_once",),
    ),
    Mutation(
        "a plan does not look whether triggers keep its way back from the data",
        "plan/deploy.py",
        '    refuse_triggers(_open_to(back), room, "`rollback: {data: none}` of the database")\n',
        "",
        ("faults/test_data_back.py::test_triggers_and_writers_that_nobody_stops_are_seen_before_anything_is_begun",),
    ),
    Mutation(
        "data is taken back while a first release still writes",
        "run/runner.py",
        "                if step.id in self.plan.data.ends:\n",
        "                if not step.id:\n",
        ("faults/test_data_back.py::test_a_first_deployment_that_fails_ends_what_it_started_and_then_takes_data_back",),
    ),
    Mutation(
        "a newer backup that does not count is passed over in silence",
        "app/data.py",
        "        if last.started <= newest.started:\n",
        "        if last:\n",
        ("faults/test_databases.py::test_a_newer_backup_that_does_not_count_is_passed_over_and_that_is_said",),
    ),
    Mutation(
        "the unit that is there at first contact is not shown",
        "plan/deploy.py",
        "        if change.before or not service.unit:\n",
        "        if change.before or service.unit:\n",
        ("strategies/test_adopt.py::test_the_unit_that_is_there_is_shown_at_first_contact",),
    ),
    Mutation(
        "data goes back before what a first deployment started has ended",
        "plan/rollback.py",
        "    data = [*map(shadow, chosen), *ended, *around.enter]\n",
        "    data = [*map(shadow, chosen), *around.enter]\n    steps += ended\n",
        ("faults/test_data_back.py::test_a_first_deployment_is_taken_away_with_its_data_and_comes_again",),
    ),
    Mutation(
        "what a first deployment started has to answer after its rollback",
        "plan/deploy.py",
        "for c in changes if not c.gone},",
        "for c in changes},",
        ("plan/test_rollback.py::test_it_was_the_first_deployment",),
    ),
    Mutation(
        "the way back undoes what it found",
        "run/table.py",
        '"found": ("next", "next", "halt", "next"),',
        '"found": ("next", "undo", "undo", "next"),',
        (f"{RUNNER}::test_the_way_back_leaves_found_stays_and_data_and_says_so",),
    ),
    Mutation(
        "an undo counts without a look at what it did",
        "run/runner.py",
        'done = await self._change(step, "undo", alone=alone)\n',
        'done = await self._change(step, "undo", alone=alone)\n            return\n',
        (f"{RUNNER}::test_an_undo_counts_only_when_the_probe_says_before",),
    ),
    Mutation(
        "a lost change is simply sent again",
        "run/runner.py",
        "            await self.session.recover(self.plan.hosts)\n",
        "            pass\n",
        (f"{RUNNER}::test_a_lost_connection_is_climbed_over_and_nothing_is_done_twice",),
    ),
    Mutation(
        "the next service is touched before the last one is proven",
        "run/runner.py",
        "            if step is last[step.service]:\n",
        "            if step is steps[-1]:\n",
        (f"{RUNNER}::test_a_service_that_is_not_proven_turns_the_run_round",),
    ),
    Mutation(
        "the old state is not proven after a way back",
        "run/runner.py",
        "        if blockers(findings):\n            what = ",
        "        if not findings and blockers(findings):\n            what = ",
        (f"{OPERATE}::test_an_old_state_that_is_not_proven_asks_for_a_human",),
    ),
    Mutation(
        "the way back is not recorded before the first change",
        "run/operate.py",
        "        way_back=plan.way_back_hash,\n",
        "",
        (f"{OPERATE}::test_a_run_that_ends_well",),
    ),
    Mutation(
        "the turn is not recorded before anything is undone",
        "run/runner.py",
        'await self.session.append(Entry(kind="back", says=why, who=self.session.who, data=names))',
        "pass",
        (f"{RUNNER}::test_the_way_back_is_recorded_before_anything_is_undone",),
    ),
    Mutation(
        "a plan is carried out though its ground has moved",
        "run/operate.py",
        "now.hash != plan.hash:",
        "now.hash == '':",
        (f"{OPERATE}::test_ground_that_moved_between_plan_and_lock",),
    ),
    Mutation(
        "a note takes the number of a line that nobody answered",
        "run/operate.py",
        "        await session.read()  # an append that",
        "        # an append that",
        (f"{OPERATE}::test_a_note_never_takes_the_number_of_a_line_that_nobody_answered",),
    ),
    Mutation(
        "the switch comes without a look at the trees",
        "run/runner.py",
        '        await self._must_be_ok(self.plan.staged, "after staging", patience=0)\n',
        "",
        (f"{RELEASE}::test_a_release_that_somebody_changed_is_seen_before_the_switch",),
    ),
    Mutation(
        "what arrived is put in place unseen",
        "strategies/release.py",
        'if [ "${have%% *}" != "$tree" ]; then',
        "if false; then",
        (f"{RELEASE}::test_what_arrived_otherwise_is_not_put_in_place",),
    ),
    Mutation(
        "the live release is removed",
        "strategies/release.py",
        'is live and stays" >&2; exit 1;; esac',
        'is live and stays" >&2;; esac',
        (f"{RELEASE}::test_the_live_release_is_never_removed",),
    ),
    Mutation(
        "folders that are not ours are pruned",
        "strategies/release.py",
        " and _OURS.fullmatch(name)]",
        "]",
        (f"{RELEASE}::test_old_releases_are_deleted_but_never_new_old_or_foreign_ones",),
    ),
    Mutation(
        "the link is removed before the new one is there",
        "strategies/release.py",
        "mv -fT .current.new current; sync .)",
        "rm -f current; sleep 0.1; mv -fT .current.new current; sync .)",
        (f"{RELEASE}::test_there_is_a_live_release_at_every_moment",),
    ),
    Mutation(
        "the running release is not asked who it is",
        "strategies/proof.py",
        "    if service.identity is None or not release:\n",
        "    if service.identity is None or release:\n",
        ("plan/test_deploy.py::test_what_is_proven_and_when",),
    ),
    Mutation(
        "429 is taken for an answer",
        "checks/http.py",
        "answer.status == 429 and 429 not in check.status",
        "answer.status == 430",
        ("checks/test_http.py::test_answers_are_judged",),
    ),
    Mutation(
        "the hash of a tree leaves out modes",
        "model/tree.py",
        "{e.kind} {e.mode:o} ",
        "{e.kind} 644 ",
        ("model/test_tree.py",),
    ),
    Mutation(
        "the way back is held against a name that no longer fits",
        "strategies/release.py",
        '"tree": change.before_tree or check.tree',
        '"tree": check.tree',
        ("plan/test_deploy.py::test_a_live_release_that_has_grown_is_held_against_what_was_found",),
    ),
    Mutation(
        "bytecode of a release that runs makes it another",
        "model/tree.py",
        '" -prune -o ! -path ./"',
        '" -o ! -path ./"',
        ("model/test_tree.py::test_bytecode_is_left_out",),
    ),
    Mutation(
        "the last row of each statement of a dump is not counted",
        "engines/mariadb.remote",
        "at, upto + 1) + (stop >= 0)",
        "at, upto + 1)",
        ("engines/test_mariadb.py::test_rows_are_those_that_the_server_counts",),
    ),
    Mutation(
        "a dump waits for no other one of its server",
        "engines/store.remote",
        "threading.Semaphore(DUMPS)",
        "threading.Semaphore(9)",
        ("engines/test_mariadb.py::test_no_more_than_two_dumps_of_a_server_at_once",),
    ),
    Mutation(
        "a name in a dump of PostgreSQL is taken for a table's rows",
        "engines/postgres.remote",
        """[^\\s'";][^'";]*(?:(?:'[^']*'|\"[^\"]*\")[^'";]*)*;\\n\"\"\")""",
        """[^\\n]*\\n\"\"\")""",
        ("engines/test_postgres.py::test_rows_are_counted_however_the_dump_is_cut",),
    ),
    Mutation(
        "a new database is not marked while it is filled",
        "engines/mariadb.remote",
        'create(server, into, note["more"], UNFINISHED)',
        'create(server, into, note["more"])',
        ("engines/test_mariadb.py::test_what_a_killed_restore_has_left_is_taken_away_by_the_next",),
    ),
    Mutation(
        "what stands where a new database is to be filled is dropped, marked or not",
        "engines/postgres.remote",
        'if found not in ("t|" + UNFINISHED, "f|"):',
        "if not found:",
        ("engines/test_postgres.py::test_what_a_killed_restore_has_left_is_taken_away_by_the_next",),
    ),
    Mutation(
        "a copy of a database counts without an integrity check",
        "engines/sqlite.remote",
        'db.execute("pragma integrity_check(1)").fetchone()',
        """db.execute("select 'ok'").fetchone()""",
        ("engines/test_sqlite.py::test_damage_inside_is_found_by_the_proof_of_the_copy",),
    ),
    Mutation(
        "a backup counts though its SHA-256 is another",
        "engines/store.remote",
        'one["intact"] = digest(one["file"]) == one["sha256"]',
        'one["intact"] = True',
        ("engines/test_sqlite.py::test_a_backup_that_does_not_count_says_why",),
    ),
    Mutation(
        "a secret is put into the argument list",
        "run/session.py",
        "stdin = await self.secrets.stdin_of(command)\n        target",
        "stdin = await self.secrets.stdin_of(command)\n"
        "        command = command.model_copy(update={'argv': (*command.argv, stdin.decode())})\n        target",
        (f"{RUNNER}::test_secrets_go_in_by_standard_input_only",),
    ),
    Mutation(
        "host keys are not checked",
        "outside/ssh_master.py",
        '"StrictHostKeyChecking": "yes"',
        '"StrictHostKeyChecking": "no"',
        ("outside/test_ssh.py::test_each_trouble_says_what_it_is",),
    ),
    Mutation(
        "unknown keys of fairlead.yml are overlooked",
        "model/base.py",
        'extra="forbid"',
        'extra="ignore"',
        ("config/test_errors.py::test_what_is_said",),
    ),
    Mutation(
        "the watch overlooks the share of errors",
        "run/watch.py",
        "share.errors / share.requests > rules.error_share",
        "share.errors / share.requests > 1",
        ("run/test_watch.py::test_judge",),
    ),
    Mutation(
        "the watch goes back for a single failed request",
        "run/watch.py",
        'some = share.errors >= (2 if share.source == "access_log" else 3)',
        "some = True",
        ("run/test_watch.py::test_judge",),
    ),
    Mutation(
        "a visitor writes a 5xx into the access log",
        "run/watch.py",
        r"""/^[^"]*"([^"\\\\]|\\\\.)*" 5[0-9][0-9]( |$)/ { bad = 1 }""",
        r"""/" 5[0-9][0-9]( |$)/ { bad = 1 }""",
        ("run/test_watch.py::test_what_is_counted",),
    ),
    Mutation(
        "a patch is put in place without a look at what it led to",
        "strategies/release.py",
        """        "do": sent.do.model_copy(update={"then": named.do.command}),""",
        """        "do": sent.do.model_copy(update={"then": shell(f"cd {service.path}/releases;mv .part-* {new}")}),""",
        ("strategies/test_release.py",),
    ),
    Mutation(
        "what ran before a first deployment is stopped on its way back",
        "strategies/release.py",
        """if [ -e "$folder/.ran" ]; then sh -c "$again"; else sh -c "$stop"; fi""",
        """sh -c "$stop\"""",
        ("strategies/test_release.py::test_what_ran_before_a_first_deployment_runs_after_its_way_back",),
    ),
    Mutation(
        "a docroot on a host without rsync is copied to with rsync",
        "strategies/in_place.py",
        """release.Found(had=("releases",), rsync=found.rsync)""",
        """release.Found(had=("releases",))""",
        ("faults/test_upload.py::test_a_host_without_rsync_is_said_before_and_in_the_plan",),
    ),
    Mutation(
        "what a killed run began to write into a kept file stays there",
        "engines/sqlite.remote",
        """            one_file(rest)""",
        """            pass""",
        ("engines/test_sqlite_swap.py::test_what_a_killed_run_wrote_beside_it_is_taken_back",),
    ),
    Mutation(
        "maintenance may not see or end who is in the way of a swap",
        "engines/mariadb_admin.py",
        """EVERYWHERE = ("SET USER", "PROCESS", "CONNECTION ADMIN")""",
        """EVERYWHERE = ("SET USER",)""",
        ("faults/test_provision.py::test_the_maintenance_account_may_end_who_does_nothing_and_is_in_the_way",),
    ),
    Mutation(
        "a program that has ended unseen loses its exit code",
        "outside/process.py",
        """            os.kill(self.pid, number)""",
        """            self.transport.send_signal(number)""",
        ("outside/test_process.py",),
    ),
    Mutation(
        "what a patch has put in place stays on the way back",
        "strategies/release.py",
        """        "undo": shell(_UNSTAGE + _EMPTIED, service.path""",
        """        "undo": shell(_REMOVE_UPLOAD + _EMPTIED, service.path""",
        ("strategies/test_release.py",),
    ),
    Mutation(
        "an upload whose rsync hung up counts as lost",
        "journal/target.py",
        "for pause in (0.0, *PATIENCE) if result.code else ():",
        "for pause in ():",
        ("journal/test_target.py::test_an_upload_that_nobody_heard_of_is_known_by_its_receipt",),
    ),
    Mutation(
        "what a login shell prints counts as an answer",
        "outside/ssh_shell.py",
        "said = said if hello else noise",
        "said = raw",
        ("outside/test_ssh.py::test_start_up_noise_of_the_remote_shell_is_not_part_of_an_answer",),
    ),
    Mutation(
        "looks go on in the session of a change",
        "outside/ssh.py",
        "if shell.usable and not alone:",
        "if shell.usable:",
        ("outside/test_ssh.py::test_what_a_change_leaves_behind_says_nothing_into_later_answers",),
    ),
    Mutation(
        "a change is done although its probe says that it is",
        TARGET,
        'after | between) no saw "$seen" ;;',
        "after | between) ;;",
        ("journal/test_target_changes.py::test_only_before_leads_on",),
    ),
    Mutation(
        "bytecode of the live release is linked into the next one",
        "journal/target.py",
        "-prune -exec rm -rf -- {} +",
        "-prune -exec true {} +",
        (f"{RELEASE}::test_a_small_change_is_sent_alone_and_all_else_is_linked",),
    ),
    Mutation(
        "an intent waits for somebody else's write, and is not written",
        "run/session.py",
        "self.later(entry)\n        async with self._pen:",
        "self.later(entry)\n        if self._pen.locked():\n            return\n        async with self._pen:",
        ("run/test_session.py::test_intents_that_meet_are_written_together_before_anything_begins",),
    ),
    Mutation(
        "a command that finds no session gives up at once",
        "outside/ssh.py",
        "if not await _one_ended(others[-1]):",
        "if others:",
        ("outside/test_ssh.py::test_what_finds_no_session_waits_for_what_has_one",),
    ),
    Mutation(
        "a long argument of a plan is believed whatever it is",
        "model/plan.py",
        "isinstance(text, str) and sha256(text) == name",
        "isinstance(text, str)",
        ("model/test_plan.py::test_a_plan_whose_long_arguments_are_damaged_is_refused",),
    ),
    Mutation(
        "probes of one program are told in another order",
        "engines/store.remote",
        "for number, (child, heard) in enumerate(asked, 1):",
        "for number, (child, heard) in enumerate(reversed(asked), 1):",
        ("engines/test_mariadb_swap.py::test_probes_are_asked_about_several_databases_at_once",),
    ),
    Mutation(
        "a module of the account's home is taken for Python's own",
        "engines/store.py",
        '"-ISc"',
        '"-c"',
        ("engines/test_sqlite.py::test_what_lies_in_the_home_is_no_part_of_the_program",),
    ),
    Mutation(
        "all databases are dumped and restored at once",
        "run/runner.py",
        "if step.heavy else nullcontext()",
        "if step.fresh else nullcontext()",
        ("run/test_runner.py::test_of_heavy_steps_only_some_are_done_at_once",),
    ),
    Mutation(
        "what keeps the record waits for changes that take long",
        "outside/ssh.py",
        'kind != "word" and (',
        "(",
        ("outside/test_ssh.py::test_a_word_for_the_record_waits_for_nothing_that_lasts",),
    ),
    Mutation(
        "where sessions are few, what takes long has all of them",
        "outside/ssh.py",
        "self._most = max(1, min(self._most, held - 1))",
        "self._most = max(1, min(self._most, held))",
        ("outside/test_ssh.py::test_a_word_for_the_record_and_a_look_on_a_server_with_few_sessions",),
    ),
    Mutation(
        "a look waits until a change ends",
        "outside/ssh.py",
        'kind == "change" and changes >= max(1, self._most - 1)',
        'kind == "change" and changes >= self._most',
        ("outside/test_ssh.py::test_a_look_waits_for_no_change",),
    ),
    Mutation(
        "a long request that was cut off is run",
        "outside/ssh_shell.sh",
        '*"# $w") n=0 ;; ?*) exit ;;',
        "?*) n=0 ;;",
        ("outside/test_ssh_shell.py::test_what_was_cut_off_is_not_run",),
    ),
    Mutation(
        "attempts to undo are counted for ever",
        "run/runner.py",
        'update={"undo_attempts": tried}',
        "update={}",
        ("run/test_runner.py::test_what_could_not_be_undone_is_tried_again_when_somebody_asks",),
    ),
    Mutation(
        "nothing is linked from the live release",
        "strategies/release.py",
        'link_from=f"{service.path}/releases/{found.current}"',
        'link_from=f"../{found.current}"',
        (f"{RELEASE}::test_hard_links_only_from_what_nobody_writes_to",),
    ),
    Mutation(
        "a database's password is put into an argument list",
        "engines/mariadb.remote",
        'argv = [name, "--defaults-file=/dev/fd/%d" % reading] + words',
        'argv = ["env", "X=%s" % (server["key"] is not None and KEYS[server["key"]]), name, '
        '"--defaults-file=/dev/fd/%d" % reading] + words',
        tuple(
            f"e2e/test_plesk_example.py::{name}"
            for name in ("test_all_17_databases_are_backed_up_and_proven", "test_no_secret_of_all_this_is_anywhere")
        ),
    ),
    Mutation(
        "a backup counts however much smaller it is than the one before",
        "engines/store.remote",
        'if new["size"] < share * before["size"]:',
        "if False:",
        ("engines/test_counting.py::test_a_doubtful_backup_counts_once_a_person_says_so",),
    ),
    Mutation(
        "a person may accept what is broken",
        "engines/store.remote",
        'if note["flaw"] and not (doubtful and not flaw(note, bytes_of(note["file"]))):',
        'if note["flaw"] and not doubtful:',
        ("engines/test_counting.py::test_nobody_can_accept_what_is_broken",),
    ),
    Mutation(
        "a backup retires one that somebody still needs",
        "engines/store.remote",
        "if not needed and (late",
        "if (late",
        ("engines/test_counting.py::test_what_is_kept",),
    ),
    Mutation(
        "an empty dump of a database with rows counts",
        "engines/store.remote",
        "    if sum(rows.values()):\n        return False",
        "    if True:\n        return False",
        ("engines/test_counting.py::test_a_dump_without_rows_of_a_database_that_has_some_is_refused",),
    ),
    Mutation(
        "what is personal is backed up without encryption",
        "engines/store.py",
        "if database.personal and not sealed:",
        "if False:",
        ("engines/test_sealed.py::test_what_has_to_be_encrypted_is_backed_up_no_other_way",),
    ),
    Mutation(
        "an encrypted copy is written unencrypted first",
        "engines/sqlite.remote",
        'MEMORY = "/dev/shm"',
        'MEMORY = "/tmp"\n\n\ndef in_memory():\n    return True\n',
        ("engines/test_sealed.py::test_nothing_of_it_is_written_unencrypted",),
    ),
    Mutation(
        "a backup counts though age did not finish it",
        "engines/store.remote",
        "if self.age.wait() and not error[0]:",
        "if self.age.wait() and False:",
        ("engines/test_sealed.py::test_a_backup_that_age_did_not_finish_does_not_exist",),
    ),
    Mutation(
        "the identity of backups is put into an argument list",
        "engines/store.remote",
        'argv = [age(), "--decrypt", "--identity", "/dev/fd/%d" % reading]',
        'argv = ["env", "X=" + self.identity.decode(), age(), "--decrypt", "--identity", "/dev/fd/%d" % reading]',
        ("engines/test_sealed.py::test_the_identity_is_seen_nowhere",),
    ),
    Mutation(
        "a drill drops a database that it has not made",
        "engines/mariadb.remote",
        "if found and found[0][0] != SCRATCH:",
        "if False:",
        ("engines/test_drill.py::test_a_database_of_somebody_else_is_not_touched",),
    ),
    Mutation(
        "a drill passes whatever came back",
        "engines/store.remote",
        'told.update(database=args["name"], run=args["run"], ok=line["ok"],',
        'told.update(database=args["name"], run=args["run"], ok=True,',
        ("engines/test_drill.py::test_one_that_does_not_pass_is_noted_too",),
    ),
    Mutation(
        "a drill leaves what it has made",
        "engines/mariadb.remote",
        """    query(server, "drop database %s" % named(scratch), wait=server["wait"])
    return note["rows"]""",
        """    return note["rows"]""",
        ("engines/test_drill.py::test_a_backup_is_restored_counted_dropped_and_noted",),
    ),
    Mutation(
        "what others report counts however old it is",
        "checks/backups.py",
        "if not -CLOCKS_DIFFER <= newest.age <= database.store.max_age or newest.size_mb <= 0:",
        "if newest.size_mb <= 0:",
        ("checks/test_backups.py::test_what_others_report_opens_the_gate_and_no_more",),
    ),
    Mutation(
        "a damaged table is called whole",
        "engines/store.py",
        'damaged = dict(line["damaged"])',
        "damaged = dict[str, str]()",
        ("engines/test_damage.py::test_a_page_of_sqlite",),
    ),
    Mutation(
        "a deployment goes on although a database is lost",
        "run/runner.py",
        "why = self.lost()",
        'why = ""',
        ("run/test_guard.py",),
    ),
    Mutation(
        "a gate that has looked at nothing says yes",
        "checks/gate.py",
        "    if not found:\n        raise",
        "    if found is None:\n        raise",
        (f"{GATE}::test_what_a_gate_says",),
    ),
    Mutation(
        "a gate that does not know does not block",
        "model/gate.py",
        'return self.status in ("fail", "unknown")',
        'return self.status == "fail"',
        (f"{GATE}::test_what_a_gate_says",),
    ),
    Mutation(
        "a gate that measures speed is asked beside others",
        "checks/gate.py",
        "for one in several if not one.alone))",
        "for one in several))",
        (f"{GATE}::test_all_at_once_and_those_that_measure_speed_alone_at_the_end",),
    ),
    Mutation(
        "only the first page of GitHub is read",
        "outside/github_http.py",
        '            url = self._ours(url, page.following) if page.following else ""\n',
        '            url = ""\n',
        (GITHUB,),
    ),
    Mutation(
        "a lost link to further pages is taken for the last page",
        "outside/github_http.py",
        "        if _full(documents, 100):",
        "        if _full(documents, 0):",
        (GITHUB,),
    ),
    Mutation(
        "a page of GitHub leads the token to another server",
        "outside/github_http.py",
        "if urlsplit(there)[:2] != urlsplit(self.api)[:2] or not place:",
        "if not place:",
        (GITHUB,),
    ),
    Mutation(
        "what GitHub answers is kept for ever",
        "outside/github_http.py",
        "        if answer.status == 304:",
        "        if answer.status == 304 or kept:",
        (GITHUB,),
    ),
    Mutation(
        "the token is sent without being asked for by name",
        "outside/github_http.py",
        'f"Bearer {await self._secrets.open(self.token)}"',
        'f"Bearer {self.token.name}"',
        (GITHUB,),
    ),
    Mutation(
        "an answer for another commit counts",
        "outside/github.py",
        'page.get("sha") != commit',
        'page.get("sha") is None',
        (GITHUB,),
    ),
    Mutation(
        "fewer check runs than GitHub counts are enough",
        "outside/github.py",
        'if any(page["total_count"] != len(found) for page in pages):',
        'if any(page["total_count"] < len(found) for page in pages):',
        (GITHUB,),
    ),
    Mutation(
        "a check of a kind that nobody knows has passed",
        "checks/github.py",
        'if run.status == "completed" and end in _PASSED:',
        'if run.status == "completed":',
        (GITHUB,),
    ),
    Mutation(
        "no check at all is a yes",
        "checks/github.py",
        "    if not asked and not told:",
        "    if asked is None:",
        (GITHUB,),
    ),
    Mutation(
        "everything skipped is a yes",
        "checks/github.py",
        'if all(one.status == "ok" for one in found) and not _anybody_said_yes(asked, told):',
        "if False:",
        (GITHUB,),
    ),
    Mutation(
        "an old run hides its rerun",
        "checks/github.py",
        "or run.id > last[key].id:",
        "or run.id < last[key].id:",
        (GITHUB,),
    ),
    Mutation(
        "a green check for another event hides a red one",
        "checks/github.py",
        "run.check_suite.id if run.check_suite else 0, run.name)",
        "0, run.name)",
        (GITHUB,),
    ),
    Mutation(
        "an alert that is high for the package counts as low",
        "checks/github.py",
        "{advisory.severity, alert.security_vulnerability.severity}",
        "{advisory.severity}",
        (GITHUB,),
    ),
    Mutation(
        "the author's approval counts",
        "checks/github.py",
        "and not _is_author(review, pull) and",
        "and",
        (GITHUB,),
    ),
    Mutation(
        "a stranger's approval counts",
        "checks/github.py",
        "and not _is_author(review, pull) and review.author_association in _TEAM",
        "and not _is_author(review, pull)",
        (GITHUB,),
    ),
    Mutation(
        "whoever asks for changes is not heard",
        "checks/github.py",
        'if review.state == "CHANGES_REQUESTED" and',
        'if review.state == "CHANGES" and',
        (GITHUB,),
    ),
    Mutation(
        "a pull request that has moved on counts",
        "checks/github.py",
        "(one for one in waiting if one.head.sha == commit)",
        "waiting",
        (GITHUB,),
    ),
    Mutation(
        "behind main is good enough",
        "checks/github.py",
        "    if seen.behind_by == 0:",
        "    if seen.behind_by < 2:",
        (GITHUB,),
    ),
    Mutation(
        "a limit of GitHub is waited for without end",
        "outside/github_http.py",
        "        if seconds >= self._left():",
        "        if seconds < 0:",
        (GITHUB,),
    ),
    Mutation(
        "what gates said of another commit counts",
        "model/gate.py",
        "same = (self.environment, self.commit, self.config) == (other.environment, other.commit, other.config)",
        "same = (self.environment, self.config) == (other.environment, other.config)",
        (f"{READY}::test_what_gates_said_counts_while_nothing_moves",),
    ),
    Mutation(
        "what gates said counts for ever",
        "app/ready.py",
        "0 <= now - one.at <= valid",
        "0 <= now - one.at",
        (f"{READY}::test_what_gates_said_counts_while_nothing_moves",),
    ),
    Mutation(
        "what gates said counts for what was not committed",
        "model/gate.py",
        "whole = bool(self.commit) and not self.uncommitted and not other.uncommitted",
        "whole = bool(self.commit)",
        (f"{READY}::test_what_gates_said_counts_while_nothing_moves",),
    ),
    Mutation(
        "kept evidence is believed whatever its hash",
        "journal/store.py",
        "if evidence.hash == name",
        "if evidence.hash",
        (f"{READY}::test_kept_evidence_that_was_changed_does_not_count",),
    ),
    Mutation(
        "a plan is judged by what is checked out",
        "app/ready.py",
        'commit=plan.commit if plan else "",',
        'commit="",',
        (f"{READY}::test_a_plan_is_asked_about_by_its_own_commit",),
    ),
    Mutation(
        "an override opens every gate",
        "surfaces/cli/change.py",
        "[one for one in told.blocking if one.gate not in overridden]",
        "[one for one in told.blocking if not overridden]",
        (f"{READY}::test_a_deployment_does_not_start_while_a_gate_says_no",),
    ),
    Mutation(
        "an override needs no reason",
        "surfaces/cli/change.py",
        "if overridden and not reason.strip():",
        "if overridden and not overridden:",
        (f"{READY}::test_a_deployment_does_not_start_while_a_gate_says_no",),
    ),
    Mutation(
        "an override is not recorded",
        "run/operate.py",
        "overridden=ctx.passed.overridden,",
        "overridden=(),",
        (f"{READY}::test_a_deployment_does_not_start_while_a_gate_says_no",),
    ),
    Mutation(
        "status calls a gate open that nobody has asked",
        "app/ready.py",
        'looks_at=gate.looks_at, status="unknown", says=says',
        'looks_at=gate.looks_at, status="ok", says=says',
        (f"{READY}::test_status_does_not_wait_for_slow_gates",),
    ),
    Mutation(
        "an issue is opened without looking for it",
        "notify/outbox.py",
        'if mark in (one.body or "")]',
        "if mark is one.body]",
        ("notify/test_outbox.py",),
    ),
    Mutation(
        "a comment is told without looking for it",
        "notify/outbox.py",
        'if not any(mark in (comment.body or "") for',
        "if not any(mark is comment.body for",
        ("notify/test_outbox.py",),
    ),
    Mutation(
        "a message counts as delivered before GitHub says so",
        "notify/outbox.py",
        "            self._store.unclaim(message.key)\n            raise\n",
        "            pass\n",
        ("notify/test_outbox.py",),
    ),
    Mutation(
        "two processes send the same message",
        "notify/outbox.py",
        "if not self._store.claim(message.key, self._clock.now(), CLAIM):",
        "if not self._store.claim(message.key, self._clock.now(), 0.0):",
        ("notify/test_outbox.py",),
    ),
    Mutation(
        "a run is not told of before its first change",
        "run/operate.py",
        "        await ctx.begun(session.run, plan, first)\n        return",
        "        return",
        ("app/test_announce.py::test_the_issue_stands_before_the_first_change",),
    ),
    Mutation(
        "a firewall is changed without a switch that would bring it back",
        UFW,
        """        sleep 1
        there "armed.$$" || exit 0
""",
        """        sleep 1
        rm -f "armed.$$"
        there "armed.$$" || exit 0
""",
        (f"{UFW_ROWS}::test_what_is_not_confirmed_is_brought_back_byte_for_byte",),
    ),
    Mutation(
        "the switch goes off and brings nothing back",
        UFW,
        """        if restore before && seen=$(now) && is before; then
            sync""",
        """        if seen=$(now); then
            sync""",
        (f"{UFW_ROWS}::test_what_is_not_confirmed_is_brought_back_byte_for_byte",),
    ),
    Mutation(
        "the switch ends with the change that armed it",
        UFW,
        """    setsid sh -c 'eval "$1"'""",
        """    sh -c 'eval "$1"'""",
        (f"{UFW_ROWS}::test_the_switch_is_no_part_of_the_change",),
    ),
    Mutation(
        "the connection that made the rules may confirm them",
        UFW,
        """[ "${SSH_CONNECTION:-}" != "$(cat applied)" ] ||""",
        """true ||""",
        (f"{UFW_ROWS}::test_the_connection_that_made_the_change_confirms_nothing",),
    ),
    Mutation(
        "a confirmation counts although the switch has gone off",
        UFW,
        """mv armed.* confirmed 2>/dev/null || die""",
        """mv armed.* confirmed 2>/dev/null || : >confirmed || die""",
        (f"{UFW_ROWS}::test_what_is_not_confirmed_is_brought_back_byte_for_byte",),
    ),
    Mutation(
        "ufw is switched on before SSH is let in",
        UFW,
        """    if [ "$how" = rules ]; then
""",
        """    if [ "$how" = rules ]; then
        ufw enable
""",
        (f"{UFW_ROWS}::test_ssh_is_let_in_before_ufw_is_switched_on",),
    ),
    Mutation(
        "a rule that ufw passes over is taken for done",
        UFW,
        """            case $said in *Skipping*) die "ufw $rule: $said" ;; esac
""",
        "",
        (f"{UFW_ROWS}::test_a_rule_that_ufw_passes_over_is_a_failure",),
    ),
    Mutation(
        "a trial that the switch has ended leaves a resume nothing but to halt",
        UFW,
        """there restored && is before && echo after || echo between""",
        """there restored && is before && echo before || echo between""",
        (f"{UFW_ROWS}::test_what_is_not_confirmed_is_brought_back_byte_for_byte",),
    ),
    Mutation(
        "somebody else's later rules are taken for ours",
        UFW,
        """    elif there withdrawn; then
        echo between
    else
        echo cannot_tell""",
        """    else
        echo between""",
        (f"{UFW_ROWS}::test_rules_that_somebody_changed_afterwards_are_not_ours_to_undo",),
    ),
    Mutation(
        "ufw is there because the script has a function of that name",
        UFW,
        "(unset -f ufw && command -v ufw)",
        "(command -v ufw)",
        (f"{UFW_ROWS}::test_look_says_what_stands_in_the_way",),
    ),
    Mutation(
        "a broad rule on top counts as harmless",
        "strategies/ufw.py",
        """            if not any(_inside(rule.source, client) for client in wish.clients):
                return False
""",
        "",
        ("strategies/test_ufw.py",),
    ),
    Mutation(
        "IPv6 is left open",
        "strategies/ufw.py",
        "families = (4, 6) if found.ipv6 else (4,)",
        "families = (4,)",
        ("strategies/test_ufw.py",),
    ),
    Mutation(
        "any rule for the SSH port counts as a way in for us",
        "strategies/ufw.py",
        "if not rule.takes(caller.port) or caller.source not in rule.source:",
        "if not rule.takes(caller.port):",
        ("strategies/test_ufw.py",),
    ),
    Mutation(
        "a new connection is the old one",
        "outside/connect.py",
        "host = self._make(self._host(name, ()).account, (name,))",
        "host = self._host(name, ())",
        ("run/test_fresh.py",),
    ),
    Mutation(
        "a step that is about a new connection makes do with the old one",
        "run/session.py",
        """if what == "do" and step.fresh:""",
        """if what == "undo" and step.fresh:""",
        ("run/test_fresh.py",),
    ),
    Mutation(
        "a port that answers where it must not is well",
        "checks/port.py",
        """else ("fail", f"reaches {place}, and should not")""",
        """else ("ok", f"reaches {place}, and should not")""",
        ("checks/test_port.py",),
    ),
    Mutation(
        "nobody else is asked whether the port is shut",
        "plan/firewall.py",
        """for name in ("", *elsewhere)} | asked""",
        """for name in ()} | asked""",
        ("plan/test_firewall.py",),
    ),
    Mutation(
        "a firewall is changed beside another one",
        "plan/firewall.py",
        "    for other in state.others:",
        "    for other in ():",
        ("plan/test_firewall.py",),
    ),
    Mutation(
        "a second provisioning changes something",
        "engines/mariadb_admin.py",
        """                has = has.union(*(several for wide, several in found.items() if _covers(wide, place)))""",
        """                has = set()""",
        ("faults/test_provision.py::test_everything_is_made_and_the_second_time_nothing_is_changed[mariadb]",),
    ),
    Mutation(
        "provisioning writes what a server keeps of a password into its log",
        "engines/mariadb_admin.remote",
        """QUIET = "set session sql_log_off = 1; set session""",
        """QUIET = "set session""",
        ("faults/test_provision.py::test_everything_is_made_and_the_second_time_nothing_is_changed[mariadb]",),
    ),
    Mutation(
        "provisioning sends passwords of PostgreSQL as text",
        "engines/postgres_admin.remote",
        """text.replace("<verifier>", verifier(boss.passwords[0], os.urandom(16), ROUNDS))""",
        """text.replace("<verifier>", boss.passwords[0].decode().replace("'", "''"))""",
        ("faults/test_provision.py::test_everything_is_made_and_the_second_time_nothing_is_changed[postgres]",),
    ),
    Mutation(
        "what an administrator types in keeps a password as the server likes",
        "engines/postgres_admin.py",
        """    told = ["set password_encryption = 'scram-sha-256';"]""",
        """    told = []""",
        ("faults/test_provision.py::test_the_statements_for_an_administrator_do_the_same[postgres]",),
    ),
    Mutation(
        "an MD5 of a password is taken for one that opens every line of pg_hba.conf",
        "engines/postgres_admin.remote",
        """        return "md5" if kept == "md5" +""",
        """        return "right" if kept == "md5" +""",
        ("faults/test_provision.py::test_a_password_that_is_kept_as_md5_is_kept_anew_where_pg_hba_asks_for_scram",),
    ),
    Mutation(
        "a name's carriage return is lost on the way to the client",
        "engines/mariadb.remote",
        """["--batch", "--binary-mode", "--skip-column-names"]""",
        """["--batch", "--skip-column-names"]""",
        ("engines/test_mariadb.py::test_rows_are_those_that_the_server_counts",),
    ),
    Mutation(
        "a database's name in a grant stands for others too",
        "engines/mariadb_admin.py",
        """    return re.sub(r"([_%\\\\])", r"\\\\\\1", value) + tail""",
        """    return value + tail""",
        ("engines/test_admin.py",),
    ),
    Mutation(
        "what an account may too much is not said",
        "engines/mariadb_admin.py",
        """            if words or option:""",
        """            if False and (words or option):""",
        ("faults/test_provision.py::test_what_an_account_may_too_much_is_said_and_taken_with_consent[mariadb]",),
    ),
    Mutation(
        "a line of pg_hba.conf is judged by its user alone",
        "engines/postgres_admin.py",
        """        if about and _from(rule, client):""",
        """        if about:""",
        ("engines/test_admin.py",),
    ),
    Mutation(
        "everybody may connect to a new database",
        "engines/postgres_admin.py",
        """            self._close(database, ("CONNECT", "TEMPORARY"), new=True)""",
        """            pass""",
        ("faults/test_provision.py::test_everything_is_made_and_the_second_time_nothing_is_changed[postgres]",),
    ),
    Mutation(
        "a database that is not empty is dropped on the way back",
        "engines/mariadb_admin.remote",
        """        if asked(server, filled_in(args, question))[0][0] != "0":""",
        """        if False:""",
        ("faults/test_provision.py::test_what_is_not_empty_any_more_is_not_dropped[mariadb]",),
    ),
    Mutation(
        "a deployment begins that could not take its data back",
        "plan/deploy.py",
        "    refuse_no_room(to_take_back(databases, migrated), room)\n",
        "",
        ("faults/test_room.py::test_a_server_that_would_refuse_is_found_before[mariadb]",),
    ),
    Mutation(
        "an account may make a database because nobody has said no",
        "engines/postgres_swap.remote",
        """    if not able["may"]:""",
        """    if False:""",
        ("faults/test_room.py::test_a_server_that_would_refuse_is_found_before[postgres]",),
    ),
    Mutation(
        "a database is emptied while somebody may write",
        "plan/restore.py",
        "    refuse_writers(databases, environment",
        "    refuse_writers([], environment",
        ("faults/test_room.py::test_what_cannot_be_kept_from_writing_is_not_replaced_in_place[mariadb]",),
    ),
    Mutation(
        "a database is emptied before what it holds is kept",
        "engines/mariadb_in_place.remote",
        """**(place.keep("undo") if state in RESTING else {}))""",
        """**({"counters": {}, "grants": []} if state in RESTING else {}))""",
        ("engines/test_mariadb_in_place.py::test_it_becomes_what_it_was_and_back_and_nothing_is_lost",),
    ),
    Mutation(
        "a database that cannot be filled in place is left half filled",
        "engines/mariadb_in_place.remote",
        """        brought_back(place, error)""",
        """        raise""",
        ("engines/test_mariadb_in_place.py::test_where_it_cannot_be_filled_it_is_as_it_was",),
    ),
    Mutation(
        "numbers are given out again after a restore in place",
        "engines/mariadb_in_place.remote",
        """        self.count_on()\n""",
        "",
        ("engines/test_mariadb_in_place.py::test_it_becomes_what_it_was_and_back_and_nothing_is_lost",),
    ),
    Mutation(
        "the note is written after the database is emptied",
        "engines/mariadb_in_place.remote",
        """    place.write(state="filling", **(place.keep("undo") if state in RESTING else {}))""",
        """    place.note.update(state="filling", **(place.keep("undo") if state in RESTING else {}))""",
        ("engines/test_mariadb_in_place.py::test_killed_when",),
    ),
    Mutation(
        "writers of one database are taken for still because those of another are",
        "plan/data.py",
        "    return Fences(enter, leave, tuple(sorted(free & set(names))))",
        "    return Fences(enter, leave, ())",
        ("plan/test_rollback.py::test_whether_writers_are_still_is_a_matter_of_each_database",),
    ),
    Mutation(
        "tables are read to their end whatever an error says",
        "run/runner.py",
        "        if not names_damage(why) or any(",
        "        if any(",
        ("run/test_guard.py::test_tables_are_read_where_an_error_names_damage",),
    ),
    Mutation(
        "a damaged database is not spoken of",
        "run/runner.py",
        """        if hurt := [one for one in found if one.evidence.get("damaged")]:""",
        """        if hurt := [one for one in found if one.status == "ok"]:""",
        ("run/test_guard.py::test_tables_are_read_where_an_error_names_damage",),
    ),
    Mutation(
        "a deployment retires what a rollback of the one before needs",
        "plan/data.py",
        """_backup(one, label, "backup", needed[one.name]))""",
        """_backup(one, label, "backup"))""",
        ("faults/test_backups.py::test_what_a_rollback_needs_outlives_a_deployment_that_came_back",),
    ),
    Mutation(
        "an account whose password has expired is waited for",
        "engines/mariadb_swap.remote",
        "said(err).code in LOST + BARRED",
        "said(err).code in LOST",
        ("faults/test_refusing_servers.py::test_an_expired_password_is_an_answer",),
    ),
    Mutation(
        "a server that wants TLS is told by its pg_hba.conf alone",
        "engines/postgres.remote",
        """ and over_tls(account, database):""",
        """ and False:""",
        ("faults/test_refusing_servers.py::test_refused_and_nothing_is_touched[TLS for the account-postgres]",),
    ),
    Mutation(
        "databases are swapped one after the other",
        "run/runner.py",
        "in ([[*several]] if swap else [[step] for step in several])]",
        "in ([[step] for step in several])]",
        (f"{RUNNER}::test_swaps_of_several_databases_are_made_at_once",),
    ),
    Mutation(
        "a full disk of a MariaDB server is any other error",
        "engines/mariadb.remote",
        "if code in (1021, 1114) or",
        "if code in (1021,) or",
        ("faults/test_refusing_servers.py::test_a_full_disk_of_the_server[mariadb]",),
    ),
    Mutation(
        "a PostgreSQL server whose disk takes half a page is not full",
        "engines/postgres.remote",
        r"""No space left|wrote only \d+ of \d+ bytes""",
        "No space left",
        ("faults/test_refusing_servers.py::test_a_full_disk_of_the_server[postgres]",),
    ),
    Mutation(
        "a page of Aria with a wrong checksum is no damage",
        "engines/damage.py",
        "|175|176|",
        "|175|",
        ("engines/test_engines.py::test_which_errors_name_damage",),
    ),
    Mutation(
        "the logins of a migration stay behind",
        "strategies/logins.py",
        """trap 'rm -rf -- "$made"' EXIT""",
        """:""",
        ("strategies/test_logins.py",),
    ),
    Mutation(
        "everybody may read the logins of a migration",
        "strategies/logins.py",
        """usual=$(umask); umask 077""",
        """usual=$(umask)""",
        ("strategies/test_logins.py",),
    ),
    Mutation(
        "tools are asked about a commit that is not checked out",
        "checks/gates/quality.py",
        "if isinstance(copy, WorkingCopy) and not copy.checked_out:",
        "if isinstance(copy, str):",
        (f"{READY}::test_tools_are_not_asked_about_a_commit_that_is_not_there",),
    ),
    Mutation(
        "the word in the line that opened a session ends an answer",
        "outside/ssh_shell.py",
        'mark = f" {self._word}.\\n".encode()',
        'mark = f" {self._word}".encode()',
        ("outside/test_ssh.py::test_a_look_that_prints_how_its_session_was_opened_is_heard_to_its_end",),
    ),
    Mutation(
        "an annotation ends where its text has a line break",
        "surfaces/cli/actions.py",
        """.replace("\\n", "%0A")""",
        "",
        ("surfaces/test_actions.py::test_a_red_gate_is_an_annotation_and_a_row",),
    ),
)


class Copy:
    """The working tree's product and tests, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "FAIRLEAD"))}
        self.environ = {**kept, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    def imported(self) -> bool:
        """Whether a process of ours really gets the copy."""
        said = self._run("-c", "import fairlead; print(fairlead.__file__)").stdout.strip()
        return Path(said).is_relative_to(self.folder)

    def tested(self, tests: tuple[str, ...]) -> tuple[bool, str]:
        """Whether these tests pass; and the end of what they say."""
        words = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", f"--basetemp={self.folder / 'tmp'}")
        try:
            done = self._run("-m", "pytest", *words, *(f"tests/{test}" for test in tests))
        except subprocess.TimeoutExpired:
            return False, f"not ended after {PATIENCE:.0f} s"
        if done.returncode not in (0, 1):  # 1 = a test has failed; all else is not an answer
            raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
        told = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return done.returncode == 0, (told or done.stdout.splitlines() or [""])[-1][:200]

    def caught(self, mutation: Mutation) -> str:
        """Why it counts as not caught; empty = a test has failed, as it should."""
        try:
            with self.broken(mutation):
                passed, says = self.tested(mutation.tests)
        except RuntimeError as error:
            return str(error)
        print(f"   {mutation.name}: {'NOT CAUGHT' if passed else f'caught, {says}'}", flush=True)
        return f"not caught by {', '.join(mutation.tests)}" if passed else ""

    @contextmanager
    def broken(self, mutation: Mutation) -> Iterator[None]:
        """Meanwhile the copy does not keep the promise. Raises RuntimeError where its place is gone."""
        file = self.folder / "src" / "fairlead" / mutation.file
        text = file.read_text()
        if text.count(mutation.old) != 1:
            raise RuntimeError(f"its place is there {text.count(mutation.old)} times in {mutation.file}")
        file.write_text(text.replace(mutation.old, mutation.new))
        try:
            yield
        finally:
            file.write_text(text)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, *words]
        return subprocess.run(argv, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=PATIENCE)


def experiment(scale: float, seed: int, only: int | None = None) -> Iterator[Row]:
    """All mutations, whatever the scale; `only` one of them, by its number from 0."""
    del scale, seed
    chosen = MUTATIONS if only is None else MUTATIONS[only : only + 1]
    with tempfile.TemporaryDirectory(prefix="fl-mutations-") as folder:
        copy = Copy(Path(folder))
        if not copy.imported():
            yield Row("the copy is what is tested", 1, ["another fairlead is imported"])
            return
        began = time.monotonic()
        passed, says = copy.tested(tuple(dict.fromkeys(test for mutation in chosen for test in mutation.tests)))
        failed = [] if passed else [f"{says}; again with `python -m prove mutations`"]
        yield Row("their tests without a mutation", 1, failed, time.monotonic() - began)
        for mutation in chosen if passed else ():
            began, number = time.monotonic(), MUTATIONS.index(mutation)
            why = copy.caught(mutation)
            failed = [f"{why}; again with `python -m prove mutations --only {number}`"] if why else []
            yield Row(mutation.name, 1, failed, time.monotonic() - began)
