from collections import Counter

import pytest
from tiny_dataset import picture
from tiny_server import ADAPTER, API_KEY, MODEL
from vlm_proxy import Proxy

from pairwright.errors import ServerError, UsageError
from pairwright.images import ImageError
from pairwright.vlm.http.client import HttpBackend
from pairwright.vlm.prepare import ImageSource
from pairwright.vlm.types import ChatRequest, Turn, ask_all

VERDICT = {"labels": ("yes|Yes", "no")}


class Reader:
    """Pictures by number; `broken` is none."""

    def read(self, image_id):
        if image_id == "broken":
            raise ImageError("broken_image", "planted")
        return picture(int(image_id))


SOURCE = ImageSource(Reader(), 64 * 64)


def question(key, image_id, text, **settings):
    parts = [] if image_id is None else [{"type": "image", "image_id": str(image_id)}]
    parts.append({"type": "text", "text": text})
    return ChatRequest(key=key, messages=(Turn(role="user", parts=tuple(parts)),), **settings)


def questions(images, per_image, **settings):
    for number in range(images * per_image):
        text = f"question {number % per_image}?"
        yield question(number, number // per_image, text, **settings)


def backend(*urls, names=(MODEL,), key=API_KEY, **settings):
    return HttpBackend(urls, names, SOURCE, api_key=lambda _: key, **settings)


def answers(requests, asked):
    """Replies by key; each exactly once."""
    replies = []
    ask_all(requests, asked, replies.append)
    counts = Counter(reply.key for reply in replies)
    assert set(counts.values()) <= {1}
    return {reply.key: reply for reply in replies}


def sends_bytes(body):
    return any(
        part["type"] == "image_url" and part["image_url"] is not None
        for message in body["messages"]
        for part in message["content"]
    )


@pytest.mark.parametrize("adapted", [False, True], ids=["base", "adapter"])
def test_server_and_local_model_say_the_same(tiny_server, tiny_qwen, tiny_lora, adapted):
    from pairwright.vlm.local import LocalBackend

    served = backend(tiny_server.base_url, names=[ADAPTER if adapted else MODEL])
    local = LocalBackend(str(tiny_qwen), SOURCE, adapter=tiny_lora if adapted else None)
    theirs, ours = (answers(questions(4, 3, **VERDICT), b) for b in (served, local))
    assert len(theirs) == 12
    for key, reply in theirs.items():
        assert reply.error is None
        assert reply.label_probs == pytest.approx(ours[key].label_probs, rel=1e-3)
        assert reply.usage == ours[key].usage
    greedy = {"max_tokens": 6, "logprobs": True}
    theirs, ours = (answers(questions(2, 2, **greedy), b) for b in (served, local))
    for key, reply in theirs.items():
        assert reply.logprobs == pytest.approx(ours[key].logprobs, abs=1e-3)
        # Where an answer ends within a character, only one of them shows that.
        texts = [text.rstrip("\ufffd") for text in (*reply.texts, *ours[key].texts)]
        assert texts[0] == texts[1]
        assert reply.n_tokens == ours[key].n_tokens


def test_each_image_is_sent_once(proxy):
    asked = backend(proxy.url, concurrency=8)
    replies = answers(questions(6, 5, **VERDICT), asked)
    assert len(replies) == 30
    assert not any(reply.error for reply in replies.values())
    assert len(proxy.asked) == 30
    assert sum(map(sends_bytes, proxy.asked)) == 6 == asked.images_sent
    assert proxy.most_at_once <= 8


def test_an_image_the_server_has_dropped_is_sent_again(proxy):
    asked = backend(proxy.url)
    expected = answers(questions(2, 1, **VERDICT), asked)
    for image_id in ("0", "1"):
        asked._endpoints[0].remember(image_id, f"never-sent-{image_id}")
    again = answers(questions(2, 1, **VERDICT), asked)
    for key, reply in again.items():
        assert reply.label_probs == pytest.approx(expected[key].label_probs, rel=1e-4)
    assert [sends_bytes(body) for body in proxy.asked[2:]].count(True) == 2


def test_trouble_on_the_way_loses_and_doubles_nothing(proxy):
    planted = {0: 503, 2: "cut", 3: 429, 5: 500, 7: 502, 8: "cut", 11: 503}
    proxy.fault = lambda number, body: planted.get(number)
    replies = answers(questions(4, 4, **VERDICT), backend(proxy.url, concurrency=4))
    assert len(replies) == 16
    assert not any(reply.error for reply in replies.values())
    assert len(proxy.asked) == 16 + len(planted)


def test_an_overloaded_server_is_asked_less_at_once(proxy):
    proxy.fault = lambda number, body: 503 if proxy._at_once >= 3 else None
    asked = backend(proxy.url, concurrency=32)
    replies = answers(questions(10, 4, **VERDICT), asked)
    assert len(replies) == 40
    assert not any(reply.error for reply in replies.values())
    assert asked.throttle.limit < 32


def test_a_hanging_request_is_asked_again(proxy):
    proxy.fault = lambda number, body: "hang" if number == 1 else None
    replies = answers(questions(1, 4, **VERDICT), backend(proxy.url, timeout_s=2))
    assert not any(reply.error for reply in replies.values())
    assert len(proxy.asked) == 5


def test_a_request_that_pauses_holds_up_no_other(proxy):
    tried = 0

    def fault(number, body):
        nonlocal tried
        tried += "unlucky" in str(body)
        return 500 if "unlucky" in str(body) and tried <= 3 else None

    proxy.fault = fault
    unlucky = question("unlucky", 0, "unlucky?", **VERDICT)
    requests = [unlucky, *(question(i, i, "question 1?", **VERDICT) for i in range(1, 13))]
    replies = []
    # One at a time: the pauses would take longer than all the others together.
    ask_all(requests, backend(proxy.url, concurrency=1), replies.append)
    assert [reply.key for reply in replies].index("unlucky") >= 6
    assert len(replies) == 13
    assert not any(reply.error for reply in replies)


def test_a_row_whose_requests_keep_failing_is_given_up_alone(proxy):
    proxy.fault = lambda number, body: 500 if "question 1" in str(body) else None
    replies = answers(questions(1, 3, **VERDICT), backend(proxy.url, deadline_s=3))
    assert [key for key, reply in replies.items() if reply.error] == [1]
    assert replies[1].error.reason == "unanswered"
    assert "planted 500" in replies[1].error.detail


def test_a_dead_server_stops_the_work_and_keeps_what_was_answered(proxy):
    replies = []

    def on_reply(reply):
        replies.append(reply)
        if len(replies) == 10:
            proxy.stop()

    with pytest.raises(ServerError, match=r"is gone .*what was answered is kept"):
        ask_all(questions(30, 2, **VERDICT), backend(proxy.url, patience_s=1), on_reply)
    answered = [reply for reply in replies if reply.error is None]
    assert 10 <= len(answered) < 60


def test_several_servers_share_the_images_and_the_last_one_takes_over(proxy, tiny_server):
    with Proxy(tiny_server.base_url, tiny_server.api_key) as other:
        asked = backend(proxy.url, other.url, patience_s=0.5, concurrency=4)
        assert len(answers(questions(12, 2, **VERDICT), asked)) == 24
        shares = [sum(map(sends_bytes, p.asked)) for p in (proxy, other)]
        assert sum(shares) == 12
        assert min(shares) > 0
        other.stop()
        replies = answers(questions(12, 2, **VERDICT), asked)
        assert len(replies) == 24
        assert not any(reply.error for reply in replies.values())


def test_a_plain_openai_server_is_read_by_its_likeliest_tokens(proxy, tiny_server, capsys):
    requests = list(questions(8, 1))
    first_tokens = answers(requests, backend(tiny_server.base_url))
    key, label = next(
        (k, r.texts[0]) for k, r in first_tokens.items() if r.texts[0].isascii() and r.texts[0]
    )
    request = [question(key, key, "question 0?", labels=(label, "no"))]
    expected = answers(request, backend(tiny_server.base_url))[key].label_probs[label]
    proxy.owned_by, proxy.hides = "openai", {"/tokenize"}
    told = answers(request, backend(proxy.url))[key].label_probs
    assert told[label] == pytest.approx(expected, rel=1e-4)
    [body] = proxy.asked
    assert sends_bytes(body)
    assert "uuid" not in str(body)
    assert "top_k" not in body
    assert "most likely tokens" in capsys.readouterr().err


def test_a_server_that_ignores_token_ids_is_noticed(proxy):
    def ignore(body):
        return {
            k: v for k, v in body.items() if k not in ("logprob_token_ids", "allowed_token_ids")
        }

    proxy.rewrite = ignore
    replies = answers(questions(1, 2, **VERDICT), backend(proxy.url))
    assert not any(reply.error for reply in replies.values())
    assert all("top_logprobs" in body for body in proxy.asked)


def without(*names):
    """A server that does not know some settings and says nothing about it."""
    return lambda body: {k: v for k, v in body.items() if k not in names}


LOGPROBS = ("logprobs", "top_logprobs", "logprob_token_ids", "allowed_token_ids")


@pytest.mark.parametrize("refuses", [False, True], ids=["ignores", "refuses"])
def test_without_probabilities_written_verdicts_are_read(proxy, tiny_server, capsys, refuses):
    texts = answers(questions(4, 2, max_tokens=16), backend(tiny_server.base_url))
    firsts = {key: reply.texts[0] for key, reply in texts.items()}
    if refuses:
        proxy.refuses = lambda body: "logprobs" in body
    else:
        proxy.rewrite = without(*LOGPROBS)
    proxy.owned_by, proxy.hides = "openai", {"/tokenize"}
    labels = ("yes|Yes", "maybe so")  # need not be one token here
    replies = answers(questions(4, 2, labels=labels), backend(proxy.url))
    for key, reply in replies.items():
        assert reply.error is None
        assert reply.read_from == "text"
        assert reply.texts == (firsts[key],)  # greedy, a few tokens
        assert reply.label_probs == {"yes": 0.0, "maybe so": 0.0}  # it babbles
    assert len(proxy.asked) == 8
    assert capsys.readouterr().err.count("written verdicts") == 1


def test_verdicts_are_sampled_where_several_are_wanted(proxy):
    proxy.rewrite, proxy.owned_by = without(*LOGPROBS), "openai"
    # What the model says is random; what is read of it is not.
    said = iter(["5", "4.", "Rating: 5", "4 or 5"])
    proxy.says = lambda body: [next(said) for _ in range(body["n"])]
    [reply] = answers(
        questions(1, 1, labels=("1", "2", "3", "4", "5"), label_samples=4), backend(proxy.url)
    ).values()
    assert reply.label_probs == {"1": 0.0, "2": 0.0, "3": 0.0, "4": 0.25, "5": 0.5}
    assert len(reply.texts) == 4
    [body] = proxy.asked
    assert (body["n"], body["temperature"]) == (4, 1.0)


def test_a_busy_moment_while_greeting_does_not_cost_the_probabilities(proxy):
    busy = iter([503, 429, 500])
    proxy.trial_fault = lambda body: next(busy, None)
    replies = answers(questions(1, 2, **VERDICT), backend(proxy.url))
    assert {reply.read_from for reply in replies.values()} == {"logprobs"}


def test_labels_may_come_after_texts(proxy):
    requests = [question("text", 1, "what?"), question("mark", 1, "what?", **VERDICT)]
    replies = answers(requests, backend(proxy.url))
    assert replies["text"].label_probs is None
    assert replies["mark"].read_from == "logprobs"


def test_a_schema_that_is_refused_is_left_out(proxy, capsys):
    proxy.refuses = lambda body: "response_format" in body
    proxy.owned_by = "openai"
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    replies = answers(questions(3, 2, schema=schema, max_tokens=4), backend(proxy.url))
    assert not any(reply.error for reply in replies.values())
    assert capsys.readouterr().err.count("JSON schema") == 1


def test_a_row_that_is_refused_for_itself_does_not_cost_the_schema(proxy):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    requests = [
        question("long", 1, "word " * 3000, schema=schema),
        question("fine", 1, "what?", schema=schema, max_tokens=60),
    ]
    replies = answers(requests, backend(proxy.url))
    assert replies["long"].error.reason == "too_long"
    assert "structured_outputs" in proxy.asked[-1]
    assert replies["fine"].texts[0].lstrip().startswith("{")


def test_only_a_window_of_the_requests_is_held(tiny_server):
    taken, replied, most = 0, 0, 0

    def requests():
        nonlocal taken
        for request in questions(60, 2, **VERDICT):
            taken += 1
            yield request

    def on_reply(reply):
        nonlocal replied, most
        replied += 1
        most = max(most, taken - replied)

    ask_all(requests(), backend(tiny_server.base_url, concurrency=4), on_reply)
    assert replied == 120
    assert most <= 16


def test_bad_rows_cost_one_row_each(tiny_server):
    requests = [
        question("fine", 1, "what?", **VERDICT),
        question("long", 1, "word " * 3000, **VERDICT),
        question("broken", "broken", "what?", **VERDICT),
        question("text", None, "what?", **VERDICT),
    ]
    replies = answers(requests, backend(tiny_server.base_url))
    reasons = {key: reply.error and reply.error.reason for key, reply in replies.items()}
    assert reasons == {"fine": None, "long": "too_long", "broken": "image", "text": None}


def test_a_server_that_refuses_everything_is_not_a_matter_of_rows(proxy):
    proxy.fault = lambda number, body: 422
    with pytest.raises(ServerError, match=r"refuses every request .422: planted"):
        answers(questions(20, 3, **VERDICT), backend(proxy.url))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key": "wrong"}, "refuses the key .*PAIRWRIGHT_API_KEY"),
        ({"names": ["other"]}, f"does not serve other; it serves: .*{MODEL}"),
    ],
)
def test_what_is_wrong_with_a_server_is_said(tiny_server, settings, message):
    with pytest.raises(ServerError, match=message):
        answers(questions(1, 1, **VERDICT), backend(tiny_server.base_url, **settings))


