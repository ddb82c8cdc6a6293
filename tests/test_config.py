"""What the configuration may say, and how it is told what it must not say."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import ConfigurationInvalid
from agent.load import load, locate

MANUAL = '[collectors.manual]\npath = "evidence"\n'
OKTA = '[collectors.okta]\norg_url = "https://acme.okta.com"\n'


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No variable of the machine that the tests run on has a say."""
    monkeypatch.chdir(tmp_path)
    for name in ("CHEQUR_AGENT_CONFIG", "CHEQUR_TOKEN", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def loaded(text, name="config.toml"):
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def problems(text):
    with pytest.raises(ConfigurationInvalid) as refused:
        loaded(text)
    assert refused.value.path == Path("config.toml")
    return list(refused.value.problems)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = = 3", "the file is not TOML: Invalid value (at line 1, column 5)"),
        ("\n[chequr\n", "the file is not TOML: Expected ']' at the end of a table declaration (at line 2, column 8)"),
        ("[log]\n[log]\n", "the file is not TOML: Cannot declare ('log',) twice (at line 2, column 5)"),
        (b"\na = '\xff'", "the file is not UTF-8 text (at line 2)"),
        ("state_dri = 'x'", "state_dri: there is no such key (did you mean state_dir?)"),
        ("[sources.aws]", "sources: there is no such key"),
        ("state_dir = 5", "state_dir: it must be a path in quotes"),
        ("state_dir = ''", "state_dir: it names nothing; name a path, or leave the key out"),
        ("state_dir = ' '", "state_dir: it names nothing; name a path, or leave the key out"),
        ("[chequr]\nbase_urll = 'x'", "chequr.base_urll: there is no such key (did you mean base_url?)"),
        ("chequr = 3", "chequr: it must be a table"),
        ("[chequr]\nbase_url = 3", "chequr.base_url: it must be text in quotes"),
        ("[chequr]\nbase_url = 'http://api.chequr.com/v1'", "unencrypted: write https:// instead"),
        ("[chequr]\nbase_url = 'http://127.0.0.1.example.com/v1'", "unencrypted: write https:// instead"),
        ("[chequr]\nbase_url = 'ftp://api.chequr.com'", "chequr.base_url: the address must look like https://"),
        ("[webhooks]\npublic_url = 'http://a.example/x'", "webhooks.public_url: what is sent to a.example would be"),
        ("[chequr]\nbase_url = 'api.chequr.com/v1'", "chequr.base_url: the address must look like https://"),
        ("[chequr]\ntimeout = '1 fortnight'", "chequr.timeout: a duration is seconds, or a number with s, m, h or d"),
        ("[chequr]\ntimeout = true", "chequr.timeout: a duration is seconds"),
        ("[chequr]\ntimeout = -5", "chequr.timeout: a duration is seconds"),
        ("[chequr]\ntimeout = inf", "chequr.timeout: a duration is seconds"),
        ("[chequr]\ntimeout = nan", "chequr.timeout: a duration is seconds"),
        ("[chequr]\ntimeout = 0", "chequr.timeout: it must be longer than nothing"),
        ("[chequr]\nrate = 0", "chequr.rate: it should be greater than 0"),
        ("[chequr]\nrate = inf", "chequr.rate: it should be a finite number"),
        ("[chequr]\ntoken_file = ''", "chequr.token_file: it names nothing"),
        ("[chequr]\nca_file = 'none.pem'", "none.pem holds no certificates (PEM) that can be read: No such file"),
        ("[chequr]\nca_file = 'config.toml'", "config.toml holds no certificates (PEM) that can be read: "),
        ("[delivery]\nconcurrency = 65", "delivery.concurrency: it should be less than or equal to 64"),
        ("[delivery]\nconcurrency = 'many'", "delivery.concurrency: it must be a whole number"),
        ("[delivery]\npayload_shape = 'both'", "delivery.payload_shape: it should be 'snapshot' or 'record'"),
        ("[delivery]\nmax_payload_bytes = 1000001", "delivery.max_payload_bytes: it should be less than or equal to"),
        ("[delivery]\nmax_payload_bytes = 10", "delivery.max_payload_bytes: it should be greater than or equal to"),
        ("[delivery]\nreceipts_keep_days = 0", "delivery.receipts_keep_days: it should be greater than or equal to 1"),
        ("[controls]\nrefresh = 'often'", "controls.refresh: a duration is seconds, or a number with s, m, h or d"),
        ("[controls]\ndiscover = 'maybe'", "controls.discover: it must be true or false"),
        (
            "[controls.map]\naws_s3_bucket_encrypt = ['c']",
            "no evidence type is called aws_s3_bucket_encrypt (did you mean aws_s3_bucket_encryption?)",
        ),
        ("[controls.map]\naws_iam_user_mfa = 'c'", "controls.map.aws_iam_user_mfa: it must be a list, as in"),
        ("[controls.map]\naws_iam_user_mfa = ['']", "controls.map.aws_iam_user_mfa.0: it is empty"),
        ("[controls.map]\naws_iam_user_mfa = ['c', 'c']", "a control is named twice; name each once"),
        ("[log]\nlevel = 'loud'", "log.level: it should be 'debug', 'info', 'warning' or 'error'"),
        ("[log]\nformat = 'xml'", "log.format: it should be 'console' or 'json'"),
        ("collectors = 3", "collectors: it must be a table"),
        ("[collectors]\nmanual = 3", "collectors.manual: it must be a table"),
        ("[collectors.manual]", "collectors.manual.path: it is required, and not set"),
        ("[collectors.manul]\npath='x'", "collectors.manul: no source is called manul (did you mean manual?)"),
        ("[collectors.f]\nsource='mnual'\npath='x'", "collectors.f: no source is called mnual (did you mean manual?)"),
        ("[collectors.'a b']\nsource='manual'", "collectors.a b: a collector's name has letters, digits, - and _ only"),
        ("[collectors.manual]\npath = ''", "collectors.manual.path: it names nothing"),
        ("[collectors.manual]\npath = 3", "collectors.manual.path: it must be a path in quotes"),
        (MANUAL + "max_file_byte = 3", "collectors.manual.max_file_byte: there is no such key (did you mean max_file_"),
        (MANUAL + "max_file_bytes = 0", "collectors.manual.max_file_bytes: it should be greater than 0"),
        (MANUAL + "schedul = 'daily'", "collectors.manual.schedul: there is no such key (did you mean schedule?)"),
        (MANUAL + "schedule = '61 * * * *'", "collectors.manual.schedule: '61 * * * *' is no cron expression: "),
        (
            MANUAL + "schedule = 'often'",
            "collectors.manual.schedule: 'often' is neither hourly, daily, weekly, monthly,",
        ),
        (
            MANUAL + "timezone = 'Berlin'",
            "collectors.manual.timezone: no time zone is called 'Berlin'; names look like",
        ),
        (MANUAL + "enabled = 'maybe'", "collectors.manual.enabled: it must be true or false"),
        (MANUAL + "types = []", "collectors.manual.types: it is empty; leave the key out, or name at least one"),
        (MANUAL + "types = 'manual_*'", "collectors.manual.types: it must be a list, as in"),
        (
            MANUAL + "types = ['manual_files_contend']",
            "matches manual_files_contend (did you mean manual_files_content?)",
        ),
        (MANUAL + "types = ['aws_*']", "collectors.manual.types: no evidence type of manual matches aws_*"),
        (MANUAL + "payload_shape = 'flat'", "collectors.manual.payload_shape: it should be 'snapshot' or 'record'"),
        ("[collectors.aws]\naccounts = [{id='12345'}]", "collectors.aws.accounts.0.id: an account id is 12 digits"),
        ("[collectors.aws]\naccounts = [123456789012]", "collectors.aws.accounts.0: "),
        (
            "[collectors.aws]\naccounts = [{id='123456789012', role='x'}]",
            "collectors.aws.accounts.0.role: there is no such key (did you mean role_arn?)",
        ),
        ("[collectors.aws]\nregions = ['x y']", "collectors.aws.regions: 'x y' is not a region"),
        ("[collectors.aws]\nendpoint_url = 'nope'", "collectors.aws.endpoint_url: an endpoint is a scheme and a host"),
        ("[collectors.okta]", "collectors.okta.org_url: it is required, and not set"),
        ("[collectors.okta]\norg_url = 'http://acme.okta.com'", "collectors.okta.org_url: must be https"),
        (
            OKTA + "scopes = ['okta.users.read']",
            "collectors.okta: scopes, key_id and dpop belong to client_id and private_key_file",
        ),
        ("[collectors.github]\norganizations = []", "collectors.github.organizations: it is empty"),
        ("[collectors.github]\norganizations = 'acme'", "collectors.github.organizations: it must be a list"),
        ("[collectors.github]\norganizations = ['a']\napp_id = 3", "collectors.github: a GitHub App needs app_id and"),
    ],
)
def test_each_mistake_is_told_once_with_its_key_and_its_remedy(text, told):
    """One mistake is one problem, which names the key, the reason and, where one is near, the right word."""
    (problem,) = problems(text)
    assert told in problem


