import pytest
import requests

from cromss.prepare.download.retry import Network, PassingError, RefusedError, UnreachableError, redact


def get(url):
    response = requests.get(url, timeout=5)
    response.raise_for_status()
    return response.content


def failing(*statuses, **headers):
    left = list(statuses)

    def answer(handler):
        if left:
            handler.send(b"", left.pop(0), **headers)
        else:
            handler.send(b"here")

    return answer


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_passing_failures_are_tried_again(server, network, clock, status):
    server.answer = failing(status, status)
    assert network.ask("it", lambda: get(server.url)) == b"here"
    first, second = clock.slept
    assert 1 <= first <= 2 <= second <= 4


def test_tries_end(server, network):
    server.answer = failing(*[503] * 9)
    with pytest.raises(UnreachableError, match="it: 503 .* Tried 3 times: run the same command again later"):
        network.ask("it", lambda: get(server.url))
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(server, network, status):
    server.answer = failing(status)
    with pytest.raises(RefusedError, match=f"it: {status}"):
        network.ask("it", lambda: get(server.url))
    assert len(server.asked) == 1


def test_a_server_says_how_long_to_wait(server, network, clock):
    server.answer = failing(429, Retry_After=17)
    network.ask("it", lambda: get(server.url))
    assert clock.slept == [17]


def test_a_server_says_until_when_to_wait(server, network, clock):
    server.answer = failing(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    network.ask("it", lambda: get(server.url))
    assert 1 <= clock.slept[0] <= 2


def test_nobody_waits_for_a_day(server, network, clock):
    server.answer = failing(503, Retry_After=86400)
    with pytest.raises(UnreachableError, match="Tried 1 times; the server asks to wait for 86400 s"):
        network.ask("it", lambda: get(server.url))
    assert clock.slept == []


def test_no_pause_is_longer_than_the_longest(clock):
    network = Network(12, 2, 5, 1e9, 5, sleep=clock.sleep, clock=clock.time)
    with pytest.raises(UnreachableError):
        network.ask("it", lambda: get("http://127.0.0.1:9"))
    assert len(clock.slept) == 11
    assert max(clock.slept) <= 5


def test_requests_are_spread(clock):
    network = Network(3, 2, 60, 4, 5, sleep=clock.sleep, clock=clock.time)
    times = [network.ask("it", clock.time) for _ in range(4)]
    assert times == [0, 0.25, 0.5, 0.75]
    clock.now = 100
    assert network.ask("it", clock.time) == 100
    assert network.ask("it", clock.time) == 100.25


def test_progress_counts_the_tries_anew(network):
    came = 0

    def request():
        nonlocal came
        if came == 8:
            return "all"
        came += 1
        raise PassingError("cut")

    assert network.ask("it", request, lambda: came) == "all"


def test_what_is_no_url_is_final(network, clock):
    with pytest.raises(RefusedError, match="Invalid URL"):
        network.ask("it", lambda: get("nowhere"))
    assert clock.slept == []


def test_secrets_are_cut_out():
    text = "404 for url: https://me:p%40ss@host/a?token=abc&x=1 (x)"
    assert redact(text) == "404 for url: https://***@host/a?*** (x)"
    assert redact("Max retries exceeded with url: /a?key=abc") == "Max retries exceeded with url: /a?***"
    assert redact("is it?") == "is it?"
    assert "secret" not in redact("no host http://me:secret/1@host/a;k=secret#token=secret, s3://b/k?secret")


def test_no_message_tells_a_secret(network, server, caplog):
    caplog.set_level("DEBUG", "cromss")
    server.answer = failing(503, 404)
    url = server.url.replace("//", "//me:hidden@") + "/a?token=hidden"
    with pytest.raises(RefusedError) as caught:
        network.ask(url, lambda: get(url))
    assert "hidden" not in str(caught.value)
    assert "hidden" not in caplog.text
    assert "trying again" in caplog.text
    assert caught.value.__suppress_context__
