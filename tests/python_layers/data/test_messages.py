"""Protocol buffers, beside bytes written by hand and by Google's own writer."""

import pytest
from google.protobuf import descriptor_pb2

from python_layers.data.messages import fields, varint


def test_numbers_and_bytes_of_each_kind():
    """The first two are the examples of protobuf.dev/programming-guides/encoding."""
    message = memoryview(b"\x08\x96\x01" + b"\x12\x07testing" + b"\x1d1234" + b"\x2112345678")
    read = [(number, value, bytes(raw)) for number, value, raw in fields(message)]
    assert [number for number, _, _ in read] == [1, 2, 3, 4]
    assert [value for _, value, _ in read] == [150, b"testing", b"1234", b"12345678"]
    assert b"".join(raw for _, _, raw in read) == message


def test_what_google_writes():
    written = descriptor_pb2.FieldDescriptorProto(name="n" * 200, number=2**31 - 1, oneof_index=-1)
    read = {number: value for number, value, _ in fields(memoryview(written.SerializeToString()))}
    assert read == {1: b"n" * 200, 3: 2**31 - 1, 9: 2**64 - 1}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\x08", "cut short"),
        (b"\x08\x96", "cut short"),
        (b"\x12\x07test", "cut short"),
        (b"\x1d123", "cut short"),
        (b"\x0b", "no protocol buffer"),  # a group
        (b"\x08" + b"\xff" * 10 + b"\x01", "cut short"),  # a number of more than 64 bits
    ],
)
def test_damage_is_said(message, said):
    with pytest.raises(ValueError, match=said):
        list(fields(memoryview(message)))


def test_a_number_and_the_place_after_it():
    assert varint(memoryview(b"x\x96\x01y"), 1) == (150, 3)