def test_all_mistakes_are_told_at_once():
    """Whoever mends a configuration sees all of its mistakes, not one after the other."""
    told = problems(
        "[controls.map]\naws_x = ['c']\n"
        "[collectors.manual]\nenabled = 'x'\nschedul = 'daily'\nmax_file_bytes = 'lots'\n"
        "[collectors.files]\nsource = 'manual'\npath = 'x'\nschedule = 'never'\ntypes = ['nope']\n"
    )
    assert [problem.split(": ")[0] for problem in told] == [
        "controls.map.aws_x",
        "collectors.manual.enabled",
        "collectors.manual.path",
        "collectors.manual.max_file_bytes",
        "collectors.manual.schedul",
        "collectors.files.types",
        "collectors.files.schedule",
    ]


SECRET = "hunter2-Correct-Horse"


@pytest.mark.parametrize(
    "text",
    [
        f"token = '{SECRET}'",
        f"[chequr]\ntoken = '{SECRET}'",
        f"[chequr]\napi_key = '{SECRET}'",
        f"[chequr]\nbase_url = 'https://user:{SECRET}@api.chequr.com/v1'",
        f"[chequr]\nrate = '{SECRET}'",
        f"[chequr]\ntimeout = '{SECRET}'",
        f"[chequr]\nca_file = ['{SECRET}']",
        f"[log]\nlevel = '{SECRET}'",
        f"[delivery]\nconcurrency = '{SECRET}'",
        f"{OKTA}token = '{SECRET}'",
        f"[collectors.okta]\norg_url = 'http://user:{SECRET}@acme.okta.com'",
        f"[collectors.okta]\norg_url = 'https://user:{SECRET}@acme.okta.com'",
        f"[collectors.github]\norganizations = ['acme']\ntoken = '{SECRET}'",
        f"[collectors.github]\norganizations = ['acme']\nprivate_key = '{SECRET}'",
        f"[collectors.github]\norganizations = ['acme']\nbase_url = 'https://x:{SECRET}@ghe.acme.com/api/v3'",
        f"[collectors.github]\norganizations = ['acme']\ninstallation_id = '{SECRET}'",
        f"[collectors.aws]\nsecret_access_key = '{SECRET}'",
        f"[collectors.aws]\naccounts = [{{id='{SECRET}', external_id='{SECRET}'}}]",
    ],
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(text):
    """What somebody pasted into the file never comes back in a message."""
    told = problems(text)
    assert SECRET not in " ".join(told)


def test_a_secret_is_told_where_it_belongs():
    """A key that holds a secret is refused with the way that secrets do come in."""
    (problem,) = problems(f"[chequr]\ntoken = '{SECRET}'")
    assert problem.startswith("chequr.token: there is no such key (did you mean token_file?); secrets stay out")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "CHEQUR_AGENT__CHEQR__TIMEOUT",
            "3s",
            "CHEQUR_AGENT__CHEQR__TIMEOUT names no key (did you mean CHEQUR_AGENT__",
        ),
        ("CHEQUR_AGENT__NONSENSE", "3s", "the variable CHEQUR_AGENT__NONSENSE names no key"),
        ("CHEQUR_AGENT_STATE_DIR", "x", "CHEQUR_AGENT_STATE_DIR names no key (did you mean CHEQUR_AGENT__STATE_DIR?)"),
        ("CHEQUR_AGENT__CHEQUR__TIMEOUTT", "3s", "chequr.timeoutt: there is no such key (did you mean timeout?)"),
        ("CHEQUR_AGENT__CHEQUR__TOKEN", SECRET, "chequr.token: there is no such key"),
        ("CHEQUR_AGENT__CHEQUR__RATE", "x", "rate: it must be a number; it comes from $CHEQUR_AGENT__CHEQUR__RATE"),
        ("CHEQUR_AGENT__CHEQUR", SECRET, 'the environment: error parsing value for field "chequr"'),
        ("CHEQUR_AGENT__CONTROLS__MAP", "{" + SECRET, 'the environment: error parsing value for field "controls"'),
        ("CHEQUR_AGENT__COLLECTORS__OKTA__TOKEN", SECRET, "collectors.okta.token: there is no such key"),
    ],
)
def test_a_variable_that_is_wrong_is_told_by_its_name(monkeypatch, name, value, told):
    """A variable that names no key, or whose value does not fit, is refused, and its value is not repeated."""
    monkeypatch.setenv(name, value)
    found = "\n".join(problems(OKTA))
    assert told in found
    assert SECRET not in found


