"""What schemathesis finds when it sends what the document allows, and what it forbids, as one of the four roles."""

import json
import random
import re
from collections import Counter
from dataclasses import asdict, dataclass, field

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import Status, events, from_schema
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import REQUEST_SHAPE_PROBES, CoveragePhaseData, TestPhase, coverage_scenario
from schemathesis.transport.serialization import Binary

from opengrid import digests
from tests.contract.generated import DOCUMENT

COVERED_SHARE, DRAWN_SHARE = 0.55, 0.3
"""Of a role's requests: those that go along the edges of the document, those drawn at random. Stories have the rest."""
LEAST_PER_OPERATION = 4
REALLY_THERE = 0.8
FILES = "/api/v1/blobs/{digest}"
OTHER_NAMES = {"model_version_id": "version_id", "to_member_id": "member_id", "to": "member_id"}
"""What bodies call it -> what addresses do."""
STORY_STEPS = 4
KEY = re.compile(r"[!-~]([ -~]{0,198}[!-~])?")
READS_WRONG = (
    "invalid_message",
    "invalid_query",
    "malformed_json",
    "not_json",
    "version_required",
    "method_not_allowed",
)
"""Codes of requests that are not of the form the address takes. Where the document allows it, one of them is wrong."""
CHECKS = {
    # 413: a list within its bounds may still be longer than a body may be; JSON Schema has no words for that.
    # 402, 412, 422 and 428 refuse what is well formed for what things are: funds, versions, signatures, rules.
    # 422 and 428 are looked at again by `form_is_as_described`, so that a wrong form is still found.
    "positive_data_acceptance": {
        "expected-statuses": ["413", "2xx", "3xx", "401", "402", "403", "404", "409", "412", "422", "428", "429"]
    },
    # 428 is how a missing If-Match is refused, 404 comes before it
    "missing_required_header": {"expected-statuses": ["400", "401", "403", "404", "406", "415", "422", "428"]},
    "negative_data_rejection": {
        "expected-statuses": ["400", "401", "402", "403", "404", "405", "406", "409", "411", "412", "413", "415", "422",
                              "428", "429"]
    },
}  # fmt: skip


@dataclass(frozen=True)
class Break:
    """A request whose answer is not what the document says."""

    operation: str
    check: str
    title: str
    status: int
    words: str
    repeat: str

    @property
    def kind(self):
        return (self.operation, self.check, self.title, self.status)


@dataclass
class Outcome:
    """What came of a role's requests."""

    role: str
    operations: set = field(default_factory=set)
    served: set = field(default_factory=set)
    requests: int = 0
    statuses: Counter = field(default_factory=Counter)
    breaks: dict = field(default_factory=dict)
    errors: list = field(default_factory=list)

    @property
    def server_errors(self):
        return sum(count for status, count in self.statuses.items() if status >= 500)

    @property
    def is_clean(self):
        return not (self.server_errors or self.breaks or self.errors)

    def as_dict(self):
        """For a file."""
        return {
            "role": self.role,
            "operations": sorted(self.operations),
            "served": sorted(self.served),
            "requests": self.requests,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "breaks": [asdict(found) for found in self.breaks.values()],
            "errors": self.errors,
        }

    def line(self):
        """The figures in one line."""
        return (
            f"{self.role:<9} {len(self.operations):>3} operations ({len(self.served):>2} of them served), "
            f"{self.requests:>5} requests, "
            f"{self.server_errors} 5xx, {len(self.breaks)} schema breaks"
        )


def run(role, *, url, known, requests, seed, operations=None, document=None, sound=None):
    """Send at least `requests` as `role` to `operations` (ids; all of them where none are named) of a document.

    `sound` has bodies by operation that can be carried out, `known` what addresses and bodies may name.
    """
    document = _with_examples(document or json.loads(DOCUMENT.read_text(encoding="utf-8")), sound or {})
    outcome, draw = Outcome(role.name), random.Random(f"{seed}:{role.name}")
    while outcome.requests < requests and not outcome.errors:
        schema = _schema(document, url, role, known, requests - outcome.requests, draw, operations)
        before = outcome.requests
        for event in from_schema(schema).execute():
            _note(outcome, event)
            if isinstance(event, events.ScenarioFinished):
                role.renew()
        if outcome.requests == before:
            break
    return outcome


def _with_examples(document, sound):
    """The document with bodies that make sense as its examples, and the version that fits always."""
    for path in document["paths"].values():
        for operation in path.values():
            if operation["operationId"] in sound:
                operation["requestBody"]["content"]["application/json"]["example"] = sound[operation["operationId"]]
                for parameter in operation.get("parameters", []):
                    if parameter["name"] == "If-Match":
                        parameter["example"] = "*"
    return document


