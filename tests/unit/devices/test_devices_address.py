"""Device addresses: read, printed, and refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.core.errors import UsageError
from snpe_tools.devices import DeviceAddress, parse_addresses

_HOSTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,20}", fullmatch=True) | st.sampled_from(["::1", "fe80::1%eth0"])
_ADDRESSES = st.builds(
    DeviceAddress, st.just("adb"), st.from_regex(r"([A-Za-z0-9][A-Za-z0-9.:_-]{0,20})?", fullmatch=True)
) | st.builds(
    DeviceAddress,
    st.just("ssh"),
    _HOSTS,
    st.from_regex(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?", fullmatch=True),
    st.integers(0, 65535),
)


@given(_ADDRESSES)
def test_what_is_printed_can_be_read(address: DeviceAddress) -> None:
    assert DeviceAddress.parse(str(address)) == address


@given(st.text())
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        address = DeviceAddress.parse(text)
    except UsageError:
        return
    assert not address.target.startswith("-")
    assert "\0" not in address.target + address.user


def test_a_host_keeps_its_case() -> None:
    assert DeviceAddress.parse("ssh://Board-A") == DeviceAddress("ssh", "Board-A")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no device address"),
        ("usb:1", "no device address"),
        ("fake:", "no device address"),
        ("adb:", "no ADB serial number"),
        ("adb:-s x", "no ADB serial number"),
        ("ssh://", "no host name"),
        ("ssh://-oProxyCommand=x", "no host name"),
        ("ssh://a b", "no host name"),
        ("ssh://me:secret@board", "holds no password"),
        ("ssh://board:99999", "Port out of range"),
        ("ssh://board:x", "no SSH address"),
        ("ssh://board/folder", "more than a host"),
        ("ssh://-l@board", "unusual characters"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        DeviceAddress.parse(text)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        DeviceAddress.parse("ssh://me:secret@board")
    assert "secret" not in str(caught.value)


def test_several_devices_each_once() -> None:
    assert [str(one) for one in parse_addresses("adb:A, ssh://b,adb:A")] == ["adb:A", "ssh://b"]
    with pytest.raises(UsageError, match="No device was named"):
        parse_addresses(" ,")