def test_variables_of_kubernetes_are_no_mistake(monkeypatch):
    """What Kubernetes makes up for a service of the agent's name is passed over."""
    monkeypatch.setenv("CHEQUR_AGENT_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("CHEQUR_AGENT_PORT_9090_TCP", "tcp://10.0.0.1:9090")
    assert loaded(MANUAL).enabled


def test_variables_override_the_file(monkeypatch):
    """Variables win over the file at every depth; lists are JSON, and an empty variable says nothing."""
    monkeypatch.setenv("CHEQUR_AGENT__CHEQUR__TIMEOUT", "90")
    monkeypatch.setenv("CHEQUR_AGENT__CHEQUR__TOKEN_FILE", "")
    monkeypatch.setenv("CHEQUR_AGENT__CONTROLS__MAP", '{"okta_user_mfa": ["ctrl_x"]}')
    monkeypatch.setenv("CHEQUR_AGENT__COLLECTORS__OKTA__TYPES", '["okta_user_l*", "okta_user_m*"]')
    monkeypatch.setenv("CHEQUR_AGENT__COLLECTORS__OKTA__SCHEDULE", "hourly")
    monkeypatch.setenv("CHEQUR_AGENT__COLLECTORS__GITHUB__ORGANIZATIONS", '["acme"]')
    found = loaded("[chequr]\ntimeout = '5s'\nrate = 7\n" + OKTA)
    assert found.config.chequr.timeout == timedelta(seconds=90)
    assert found.config.chequr.rate == 7
    assert found.config.chequr.token_file is None
    assert found.config.controls.map == {"okta_user_mfa": ["ctrl_x"]}
    assert [kind.id for kind in found.collectors["okta"].types] == ["okta_user_lifecycle", "okta_user_mfa"]
    assert found.collectors["okta"].common.schedule == "hourly"
    assert found.collectors["github"].settings.organizations == ("acme",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", timedelta(seconds=30)),
        ("0.5", timedelta(milliseconds=500)),
        ("'45s'", timedelta(seconds=45)),
        ("'2 m'", timedelta(minutes=2)),
        ("'1.5h'", timedelta(hours=1.5)),
        ("'7d'", timedelta(days=7)),
    ],
)
def test_durations_are_seconds_or_have_a_unit(text, expected):
    """A number is seconds; text has s, m, h or d."""
    assert loaded(f"[controls]\nrefresh = {text}").config.controls.refresh == expected


