import pytest

from prior.program import one_line_errors


def _program(error=None, status=None):
    @one_line_errors(OSError, ValueError, interrupted="half is there")
    def main(arguments=None):
        if error:
            raise error
        return status

    return main


def test_bad_input_is_one_line_and_status_1(capsys):
    assert _program(ValueError("points: expected 17"))([]) == 1
    assert capsys.readouterr().err == "error: points: expected 17\n"


def test_ctrl_c_is_one_line_and_status_130(capsys):
    assert _program(KeyboardInterrupt())([]) == 130
    assert capsys.readouterr().err == "interrupted; half is there\n"


def test_a_status_is_passed_on_and_other_errors_are_bugs():
    assert _program()([]) == 0 and _program(status=3)([]) == 3
    with pytest.raises(ZeroDivisionError):
        _program(ZeroDivisionError())([])
