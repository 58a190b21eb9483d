import re

import pytest

from pedclip.data import load
from pedclip.data.cards import card_names
from pedclip.notebook.errors import InputError, MissingArtefact, readable, with_parameters


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


def test_data_that_is_neither_card_nor_folder_is_answered_with_what_there_is() -> None:
    with pytest.raises(InputError) as caught, readable():
        load("nosuch")
    message = str(caught.value)
    assert "nosuch does not exist; expected 'phantom', the name of a data card with its root (" in message
    assert all(name in message for name in card_names())
    assert message.count("phantom") == 1
    assert "or a folder: " in message


def test_a_data_card_without_its_folder_is_answered_in_the_words_of_notebook_and_of_python() -> None:
    with (
        pytest.raises(InputError, match=re.escape("As a parameter of the notebook:  -p root /folder/of/it")) as caught,
        readable(),
    ):
        load("grazpedwri-dx")
    assert "pedclip.data.load('grazpedwri-dx', root='/folder/of/it')" in str(caught.value)


def test_an_argument_is_also_named_as_a_parameter_if_it_is_one() -> None:
    said = with_parameters(
        "If it is the table, pass reports='/my films/r.csv'. Or pass grid=(2, 3), or pass split='hash'."
    )
    assert said.splitlines()[1:] == ["As a parameter of the notebook:  -p reports '/my films/r.csv'"]
    said = with_parameters("Fetch it,\n  then pass:   image_weights='/w.bin'\n  or start it again:   resume=False")
    assert said.splitlines()[3:] == ["As a parameter of the notebook:  -p image_weights /w.bin  -p resume False"]
    said = with_parameters("no patients; or pass patients='independent' if no two films are of one patient.")
    assert said.splitlines()[1:] == ["As a parameter of the notebook:  -p patients independent"]
    assert with_parameters("no weights") == "no weights"