def test_relative_paths_count_from_the_file(tmp_path):
    """Paths in the file do not depend on where the command is started."""
    folder = tmp_path / "etc"
    folder.mkdir()
    found = loaded(
        'state_dir = "state"\n[chequr]\ntoken_file = "token"\n'
        '[collectors.manual]\npath = "../evidence"\n[collectors.github]\norganizations = ["a"]\ntoken_file = "gh"\n',
        "etc/config.toml",
    )
    assert found.config.state_dir == folder / "state"
    assert found.config.chequr.token_file == folder / "token"
    assert found.collectors["manual"].settings.path.resolve() == tmp_path / "evidence"
    assert found.collectors["github"].settings.token_file == folder / "gh"


def test_types_are_chosen_by_id_and_by_pattern():
    """`types` takes ids and patterns; without it all types of the source are chosen."""
    chosen = loaded("[collectors.aws]\ntypes = ['aws_iam_*', 'aws_kms_key_rotation']").collectors["aws"].types
    every = [kind.id for kind in loaded("[collectors.aws]").collectors["aws"].types]
    wanted = [type_id for type_id in every if type_id.startswith("aws_iam_") or type_id == "aws_kms_key_rotation"]
    assert [kind.id for kind in chosen] == wanted
    assert 1 < len(wanted) < len(every)


