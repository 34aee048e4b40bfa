"""The words of Fairlead. Everything here is a frozen value that goes to JSON and back; nothing here acts."""

from fairlead.model.account import Account
from fairlead.model.backup import Backup
from fairlead.model.base import Model, canonical, sha256
from fairlead.model.beside import Beside
from fairlead.model.check import Check, CommandCheck, DatabaseCheck, HttpCheck, PortCheck, TreeCheck
from fairlead.model.command import Command, Result, SecretRef, shell, side_by_side, together
from fairlead.model.deployment import Deployment, ErrorShare, Event, Report, Sample, StepTime
from fairlead.model.drill import Drill, drills_in_words
from fairlead.model.duration import duration
from fairlead.model.finding import Finding, Status, blockers, why_not
from fairlead.model.gate import NOBODY_ASKED, Evidence, GateAnswer, Passed, summed_up, worst
from fairlead.model.ledger import Ledger, TableLedger
from fairlead.model.message import Message
from fairlead.model.plan import (
    DataBack,
    Inventory,
    Lease,
    Plan,
    ServiceChange,
    TakeBack,
    Untouched,
    WatchRules,
    WatchTarget,
    WayBackTime,
)
from fairlead.model.record import Entry, Receipt, RecordLine, StepFact, step_fact
from fairlead.model.reported import Reported
from fairlead.model.step import Action, Patch, Run, Step, Upload, Where, as_where, turned
from fairlead.model.tree import IDENTITY_FILE, LISTING, Difference, Tree, difference, parse_listing

__all__ = [
    "IDENTITY_FILE",
    "LISTING",
    "NOBODY_ASKED",
    "Account",
    "Action",
    "Backup",
    "Beside",
    "Check",
    "Command",
    "CommandCheck",
    "DataBack",
    "DatabaseCheck",
    "Deployment",
    "Difference",
    "Drill",
    "Entry",
    "ErrorShare",
    "Event",
    "Evidence",
    "Finding",
    "GateAnswer",
    "HttpCheck",
    "Inventory",
    "Lease",
    "Ledger",
    "Message",
    "Model",
    "Passed",
    "Patch",
    "Plan",
    "PortCheck",
    "Receipt",
    "RecordLine",
    "Report",
    "Reported",
    "Result",
    "Run",
    "Sample",
    "SecretRef",
    "ServiceChange",
    "Status",
    "Step",
    "StepFact",
    "StepTime",
    "TableLedger",
    "TakeBack",
    "Tree",
    "TreeCheck",
    "Untouched",
    "Upload",
    "WatchRules",
    "WatchTarget",
    "WayBackTime",
    "Where",
    "as_where",
    "blockers",
    "canonical",
    "difference",
    "drills_in_words",
    "duration",
    "parse_listing",
    "sha256",
    "shell",
    "side_by_side",
    "step_fact",
    "summed_up",
    "together",
    "turned",
    "why_not",
    "worst",
]