def _schema(document, url, role, known, requests, draw, wanted):
    """The document with a share of its cases chosen, and the role's credentials on all that is sent."""
    count = len(wanted) if wanted else sum(len(path) for path in document["paths"].values())
    drawn = max(1, round(requests * DRAWN_SHARE / count))
    stories = max(1, round(requests * (1 - COVERED_SHARE - DRAWN_SHARE) / STORY_STEPS))
    config = schemathesis.Config.from_dict(
        {
            "seed": draw.randrange(2**31),
            "base-url": url,
            "continue-on-failure": True,
            "request-timeout": 60,
            "request-retries": 2,  # a kept connection may be closed by the server in the moment it is used again
            "suppress-health-check": ["too_slow"],  # a busy machine is no finding
            "workers": 1,
            "checks": CHECKS,
            "generation": {"database": "none", "no-shrink": True},
            "phases": {
                "fuzzing": {"generation": {"max-examples": drawn}},
                "stateful": {
                    "enabled": wanted is None,
                    "max-steps": STORY_STEPS,
                    "generation": {"max-examples": stories},
                },
            },
        }
    )
    schema = schemathesis.openapi.from_dict(document, config=config)
    if wanted:
        schema = schema.include(operation_id=list(wanted))
    if role.is_known:
        schema.auth.set_from_requests(role)
    quota = max(1 if wanted else LEAST_PER_OPERATION, round(requests * COVERED_SHARE / count))
    schema.hooks.hook("filter_case")(_chosen(schema, quota, draw))
    schema.hooks.hook("map_case")(_what_is_there(known, draw))
    return schema


def _chosen(schema, quota, draw):
    """A filter that lets `quota` of the cases through that lie on the edges of an operation, drawn among them all."""
    chosen, seen = {}, Counter()

    def is_chosen(context, case):
        if not isinstance(case.meta.phase.data, CoveragePhaseData):
            return True
        label = case.operation.label
        if label not in chosen:
            generation = schema.config.generation
            total = sum(
                1
                for _ in schema.iter_coverage_cases(
                    case.operation, generation_modes=list(GenerationMode), generation_config=generation
                )
            )
            chosen[label] = set(draw.sample(range(total), min(quota, total)))
        seen[label] += 1
        return seen[label] - 1 in chosen[label]

    return is_chosen


def _what_is_there(known, draw):
    """Lets most requests name what is really there: drawn ids would tell little but 404."""

    def there(name, value):
        found = known.get(OTHER_NAMES.get(name, name))
        return draw.choice(found) if found and draw.random() < REALLY_THERE else value

    def in_body(value, name=""):
        if isinstance(value, dict):
            return {key: in_body(part, key) for key, part in value.items()}
        if isinstance(value, list):
            return [in_body(part, name) for part in value]
        drawn = there(name, value)
        return drawn if type(drawn) is type(value) else value

    def name_it(context, case):
        case.body = _whole(case.body)
        if KEY.fullmatch(str((case.headers or {}).get("Idempotency-Key", ""))):
            case.headers["Idempotency-Key"] = f"{draw.getrandbits(128):032x}"  # each case is a request of its own
        if case.path_parameters and not case.meta.is_negative_at(ParameterLocation.PATH):
            for name in list(case.path_parameters):
                case.path_parameters[name] = there(name, case.path_parameters[name])
        is_left = case.meta.phase.name is TestPhase.EXAMPLES or case.meta.is_negative_at(ParameterLocation.BODY)
        if isinstance(case.body, dict) and not is_left:
            case.body = in_body(case.body)
        if isinstance(case.body, Binary) and case.operation.path == FILES and draw.random() < REALLY_THERE:
            case.path_parameters["digest"] = digests.of_bytes(case.body.data)
        return case

    return name_it


def _whole(value):
    """Whole numbers without a fraction: to JSON Schema 5.0 is an integer, but where money is counted it is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(part) for part in value]
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    return value


@schemathesis.check
def form_is_as_described(ctx, response, case):
    """What the document allows is never refused for its form, which 422 and 428 alone would not tell."""
    if case.meta.generation.mode.is_positive and _code(response) in READS_WRONG:
        if isinstance(case.meta.phase.data, CoveragePhaseData) and coverage_scenario(case) in REQUEST_SHAPE_PROBES:
            return
        raise AssertionError("refused for its form")


def _code(response):
    try:
        return response.json().get("code", "")
    except ValueError:
        return ""


def _note(outcome, event):
    if isinstance(event, events.NonFatalError):
        outcome.errors.append(f"{event.label}: {event.info.title}: {event.info.message}")
    elif isinstance(event, events.FatalError):
        outcome.errors.append(f"{event.exception!r}")
    elif isinstance(event, events.ScenarioFinished):
        _note_scenario(outcome, event.recorder)


def _note_scenario(outcome, recorder):
    for case_id, interaction in recorder.interactions.items():
        outcome.requests += 1
        label = recorder.cases[case_id].value.operation.label
        outcome.operations.add(label)
        if interaction.response is not None:
            outcome.statuses[interaction.response.status_code] += 1
            if 200 <= interaction.response.status_code < 300:
                outcome.served.add(label)
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status is Status.FAILURE:
                _note_break(outcome, recorder, case_id, check)


def _note_break(outcome, recorder, case_id, check):
    response = recorder.interactions[case_id].response
    found = Break(
        operation=recorder.cases[case_id].value.operation.label,
        check=check.name,
        title=check.failure_info.failure.title,
        status=response.status_code if response else 0,
        words=f"{check.failure_info.failure.message}\n{response.text[:600] if response else ''}",
        repeat=check.failure_info.code_sample,
    )
    outcome.breaks.setdefault(found.kind, found)
