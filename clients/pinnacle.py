"""pinnacle.py BASE_URL [throttled | as KEY:AGENT[:until-refused]...]: Pinnacle's own Python SDK, unmodified, against a gateway.

Prints one JSON line a step: what the SDK made of the answer, or which of its exceptions it raised. The credentials and
agents are those of the gateway that `crates/typingd/tests/it/support.rs` describes. With `throttled` it types twice with
a key that may ask once a second. With `as` it types and sends with each key for each agent and nothing else, or for one
user after another `until-refused`, of which it prints the refusal alone.
"""

import json
import sys

from rcs import Pinnacle, RichTextMessage
from rcs.core.api_error import ApiError

try:
    # Until 2.0.16 typing has options, and a text must say that it has no quick replies.
    from rcs.messages.rcs import SendTypingIndicatorSchemaOptions

    TYPING = {"options": SendTypingIndicatorSchemaOptions(test_mode=False)}
    TEXT = {"quick_replies": []}
except ImportError:
    TYPING = {}
    TEXT = {}

BASE_URL = sys.argv[1]
USER = "+14155550123"


def typing(key="test_key", agent="agent_pinnacle", to=USER):
    answer = client(key).messages.rcs.send_typing(agent_id=agent, to=to, **TYPING)
    return {
        "success": answer.success,
        "agent_id": answer.agent_id,
        "recipient": answer.recipient,
        "started_at": answer.started_at.isoformat(),
        "ended_at": answer.ended_at.isoformat(),
        "lease_s": (answer.ended_at - answer.started_at).total_seconds(),
    }


def message(key="test_key", agent="agent_pinnacle", to=USER):
    text = RichTextMessage(from_=agent, to=to, text="hello", **TEXT)
    answer = client(key).messages.rcs.send(request=text)
    return {
        "type": type(answer).__name__,
        "message_id": answer.message_id,
        "segments": answer.segments,
        "total_cost": answer.total_cost,
        "sender": answer.sender,
        "recipient": answer.recipient,
        "status": answer.status,
    }


def client(key):
    return Pinnacle(base_url=BASE_URL, api_key=key)


def step(name, call, **arguments):
    print(json.dumps({"step": name, **outcome(call, **arguments)}))


def outcome(call, **arguments):
    try:
        return {"result": call(**arguments)}
    except ApiError as error:
        # Some statuses have a class for their body, the others what the JSON says.
        text = error.body["error"] if isinstance(error.body, dict) else error.body.error
        line = {"exception": type(error).__name__, "status": error.status_code, "error": text}
        line["body"] = error.body if isinstance(error.body, dict) else json.loads(error.body.json())
        # Only later ones keep the headers.
        line["retry_after"] = (getattr(error, "headers", None) or {}).get("retry-after")
        return line
    except Exception as error:
        # The SDK did not understand the answer.
        return {"exception": type(error).__name__, "status": None, "error": str(error)}


def until_refused(call, **arguments):
    for digit in range(10):
        line = outcome(call, to=f"+1415555020{digit}", **arguments)
        if "exception" in line:
            break
    print(json.dumps({"step": call.__name__, **line}))


if sys.argv[2:] == ["throttled"]:
    step("typing", typing, key="slow_key", agent="agent_slow")
    step("typing too soon", typing, key="slow_key", agent="agent_slow")
    sys.exit()

if sys.argv[2:3] == ["as"]:
    for who in sys.argv[3:]:
        key, agent, *until_when = who.split(":")
        for call in (typing, message):
            if until_when:
                until_refused(call, key=key, agent=agent)
            else:
                step(call.__name__, call, key=key, agent=agent)
    sys.exit()

step("typing", typing)
step("typing again", typing)
for call in (typing, message):
    step(f"{call.__name__} to no number", call, to="not a number")
    step(f"{call.__name__} with an unknown key", call, key="wrong")
    step(f"{call.__name__} as another account's agent", call, agent="agent_other")
    step(f"{call.__name__} as nobody's agent", call, agent="agent_globex")
step("message", message)