def test_nobody_there(monkeypatch):
    monkeypatch.setattr("pairwright.vlm.http.greeting._GREETING_S", 0.5)
    with pytest.raises(ServerError, match=r"no model server answers at http://127.0.0.1:9/v1"):
        answers(questions(1, 1), backend("http://user:secret@127.0.0.1:9/v1"))


def test_labels_of_several_tokens_are_refused(tiny_server):
    with pytest.raises(UsageError, match=r"'maybe so' is .* tokens"):
        answers(questions(1, 1, labels=("yes", "maybe so")), backend(tiny_server.base_url))


def test_sampled_answers_differ_and_a_seed_repeats_them(tiny_server):
    settings = {"n": 6, "temperature": 1.0, "max_tokens": 5, "seed": 7, "logprobs": True}
    first, second = (
        answers(questions(3, 1, **settings), backend(tiny_server.base_url)) for _ in range(2)
    )
    for key, reply in first.items():
        # The checkpoint's own generation_config says top_k=1.
        assert len(set(reply.texts)) > 3
        assert reply.texts == second[key].texts
        assert all(p < 0 for p in reply.logprobs)


def test_marks_and_samples_may_run_side_by_side(tiny_server):
    marks = list(questions(8, 2, **VERDICT))
    asked = backend(tiny_server.base_url)
    alone = answers(marks, asked)
    sampling = {"n": 2, "temperature": 1.0, "max_tokens": 5, "seed": 7, "logprobs": True}
    draws = [question(f"draw {i}", i, "and?", **sampling) for i in range(16)]
    mixed = [request for pair in zip(marks, draws, strict=True) for request in pair]
    together = answers(mixed, asked)
    for key, reply in alone.items():
        assert together[key].label_probs == pytest.approx(reply.label_probs, rel=1e-3)
    lonely = answers(draws, asked)
    for request in draws:
        assert together[request.key].logprobs == pytest.approx(
            lonely[request.key].logprobs, abs=1e-2
        )


def test_more_seeded_prompts_than_fit_into_a_step_do_not_kill_the_server(tiny_server):
    # vLLM on the CPU dies where it computes a seeded prompt in pieces.
    settings = {"n": 6, "temperature": 1.0, "max_tokens": 2}
    requests = [question(i, i % 5, f"{i} " * 150, seed=i, **settings) for i in range(40)]
    replies = answers(requests, backend(tiny_server.base_url, concurrency=40))
    assert not any(reply.error for reply in replies.values())
