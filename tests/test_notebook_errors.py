import pytest

from pedclip.notebook_errors import InputError, MissingArtefact, readable


@pytest.mark.parametrize("error", [ValueError("no column 'report'"), OSError("no folder"), RuntimeError("no server")])
def test_what_is_wrong_with_an_input_is_shown_as_one_line(error: Exception) -> None:
    with pytest.raises(InputError) as caught, readable():
        raise error
    assert caught.value._render_traceback_() == [f"InputError: {type(error).__name__}: {error}"]


def test_readable_errors_pass_and_mistakes_of_ours_keep_their_trace() -> None:
    with pytest.raises(MissingArtefact, match="as it is"), readable():
        raise MissingArtefact("as it is")
    with pytest.raises(KeyError), readable():
        raise KeyError("a bug")
