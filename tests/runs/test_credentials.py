"""Credentials of addresses are in the request alone: not in a byte of what a run leaves."""

import http.server
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cromss.config import UserError
from cromss.config.resolvers import run_name
from cromss.io.redact import redact, redact_values
from helpers.entrypoint import SMALL, finish, start
from helpers.weights_files import resnet_state

SECRET = "Zx81SecretZx81"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host:8080/a/b.pth", "https://host:8080/a/b.pth"),
        (f"https://me:{SECRET}@host/a.pth", "https://***@host/a.pth"),
        (f"https://{SECRET}@host", "https://***@host"),
        (f"https://me:{SECRET}/1@host/a", "https://***@host/a"),
        (f"https://me:{SECRET}?#@host/a", "https://***@host/a"),
        (f"https:/me:{SECRET}@host/a", "https:/***@host/a"),
        (f"s3://bucket/key?X-Amz-Signature={SECRET}&v={SECRET}", "s3://bucket/key?X-Amz-Signature=***&v=***"),
        (f"http://h/a?{SECRET}", "http://h/a?***"),
        (f"http://h/a;jsessionid={SECRET}/b#token={SECRET}", "http://h/a;***/b#***"),
        (f"postgresql+psycopg2://u:{SECRET}@db:5432/x", "postgresql+psycopg2://***@db:5432/x"),
        (f"key='http://u:{SECRET}@h/a' (http://h/b?k={SECRET}): x", "key='http://***@h/a' (http://h/b?k=***): x"),
        ("sqlite:///${hydra.sweep.dir}/study.db", "sqlite:///${hydra.sweep.dir}/study.db"),
        ("/data/me@home/x?y=1", "/data/me@home/x?y=1"),
    ],
)  # fmt: skip
def test_credentials_are_hidden_and_the_rest_stays(text, shown):
    assert redact(text) == shown


LETTERS = st.text("abc:/?#&=;@.,% 'Z", max_size=12)


@given(LETTERS, LETTERS, st.sampled_from(["http", "s3", "git+ssh"]))
def test_no_form_of_an_address_keeps_its_credentials(before, after, scheme):
    for address in (f"{scheme}://u:{SECRET}@h/{after}", f"{scheme}://h/p?{before.replace('#', '')}={SECRET}{after}"):
        (hidden,) = redact_values([address])
        assert SECRET not in hidden
        assert redact_values([hidden]) == [hidden]
        assert redact(redact(address)) == redact(address)


def test_runs_that_differ_in_credentials_alone_have_one_name():
    one, other = (run_name(f"backbone.weights_path=https://u:{word}@h/w.pth?sig={word},seed=1") for word in ("a", "b"))
    assert one == other
    assert "seed=1" in one
    assert SECRET not in run_name(f"backbone.weights_path=https://h/w?a=b,token={SECRET},{SECRET},seed=1")
    assert one != run_name("backbone.weights_path=https://u:a@h/v.pth?sig=a,seed=1")


def test_mistakes_are_reported_without_credentials():
    assert SECRET not in str(UserError(f"http://u:{SECRET}@h/x is no file"))


@pytest.fixture
def address(tmp_path):
    torch.save(resnet_state(3), tmp_path / "weights.pth")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def do_GET(self):
            self.server.asked.append((self.path, self.headers["Authorization"]))
            super().do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://me:{SECRET}@127.0.0.1:{server.server_port}/weights.pth?X-Amz-Signature={SECRET}"
        server.shutdown()
        thread.join()
    assert server.asked
    assert all(SECRET in path and authorisation for path, authorisation in server.asked)


NETWORK = ["fusion=single", "fusion.modality=s2", "selection=none", "loss.consistency=none", "dataset.bands=3"]
START = ["backbone=resnet18", "backbone.weights=imagenet", "backbone.adapt_bands=true"]


def files_with_secret(folder):
    return [str(path) for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_a_run_leaves_them_nowhere(tmp_path, address, sweep):
    other = f"https://me:{SECRET}@host/x?token={SECRET}"
    odd = [f"weights_folder='{other}'", f"trainer.wandb_tags=['{other}']", f"trainer.wandb_job_type='{other}'"]
    command = [*SMALL[:-1], *NETWORK, *START, f"backbone.weights_path='{address}'", *odd, "trainer.wandb=offline"]
    end = finish(start("train.py", *sweep, *command, cwd=tmp_path, cache=tmp_path / "cache"), check=True)
    assert list((tmp_path / "outputs").rglob("last.ckpt"))
    assert list((tmp_path / "outputs").rglob("*.wandb"))
    assert files_with_secret(tmp_path) == []
    assert not [path for path in tmp_path.rglob("*") if SECRET in str(path)]
    assert SECRET not in end.stdout + end.stderr
