import math
from dataclasses import replace

import pytest

from pairwright.errors import UsageError
from pairwright.vlm.http import throttle
from pairwright.vlm.http.throttle import Breaker, Throttle, pause
from pairwright.vlm.http.wire import Dialect, MalformedReplyError, body, judge_status, parse
from pairwright.vlm.labels import label_token_ids
from pairwright.vlm.types import ChatRequest, Turn

VLLM = Dialect(model="m", is_vllm=True, knows_uuids=True, knows_label_ids=True)
PLAIN = Dialect(model="m", is_vllm=False, knows_uuids=False, knows_label_ids=False)
TEXT = (Turn(role="user", parts=({"type": "text", "text": "hi"},)),)
VERDICT = ChatRequest(key=1, messages=TEXT, labels=("yes|Yes", "no"))
IDS = {"yes": (7, 8), "no": (9,)}


def completion(top, choices=1):
    token = {"token": top[0][0], "logprob": top[0][1]} if top else None
    entry = {**token, "top_logprobs": [{"token": t, "logprob": p} for t, p in top]} if top else None
    return {
        "choices": [
            {
                "index": i,
                "message": {"content": "x"},
                "finish_reason": "stop",
                "logprobs": {"content": [entry]} if entry else None,
            }
            for i in range(choices)
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    }


def test_top_logprobs_and_token_ids_never_meet():
    by_id, by_rank = body(VERDICT, VLLM, {}, IDS), body(VERDICT, PLAIN, {}, None)
    assert by_id["logprob_token_ids"] == by_id["allowed_token_ids"] == [7, 8, 9]
    assert "top_logprobs" not in by_id
    assert by_rank["top_logprobs"] == 20
    assert "logprob_token_ids" not in by_rank
    sampling = ChatRequest(key=1, messages=TEXT, n=4, temperature=0.8, logprobs=True, seed=3)
    assert "top_logprobs" not in body(sampling, VLLM, {}, None)


def test_sampling_parameters_are_always_said():
    request = ChatRequest(key=1, messages=TEXT, n=4, temperature=0.8, seed=3)
    said = body(request, VLLM, {}, None)
    assert {k: said[k] for k in ("top_p", "top_k", "seed", "n", "repetition_penalty")} == {
        "top_p": 1.0,
        "top_k": -1,
        "seed": 3,
        "n": 4,
        "repetition_penalty": 1.0,
    }
    assert "top_k" not in body(request, PLAIN, {}, None)


def test_probabilities_are_read_by_token_and_spellings_add_up():
    raw = completion([("token_id:9", -1.0), ("token_id:8", -3.0), ("token_id:7", -2.0)])
    reply = parse(raw, VERDICT, IDS, 0.5)
    assert reply.label_probs == {
        "yes": pytest.approx(math.exp(-2) + math.exp(-3)),
        "no": pytest.approx(math.exp(-1)),
    }


def test_a_missing_label_is_a_broken_reply_where_ids_were_asked():
    with pytest.raises(MalformedReplyError, match="token_id:7"):
        parse(completion([("token_id:9", -1.0)]), VERDICT, IDS, 0.5)


def test_plain_servers_tell_labels_among_the_likeliest():
    reply = parse(completion([("Yes", -1.0), (" yes", -2.0), ("maybe", -0.5)]), VERDICT, None, 0.5)
    assert reply.label_probs == {"yes": pytest.approx(math.exp(-1) + math.exp(-2))}
    assert parse(completion([("maybe", -0.1)]), VERDICT, None, 0.5).label_probs == {}


@pytest.mark.parametrize(
    "raw", [None, [], {}, {"choices": []}, {"choices": [{}]}, completion([("a", float("nan"))])]
)
def test_other_json_is_no_reply(raw):
    with pytest.raises(MalformedReplyError):
        parse(raw, VERDICT, IDS, 0.5)


def test_too_few_answers_are_no_reply():
    request = ChatRequest(key=1, messages=TEXT, n=4, temperature=0.8)
    with pytest.raises(MalformedReplyError, match="2 answers"):
        parse(completion([("a", -1.0)], choices=2), request, None, 0.5)


@pytest.mark.parametrize(
    ("status", "text", "action", "reason"),
    [
        (429, "slow down", "overload", "unanswered"),
        (503, "", "overload", "unanswered"),
        (500, "oops", "retry", "unanswered"),
        (401, "Unauthorized", "fatal", "refused"),
        (404, "no such model", "fatal", "refused"),
        (400, "Cache miss for image at index 0", "cache_miss", "refused"),
        (400, "This model's maximum context length is 10 tokens", "fail", "too_long"),
        (400, "cannot identify image file", "fail", "image"),
        (422, "unknown field", "fail", "refused"),
    ],
)
def test_statuses(status, text, action, reason):
    verdict = judge_status(status, text)
    assert (verdict.action, verdict.failure.reason) == (action, reason)


def test_labels_must_be_one_token_each():
    vocabulary = {"yes": [1], "Yes": [2], "no": [3], "10": [4, 5], "\n": [9], "\n10": [9, 4, 5]}
    assert label_token_ids(("yes|Yes", "no"), vocabulary.__getitem__) == {"yes": (1, 2), "no": (3,)}
    with pytest.raises(UsageError, match="'10' is 2 tokens"):
        label_token_ids(("yes", "10"), vocabulary.__getitem__)
    with pytest.raises(UsageError, match="same token"):
        label_token_ids(("yes", "no"), lambda _: [1])


def test_digits_behind_a_word_start_mark_are_found():
    vocabulary = {"1": [29871, 29896], "\n": [29871, 13], "\n1": [29871, 13, 29896]}
    assert label_token_ids(("1",), vocabulary.__getitem__) == {"1": (29896,)}


def test_the_throttle_halves_and_recovers(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now[0])
    control = Throttle(64)
    assert control.limit == 32
    for _ in range(10):
        control.overload()  # sent together, failed together: one cut
    assert control.limit == 16
    now[0] += 2
    control.overload()
    assert control.limit == 8
    for _ in range(8):
        control.success()
    assert control.limit == 8  # a whole window brings one more, nearly
    for _ in range(5000):
        control.success()
    assert control.limit == 64


def test_without_trouble_the_throttle_opens_at_once():
    control = Throttle(64)
    for _ in range(32):
        control.success()
    assert control.limit == 64


def test_the_breaker_waits_for_its_patience_and_forgets_on_success(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now[0])
    breaker = Breaker(30)
    for _ in range(5):
        breaker.failure("refused")
    assert not breaker.is_open
    now[0] += 31
    assert breaker.is_open
    breaker.success()
    assert not breaker.is_open


def test_pauses_grow_and_heed_retry_after():
    assert pause(1) < pause(6)
    assert pause(50) <= 30
    assert pause(1, "7") >= 7
    assert pause(1, "Wed, 21 Oct 2026 07:28:00 GMT") < 1


def test_without_probabilities_a_verdict_is_asked_for_in_words():
    mute = Dialect(
        model="m", is_vllm=False, knows_uuids=False, knows_label_ids=False, has_logprobs=False
    )
    alone = body(VERDICT, mute, {}, None)
    assert (alone["n"], alone["temperature"], alone["max_tokens"]) == (1, 0.0, 16)
    several = body(replace(VERDICT, label_samples=5), mute, {}, None)
    assert (several["n"], several["temperature"]) == (5, 1.0)
    for content in (alone, several):
        assert not {"logprobs", "top_logprobs", "logprob_token_ids"} & set(content)


def test_written_verdicts_are_read_as_shares():
    raw = completion([], choices=4)
    for choice, text in zip(raw["choices"], ["yes", "Yes, it is", "no", "perhaps"], strict=True):
        choice["message"]["content"] = text
    reply = parse(raw, replace(VERDICT, label_samples=4), None, 0.1, has_logprobs=False)
    assert reply.label_probs == {"yes": 0.5, "no": 0.25}
    assert (reply.read_from, len(reply.texts)) == ("text", 4)
    # A server that answers once whatever n says.
    raw["choices"] = raw["choices"][:1]
    once = parse(raw, replace(VERDICT, label_samples=4), None, 0.1, has_logprobs=False)
    assert once.label_probs == {"yes": 1.0, "no": 0.0}


def test_a_reply_without_the_probabilities_that_were_asked_for_is_tried_again():
    with pytest.raises(MalformedReplyError, match="no probabilities"):
        parse(completion([]), VERDICT, IDS, 0.1)


def test_a_schema_is_sent_only_where_it_is_taken():
    request = ChatRequest(key=1, messages=TEXT, schema={"type": "object"})
    assert body(request, VLLM, {}, None)["structured_outputs"] == {"json": {"type": "object"}}
    assert "response_format" in body(request, PLAIN, {}, None)
    deaf = body(request, replace(PLAIN, takes_schemas=False), {}, None)
    assert "response_format" not in deaf