def test_one_source_may_have_several_collectors():
    """The table's name is the collector's; `source` says what it looks at."""
    found = loaded(MANUAL + "[collectors.hr]\nsource = 'manual'\npath = 'hr'\nenabled = false\n")
    assert [(each.name, each.source_name) for each in found.collectors.values()] == [
        ("manual", "manual"),
        ("hr", "manual"),
    ]
    assert [each.name for each in found.enabled] == ["manual"]


def test_the_digest_of_a_collector_follows_what_decides_what_is_seen():
    """Another folder or other types make another digest; another schedule does not."""

    def digest(more):
        return loaded(f"[collectors.aws]\n{more}").collectors["aws"].digest

    assert digest("") == digest("schedule = 'hourly'")
    assert len({digest(""), digest("regions = ['us-east-1']"), digest("types = ['aws_iam_*']")}) == 3


def test_the_file_is_where_it_is_told_to_be(monkeypatch, tmp_path):
    """--config wins over $CHEQUR_AGENT_CONFIG, which wins over ./config.toml."""
    (tmp_path / "config.toml").touch()
    assert locate() == Path("config.toml")
    monkeypatch.setenv("CHEQUR_AGENT_CONFIG", "/etc/other.toml")
    assert locate() == Path("/etc/other.toml")
    assert locate(Path("mine.toml")) == Path("mine.toml")


def test_no_configuration_is_told_with_the_places_that_were_looked_at(monkeypatch):
    """Without a file anywhere, the message names each place and how to begin."""
    monkeypatch.setenv("CHEQUR_AGENT_CONFIG", "")
    with pytest.raises(ConfigurationInvalid, match=r"config.toml and /etc/chequr-agent/config.toml.*config example"):
        locate()


@pytest.mark.parametrize(("name", "reason"), [("none.toml", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_told_with_the_reason(name, reason):
    """A named file is not passed over where it cannot be read."""
    with pytest.raises(ConfigurationInvalid, match=f"the file cannot be read: {reason}"):
        load(Path(name))
